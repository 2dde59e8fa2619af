/* SPDX-License-Identifier: Apache-2.0 */
/*
 * splice.c - values in place of placeholders, encoded as their place wants it; see rewrite_int.h
 */
#include "cred/rewrite_int.h"

#include "base/assert.h"
#include "base/utf8.h"

#define RC_ROW(name, status, slug, text) [CV_REWRITE_##name] = { status, slug, text },
static const struct cv_rewrite_rc_row rc_row[] = { CV_REWRITE_RCS(RC_ROW) };
#undef RC_ROW

/* How a value is written into a place, and which bytes it may not have there. */
enum value_coding { VALUE_RAW, VALUE_PERCENT, VALUE_JSON };

#define PLACE_SLUG(name, slug) [CV_REWRITE_IN_##name] = slug,
static const char *const place_slug[] = { CV_REWRITE_PLACES(PLACE_SLUG) };
#undef PLACE_SLUG

/* clang-format off */
static const struct {
	enum value_coding coding;
	const char *forbidden;
} place_row[CV_REWRITE_PLACE_COUNT] = {
	[CV_REWRITE_IN_HEADER]         = { VALUE_RAW, "" },
	[CV_REWRITE_IN_SCHEME]         = { VALUE_RAW, "" },
	[CV_REWRITE_IN_BASIC_USER]     = { VALUE_RAW, ":" },
	[CV_REWRITE_IN_BASIC_PASSWORD] = { VALUE_RAW, "" },
	[CV_REWRITE_IN_COOKIE]         = { VALUE_RAW, ";, \"\\" }, /* RFC 6265 4.1.1 */
	[CV_REWRITE_IN_PATH]           = { VALUE_PERCENT, "/\\?#" },
	[CV_REWRITE_IN_QUERY]          = { VALUE_PERCENT, "" },
	[CV_REWRITE_IN_BODY_JSON]      = { VALUE_JSON, "" },
	[CV_REWRITE_IN_BODY_FORM]      = { VALUE_PERCENT, "" },
	[CV_REWRITE_IN_BODY_TEXT]      = { VALUE_RAW, "" },
};
/* clang-format on */

#define VALUE_GROWTH 3 /* a byte becomes at most %22 */

const struct cv_rewrite_rc_row *cv_rewrite_rc_row(enum cv_rewrite_rc rc)
{
	return &rc_row[rc < CV_REWRITE_RC_COUNT ? rc : CV_REWRITE_MEMORY];
}

const char *cv_rewrite_place_slug(enum cv_rewrite_place place)
{
	return place < CV_REWRITE_PLACE_COUNT ? place_slug[place] : "unknown";
}

void rewrite_wipe(struct cv_str secret)
{
	if (secret.n)
		explicit_bzero((void *)(uintptr_t)secret.p, secret.n);
}

/* ---- collecting ---- */

enum rewrite_fit rewrite_fit(
	const struct cv_ph_set *set, struct cv_str text, struct cv_ph_hit *ret_hit)
{
	if (cv_ph_find(set, text, 0, ret_hit))
		return ret_hit->n == text.n ? REWRITE_FIT_WHOLE : REWRITE_FIT_PART;
	return cv_ph_is_in(set, text) ? REWRITE_FIT_ENCODED : REWRITE_FIT_NONE;
}

enum cv_rewrite_rc rewrite_use_add(struct cv_rewrite_plan *plan, const struct cv_ph_hit *hit,
	enum cv_rewrite_place place, size_t at, size_t n)
{
	if (hit->entry == CV_PH_UNKNOWN)
		return CV_REWRITE_UNKNOWN;
	if (plan->count == CV_REWRITE_USES_MAX)
		return CV_REWRITE_MANY;
	plan->use[plan->count++] = (struct cv_rewrite_use){
		.entry = hit->entry,
		.form = hit->form,
		.tag = hit->tag,
		.place = place,
		.at = (uint32_t)at,
		.n = (uint32_t)n,
	};
	return CV_REWRITE_OK;
}

enum cv_rewrite_rc rewrite_uses_find(const struct cv_ph_set *set, struct cv_rewrite_plan *plan,
	struct cv_str raw, size_t base, enum cred_coding coding, enum cv_rewrite_place place,
	struct cv_arena *arena)
{
	struct cred_decoded d;
	struct cv_ph_hit hit;
	size_t from = 0;

	if (!cred_decode(raw, coding, arena, &d))
		return CV_REWRITE_MEMORY;
	for (; cv_ph_find(set, d.text, from, &hit); from = hit.at + hit.n) {
		/* what stands between two must not hide a third */
		if (cv_ph_is_in(set, cv_str_slice(d.text, from, hit.at)))
			return CV_REWRITE_ENCODED;
		const size_t start = d.at[hit.at];
		const enum cv_rewrite_rc rc = rewrite_use_add(
			plan, &hit, place, base + start, d.at[hit.at + hit.n] - start);
		if (rc != CV_REWRITE_OK)
			return rc;
	}
	return cv_ph_is_in(set, cv_str_slice(d.text, from, d.text.n)) || from == 0
		       ? CV_REWRITE_ENCODED
		       : CV_REWRITE_OK;
}

/* ---- values ---- */

static bool has_dot_dot(struct cv_str s)
{
	for (size_t i = 1; i < s.n; i++)
		if (s.p[i] == '.' && s.p[i - 1] == '.')
			return true;
	return false;
}

static bool may_stand(struct cv_str value, const struct cv_rewrite_use *use)
{
	const bool is_token = use->place <= CV_REWRITE_IN_SCHEME;

	if (is_token && !cv_h1_is_field_value(value))
		return false;
	if (use->place >= CV_REWRITE_IN_BODY_JSON && !cv_utf8_is_valid(value))
		return false; /* the body was UTF-8 before */
	if (use->place == CV_REWRITE_IN_PATH && has_dot_dot(value))
		return false;
	if (use->is_encoded)
		return true;
	for (const char *c = place_row[use->place].forbidden; *c; c++)
		if (cv_str_has_byte(value, *c))
			return false;
	return true;
}

enum cv_rewrite_rc rewrite_values_check(const struct cv_rewrite_plan *plan,
	const struct cv_ph_set *set, const struct cv_str *values)
{
	for (size_t i = 0; i < plan->count; i++) {
		const struct cv_rewrite_use *use = &plan->use[i];

		if (use->entry >= set->count || values[use->entry].n == 0)
			return CV_REWRITE_VALUE_MISSING;
		const struct cv_str value = values[use->entry];
		if (value.n > CV_REWRITE_VALUE_BYTES_MAX || cv_str_has_control(value))
			return CV_REWRITE_VALUE;
		if (!may_stand(value, use))
			return CV_REWRITE_VALUE_PLACE;
	}
	return CV_REWRITE_OK;
}

/* ---- splicing ---- */

static bool is_unreserved(char c)
{
	const char l = (char)(c | 0x20);

	return (l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
	       c == '_' || c == '~';
}

static char *percent_put(char *out, struct cv_str value)
{
	static const char digit[] = "0123456789ABCDEF";

	for (size_t i = 0; i < value.n; i++) {
		const unsigned char c = (unsigned char)value.p[i];

		if (is_unreserved((char)c)) {
			*out++ = (char)c;
			continue;
		}
		*out++ = '%';
		*out++ = digit[c >> 4];
		*out++ = digit[c & 15];
	}
	return out;
}

/* Control bytes were refused, so two escapes are left. */
static char *json_put(char *out, struct cv_str value)
{
	for (size_t i = 0; i < value.n; i++) {
		if (value.p[i] == '"' || value.p[i] == '\\')
			*out++ = '\\';
		*out++ = value.p[i];
	}
	return out;
}

static char *value_put(char *out, const struct cv_rewrite_use *use, struct cv_str value)
{
	const enum value_coding coding =
		use->is_encoded ? VALUE_PERCENT : place_row[use->place].coding;

	switch (coding) {
	case VALUE_RAW: return mempcpy(out, value.p, value.n);
	case VALUE_PERCENT: return percent_put(out, value);
	case VALUE_JSON: return json_put(out, value);
	}
	return out;
}

enum cv_rewrite_rc rewrite_splice(const struct cv_ph_set *set, struct cv_str text,
	const struct cv_rewrite_use *use, size_t count, const struct cv_str *values,
	struct cv_arena *arena, struct cv_str *ret)
{
	size_t room = text.n + 1, at = 0;

	for (size_t i = 0; i < count; i++)
		room += values[use[i].entry].n * VALUE_GROWTH;
	char *start = cv_arena_alloc(arena, room), *out = start;
	if (!start)
		return CV_REWRITE_MEMORY;
	for (size_t i = 0; i < count; at = use[i].at + use[i].n, i++) {
		cv_assert(use[i].at >= at && use[i].n <= text.n - use[i].at);
		out = mempcpy(out, text.p + at, use[i].at - at);
		out = value_put(out, &use[i], values[use[i].entry]);
	}
	out = mempcpy(out, text.p + at, text.n - at);
	const struct cv_str made = cv_str_range(start, out);
	if (cv_ph_is_in(set, made)) {
		rewrite_wipe(made);
		return CV_REWRITE_LEFT;
	}
	*ret = made;
	return CV_REWRITE_OK;
}
