/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schema.h - JSON Schema 2020-12: what a tool's arguments must be
 *
 * A schema is compiled once, which finds all of its mistakes, and then judges values, which finds
 * all of theirs.  All keywords of the core, applicator, unevaluated and validation vocabularies
 * mean what the specification says; numbers are compared exactly.  Beyond it, or apart from it:
 *
 * - References stay within the schema: one to another document is a mistake when compiled.
 * - `format` is an assertion for date-time, date, time, duration, email, hostname, ipv4, ipv6, uri,
 *   uri-reference, uuid, json-pointer and relative-json-pointer; every other is an annotation.
 * - `pattern` is ECMA 262 as near as PCRE2 comes (ecma.h).
 * - A keyword that is nobody's is an annotation, but one that is almost a known one ("requried") is
 *   a mistake that names it.
 * - CV_SCHEMA_STRICT: an object whose properties are listed has no others, unless a schema said
 *   something of them (additionalProperties, unevaluatedProperties, patternProperties).  This is
 *   as unevaluatedProperties: false would be, so schemas put together by allOf keep their sense;
 *   within `not`, `if` and `contains`, which ask and do not demand, it is off.
 *
 * What it costs is bounded by limits_schema.h: CV_LIMIT then, never a guess.
 *
 * Ownership: a compiled schema is malloc'ed and borrows from the schema's value, which must
 * outlive it.  Checking changes nothing but scratch memory: one check at a time.  Pure.
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/value.h"
#include "tools/limits_schema.h"

enum cv_schema_flag {
	/* for compiling */
	CV_SCHEMA_FORMAT_SAYS = 1 << 0, /* every format is an annotation */
	CV_SCHEMA_LENIENT = 1 << 1,     /* a schema that others wrote: $schema may name an older
					 * draft, items be an array (its prefixItems), and keywords
					 * be almost known */
	/* for checking */
	CV_SCHEMA_STRICT = 1 << 2,
};

struct cv_schema_error {
	struct cv_str pointer;     /* JSON pointer: into the value judged, or into the schema */
	struct cv_str message;     /* a sentence without its subject: "must be string, is number" */
	struct cv_str nearest;     /* the name or value that was probably meant, or empty */
	const struct cv_value *at; /* what the pointer leads to */
};

struct cv_schema_errors {
	struct cv_arena *arena; /* of the texts; set by the caller */
	struct cv_schema_error e[CV_SCHEMA_ERRORS_MAX];
	size_t n;    /* kept */
	bool is_cut; /* there are more, or texts did not fit into the arena */
};

static inline void cv_schema_errors_init(struct cv_schema_errors *e, struct cv_arena *arena)
{
	e->arena = arena;
	e->n = 0;
	e->is_cut = false;
}

struct cv_schema;

/* CV_INVALID: every mistake, with a pointer into the schema.  CV_LIMIT: too large. */
CV_MUST cv_code cv_schema_compile(const struct cv_value *schema, unsigned flags,
	struct cv_schema **ret, struct cv_schema_errors *errors);
void cv_schema_free(struct cv_schema *s); /* NULL is fine */

/* CV_INVALID: every violation, with a pointer into v.  CV_LIMIT: judging it took too much; the last
 * error says where. */
CV_MUST cv_code cv_schema_check(const struct cv_schema *s, const struct cv_value *v, unsigned flags,
	struct cv_schema_errors *errors);
