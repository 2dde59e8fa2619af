/* SPDX-License-Identifier: Apache-2.0 */
/*
 * answer_json.h - the outermost object of an issuer's JSON answer
 *
 * Token endpoints answer with one object whose interesting members are strings and numbers.  This
 * reader gives those and checks the whole text, as strictly as wire/json.h does.  Nested values are
 * checked and given as text.
 *
 * Ownership: strings are decoded into the caller's arena; the rest borrows from the text.
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "cred/limits_refresh.h"
#include "wire/json.h"

struct cv_json_member {
	struct cv_str name;
	enum cv_json_type type;
	struct cv_str text; /* decoded, if a string; else as written */
};

struct cv_json_object {
	struct cv_json_member members[CV_JSON_MEMBERS_MAX];
	size_t count;
};

/* CV_PROTO: not such an object, or one with too many members; CV_LIMIT: the arena is full.
 * Messages never quote the text. */
CV_MUST cv_code cv_json_object_parse(
	struct cv_str text, struct cv_arena *arena, struct cv_json_object *ret, struct cv_err *err);

/* The member, or one of type CV_JSON_END. */
struct cv_json_member cv_json_get(const struct cv_json_object *o, struct cv_str name);

/* The text of a string member; CV_STR_NONE if it is missing or something else. */
struct cv_str cv_json_get_string(const struct cv_json_object *o, struct cv_str name);

/* A whole number that is not negative, or a string of one (some issuers quote it).  False if it is
 * missing or something else. */
CV_MUST bool cv_json_get_u64(
	const struct cv_json_object *o, struct cv_str name, uint64_t max, uint64_t *ret);
