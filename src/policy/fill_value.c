/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fill_value.c - values: scalars, lists of them, matchers, whatever the author likes
 *
 * A wrong value is reported and stepped over, and its field stays at its default.
 */
#include "policy/fill_reader.h"

#include "base/assert.h"

#include <stddef.h>
#include <stdio.h>

/* ---- scalars ---- */

static bool read_text(struct cv_fill *f, const char *key, struct cv_policy_text *ret)
{
	const enum cv_yaml_type type = cv_yaml_type(f->y);

	if (type == CV_YAML_LIST || type == CV_YAML_MAPPING || type == CV_YAML_NULL) {
		cv_fill_wrong_type(f, key, "a string",
			type == CV_YAML_NULL ? "give it a value or remove it" : NULL);
		return false;
	}
	*ret = (struct cv_policy_text){
		.s = cv_arena_str(f->arena, cv_yaml_scalar(f->y)),
		.pos = cv_yaml_pos(f->y),
		.is_present = true,
	};
	return true;
}

static void fill_text(struct cv_fill *f, const struct cv_fill_key *k, void *obj)
{
	read_text(f, k->name, cv_fill_field(obj, k->at));
}

static void fill_str(struct cv_fill *f, const struct cv_fill_key *k, void *obj)
{
	struct cv_policy_text text;

	if (read_text(f, k->name, &text))
		memcpy(cv_fill_field(obj, k->at), &text.s, sizeof(text.s));
}

static bool read_bool(struct cv_fill *f, const char *key, bool *ret)
{
	const char *fix = NULL;

	if (cv_yaml_type(f->y) == CV_YAML_BOOL) {
		*ret = cv_ascii_lower(cv_yaml_scalar(f->y).p[0]) == 't';
		return true;
	}
	if (f->y->ev.type == YAML_SCALAR_EVENT)
		fix = "write true or false, without quotes; yes, no, on and off are strings";
	cv_fill_wrong_type(f, key, "true or false", fix);
	return false;
}

static void fill_bool(struct cv_fill *f, const struct cv_fill_key *k, void *obj)
{
	bool value;

	if (read_bool(f, k->name, &value))
		cv_fill_bool_set(obj, k->at, value);
}

static void fill_dropped(struct cv_fill *f, const struct cv_fill_key *k, void *obj)
{
	bool value;

	(void)obj;
	(void)!read_bool(f, k->name, &value);
}

/* A decimal number from min to max; what it may be is said in the message. */
static bool read_number(struct cv_fill *f, const char *key, int64_t min, int64_t max, int64_t *ret)
{
	char wanted[64];

	snprintf(wanted, sizeof(wanted), "a number from %lld to %lld", (long long)min,
		(long long)max);
	if (cv_yaml_type(f->y) != CV_YAML_NUMBER) {
		const bool is_quoted = f->y->ev.type == YAML_SCALAR_EVENT &&
				       f->y->ev.data.scalar.style != YAML_PLAIN_SCALAR_STYLE;

		cv_fill_wrong_type(f, key, wanted, is_quoted ? "remove the quotes" : NULL);
		return false;
	}
	const struct cv_str s = cv_yaml_scalar(f->y);
	const bool is_negative = s.p[0] == '-';
	const struct cv_str digits = cv_str_slice(s, is_negative, s.n);
	uint64_t v = 0;
	const bool is_plain = (digits.n == 1 || (digits.n && digits.p[0] != '0')) &&
			      cv_str_to_u64(digits, INT64_MAX, &v);
	const int64_t value = is_negative ? -(int64_t)v : (int64_t)v;
	if (!is_plain || value < min || value > max) {
		cv_fill_wrong_type(f, key, wanted, NULL);
		return false;
	}
	*ret = value;
	return true;
}

static void fill_bytes(struct cv_fill *f, const struct cv_fill_key *k, void *obj)
{
	int64_t v;

	if (read_number(f, k->name, 1, UINT32_MAX, &v))
		memcpy(cv_fill_field(obj, k->at), &(uint64_t){ (uint64_t)v }, sizeof(uint64_t));
}

static void fill_order(struct cv_fill *f, const struct cv_fill_key *k, void *obj)
{
	int64_t v;

	if (read_number(f, k->name, INT32_MIN, INT32_MAX, &v))
		memcpy(cv_fill_field(obj, k->at), &v, sizeof(v));
}

static void fill_count(struct cv_fill *f, const struct cv_fill_key *k, void *obj)
{
	int64_t v;

	if (!read_number(f, k->name, 0, UINT32_MAX, &v))
		return;
	memcpy(cv_fill_field(obj, k->at), &v, sizeof(v));
	cv_fill_bool_set(obj, k->at_has, true);
}

static void fill_version(struct cv_fill *f, const struct cv_fill_key *k, void *obj)
{
	const struct cv_policy_pos pos = cv_yaml_pos(f->y);
	int64_t v;

	if (cv_yaml_type(f->y) != CV_YAML_NUMBER) {
		cv_fill_wrong_type(f, k->name, "the number 1", "write version: 1");
		return;
	}
	if (!read_number(f, k->name, 0, UINT32_MAX, &v))
		return;
	if (v != 1)
		CV_FILL_REPORT(
			f, pos, "write version: 1", "version %lld is not supported", (long long)v);
	memcpy(cv_fill_field(obj, k->at), &(uint32_t){ (uint32_t)v }, sizeof(uint32_t));
}

static void unknown_word(struct cv_fill *f, const struct cv_fill_key *k)
{
	char known[256] = "expected";
	size_t n = strlen(known);

	for (const struct cv_fill_word *w = k->words; w->name; w++)
		if (w->name[0] && n < sizeof(known))
			n += (size_t)snprintf(known + n, sizeof(known) - n, "%s %s",
				n > strlen("expected") ? "," : "", w->name);
	CV_FILL_REPORT(f, cv_yaml_pos(f->y), known, "unknown %s '%.*s'", k->name,
		CV_POLICY_QUOTE(cv_yaml_scalar(f->y)));
}

/* Protocols are compared without case, as upstream's code does; its other words are exact. */
static void fill_word(struct cv_fill *f, const struct cv_fill_key *k, void *obj)
{
	const bool has_case = strcmp(k->name, "protocol") != 0;
	struct cv_policy_text text;

	if (!read_text(f, k->name, &text))
		return;
	for (const struct cv_fill_word *w = k->words; w->name; w++) {
		const struct cv_str word = cv_str_of(w->name);

		if (!(has_case ? cv_str_eq(text.s, word) : cv_str_eq_nocase(text.s, word)))
			continue;
		text.is_present = text.s.n > 0; /* "" is as if it were absent */
		memcpy(cv_fill_field(obj, k->at), &w->value, sizeof(w->value));
		if (k->at_text)
			memcpy(cv_fill_field(obj, k->at_text), &text, sizeof(text));
		return;
	}
	unknown_word(f, k);
}

/* ---- lists ---- */

static void read_texts(struct cv_fill *f, const char *key, struct cv_policy_texts *ret)
{
	const size_t mark = f->stack_used;
	struct cv_policy_text text;

	*ret = (struct cv_policy_texts){ .pos = cv_yaml_pos(f->y), .is_present = true };
	if (!cv_fill_opens(f, key, CV_YAML_LIST))
		return;
	while (cv_fill_next_in(f, YAML_SEQUENCE_END_EVENT))
		if (read_text(f, key, &text) && !cv_fill_stack_put(f, &text, sizeof(text)))
			break;
	ret->v = cv_fill_stack_take(f, mark, sizeof(text), &ret->n);
}

static void fill_texts(struct cv_fill *f, const struct cv_fill_key *k, void *obj)
{
	read_texts(f, k->name, cv_fill_field(obj, k->at));
}

static bool ports_begin(struct cv_fill *f, const struct cv_fill_key *k, void *obj)
{
	struct cv_policy_pos *pos = cv_fill_field(obj, k->at_pos);

	if (pos->line) {
		CV_FILL_REPORT(f, cv_yaml_pos(f->y), "keep ports", "both port and ports are given");
		cv_yaml_skip(f->y);
		return false;
	}
	*pos = cv_yaml_pos(f->y);
	return true;
}

static bool port_push(struct cv_fill *f, const char *key)
{
	int64_t v;

	return !read_number(f, key, 1, UINT16_MAX, &v) ||
	       cv_fill_stack_put(f, &(uint16_t){ (uint16_t)v }, sizeof(uint16_t));
}

/* The stack holds uint16_t here; the next push of something larger starts after take(). */
static void fill_ports(struct cv_fill *f, const struct cv_fill_key *k, void *obj)
{
	const size_t mark = f->stack_used;
	size_t n;

	if (!ports_begin(f, k, obj))
		return;
	if (k->kind == CV_FILL_PORT)
		port_push(f, k->name);
	else if (cv_fill_opens(f, k->name, CV_YAML_LIST))
		while (cv_fill_next_in(f, YAML_SEQUENCE_END_EVENT) && port_push(f, k->name))
			;
	void *v = cv_fill_stack_take(f, mark, sizeof(uint16_t), &n);
	cv_fill_array_set(obj, k, v, n);
}

/* Scalars by name: what the names are is the author's affair. */
static void fill_pairs(struct cv_fill *f, const struct cv_fill_key *k, void *obj)
{
	const size_t mark = f->stack_used;
	size_t n;

	if (!cv_fill_opens(f, k->name, CV_YAML_MAPPING))
		return;
	cv_fill_place_push(f, cv_str_of(k->name), SIZE_MAX);
	while (cv_fill_next_in(f, YAML_MAPPING_END_EVENT)) {
		struct cv_fill_pair pair = { .key.is_present = true };

		if (!cv_fill_key_read(f, &pair.key.s, &pair.key.pos))
			continue;
		if (read_text(f, "", &pair.value) && !cv_fill_stack_put(f, &pair, sizeof(pair)))
			break;
	}
	void *v = cv_fill_stack_take(f, mark, sizeof(struct cv_fill_pair), &n);
	cv_fill_array_set(obj, k, v, n);
	cv_fill_duplicates_check(
		f, v, n, sizeof(struct cv_fill_pair), offsetof(struct cv_fill_pair, key));
	f->place_depth--;
}

/* ---- matchers ---- */

static const struct cv_fill_key matcher_keys[] = {
	{ "glob", CV_FILL_TEXT },
	{ "any", CV_FILL_TEXTS },
};
static const struct cv_fill_table matcher_table = {
	.noun = "a matcher",
	.keys = matcher_keys,
	.key_count = CV_ARRAY_LEN(matcher_keys),
};

static void one_glob(struct cv_fill *f, const char *key, struct cv_policy_texts *ret)
{
	struct cv_policy_text text;

	if (!read_text(f, key, &text))
		return;
	ret->v = cv_arena_new(f->arena, struct cv_policy_text);
	if (ret->v) {
		*ret->v = text;
		ret->n = 1;
	}
}

/* A string, {glob: string} or {any: [strings]}; exactly one of the two. */
static bool read_globs(struct cv_fill *f, const char *key, struct cv_policy_texts *ret)
{
	const struct cv_policy_pos start = cv_yaml_pos(f->y);
	struct cv_policy_pos pos;
	struct cv_str name;
	bool is_any = false, has_glob = false;

	*ret = (struct cv_policy_texts){ .pos = start, .is_present = true };
	if (cv_yaml_type(f->y) == CV_YAML_LIST || cv_yaml_type(f->y) == CV_YAML_NULL) {
		cv_fill_wrong_type(f, key, "a string, {glob: ...} or {any: [...]}",
			"for several values write {any: [a, b]}");
		return false;
	}
	if (cv_yaml_type(f->y) != CV_YAML_MAPPING) {
		one_glob(f, key, ret);
		return false;
	}
	while (cv_fill_next_in(f, YAML_MAPPING_END_EVENT)) {
		if (!cv_fill_key_read(f, &name, &pos))
			continue;
		const struct cv_fill_key *k = cv_fill_key_find(&matcher_table, name);
		if (!k) {
			cv_fill_unknown_key(f, &matcher_table, name, pos);
			cv_yaml_skip(f->y);
		} else if (is_any || has_glob) {
			CV_FILL_REPORT(f, pos, "keep one",
				"%s: only one of glob and any may be given", key);
			cv_yaml_skip(f->y);
		} else if (k->kind == CV_FILL_TEXTS) {
			is_any = true;
			read_texts(f, "any", ret);
		} else {
			has_glob = true;
			one_glob(f, "glob", ret);
		}
	}
	if (!is_any && !has_glob)
		CV_FILL_REPORT(f, start, "write a string, {glob: string} or {any: [strings]}",
			"%s: an empty matcher", key);
	return is_any;
}

static void fill_globs(struct cv_fill *f, const struct cv_fill_key *k, void *obj)
{
	(void)read_globs(f, k->name, cv_fill_field(obj, k->at));
}

static void fill_matchers(struct cv_fill *f, const struct cv_fill_key *k, void *obj)
{
	const size_t mark = f->stack_used;
	struct cv_policy_matcher m;
	size_t n;

	if (!cv_fill_opens(f, k->name, CV_YAML_MAPPING))
		return;
	cv_fill_place_push(f, cv_str_of(k->name), SIZE_MAX);
	while (cv_fill_next_in(f, YAML_MAPPING_END_EVENT)) {
		m = (struct cv_policy_matcher){ .key.is_present = true };
		if (!cv_fill_key_read(f, &m.key.s, &m.key.pos))
			continue;
		char name[CV_POLICY_QUOTE_BYTES_MAX + 1];
		snprintf(name, sizeof(name), "%.*s", CV_POLICY_QUOTE(m.key.s));
		m.is_any = read_globs(f, name, &m.globs);
		if (!cv_fill_stack_put(f, &m, sizeof(m)))
			break;
	}
	void *v = cv_fill_stack_take(f, mark, sizeof(m), &n);
	cv_fill_array_set(obj, k, v, n);
	cv_fill_duplicates_check(f, v, n, sizeof(m), offsetof(struct cv_policy_matcher, key));
	f->place_depth--;
}

/* Recursion is bounded by the reader's depth (CV_POLICY_DEPTH_MAX). */
static void read_node(struct cv_fill *f, struct cv_policy_node *ret)
{
	const enum cv_yaml_type type = cv_yaml_type(f->y);
	const size_t mark = f->stack_used;

	ret->kind = (enum cv_policy_node_kind)type;
	ret->pos = cv_yaml_pos(f->y);
	if (type != CV_YAML_LIST && type != CV_YAML_MAPPING) {
		ret->s = cv_arena_str(f->arena, cv_yaml_scalar(f->y));
		return;
	}
	while (cv_fill_next_in(
		f, type == CV_YAML_LIST ? YAML_SEQUENCE_END_EVENT : YAML_MAPPING_END_EVENT)) {
		struct cv_policy_node child = { .key.is_present = type == CV_YAML_MAPPING };

		if (type == CV_YAML_MAPPING && !cv_fill_key_read(f, &child.key.s, &child.key.pos))
			continue;
		read_node(f, &child);
		if (!cv_fill_stack_put(f, &child, sizeof(child)))
			break;
	}
	ret->v = cv_fill_stack_take(f, mark, sizeof(*ret), &ret->n);
	if (type == CV_YAML_MAPPING)
		cv_fill_duplicates_check(f, (const char *)ret->v, ret->n, sizeof(*ret),
			offsetof(struct cv_policy_node, key));
}

_Static_assert((int)CV_YAML_MAPPING == (int)CV_POLICY_NODE_MAPPING &&
		       (int)CV_YAML_LIST == (int)CV_POLICY_NODE_LIST &&
		       (int)CV_YAML_STRING == (int)CV_POLICY_NODE_STRING,
	"read_node() casts one to the other");

static void fill_node(struct cv_fill *f, const struct cv_fill_key *k, void *obj)
{
	cv_fill_bool_set(obj, k->at_has, true);
	read_node(f, cv_fill_field(obj, k->at));
}

static void fill_anything(struct cv_fill *f, const struct cv_fill_key *k, void *obj)
{
	(void)k;
	(void)obj;
	cv_yaml_skip(f->y);
}

static void fill_refused(struct cv_fill *f, const struct cv_fill_key *k, void *obj)
{
	(void)obj;
	CV_FILL_REPORT(f, cv_yaml_pos(f->y), k->why, "'%s' is not accepted", k->name);
	cv_yaml_skip(f->y);
}

cv_fill_fn *const cv_fill_value_fns[CV_FILL_KIND_COUNT] = {
	[CV_FILL_TEXT] = fill_text,
	[CV_FILL_STR] = fill_str,
	[CV_FILL_TEXTS] = fill_texts,
	[CV_FILL_BOOL] = fill_bool,
	[CV_FILL_BYTES] = fill_bytes,
	[CV_FILL_ORDER] = fill_order,
	[CV_FILL_WORD] = fill_word,
	[CV_FILL_MATCHERS] = fill_matchers,
	[CV_FILL_GLOBS] = fill_globs,
	[CV_FILL_PORT] = fill_ports,
	[CV_FILL_PORTS] = fill_ports,
	[CV_FILL_VERSION] = fill_version,
	[CV_FILL_DROPPED] = fill_dropped,
	[CV_FILL_ANYTHING] = fill_anything,
	[CV_FILL_NODE] = fill_node,
	[CV_FILL_PAIRS] = fill_pairs,
	[CV_FILL_COUNT] = fill_count,
	[CV_FILL_REFUSED] = fill_refused,
};
