/* SPDX-License-Identifier: Apache-2.0 */
/*
 * query.h - key and value pairs of a raw query, every occurrence, decoded
 *
 * The query is sent byte for byte as it came, so a rule about it must hold for every way an
 * origin may read it.  Pairs are separated by &; names and values are percent-decoded, + is a
 * space.  A `;` is a separator for some origins and a letter for others: has_semicolon says that
 * one is there, and whoever has a rule about the query refuses then.  MALFORMED (bad escape,
 * NUL, text that is not UTF-8, too many pairs, arena full) is a refusal for such a rule too.
 */
#pragma once
#include "base/arena.h"
#include "base/str.h"
#include "wire/limits.h"

enum cv_query_step { CV_QUERY_END, CV_QUERY_PAIR, CV_QUERY_MALFORMED };

struct cv_query {
	struct cv_str rest;
	struct cv_arena *arena;
	size_t count;
	bool has_semicolon;
};

struct cv_query_pair {
	struct cv_str key, value; /* live as long as the arena and the raw query */
	bool has_value;           /* there was a = */
};

/* raw is without ?; CV_STR_NONE has no pairs.  Nothing is allocated until a pair needs decoding. */
void cv_query_start(struct cv_query *q, struct cv_str raw, struct cv_arena *arena);

/* MALFORMED is final: it is returned again by later calls. */
CV_MUST enum cv_query_step cv_query_next(struct cv_query *q, struct cv_query_pair *ret);
