/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rewrite_int.h - what heads and bodies have in common: uses, and values spliced into a text
 */
#pragma once
#include "cred/ph_escape_int.h"
#include "cred/rewrite.h"

/* What a text says when a placeholder is in it: all of it, part of it, or only encoded. */
enum rewrite_fit { REWRITE_FIT_NONE, REWRITE_FIT_WHOLE, REWRITE_FIT_PART, REWRITE_FIT_ENCODED };

/* *ret_hit is set for WHOLE and PART. */
enum rewrite_fit rewrite_fit(
	const struct cv_ph_set *set, struct cv_str text, struct cv_ph_hit *ret_hit);

/* UNKNOWN, MANY or OK.  at and n are a span of the raw text that the place has. */
CV_MUST enum cv_rewrite_rc rewrite_use_add(struct cv_rewrite_plan *plan,
	const struct cv_ph_hit *hit, enum cv_rewrite_place place, size_t at, size_t n);

/* Adds all placeholders of raw (which is at base in its text), decoded first.  ENCODED when the
 * scanner saw one there that decoding does not show. */
CV_MUST enum cv_rewrite_rc rewrite_uses_find(const struct cv_ph_set *set,
	struct cv_rewrite_plan *plan, struct cv_str raw, size_t base, enum cred_coding coding,
	enum cv_rewrite_place place, struct cv_arena *arena);

/* Whether the values may stand where the plan has them. */
CV_MUST enum cv_rewrite_rc rewrite_values_check(const struct cv_rewrite_plan *plan,
	const struct cv_ph_set *set, const struct cv_str *values);

/* text with the values of the uses first .. first + count, encoded for their places.  MEMORY, or
 * LEFT when a placeholder is in it still (wiped then). */
CV_MUST enum cv_rewrite_rc rewrite_splice(const struct cv_ph_set *set, struct cv_str text,
	const struct cv_rewrite_use *use, size_t count, const struct cv_str *values,
	struct cv_arena *arena, struct cv_str *ret);

void rewrite_wipe(struct cv_str secret);
