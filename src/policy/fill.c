/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fill.c - the reader that follows the tables; see fill_int.h
 *
 * Elements of a list are collected on one scratch stack and copied to the arena when the list
 * ends.  An inner list always ends before its owner is pushed, so one stack serves all of them,
 * whatever their types, and the arena holds each array once.
 *
 * A wrong value is reported and stepped over, and reading goes on: the author sees all that is
 * wrong at once.  The value's field then stays at its default, which is why a document with any
 * finding is thrown away by the caller.
 */
#include "policy/fill_int.h"

#include "base/word.h"

#include "base/assert.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define PLACE_DEPTH_MAX 12 /* a table's own depth, with its lists */
#define PLACE_BYTES_MAX 512
#define NAME_BYTES_MAX  32  /* for suggestions: no known key is longer */
#define KNOWN_BYTES_MAX 640 /* all keys of an endpoint in one message */

struct place { /* a step of "github.endpoints[0].rules[1]" */
	struct cv_str name;
	size_t index; /* SIZE_MAX: none */
};

struct fill {
	struct cv_yaml *y;
	struct cv_arena *arena;
	char *stack;
	size_t stack_used, stack_cap;
	struct place place[PLACE_DEPTH_MAX];
	size_t place_depth;
	bool is_private;
};

/* ---- reporting ---- */

static struct cv_str place_text(const struct fill *f, char text[PLACE_BYTES_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < f->place_depth; i++) {
		const struct place *p = &f->place[i];
		char index[24] = "";

		if (p->index != SIZE_MAX)
			snprintf(index, sizeof(index), "[%zu]", p->index);
		const int put = snprintf(text + n, PLACE_BYTES_MAX - n, "%s%.*s%s",
			n && p->name.n ? "." : "", CV_POLICY_QUOTE(p->name), index);
		n = CV_MIN(n + (size_t)CV_MAX(put, 0), (size_t)PLACE_BYTES_MAX - 1);
	}
	return (struct cv_str){ text, n };
}

/* An error at pos in the present place. */
#define REPORT(f, pos, fix, ...)                                                                \
	do {                                                                                    \
		char place_[PLACE_BYTES_MAX];                                                   \
		cv_findings_add((f)->y->findings, CV_FINDING_ERROR, pos, place_text(f, place_), \
			fix, __VA_ARGS__);                                                      \
	} while (0)

static void place_push(struct fill *f, struct cv_str name, size_t index)
{
	cv_assert(f->place_depth < PLACE_DEPTH_MAX);
	f->place[f->place_depth++] = (struct place){ name, index };
}

/* key names the value within the present place; "" for the place itself. */
static void wrong_type(struct fill *f, const char *key, const char *wanted, const char *fix)
{
	const enum cv_yaml_type type = cv_yaml_type(f->y);
	const char *colon = key[0] ? ": " : "";

	if (!f->is_private &&
		(type == CV_YAML_STRING || type == CV_YAML_NUMBER || type == CV_YAML_BOOL))
		REPORT(f, cv_yaml_pos(f->y), fix, "%s%sexpected %s, found %s '%.*s'", key, colon,
			wanted, cv_yaml_type_name(type), CV_POLICY_QUOTE(cv_yaml_scalar(f->y)));
	else
		REPORT(f, cv_yaml_pos(f->y), fix, "%s%sexpected %s, found %s", key, colon, wanted,
			cv_yaml_type_name(type));
	cv_yaml_skip(f->y);
}

/* ---- unknown keys ---- */

/* What people write for what is meant, where spelling is no guide. */
static const struct {
	const char *wrong, *right;
} other_words[] = {
	{ "filesystem", "filesystem_policy" },
	{ "network", "network_policies" },
	{ "hostname", "host" },
	{ "domain", "host" },
	{ "deny", "deny_rules" },
	{ "user", "run_as_user" },
	{ "group", "run_as_group" },
	{ "mode", "compatibility" },
	{ "arguments", "params" },
};

static const struct cv_fill_key *key_find(const struct cv_fill_table *s, struct cv_str name)
{
	for (size_t i = 0; name.n && i < s->key_count; i++)
		if (name.p[0] == s->keys[i].name[0] && /* most differ here already */
			cv_str_eq(name, cv_str_of(s->keys[i].name)))
			return &s->keys[i];
	return NULL;
}

static const char *key_suggest(const struct cv_fill_table *s, struct cv_str name)
{
	size_t best = CV_MAX(name.n / 3, (size_t)1) + 1; /* a third may be wrong */
	const char *hit = NULL;

	for (size_t i = 0; i < CV_ARRAY_LEN(other_words); i++)
		if (cv_str_eq_nocase(name, cv_str_of(other_words[i].wrong)) &&
			key_find(s, cv_str_of(other_words[i].right)))
			return other_words[i].right;
	for (size_t i = 0; i < s->key_count; i++) {
		const size_t d = cv_word_distance(name, cv_str_of(s->keys[i].name));

		if (d < best) {
			best = d;
			hit = s->keys[i].name;
		}
	}
	return hit;
}

static void unknown_key(
	struct fill *f, const struct cv_fill_table *s, struct cv_str name, struct cv_policy_pos pos)
{
	const char *near = key_suggest(s, name);
	char fix[KNOWN_BYTES_MAX];
	int n = 0;

	if (near) {
		snprintf(fix, sizeof(fix), "did you mean '%s'?", near);
	} else if (s->hint) {
		snprintf(fix, sizeof(fix), "%s", s->hint);
	} else {
		n = snprintf(fix, sizeof(fix), "known here:");
		for (size_t i = 0; i < s->key_count && n < (int)sizeof(fix); i++)
			n += snprintf(fix + n, sizeof(fix) - (size_t)n, "%s %s", i ? "," : "",
				s->keys[i].name);
	}
	REPORT(f, pos, fix, "unknown key '%.*s' in %s", CV_POLICY_QUOTE(name), s->noun);
}

/* ---- keys of any mapping ---- */

/* Stands on a key.  True: *ret_name is it (in the arena) and the reader stands on its value.
 * False: it was refused and its value stepped over, or the input ended. */
static bool read_key(struct fill *f, struct cv_str *ret_name, struct cv_policy_pos *ret_pos)
{
	struct cv_yaml *y = f->y;
	const struct cv_policy_pos pos = cv_yaml_pos(y);
	const char *wrong = NULL;

	if (y->ev.type != YAML_SCALAR_EVENT)
		wrong = "a key must be a string";
	else if (y->ev.data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
		 cv_str_eq(cv_yaml_scalar(y), CV_STR("<<")))
		wrong = "merge keys (<<) are not accepted";
	if (wrong) {
		REPORT(f, pos, NULL, "%s", wrong);
		cv_yaml_skip(y);
		if (cv_yaml_next(y))
			cv_yaml_skip(y);
		return false;
	}
	*ret_name = cv_arena_str(f->arena, cv_yaml_scalar(y));
	*ret_pos = pos;
	return cv_yaml_next(y);
}

static void duplicate_key(
	struct fill *f, struct cv_str name, struct cv_policy_pos pos, uint32_t first_line)
{
	REPORT(f, pos, "keep one of them", "duplicate key '%.*s', first at line %u",
		CV_POLICY_QUOTE(name), first_line);
}

/* The next element's first event; false at the end of the collection (or of the input). */
static bool next_in(struct fill *f, yaml_event_type_t end)
{
	return cv_yaml_next(f->y) && f->y->ev.type != end;
}

/* ---- the scratch stack ---- */

static void *stack_push(struct fill *f, size_t bytes)
{
	if (bytes > f->stack_cap - f->stack_used) {
		const size_t cap = CV_MAX(f->stack_cap * 2, (size_t)1 << 16);
		char *stack =
			cap <= 2 * (size_t)CV_POLICY_DOC_BYTES_MAX ? realloc(f->stack, cap) : NULL;

		if (!stack) { /* the same to the author as an arena that is full */
			f->arena->is_overflown = true;
			f->y->has_failed = true;
			return NULL;
		}
		f->stack = stack;
		f->stack_cap = cap;
	}
	void *p = f->stack + f->stack_used;
	f->stack_used += bytes;
	return p;
}

static bool stack_put(struct fill *f, const void *elem, size_t bytes)
{
	void *p = stack_push(f, bytes);

	if (p)
		memcpy(p, elem, bytes);
	return p != NULL;
}

/* Moves what was pushed since mark to the arena, as an array. */
static void *stack_take(struct fill *f, size_t mark, size_t size, size_t *ret_count)
{
	const size_t bytes = f->stack_used - mark;
	void *v = bytes ? cv_arena_alloc(f->arena, bytes) : NULL;

	if (v)
		memcpy(v, f->stack + mark, bytes);
	else if (bytes)
		f->y->has_failed = true;
	f->stack_used = mark;
	*ret_count = v ? bytes / size : 0;
	return v;
}

/* The tables name fields by offset; these are the only places that follow one. */
static void *field(void *obj, size_t at)
{
	return (char *)obj + at;
}

static void set_array(void *obj, const struct cv_fill_key *k, void *v, size_t n)
{
	memcpy(field(obj, k->at), &v, sizeof(v)); /* a pointer of some type */
	memcpy(field(obj, k->at_n), &n, sizeof(n));
}

static void set_bool(void *obj, size_t at, bool value)
{
	if (at)
		memcpy(field(obj, at), &value, sizeof(value));
}

/* ---- scalars ---- */

static bool read_text(struct fill *f, const char *key, struct cv_policy_text *ret)
{
	const enum cv_yaml_type type = cv_yaml_type(f->y);

	if (type == CV_YAML_LIST || type == CV_YAML_MAPPING || type == CV_YAML_NULL) {
		wrong_type(f, key, "a string",
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

static void fill_text(struct fill *f, const struct cv_fill_key *k, void *obj)
{
	read_text(f, k->name, field(obj, k->at));
}

static void fill_str(struct fill *f, const struct cv_fill_key *k, void *obj)
{
	struct cv_policy_text text;

	if (read_text(f, k->name, &text))
		memcpy(field(obj, k->at), &text.s, sizeof(text.s));
}

static bool read_bool(struct fill *f, const char *key, bool *ret)
{
	const char *fix = NULL;

	if (cv_yaml_type(f->y) == CV_YAML_BOOL) {
		*ret = cv_ascii_lower(cv_yaml_scalar(f->y).p[0]) == 't';
		return true;
	}
	if (f->y->ev.type == YAML_SCALAR_EVENT)
		fix = "write true or false, without quotes; yes, no, on and off are strings";
	wrong_type(f, key, "true or false", fix);
	return false;
}

static void fill_bool(struct fill *f, const struct cv_fill_key *k, void *obj)
{
	bool value;

	if (read_bool(f, k->name, &value))
		set_bool(obj, k->at, value);
}

static void fill_dropped(struct fill *f, const struct cv_fill_key *k, void *obj)
{
	bool value;

	(void)obj;
	(void)!read_bool(f, k->name, &value);
}

/* A decimal number from min to max; what it may be is said in the message. */
static bool read_number(struct fill *f, const char *key, int64_t min, int64_t max, int64_t *ret)
{
	char wanted[64];

	snprintf(wanted, sizeof(wanted), "a number from %lld to %lld", (long long)min,
		(long long)max);
	if (cv_yaml_type(f->y) != CV_YAML_NUMBER) {
		const bool is_quoted = f->y->ev.type == YAML_SCALAR_EVENT &&
				       f->y->ev.data.scalar.style != YAML_PLAIN_SCALAR_STYLE;

		wrong_type(f, key, wanted, is_quoted ? "remove the quotes" : NULL);
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
		wrong_type(f, key, wanted, NULL);
		return false;
	}
	*ret = value;
	return true;
}

static void fill_bytes(struct fill *f, const struct cv_fill_key *k, void *obj)
{
	int64_t v;

	if (read_number(f, k->name, 1, UINT32_MAX, &v))
		memcpy(field(obj, k->at), &(uint64_t){ (uint64_t)v }, sizeof(uint64_t));
}

static void fill_order(struct fill *f, const struct cv_fill_key *k, void *obj)
{
	int64_t v;

	if (read_number(f, k->name, INT32_MIN, INT32_MAX, &v))
		memcpy(field(obj, k->at), &v, sizeof(v));
}

static void fill_count(struct fill *f, const struct cv_fill_key *k, void *obj)
{
	int64_t v;

	if (!read_number(f, k->name, 0, UINT32_MAX, &v))
		return;
	memcpy(field(obj, k->at), &v, sizeof(v));
	set_bool(obj, k->at_has, true);
}

static void fill_version(struct fill *f, const struct cv_fill_key *k, void *obj)
{
	const struct cv_policy_pos pos = cv_yaml_pos(f->y);
	int64_t v;

	if (cv_yaml_type(f->y) != CV_YAML_NUMBER) {
		wrong_type(f, k->name, "the number 1", "write version: 1");
		return;
	}
	if (!read_number(f, k->name, 0, UINT32_MAX, &v))
		return;
	if (v != 1)
		REPORT(f, pos, "write version: 1", "version %lld is not supported", (long long)v);
	memcpy(field(obj, k->at), &(uint32_t){ (uint32_t)v }, sizeof(uint32_t));
}

static void unknown_word(struct fill *f, const struct cv_fill_key *k)
{
	char known[256] = "expected";
	size_t n = strlen(known);

	for (const struct cv_fill_word *w = k->words; w->name; w++)
		if (w->name[0] && n < sizeof(known))
			n += (size_t)snprintf(known + n, sizeof(known) - n, "%s %s",
				n > strlen("expected") ? "," : "", w->name);
	REPORT(f, cv_yaml_pos(f->y), known, "unknown %s '%.*s'", k->name,
		CV_POLICY_QUOTE(cv_yaml_scalar(f->y)));
}

/* Protocols are compared without case, as upstream's code does; its other words are exact. */
static void fill_word(struct fill *f, const struct cv_fill_key *k, void *obj)
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
		memcpy(field(obj, k->at), &w->value, sizeof(w->value));
		if (k->at_text)
			memcpy(field(obj, k->at_text), &text, sizeof(text));
		return;
	}
	unknown_word(f, k);
}

/* ---- lists ---- */

/* True when the reader stands on a collection of the wanted type.  Nothing (an empty value) is
 * an empty collection: the key's elements are all commented out. */
static bool opens(struct fill *f, const char *key, enum cv_yaml_type wanted)
{
	const enum cv_yaml_type type = cv_yaml_type(f->y);

	if (type != wanted && type != CV_YAML_NULL)
		wrong_type(f, key, cv_yaml_type_name(wanted), NULL);
	return type == wanted;
}

static void read_texts(struct fill *f, const char *key, struct cv_policy_texts *ret)
{
	const size_t mark = f->stack_used;
	struct cv_policy_text text;

	*ret = (struct cv_policy_texts){ .pos = cv_yaml_pos(f->y), .is_present = true };
	if (!opens(f, key, CV_YAML_LIST))
		return;
	while (next_in(f, YAML_SEQUENCE_END_EVENT))
		if (read_text(f, key, &text) && !stack_put(f, &text, sizeof(text)))
			break;
	ret->v = stack_take(f, mark, sizeof(text), &ret->n);
}

static void fill_texts(struct fill *f, const struct cv_fill_key *k, void *obj)
{
	read_texts(f, k->name, field(obj, k->at));
}

static bool ports_begin(struct fill *f, const struct cv_fill_key *k, void *obj)
{
	struct cv_policy_pos *pos = field(obj, k->at_pos);

	if (pos->line) {
		REPORT(f, cv_yaml_pos(f->y), "keep ports", "both port and ports are given");
		cv_yaml_skip(f->y);
		return false;
	}
	*pos = cv_yaml_pos(f->y);
	return true;
}

static bool port_push(struct fill *f, const char *key)
{
	int64_t v;

	return !read_number(f, key, 1, UINT16_MAX, &v) ||
	       stack_put(f, &(uint16_t){ (uint16_t)v }, sizeof(uint16_t));
}

/* The stack holds uint16_t here; the next push of something larger starts after take(). */
static void fill_ports(struct fill *f, const struct cv_fill_key *k, void *obj)
{
	const size_t mark = f->stack_used;
	size_t n;

	if (!ports_begin(f, k, obj))
		return;
	if (k->kind == CV_FILL_PORT)
		port_push(f, k->name);
	else if (opens(f, k->name, CV_YAML_LIST))
		while (next_in(f, YAML_SEQUENCE_END_EVENT) && port_push(f, k->name))
			;
	void *v = stack_take(f, mark, sizeof(uint16_t), &n);
	set_array(obj, k, v, n);
}

static void fill_mapping(struct fill *f, const struct cv_fill_table *s, void *obj);

/* One element of a list or of a mapping of names, built beside the stack and then pushed. */
union element {
	max_align_t aligned;
	char bytes[CV_FILL_ELEMENT_BYTES_MAX];
};

static void element_begin(union element *e, const struct cv_fill_table *s, struct cv_policy_pos pos)
{
	cv_assert(s->size <= sizeof(*e));
	memset(e, 0, s->size);
	if (s->has_pos)
		memcpy(e, &pos, sizeof(pos));
	if (s->init)
		s->init(e);
}

static void fill_list(struct fill *f, const struct cv_fill_key *k, void *obj)
{
	const size_t mark = f->stack_used;
	union element e;
	size_t index = 0, n;

	set_bool(obj, k->at_has, true);
	if (k->at_pos)
		memcpy(field(obj, k->at_pos),
			&(struct cv_policy_pos){ cv_yaml_pos(f->y).line, cv_yaml_pos(f->y).column },
			sizeof(struct cv_policy_pos));
	if (!opens(f, k->name, CV_YAML_LIST))
		return;
	while (next_in(f, YAML_SEQUENCE_END_EVENT)) {
		place_push(f, cv_str_of(k->name), index++);
		element_begin(&e, k->sub, cv_yaml_pos(f->y));
		fill_mapping(f, k->sub, &e);
		f->place_depth--;
		if (!stack_put(f, &e, k->sub->size))
			break;
	}
	void *v = stack_take(f, mark, k->sub->size, &n);
	set_array(obj, k, v, n);
}

/* ---- mappings of names ---- */

static int by_name(const void *a, const void *b)
{
	const struct cv_policy_text *const *ta = a, *const *tb = b;
	const int r = cv_str_cmp((*ta)->s, (*tb)->s);

	if (r)
		return r;
	if ((*ta)->pos.line != (*tb)->pos.line)
		return (*ta)->pos.line < (*tb)->pos.line ? -1 : 1;
	return ((*ta)->pos.column > (*tb)->pos.column) - ((*ta)->pos.column < (*tb)->pos.column);
}

/* Names of a mapping are as many as the author likes: sorted, duplicates are neighbours. */
static void check_duplicates(struct fill *f, const char *v, size_t n, size_t size, size_t at_key)
{
	const struct cv_policy_text **names = n > 1 ? malloc(n * sizeof(const void *)) : NULL;

	if (!names)
		return (void)(f->arena->is_overflown |= n > 1);
	for (size_t i = 0; i < n; i++)
		names[i] = (const struct cv_policy_text *)(const void *)(v + i * size + at_key);
	qsort(names, n, sizeof(*names), by_name);
	for (size_t i = 1; i < n; i++)
		if (cv_str_eq(names[i]->s, names[i - 1]->s))
			duplicate_key(f, names[i]->s, names[i]->pos, names[i - 1]->pos.line);
	free(names);
}

static void fill_named(struct fill *f, const struct cv_fill_key *k, void *obj)
{
	const size_t mark = f->stack_used;
	struct cv_policy_text key = { .is_present = true };
	union element e;
	size_t n;

	set_bool(obj, k->at_has, true);
	if (!opens(f, k->name, CV_YAML_MAPPING))
		return;
	while (next_in(f, YAML_MAPPING_END_EVENT)) {
		if (!read_key(f, &key.s, &key.pos))
			continue;
		place_push(f, key.s, SIZE_MAX);
		element_begin(&e, k->sub, key.pos);
		memcpy((char *)&e + k->sub->at_key, &key, sizeof(key));
		fill_mapping(f, k->sub, &e);
		f->place_depth--;
		if (!stack_put(f, &e, k->sub->size))
			break;
	}
	void *v = stack_take(f, mark, k->sub->size, &n);
	set_array(obj, k, v, n);
	check_duplicates(f, v, n, k->sub->size, k->sub->at_key);
}

/* Scalars by name: what the names are is the author's affair. */
static void fill_pairs(struct fill *f, const struct cv_fill_key *k, void *obj)
{
	const size_t mark = f->stack_used;
	size_t n;

	if (!opens(f, k->name, CV_YAML_MAPPING))
		return;
	place_push(f, cv_str_of(k->name), SIZE_MAX);
	while (next_in(f, YAML_MAPPING_END_EVENT)) {
		struct cv_fill_pair pair = { .key.is_present = true };

		if (!read_key(f, &pair.key.s, &pair.key.pos))
			continue;
		if (read_text(f, "", &pair.value) && !stack_put(f, &pair, sizeof(pair)))
			break;
	}
	void *v = stack_take(f, mark, sizeof(struct cv_fill_pair), &n);
	set_array(obj, k, v, n);
	check_duplicates(f, v, n, sizeof(struct cv_fill_pair), offsetof(struct cv_fill_pair, key));
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

static void one_glob(struct fill *f, const char *key, struct cv_policy_texts *ret)
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
static bool read_globs(struct fill *f, const char *key, struct cv_policy_texts *ret)
{
	const struct cv_policy_pos start = cv_yaml_pos(f->y);
	struct cv_policy_pos pos;
	struct cv_str name;
	bool is_any = false, has_glob = false;

	*ret = (struct cv_policy_texts){ .pos = start, .is_present = true };
	if (cv_yaml_type(f->y) == CV_YAML_LIST || cv_yaml_type(f->y) == CV_YAML_NULL) {
		wrong_type(f, key, "a string, {glob: ...} or {any: [...]}",
			"for several values write {any: [a, b]}");
		return false;
	}
	if (cv_yaml_type(f->y) != CV_YAML_MAPPING) {
		one_glob(f, key, ret);
		return false;
	}
	while (next_in(f, YAML_MAPPING_END_EVENT)) {
		if (!read_key(f, &name, &pos))
			continue;
		const struct cv_fill_key *k = key_find(&matcher_table, name);
		if (!k) {
			unknown_key(f, &matcher_table, name, pos);
			cv_yaml_skip(f->y);
		} else if (is_any || has_glob) {
			REPORT(f, pos, "keep one", "%s: only one of glob and any may be given",
				key);
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
		REPORT(f, start, "write a string, {glob: string} or {any: [strings]}",
			"%s: an empty matcher", key);
	return is_any;
}

static void fill_globs(struct fill *f, const struct cv_fill_key *k, void *obj)
{
	(void)read_globs(f, k->name, field(obj, k->at));
}

static void fill_matchers(struct fill *f, const struct cv_fill_key *k, void *obj)
{
	const size_t mark = f->stack_used;
	struct cv_policy_matcher m;
	size_t n;

	if (!opens(f, k->name, CV_YAML_MAPPING))
		return;
	place_push(f, cv_str_of(k->name), SIZE_MAX);
	while (next_in(f, YAML_MAPPING_END_EVENT)) {
		m = (struct cv_policy_matcher){ .key.is_present = true };
		if (!read_key(f, &m.key.s, &m.key.pos))
			continue;
		char name[CV_POLICY_QUOTE_BYTES_MAX + 1];
		snprintf(name, sizeof(name), "%.*s", CV_POLICY_QUOTE(m.key.s));
		m.is_any = read_globs(f, name, &m.globs);
		if (!stack_put(f, &m, sizeof(m)))
			break;
	}
	void *v = stack_take(f, mark, sizeof(m), &n);
	set_array(obj, k, v, n);
	check_duplicates(f, v, n, sizeof(m), offsetof(struct cv_policy_matcher, key));
	f->place_depth--;
}

/* ---- mappings ---- */

/* An empty value leaves a section absent, as an optional one of upstream's reader. */
static void fill_inside(struct fill *f, const struct cv_fill_key *k, void *obj)
{
	if (cv_yaml_type(f->y) == CV_YAML_NULL && !k->is_required)
		return;
	set_bool(obj, k->at_has, true);
	place_push(f, cv_str_of(k->name), SIZE_MAX);
	fill_mapping(f, k->sub, obj);
	f->place_depth--;
}

static void fill_anything(struct fill *f, const struct cv_fill_key *k, void *obj)
{
	(void)k;
	(void)obj;
	cv_yaml_skip(f->y);
}

/* Recursion is bounded by the reader's depth (CV_POLICY_DEPTH_MAX). */
static void read_node(struct fill *f, struct cv_policy_node *ret)
{
	const enum cv_yaml_type type = cv_yaml_type(f->y);
	const size_t mark = f->stack_used;

	ret->kind = (enum cv_policy_node_kind)type;
	ret->pos = cv_yaml_pos(f->y);
	if (type != CV_YAML_LIST && type != CV_YAML_MAPPING) {
		ret->s = cv_arena_str(f->arena, cv_yaml_scalar(f->y));
		return;
	}
	while (next_in(
		f, type == CV_YAML_LIST ? YAML_SEQUENCE_END_EVENT : YAML_MAPPING_END_EVENT)) {
		struct cv_policy_node child = { .key.is_present = type == CV_YAML_MAPPING };

		if (type == CV_YAML_MAPPING && !read_key(f, &child.key.s, &child.key.pos))
			continue;
		read_node(f, &child);
		if (!stack_put(f, &child, sizeof(child)))
			break;
	}
	ret->v = stack_take(f, mark, sizeof(*ret), &ret->n);
	if (type == CV_YAML_MAPPING)
		check_duplicates(f, (const char *)ret->v, ret->n, sizeof(*ret),
			offsetof(struct cv_policy_node, key));
}

_Static_assert((int)CV_YAML_MAPPING == (int)CV_POLICY_NODE_MAPPING &&
		       (int)CV_YAML_LIST == (int)CV_POLICY_NODE_LIST &&
		       (int)CV_YAML_STRING == (int)CV_POLICY_NODE_STRING,
	"read_node() casts one to the other");

static void fill_node(struct fill *f, const struct cv_fill_key *k, void *obj)
{
	set_bool(obj, k->at_has, true);
	read_node(f, field(obj, k->at));
}

static void fill_refused(struct fill *f, const struct cv_fill_key *k, void *obj)
{
	(void)obj;
	REPORT(f, cv_yaml_pos(f->y), k->why, "'%s' is not accepted", k->name);
	cv_yaml_skip(f->y);
}

typedef void fill_fn(struct fill *f, const struct cv_fill_key *k, void *obj);

static fill_fn *const fill_fns[CV_FILL_KIND_COUNT] = {
	[CV_FILL_TEXT] = fill_text,
	[CV_FILL_STR] = fill_str,
	[CV_FILL_TEXTS] = fill_texts,
	[CV_FILL_BOOL] = fill_bool,
	[CV_FILL_BYTES] = fill_bytes,
	[CV_FILL_ORDER] = fill_order,
	[CV_FILL_WORD] = fill_word,
	[CV_FILL_INSIDE] = fill_inside,
	[CV_FILL_LIST] = fill_list,
	[CV_FILL_NAMED] = fill_named,
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

/* The reader stands on a mapping. */
static void keys_fill(struct fill *f, const struct cv_fill_table *s, void *obj)
{
	const struct cv_policy_pos start = cv_yaml_pos(f->y);
	uint32_t line[CV_FILL_KEYS_MAX] = { 0 }; /* where each key was; 0 not yet */
	struct cv_policy_pos pos;
	struct cv_str name;

	while (next_in(f, YAML_MAPPING_END_EVENT)) {
		if (!read_key(f, &name, &pos))
			continue;
		const struct cv_fill_key *k = key_find(s, name);
		if (!k) {
			if (!s->is_open)
				unknown_key(f, s, name, pos);
			cv_yaml_skip(f->y);
		} else if (line[k - s->keys]) {
			duplicate_key(f, name, pos, line[k - s->keys]);
			cv_yaml_skip(f->y);
		} else {
			line[k - s->keys] = pos.line;
			fill_fns[k->kind](f, k, obj);
		}
	}
	for (size_t i = 0; i < s->key_count && !f->y->has_failed; i++)
		if (s->keys[i].is_required && !line[i])
			REPORT(f, start, "add it", "%s needs the key '%s'", s->noun,
				s->keys[i].name);
}

static void fill_mapping(struct fill *f, const struct cv_fill_table *s, void *obj)
{
	const bool was_private = f->is_private;

	cv_assert(s->key_count <= CV_FILL_KEYS_MAX);
	f->is_private |= s->is_private;
	if (cv_yaml_type(f->y) != CV_YAML_MAPPING)
		wrong_type(f, "", "a mapping", s->is_private ? s->hint : NULL);
	else
		keys_fill(f, s, obj);
	f->is_private = was_private;
}

void cv_fill(
	struct cv_yaml *y, const struct cv_fill_table *table, void *obj, struct cv_arena *arena)
{
	struct fill f = { .y = y, .arena = arena };

	fill_mapping(&f, table, obj);
	free(f.stack);
}
