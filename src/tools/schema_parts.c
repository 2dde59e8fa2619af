/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schema_parts.c - members and items: the keywords that go down into a value
 */
#include "base/assert.h"
#include "base/word.h"
#include "tools/schema_int.h"

#include <stdlib.h>

static struct place item_at(const struct place *at, uint32_t i)
{
	return (struct place){ .up = at, .index = i, .is_index = true, .v = &at->v->v[i] };
}

static struct place member_at(const struct place *at, uint32_t i)
{
	return (struct place){ .up = at, .key = at->v->key[i], .v = &at->v->v[i] };
}

static bool count_check(
	struct check *c, const struct place *at, uint64_t min, uint64_t max, const char *what)
{
	if (at->v->n < min)
		return schema_say(c->errors, at, CV_STR_NONE, "must have at least %llu %s, has %u",
			(unsigned long long)min, what, at->v->n);
	if (at->v->n > max)
		return schema_say(c->errors, at, CV_STR_NONE, "must have at most %llu %s, has %u",
			(unsigned long long)max, what, at->v->n);
	return true;
}

/* ---- arrays ---- */

static int item_cmp(const void *a, const void *b)
{
	return cv_value_cmp(*(const struct cv_value *const *)a, *(const struct cv_value *const *)b);
}

static bool unique_check(struct check *c, const struct place *at)
{
	const struct cv_value *v = at->v;
	const struct cv_value **items;
	uint64_t log = 1;
	bool is_good = true;

	if (v->n < 2)
		return true;
	while (v->n >> log)
		log++;
	if (!schema_spend(c, schema_weight(c, v) * log))
		return false;
	items = calloc(v->n, sizeof(*items));
	if (!items)
		return schema_over(c, at, "does not fit into memory");
	for (uint32_t i = 0; i < v->n; i++)
		items[i] = &v->v[i];
	qsort(items, v->n, sizeof(*items), item_cmp);
	for (uint32_t i = 1; i < v->n && is_good; i++)
		if (item_cmp(&items[i - 1], &items[i]) == 0) {
			const size_t a = (size_t)(items[i - 1] - v->v),
				     b = (size_t)(items[i] - v->v);
			is_good = schema_say(c->errors, at, CV_STR_NONE,
				"must have no item twice, those at %zu and %zu are the same",
				CV_MIN(a, b), CV_MAX(a, b));
		}
	free(items);
	return is_good;
}

static bool contains_check(
	struct check *c, const struct node *node, const struct place *at, struct marks *m)
{
	uint64_t count = 0;

	if (!node->contains)
		return true;
	c->asking++;
	for (uint32_t i = 0; i < at->v->n && !c->is_over; i++) {
		const struct place item = item_at(at, i);

		if (!schema_place_ask(c, node->contains, &item))
			continue;
		count++;
		schema_mark(m, i);
		if (!m && count >= node->contains_min && node->contains_max == UINT64_MAX)
			break;
	}
	c->asking--;
	if (count < node->contains_min)
		return schema_say(c->errors, at, CV_STR_NONE,
			"must have at least %llu items of a kind (contains), has %llu",
			(unsigned long long)node->contains_min, (unsigned long long)count);
	if (count > node->contains_max)
		return schema_say(c->errors, at, CV_STR_NONE,
			"must have at most %llu items of a kind (contains), has %llu",
			(unsigned long long)node->contains_max, (unsigned long long)count);
	return true;
}

bool schema_array_check(
	struct check *c, const struct node *node, const struct place *at, struct marks *m)
{
	bool is_good = count_check(c, at, node->items_min, node->items_max, "items");

	if (node->is_unique && (is_good || c->errors))
		is_good &= unique_check(c, at);
	for (uint32_t i = 0; i < at->v->n && (is_good || c->errors) && !c->is_over; i++) {
		const struct place item = item_at(at, i);
		const struct node *by = i < node->prefix.n ? node->prefix.v[i] : node->items;

		if (!by)
			break;
		schema_mark(m, i);
		is_good &= schema_place_check(c, by, &item);
	}
	if (is_good || c->errors)
		is_good &= contains_check(c, node, at, m);
	return is_good;
}

/* ---- objects ---- */

static const struct named_node *named_find(const struct named_list *list, struct cv_str name)
{
	uint32_t low = 0, high = list->n;

	while (low < high) {
		const uint32_t middle = low + (high - low) / 2;
		const int rc = cv_str_cmp(name, list->v[middle].name);

		if (rc == 0)
			return &list->v[middle];
		if (rc < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

/* Every name that a schema lists for this very value, so that the nearest can be told. */
static void names_offer(
	struct check *c, struct cv_word_search *s, const struct node *node, uint32_t depth)
{
	const struct node_list *const lists[] = { &node->all_of, &node->any_of, &node->one_of };
	const struct node *const ones[] = { node->ref, node->then, node->otherwise,
		node->dynamic_ref };

	for (uint32_t i = 0; i < node->properties.n && schema_spend(c, CV_WORD_BYTES_MAX); i++) {
		const struct cv_str name = node->properties.v[i].name;

		if (!cv_str_eq(name, s->word)) /* known, but to a branch that does not apply */
			cv_word_search_offer(s, name);
	}
	if (!depth)
		return;
	for (size_t l = 0; l < CV_ARRAY_LEN(lists); l++)
		for (uint32_t i = 0; i < lists[l]->n && schema_spend(c, 1); i++)
			names_offer(c, s, lists[l]->v[i], depth - 1);
	for (size_t i = 0; i < CV_ARRAY_LEN(ones); i++)
		if (ones[i] && schema_spend(c, 1))
			names_offer(c, s, ones[i], depth - 1);
}

static bool unknown_say(struct check *c, const struct node *node, const struct place *member)
{
	struct cv_word_search s;
	struct schema_quoted q;

	if (!schema_errors_has_room(c->errors))
		return false;
	cv_word_search_init(&s, member->key);
	names_offer(c, &s, node, 4);
	if (s.nearest.p)
		return schema_say(c->errors, member, s.nearest, "is unknown, nearest is %s",
			schema_quoted_str(&q, s.nearest));
	return schema_say(c->errors, member, CV_STR_NONE, "is unknown");
}

/* A member that no list names, by what the schema says of such. */
static bool other_check(
	struct check *c, const struct node *node, const struct node *by, const struct place *member)
{
	if (by->kind == NODE_NOTHING)
		return unknown_say(c, node, member);
	return schema_place_check(c, by, member);
}

static bool member_check(
	struct check *c, const struct node *node, const struct place *member, bool *ret_is_seen)
{
	const struct named_node *named = named_find(&node->properties, member->key);
	bool is_good = !named || schema_place_check(c, named->node, member);
	bool is_seen = named != NULL;

	for (uint32_t i = 0; i < node->patterns.n && (is_good || c->errors); i++) {
		const struct named_node *pattern = &node->patterns.v[i];
		const enum cv_regex_rc rc = cv_regex_test(pattern->regex, member->key, &c->work);

		if (rc == CV_REGEX_COSTLY)
			return schema_over(c, member, "takes too much work to match its name");
		if (rc == CV_REGEX_NONE)
			continue;
		is_seen = true;
		is_good &= schema_place_check(c, pattern->node, member);
	}
	if (!is_seen && node->additional && (is_good || c->errors))
		is_good &= other_check(c, node, node->additional, member);
	*ret_is_seen = is_seen || node->additional;
	return is_good;
}

static bool members_check(
	struct check *c, const struct node *node, const struct place *at, struct marks *m)
{
	bool is_good = true;

	if (m)
		m->has_properties |= node->has_properties;
	if (!node->properties.n && !node->patterns.n && !node->additional && !node->names)
		return true;
	for (uint32_t i = 0; i < at->v->n && (is_good || c->errors); i++) {
		const struct place member = member_at(at, i);
		bool is_seen = false;

		if (!schema_spend(c, 1 + member.key.n / 16))
			return false;
		is_good &= member_check(c, node, &member, &is_seen);
		if (is_seen)
			schema_mark(m, i);
		if (node->names && (is_good || c->errors)) {
			const struct cv_value name = {
				.type = CV_VALUE_STRING, .s = member.key, .at = member.v->at
			};
			struct place named = member;

			named.v = &name;
			named.is_name = true;
			is_good &= schema_place_check(c, node->names, &named);
		}
	}
	return is_good;
}

/* because: the member that asks for them, or empty. */
static bool required_check(struct check *c, const struct cv_value *names, const struct place *at,
	struct cv_str because)
{
	struct schema_quoted q, why;
	bool is_good = true;

	for (uint32_t i = 0; i < names->n && (is_good || c->errors); i++) {
		const struct cv_str name = names->v[i].s;

		if (!schema_spend(c, 1 + at->v->n / 4))
			return false;
		if (cv_value_get(at->v, name))
			continue;
		if (because.p)
			is_good = schema_say(c->errors, at, CV_STR_NONE, "must have %s beside %s",
				schema_quoted_str(&q, name), schema_quoted_str(&why, because));
		else
			is_good = schema_say(c->errors, at, CV_STR_NONE, "must have %s",
				schema_quoted_str(&q, name));
	}
	return is_good;
}

static bool required_by_check(struct check *c, const struct cv_value *lists, const struct place *at)
{
	bool is_good = true;

	for (uint32_t i = 0; lists && i < lists->n && (is_good || c->errors); i++) {
		if (!schema_spend(c, 1 + at->v->n / 4))
			return false;
		if (lists->v[i].type == CV_VALUE_ARRAY && cv_value_get(at->v, lists->key[i]))
			is_good &= required_check(c, &lists->v[i], at, lists->key[i]);
	}
	return is_good;
}

static bool dependents_check(
	struct check *c, const struct named_list *list, const struct place *at, struct marks *m)
{
	bool is_good = true;

	for (uint32_t i = 0; i < list->n && (is_good || c->errors); i++) {
		if (!schema_spend(c, 1 + at->v->n / 4))
			return false;
		if (cv_value_get(at->v, list->v[i].name))
			is_good &= schema_node_check(c, list->v[i].node, at, m);
	}
	return is_good;
}

bool schema_object_check(
	struct check *c, const struct node *node, const struct place *at, struct marks *m)
{
	bool is_good = count_check(c, at, node->members_min, node->members_max, "members");

	if (node->required && (is_good || c->errors))
		is_good &= required_check(c, node->required, at, CV_STR_NONE);
	if (is_good || c->errors)
		is_good &= required_by_check(c, node->required_by, at);
	if (node->dependencies_src && (is_good || c->errors))
		is_good &= required_by_check(c, node->dependencies_src, at);
	if (is_good || c->errors)
		is_good &= members_check(c, node, at, m);
	if (is_good || c->errors)
		is_good &= dependents_check(c, &node->dependents, at, m);
	if (is_good || c->errors)
		is_good &= dependents_check(c, &node->dependencies, at, m);
	return is_good;
}

/* ---- what nobody looked at ---- */

bool schema_rest_check(
	struct check *c, const struct node *node, const struct place *at, struct marks *m)
{
	const bool is_object = at->v->type == CV_VALUE_OBJECT;
	bool is_good = true;

	for (uint32_t i = 0; i < at->v->n && (is_good || c->errors); i++) {
		const struct place part = is_object ? member_at(at, i) : item_at(at, i);

		if (!schema_spend(c, 1))
			return false;
		if (schema_is_marked(m, i))
			continue;
		schema_mark(m, i);
		if (is_object)
			is_good &= other_check(c, node, node->members_rest, &part);
		else
			is_good &= schema_place_check(c, node->items_rest, &part);
	}
	return is_good;
}

bool schema_strict_check(
	struct check *c, const struct node *node, const struct place *at, const struct marks *m)
{
	bool is_good = true;

	for (uint32_t i = 0; i < at->v->n && (is_good || c->errors); i++) {
		const struct place member = member_at(at, i);

		if (!schema_spend(c, 1))
			return false;
		if (!schema_is_marked(m, i))
			is_good = unknown_say(c, node, &member);
	}
	return is_good;
}
