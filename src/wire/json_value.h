/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_value.h - between JSON text and values (base/value.h)
 *
 * Reading is cv_json's, with its strictness (T15); the tree is bounded by the arena, by depth and by
 * the number of values.  Writing is canonical: members sorted by the bytes of their keys, no
 * blanks, one spelling of each string (cv_buf_put_json()), numbers as they were written.  So the
 * same arguments always give the same digest.
 */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/value.h"
#include "wire/json.h"

/* text is borrowed for as long as the value is used.  Depth is CV_JSON_DEPTH_MAX.
 * CV_JSON_PROBLEM_NONE, and *ret is in arena; else ret_at says where (may be NULL).
 * CV_JSON_PROBLEM_LARGE: the arena is full, or more than CV_JSON_TREE_VALUES_MAX values. */
CV_MUST enum cv_json_problem cv_json_value_read(
	struct cv_str text, struct cv_arena *arena, const struct cv_value **ret, size_t *ret_at);

/* Canonical.  False when it did not fit, or v is deeper than CV_JSON_DEPTH_MAX. */
CV_MUST bool cv_json_value_write(struct cv_buf *b, const struct cv_value *v);
