/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limits_schema.h - what a schema, and judging a value by it, may cost
 *
 * Schemas are written by whoever writes the catalog, or come from an MCP server; values come from
 * the sandbox.  Both are bounded, and so is what they cost together.
 */
#pragma once

/* Compiling. */
#define CV_SCHEMA_NODES_MAX     16384 /* subschemas; generated ones of large tools have hundreds */
#define CV_SCHEMA_DEPTH_MAX     128   /* of subschemas in each other: CV_JSON_DEPTH_MAX */
#define CV_SCHEMA_MEMORY_MAX    (16 << 20) /* of the compiled form, expressions apart */
#define CV_SCHEMA_PATTERNS_MAX  256        /* each takes some 10 KiB when compiled */
#define CV_SCHEMA_RESOURCES_MAX 256        /* $id; looked through for each reference */
#define CV_SCHEMA_ANCHORS_MAX   1024       /* looked through for each reference by name */
#define CV_SCHEMA_URI_BYTES_MAX 2048       /* of $id, $ref and what they become together */

/* Expressions: as written, and in PCRE2's dialect, where \s alone takes 80 bytes. */
#define CV_ECMA_BYTES_MAX     1024
#define CV_ECMA_OUT_BYTES_MAX 16384

/* Judging.  Subschemas applied within each other: a value of depth 64 with four hops for each of its
 * levels ($ref, allOf, ...).  One hop takes about 1 KiB of stack. */
#define CV_SCHEMA_HOPS_MAX 512
/* Steps: one for each subschema applied, member or item looked at, byte compared, step of an
 * expression.  1 MiB of arguments against an ordinary schema takes about half a million; all of it
 * takes a quarter of a second. */
#define CV_SCHEMA_WORK_MAX (8u << 20)

/* Reporting. */
#define CV_SCHEMA_ERRORS_MAX        32   /* who has more starts anew anyway */
#define CV_SCHEMA_MESSAGE_BYTES_MAX 240  /* of one: a sentence */
#define CV_SCHEMA_QUOTE_BYTES_MAX   48   /* of a value in one */
#define CV_SCHEMA_POINTER_BYTES_MAX 1024 /* longer ones end at a step, with the last left out */
