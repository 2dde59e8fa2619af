/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fill_reader.c - where we are, what is wrong, keys, the scratch stack; see fill_reader.h
 */
#include "policy/fill_reader.h"

#include "base/assert.h"
#include "base/word.h"

#include <stdio.h>
#include <stdlib.h>

#define NAME_BYTES_MAX  32  /* for suggestions: no known key is longer */
#define KNOWN_BYTES_MAX 640 /* all keys of an endpoint in one message */

/* ---- reporting ---- */

struct cv_str cv_fill_place_text(const struct cv_fill *f, char text[CV_FILL_PLACE_BYTES_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < f->place_depth; i++) {
		const struct cv_fill_place *p = &f->place[i];
		char index[24] = "";

		if (p->index != SIZE_MAX)
			snprintf(index, sizeof(index), "[%zu]", p->index);
		const int put = snprintf(text + n, CV_FILL_PLACE_BYTES_MAX - n, "%s%.*s%s",
			n && p->name.n ? "." : "", CV_POLICY_QUOTE(p->name), index);
		n = CV_MIN(n + (size_t)CV_MAX(put, 0), (size_t)CV_FILL_PLACE_BYTES_MAX - 1);
	}
	return (struct cv_str){ text, n };
}

void cv_fill_place_push(struct cv_fill *f, struct cv_str name, size_t index)
{
	cv_assert(f->place_depth < CV_FILL_PLACE_DEPTH_MAX);
	f->place[f->place_depth++] = (struct cv_fill_place){ name, index };
}

void cv_fill_wrong_type(struct cv_fill *f, const char *key, const char *wanted, const char *fix)
{
	const enum cv_yaml_type type = cv_yaml_type(f->y);
	const char *colon = key[0] ? ": " : "";

	if (!f->is_private &&
		(type == CV_YAML_STRING || type == CV_YAML_NUMBER || type == CV_YAML_BOOL))
		CV_FILL_REPORT(f, cv_yaml_pos(f->y), fix, "%s%sexpected %s, found %s '%.*s'", key,
			colon, wanted, cv_yaml_type_name(type),
			CV_POLICY_QUOTE(cv_yaml_scalar(f->y)));
	else
		CV_FILL_REPORT(f, cv_yaml_pos(f->y), fix, "%s%sexpected %s, found %s", key, colon,
			wanted, cv_yaml_type_name(type));
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

const struct cv_fill_key *cv_fill_key_find(const struct cv_fill_table *s, struct cv_str name)
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
			cv_fill_key_find(s, cv_str_of(other_words[i].right)))
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

void cv_fill_unknown_key(struct cv_fill *f, const struct cv_fill_table *s, struct cv_str name,
	struct cv_policy_pos pos)
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
	CV_FILL_REPORT(f, pos, fix, "unknown key '%.*s' in %s", CV_POLICY_QUOTE(name), s->noun);
}

/* ---- keys of any mapping ---- */

bool cv_fill_key_read(struct cv_fill *f, struct cv_str *ret_name, struct cv_policy_pos *ret_pos)
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
		CV_FILL_REPORT(f, pos, NULL, "%s", wrong);
		cv_yaml_skip(y);
		if (cv_yaml_next(y))
			cv_yaml_skip(y);
		return false;
	}
	*ret_name = cv_arena_str(f->arena, cv_yaml_scalar(y));
	*ret_pos = pos;
	return cv_yaml_next(y);
}

void cv_fill_duplicate_key(
	struct cv_fill *f, struct cv_str name, struct cv_policy_pos pos, uint32_t first_line)
{
	char line[CV_FINDING_LINE_BYTES];

	CV_FILL_REPORT(f, pos, "keep one of them", "duplicate key '%.*s'%s", CV_POLICY_QUOTE(name),
		cv_finding_line(f->y->findings, ", first at line ", first_line, "", line));
}

bool cv_fill_next_in(struct cv_fill *f, yaml_event_type_t end)
{
	return cv_yaml_next(f->y) && f->y->ev.type != end;
}

/* ---- the scratch stack ---- */

static void *stack_push(struct cv_fill *f, size_t bytes)
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

bool cv_fill_stack_put(struct cv_fill *f, const void *elem, size_t bytes)
{
	void *p = stack_push(f, bytes);

	if (p)
		memcpy(p, elem, bytes);
	return p != NULL;
}

void *cv_fill_stack_take(struct cv_fill *f, size_t mark, size_t size, size_t *ret_count)
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

/* ---- names ---- */

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

/* Sorted, duplicates are neighbours. */
void cv_fill_duplicates_check(
	struct cv_fill *f, const char *v, size_t n, size_t size, size_t at_key)
{
	const struct cv_policy_text **names = n > 1 ? malloc(n * sizeof(const void *)) : NULL;

	if (!names)
		return (void)(f->arena->is_overflown |= n > 1);
	for (size_t i = 0; i < n; i++)
		names[i] = (const struct cv_policy_text *)(const void *)(v + i * size + at_key);
	qsort(names, n, sizeof(*names), by_name);
	for (size_t i = 1; i < n; i++)
		if (cv_str_eq(names[i]->s, names[i - 1]->s))
			cv_fill_duplicate_key(
				f, names[i]->s, names[i]->pos, names[i - 1]->pos.line);
	free(names);
}

bool cv_fill_opens(struct cv_fill *f, const char *key, enum cv_yaml_type wanted)
{
	const enum cv_yaml_type type = cv_yaml_type(f->y);

	if (type != wanted && type != CV_YAML_NULL)
		cv_fill_wrong_type(f, key, cv_yaml_type_name(wanted), NULL);
	return type == wanted;
}
