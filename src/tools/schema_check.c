/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schema_check.c - a value against nodes: what applies in place
 *
 * Two ways to go through the same rules.  With c->errors set everything is said and nothing left
 * out; with NULL only yes or no is asked, and the first no ends it.  `not`, `if`, `contains` and
 * the branches of anyOf and oneOf ask.
 *
 * Marks are the annotations of the specification that anything depends on: which members or items
 * of a value were looked at by a schema that applied.  They are kept only where an unevaluated*
 * (or strictness, which is one) will want to know.  A branch that may fail marks a set of its own,
 * which is added to the others when it did not; one that must not fail marks at once, for if it
 * does nobody reads the marks.
 *
 * Work is taken from a budget before it is done.  When that is spent, every answer is no and
 * nothing of it counts: is_over makes CV_LIMIT of it.
 */
#include "base/assert.h"
#include "base/word.h"
#include "tools/schema_int.h"

#include <stdlib.h>

/* ---- budget and marks ---- */

bool schema_over(struct check *c, const struct place *at, const char *what)
{
	if (!c->is_over) {
		c->is_over = true;
		if (c->errors && c->errors->n == CV_SCHEMA_ERRORS_MAX)
			c->errors->n--; /* this one says what the code means */
		schema_say(c->errors, at, CV_STR_NONE, "%s", what);
		c->is_over_said = c->errors != NULL;
	}
	return false;
}

bool schema_spend(struct check *c, uint64_t steps)
{
	if (c->is_over || c->work < steps) {
		c->work = 0;
		c->is_over = true;
		return false;
	}
	c->work -= steps;
	return true;
}

bool schema_marks_init(struct check *c, struct marks *m, const struct cv_value *v)
{
	const uint32_t words = (v->n + 63) / 64;

	*m = (struct marks){ .n = v->n };
	m->bits = m->few;
	if (!schema_spend(c, words))
		return false;
	if (words > CV_ARRAY_LEN(m->few))
		m->bits = calloc(words, sizeof(*m->bits));
	if (m->bits)
		return true;
	c->is_over = true;
	return false;
}

void schema_marks_fini(struct marks *m)
{
	if (m->bits != m->few)
		free(m->bits);
}

/* Who could have marked failed: nothing is known of what they left out. */
static bool marks_fill(struct marks *m)
{
	if (m)
		memset(m->bits, 0xff, (m->n + 63) / 64 * sizeof(*m->bits));
	return false;
}

static void marks_add(struct marks *to, const struct marks *m)
{
	for (uint32_t i = 0; i < (m->n + 63) / 64; i++)
		to->bits[i] |= m->bits[i];
	to->has_properties |= m->has_properties;
}

/* ---- asking ---- */

static bool node_ask(
	struct check *c, const struct node *node, const struct place *at, struct marks *m)
{
	struct cv_schema_errors *errors = c->errors;

	c->errors = NULL;
	const bool is_good = schema_node_check(c, node, at, m);
	c->errors = errors;
	return is_good;
}

bool schema_place_ask(struct check *c, const struct node *node, const struct place *at)
{
	struct cv_schema_errors *errors = c->errors;

	c->errors = NULL;
	const bool is_good = schema_place_check(c, node, at);
	c->errors = errors;
	return is_good;
}

/* As node_ask; the marks of a yes are added to m. */
static bool branch_ask(
	struct check *c, const struct node *node, const struct place *at, struct marks *m)
{
	struct marks own;
	bool is_good;

	if (!m)
		return node_ask(c, node, at, NULL);
	is_good = schema_marks_init(c, &own, at->v) && node_ask(c, node, at, &own);
	if (is_good)
		marks_add(m, &own);
	schema_marks_fini(&own);
	return is_good;
}

/* ---- the value itself ---- */

static bool type_fits(const struct node *node, const struct cv_value *v)
{
	return !node->types || node->types & 1 << v->type ||
	       (node->types & 1 << TYPE_INTEGER && cv_value_is_integer(v));
}

static bool type_check(struct check *c, const struct node *node, const struct place *at)
{
	static const struct {
		uint16_t bits;
		const char *name;
	} row[] = {
		{ 1 << CV_VALUE_STRING, "string" },
		{ 1 << CV_VALUE_NUMBER, "number" },
		{ 1 << TYPE_INTEGER, "integer" },
		{ 1 << CV_VALUE_TRUE, "boolean" },
		{ 1 << CV_VALUE_ARRAY, "array" },
		{ 1 << CV_VALUE_OBJECT, "object" },
		{ 1 << CV_VALUE_NULL, "null" },
	};
	struct cv_buf names;

	if (type_fits(node, at->v))
		return true;
	if (!schema_errors_has_room(c->errors))
		return false;
	cv_buf_init(&names, CV_SCHEMA_MESSAGE_BYTES_MAX);
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++)
		if (node->types & row[i].bits)
			cv_buf_printf(
				&names, "%s%s", cv_buf_len(&names) ? " or " : "", row[i].name);
	const struct cv_str wanted = cv_buf_str(&names);
	struct schema_quoted q;
	if (at->v->type == CV_VALUE_NUMBER)
		schema_say(c->errors, at, CV_STR_NONE, "must be %.*s, is %s", CV_STR_ARG(wanted),
			schema_quoted(&q, at->v));
	else
		schema_say(c->errors, at, CV_STR_NONE, "must be %.*s, is %s", CV_STR_ARG(wanted),
			cv_value_type_name(at->v->type));
	cv_buf_fini(&names);
	return false;
}

uint64_t schema_weight(struct check *c, const struct cv_value *v)
{
	uint64_t sum = 1 + v->s.n / 16;

	for (uint32_t i = 0; i < v->n && schema_spend(c, 1); i++)
		sum += schema_weight(c, &v->v[i]) + (v->key ? v->key[i].n / 16 : 0);
	return sum;
}

static bool values_say(struct check *c, const struct node *node, const struct place *at)
{
	const struct cv_value *values = node->values;
	struct cv_word_search near = { 0 };
	struct cv_buf list;

	if (!schema_errors_has_room(c->errors))
		return false;
	cv_buf_init(&list, CV_SCHEMA_MESSAGE_BYTES_MAX * 2);
	cv_word_search_init(&near, at->v->s);
	for (uint32_t i = 0; i < values->n && schema_spend(c, CV_WORD_BYTES_MAX); i++) {
		if (i)
			cv_buf_put(&list, CV_STR(", "));
		schema_quote(&list, &values->v[i]);
		if (at->v->type == CV_VALUE_STRING && values->v[i].type == CV_VALUE_STRING)
			cv_word_search_offer(&near, values->v[i].s);
	}
	const struct cv_str shown = cv_buf_str(&list);
	schema_say(c->errors, at, near.nearest, "must be one of %.*s", CV_STR_ARG(shown));
	cv_buf_fini(&list);
	return false;
}

static bool values_check(struct check *c, const struct node *node, const struct place *at)
{
	const struct cv_value *v = at->v;
	struct schema_quoted q;
	uint64_t cost;

	if (!node->one_value && !node->values)
		return true;
	cost = schema_weight(c, v);
	if (node->one_value && (!schema_spend(c, cost) || !cv_value_eq(v, node->one_value)))
		return schema_say(c->errors, at, CV_STR_NONE, "must be %s",
			schema_quoted(&q, node->one_value));
	for (uint32_t i = 0; node->values && i < node->values->n; i++) {
		const struct cv_value *one = &node->values->v[i];

		if (!schema_spend(c, one->type == v->type ? cost : 1))
			return false;
		if (cv_value_eq(v, one))
			return true;
	}
	return !node->values || values_say(c, node, at);
}

static bool number_check(struct check *c, const struct node *node, const struct place *at)
{
	const struct {
		const struct cv_value *limit;
		int sign; /* of the comparison that is wrong */
		bool is_open;
		const char *words;
	} row[] = {
		{ node->minimum, -1, false, "at least" },
		{ node->above, -1, true, "more than" },
		{ node->maximum, 1, false, "at most" },
		{ node->below, 1, true, "less than" },
	};
	struct schema_quoted limit, is;
	bool is_good = true;

	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		if (!row[i].limit || (!is_good && !c->errors))
			continue;
		if (!schema_spend(c, 1 + at->v->s.n / 16))
			return false;
		const int rc = cv_value_number_cmp(at->v, row[i].limit) * row[i].sign;
		if (rc > 0 || (rc == 0 && row[i].is_open))
			is_good = schema_say(c->errors, at, CV_STR_NONE, "must be %s %s, is %s",
				row[i].words, schema_quoted(&limit, row[i].limit),
				schema_quoted(&is, at->v));
	}
	if (node->divisor && (!schema_spend(c, 1 + at->v->s.n / 4) ||
				     !cv_value_is_multiple(at->v, node->divisor)))
		is_good = schema_say(c->errors, at, CV_STR_NONE, "must be a multiple of %s, is %s",
			schema_quoted(&limit, node->divisor), schema_quoted(&is, at->v));
	return is_good;
}

static uint64_t characters_count(struct cv_str s)
{
	uint64_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
	return n;
}

static bool pattern_check(struct check *c, const struct node *node, const struct place *at)
{
	struct schema_quoted q;

	switch (cv_regex_test(node->pattern, at->v->s, &c->work)) {
	case CV_REGEX_HIT: return true;
	case CV_REGEX_NONE:
		return schema_say(c->errors, at, CV_STR_NONE, "must match the pattern %s",
			schema_quoted_str(&q, node->pattern_text));
	case CV_REGEX_COSTLY: break;
	}
	return schema_over(c, at, "takes too much work to match against its pattern");
}

static bool string_check(struct check *c, const struct node *node, const struct place *at)
{
	const struct cv_str s = at->v->s;
	bool is_good = true;

	if (!schema_spend(c, 1 + s.n / 16))
		return false;
	if (node->length_min || node->length_max != UINT64_MAX) {
		const uint64_t n = characters_count(s);

		if (n < node->length_min)
			is_good = schema_say(c->errors, at, CV_STR_NONE,
				"must have at least %llu characters, has %llu",
				(unsigned long long)node->length_min, (unsigned long long)n);
		if (n > node->length_max)
			is_good = schema_say(c->errors, at, CV_STR_NONE,
				"must have at most %llu characters, has %llu",
				(unsigned long long)node->length_max, (unsigned long long)n);
	}
	if (node->format && !node->format->is(s))
		is_good = schema_say(
			c->errors, at, CV_STR_NONE, "must be a valid %s", node->format->name);
	if (node->pattern && (is_good || c->errors))
		is_good &= pattern_check(c, node, at);
	return is_good;
}

/* ---- in place ---- */

static bool all_check(
	struct check *c, const struct node *node, const struct place *at, struct marks *m)
{
	bool is_good = true;

	for (uint32_t i = 0; i < node->all_of.n && (is_good || c->errors); i++)
		is_good &= schema_node_check(c, node->all_of.v[i], at, m);
	if (node->ref && (is_good || c->errors))
		is_good &= schema_node_check(c, node->ref, at, m);
	return is_good;
}

/* The only branch whose type fits; list->n: there are more, or none. */
static uint32_t only_branch(const struct node_list *list, const struct cv_value *v)
{
	uint32_t only = list->n;

	for (uint32_t i = 0; i < list->n; i++) {
		const struct node *branch = list->v[i];

		/* a branch that is a reference has its type there */
		while (!branch->types && branch->ref)
			branch = branch->ref;
		if (!type_fits(branch, v))
			continue;
		if (only < list->n)
			return list->n;
		only = i;
	}
	return only;
}

/* What each branch has against it, the first of each: said there and taken back, so the errors have
 * room for one more. */
static void branches_say(
	struct check *c, const struct node_list *list, const struct place *at, const char *word)
{
	struct cv_schema_errors *e = c->errors;
	const size_t before = e->n;
	const bool was_cut = e->is_cut;
	struct cv_buf said;

	cv_buf_init(&said, CV_SCHEMA_MESSAGE_BYTES_MAX * 2);
	for (uint32_t i = 0; i < list->n && cv_buf_len(&said) < CV_SCHEMA_MESSAGE_BYTES_MAX; i++) {
		(void)schema_node_check(c, list->v[i], at, NULL);
		if (c->is_over)
			break;
		if (e->n > before)
			cv_buf_printf(&said, "%s%.*s", i ? "; or " : ": ",
				CV_STR_ARG(e->e[before].message));
		e->n = before;
		e->is_cut = was_cut;
	}
	const struct cv_str text = cv_buf_str(&said);
	if (!c->is_over)
		schema_say(e, at, CV_STR_NONE, "fits none of %u alternatives (%s)%.*s", list->n,
			word, CV_STR_ARG(text));
	cv_buf_fini(&said);
}

static bool none_fits(struct check *c, const struct node_list *list, const struct place *at,
	struct marks *m, const char *word)
{
	const uint32_t only = only_branch(list, at->v);

	marks_fill(m);
	if (!schema_errors_has_room(c->errors) || c->is_over)
		return false;
	if (only < list->n)
		(void)schema_node_check(c, list->v[only], at, NULL);
	else
		branches_say(c, list, at, word);
	return false;
}

static bool any_check(
	struct check *c, const struct node *node, const struct place *at, struct marks *m)
{
	bool is_good = !node->any_of.n;

	for (uint32_t i = 0; i < node->any_of.n && (!is_good || m); i++)
		is_good |= branch_ask(c, node->any_of.v[i], at, m);
	return is_good || none_fits(c, &node->any_of, at, m, "anyOf");
}

static bool one_check(
	struct check *c, const struct node *node, const struct place *at, struct marks *m)
{
	uint32_t first = 0, count = 0;

	if (!node->one_of.n)
		return true;
	for (uint32_t i = 0; i < node->one_of.n && count < 2; i++) {
		if (!branch_ask(c, node->one_of.v[i], at, m))
			continue;
		if (++count == 1)
			first = i;
		else
			return schema_say(c->errors, at, CV_STR_NONE,
				"must fit one of %u alternatives (oneOf), fits the ones at %u and %u",
				node->one_of.n, first, i);
	}
	return count == 1 || none_fits(c, &node->one_of, at, m, "oneOf");
}

static bool condition_check(
	struct check *c, const struct node *node, const struct place *at, struct marks *m)
{
	const struct node *follows;

	if (node->none_of) {
		c->asking++;
		const bool is_it = node_ask(c, node->none_of, at, NULL);
		c->asking--;
		if (is_it)
			return schema_say(
				c->errors, at, CV_STR_NONE, "must not be like this (not)");
	}
	if (!node->condition || (!node->then && !node->otherwise && !m))
		return true;
	c->asking++;
	follows = branch_ask(c, node->condition, at, m) ? node->then : node->otherwise;
	c->asking--;
	return !follows || schema_node_check(c, follows, at, m);
}

/* The outermost resource that was entered and has a dynamic anchor of that name decides. */
static const struct node *dynamic_find(struct check *c, const struct node *node)
{
	const struct cv_schema *s = c->schema;
	const struct node *found = node->dynamic_ref;

	if (!node->dynamic_name.p)
		return found;
	for (const struct scope *scope = c->scope; scope; scope = scope->up) {
		if (!schema_spend(c, 1 + s->anchor_count))
			return found;
		for (uint32_t i = 0; i < s->anchor_count; i++)
			if (s->anchors[i].is_dynamic && s->anchors[i].resource == scope->resource &&
				cv_str_eq(s->anchors[i].name, node->dynamic_name))
				found = s->anchors[i].node;
	}
	return found;
}

static bool in_place_check(
	struct check *c, const struct node *node, const struct place *at, struct marks *m)
{
	bool is_good = all_check(c, node, at, m);

	if (node->dynamic_ref && (is_good || c->errors))
		is_good &= schema_node_check(c, dynamic_find(c, node), at, m);
	if (is_good || c->errors)
		is_good &= any_check(c, node, at, m);
	if (is_good || c->errors)
		is_good &= one_check(c, node, at, m);
	if (is_good || c->errors)
		is_good &= condition_check(c, node, at, m);
	return is_good;
}

static bool rules_check(
	struct check *c, const struct node *node, const struct place *at, struct marks *m)
{
	bool is_good = type_check(c, node, at);

	if (!is_good)
		return marks_fill(m); /* what else is wrong with it would say the same */
	is_good &= values_check(c, node, at);
	if (!is_good && !c->errors)
		return false;
	if (at->v->type == CV_VALUE_NUMBER)
		is_good &= number_check(c, node, at);
	else if (at->v->type == CV_VALUE_STRING)
		is_good &= string_check(c, node, at);
	else if (at->v->type == CV_VALUE_ARRAY)
		is_good &= schema_array_check(c, node, at, m);
	else if (at->v->type == CV_VALUE_OBJECT)
		is_good &= schema_object_check(c, node, at, m);
	if (is_good || c->errors)
		is_good &= in_place_check(c, node, at, m);
	return is_good;
}

/* With marks of its own where this schema asks what was not looked at. */
static bool rest_check(
	struct check *c, const struct node *node, const struct place *at, struct marks *m)
{
	const bool asks = (at->v->type == CV_VALUE_OBJECT && node->members_rest) ||
			  (at->v->type == CV_VALUE_ARRAY && node->items_rest);
	struct marks own;
	bool is_good;

	if (!asks)
		return rules_check(c, node, at, m);
	is_good = schema_marks_init(c, &own, at->v);
	if (is_good)
		is_good = rules_check(c, node, at, &own);
	if (is_good || (c->errors && !c->is_over))
		is_good &= schema_rest_check(c, node, at, &own);
	if (m && !c->is_over)
		marks_add(m, &own);
	schema_marks_fini(&own);
	return is_good;
}

bool schema_node_check(
	struct check *c, const struct node *node, const struct place *at, struct marks *m)
{
	const struct scope *outer = c->scope;
	const struct scope scope = { outer, node->resource };
	bool is_good;

	if (!schema_spend(c, 1))
		return false;
	if (node->kind == NODE_ANYTHING)
		return true;
	if (node->kind == NODE_NOTHING)
		return schema_say(c->errors, at, CV_STR_NONE, "must not be here");
	if (c->hops == CV_SCHEMA_HOPS_MAX)
		return schema_over(c, at, "is nested too deep for its schema");
	c->hops++;
	if (!outer || outer->resource != node->resource)
		c->scope = &scope;
	is_good = rest_check(c, node, at, m);
	c->scope = outer;
	c->hops--;
	return is_good && !c->is_over;
}

bool schema_place_check(struct check *c, const struct node *node, const struct place *at)
{
	struct marks m;
	bool is_good;

	if (!c->is_strict || c->asking || at->v->type != CV_VALUE_OBJECT || at->is_name)
		return schema_node_check(c, node, at, NULL);
	is_good = schema_marks_init(c, &m, at->v) && schema_node_check(c, node, at, &m);
	if ((is_good || c->errors) && m.has_properties && !c->is_over)
		is_good &= schema_strict_check(c, node, at, &m);
	schema_marks_fini(&m);
	return is_good;
}

cv_code cv_schema_check(const struct cv_schema *s, const struct cv_value *v, unsigned flags,
	struct cv_schema_errors *errors)
{
	struct check c = {
		.schema = s,
		.errors = errors,
		.work = CV_SCHEMA_WORK_MAX,
		.is_strict = flags & CV_SCHEMA_STRICT,
	};
	const struct place whole = { .is_index = true, .v = v };
	const bool is_good = schema_place_check(&c, s->root, &whole);

	if (c.is_over) {
		if (errors->n == CV_SCHEMA_ERRORS_MAX && !c.is_over_said)
			errors->n--;
		if (!c.is_over_said)
			schema_say(errors, &whole, CV_STR_NONE,
				"takes too much work to look at by its schema");
		return CV_LIMIT;
	}
	return is_good ? CV_OK : CV_INVALID;
}
