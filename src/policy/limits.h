/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limits.h - what a policy document may cost, and why
 *
 * A policy may come from a stranger (an image, a proposal, a user of a shared gateway), so each
 * thing that it can make grow has a maximum here.
 */
#pragma once

/* 10,000 endpoints, each with its own entry and rules, take about 2 MiB. */
#define CV_POLICY_FILE_BYTES_MAX (4u << 20)

/* A document in memory.  An endpoint of ten bytes of YAML takes 1 KiB here, so the size of the
 * file alone is no bound; 10,000 endpoints take about 12 MiB. */
#define CV_POLICY_DOC_BYTES_MAX (64u << 20)

/* The language nests 11 deep; the rest is for `config` of a middleware. */
#define CV_POLICY_DEPTH_MAX 24

/* Nobody repairs more at a time; what is beyond is counted as "more". */
#define CV_POLICY_FINDINGS_MAX 64

/* Quoted in a message; longer values are cut, so that a finding stays a line. */
#define CV_POLICY_QUOTE_BYTES_MAX 80

/* A document's findings: 64 of them, each with a few quotes and two places. */
#define CV_POLICY_FINDINGS_BYTES_MAX (1u << 20)

/* Paths of the filesystem section: length and number; upstream's numbers. */
#define CV_POLICY_PATH_BYTES_MAX 4096
#define CV_POLICY_PATH_COUNT_MAX 256

/* Upstream's numbers. */
#define CV_POLICY_MIDDLEWARE_COUNT_MAX    10
#define CV_POLICY_MIDDLEWARE_PATTERNS_MAX 32

/* Pairs of endpoints compared before a document is refused as too tangled to judge.  Endpoints
 * that agree are never compared, so only thousands of overlapping and differing ones get here;
 * each comparison takes about 100 ns. */
#define CV_POLICY_OVERLAP_COMPARISONS_MAX 200000u

/* A name of the DNS has at most 253 bytes; a pattern is no longer than what it matches. */
#define CV_POLICY_HOST_BYTES_MAX 253

/* A pattern for a path, a query value or a name: as long as the longest path that is accepted
 * (openshell-behaviour 14); the time to match grows with it. */
#define CV_POLICY_PATTERN_BYTES_MAX 4096

/* Entries of one allowed_ips list; lists are compared as sets, which is quadratic. */
#define CV_POLICY_ALLOWED_IPS_MAX 256

/* ---- tools ----  The decision looks at the rules one after the other, and at each member of the
 * arguments once for each condition, so these bound its time. */
#define CV_POLICY_TOOL_RULES_MAX     256
#define CV_POLICY_TOOL_NAMES_MAX     64  /* names and globs of a rule */
#define CV_POLICY_TOOL_ARGUMENTS_MAX 64  /* conditions of a rule */
#define CV_POLICY_TOOL_VALUES_MAX    256 /* constants of an `in` */

/* A tool's name; longer than any that MCP servers have (128 is what clients accept). */
#define CV_POLICY_TOOL_NAME_BYTES_MAX 256

/* A path into the arguments.  Walking it recurses this deep; JSON nests no deeper than 64, and
 * arguments that people write rules about far less. */
#define CV_POLICY_TOOL_PATH_STEPS_MAX 16
#define CV_POLICY_TOOL_PATH_BYTES_MAX 512

/* A constant, when it is shown in a condition's text. */
#define CV_POLICY_TOOL_CONSTANT_BYTES_MAX 256
