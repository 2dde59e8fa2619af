/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schema_ref.c - $id, $anchor, $ref and their kin
 *
 * While the walk makes nodes, what could be referred to is gathered (resources by URI, anchors by
 * name within one), and references as texts.  Afterwards each text is resolved against the URI of
 * the resource it stands in.  What is not in this schema is refused: nothing is fetched.
 *
 * A schema that applies itself to the same value again, by way of references, would never end;
 * such rings are looked for among all that applies in place.  Those that only a $dynamicRef closes
 * are stopped when checking, by CV_SCHEMA_HOPS_MAX.
 */
#include "tools/schema_int.h"

#include <stdio.h>

static struct cv_str uri_make(struct compiler *c, uint16_t resource, struct cv_str text)
{
	struct cv_str uri = CV_STR_NONE;
	struct cv_buf b;

	cv_buf_init(&b, CV_SCHEMA_URI_BYTES_MAX);
	if (schema_uri_resolve(c->s->resources[resource].uri, text, &b))
		uri = cv_arena_str(&c->s->arena, cv_buf_str(&b));
	cv_buf_fini(&b);
	return uri;
}

void schema_resource_enter(struct compiler *c, struct node *node)
{
	struct cv_schema *s = c->s;
	const struct cv_str id = cv_value_get_str(node->src, CV_STR("$id"));
	const size_t hash = cv_str_find_byte(id, '#');

	if (!id.p)
		return;
	if (hash + 1 < id.n) {
		schema_fault(c, node, "$id", "must have no fragment: that is what $anchor is for");
		return;
	}
	const struct cv_str uri = uri_make(c, c->resource, id);
	if (!uri.p || s->resource_count == CV_SCHEMA_RESOURCES_MAX) {
		schema_full(c, uri.p ? "has too many $id" : "has a $id that is too long");
		return;
	}
	for (uint32_t i = 0; i < s->resource_count; i++)
		if (s->resources[i].node && cv_str_eq(s->resources[i].uri, uri))
			schema_fault(c, node, "$id", "is there twice");
	/* the root's own takes the place of the empty one */
	const bool is_root = node->pointer.n == 0;
	const uint32_t i = is_root ? 0 : s->resource_count++;
	s->resources[i] = (struct resource){ uri, node };
	c->resource = node->resource = (uint16_t)i;
}

static bool is_name(struct cv_str s)
{
	for (size_t i = 0; i < s.n; i++) {
		const char c = cv_ascii_lower(s.p[i]);
		const bool is_start = (c >= 'a' && c <= 'z') || c == '_';

		if (!is_start && (!i || !((c >= '0' && c <= '9') || c == '-' || c == '.')))
			return false;
	}
	return s.n > 0;
}

static struct anchor *anchor_find(struct compiler *c, uint16_t resource, struct cv_str name)
{
	for (uint32_t i = 0; i < c->s->anchor_count; i++) {
		struct anchor *a = &c->s->anchors[i];

		if (a->resource == resource && cv_str_eq(a->name, name))
			return a;
	}
	return NULL;
}

void schema_anchors_add(struct compiler *c, struct node *node)
{
	static const char *const keyword[] = { "$anchor", "$dynamicAnchor" };
	struct cv_schema *s = c->s;

	for (size_t i = 0; i < CV_ARRAY_LEN(keyword); i++) {
		const struct cv_str name = cv_value_get_str(node->src, cv_str_of(keyword[i]));
		if (!name.p)
			continue;
		struct anchor *there = anchor_find(c, node->resource, name);
		if (!is_name(name))
			schema_fault(c, node, keyword[i],
				"must be a name of letters, digits, _, - and .");
		else if (there && there->node != node)
			schema_fault(c, node, keyword[i], "is there twice");
		else if (s->anchor_count == CV_SCHEMA_ANCHORS_MAX)
			schema_full(c, "has too many anchors");
		else if (there)
			there->is_dynamic |= i == 1;
		else
			s->anchors[s->anchor_count++] =
				(struct anchor){ name, node, node->resource, i == 1 };
	}
}

void schema_refs_add(struct compiler *c, struct node *node)
{
	static const char *const keyword[] = { "$ref", "$dynamicRef" };

	for (size_t i = 0; i < CV_ARRAY_LEN(keyword); i++) {
		const struct cv_str text = cv_value_get_str(node->src, cv_str_of(keyword[i]));
		if (!text.p)
			continue;
		if (c->ref_count == CV_SCHEMA_NODES_MAX)
			schema_full(c, "has too many references");
		else
			c->refs[c->ref_count++] = (struct reference){ node, text, i == 1 };
	}
}

/* ---- resolving ---- */

/* The value that a pointer leads to from a resource's own; what is made there belongs to the
 * innermost resource on the way. */
static struct node *pointer_follow(
	struct compiler *c, const struct node *from, struct cv_str pointer)
{
	const struct cv_value *v = from->src;
	struct node *node;

	c->resource = from->resource;
	for (size_t i = 1; i <= pointer.n; i++) {
		if (i < pointer.n && pointer.p[i] != '/')
			continue;
		v = cv_value_at(from->src, cv_str_slice(pointer, 0, i));
		if (!v)
			return NULL;
		node = schema_node_find(c, v);
		if (node)
			c->resource = node->resource;
	}
	if (!v || (v->type != CV_VALUE_OBJECT && v->type != CV_VALUE_TRUE &&
			  v->type != CV_VALUE_FALSE))
		return NULL;
	node = schema_node_find(c, v);
	if (node)
		return node;
	return schema_node_make(c, v,
		cv_arena_printf(
			&c->s->arena, "%.*s%.*s", CV_STR_ARG(from->pointer), CV_STR_ARG(pointer)));
}

static const struct resource *resource_find(struct compiler *c, struct cv_str uri)
{
	for (uint32_t i = 0; i < c->s->resource_count; i++)
		if (cv_str_eq(c->s->resources[i].uri, uri))
			return &c->s->resources[i];
	return NULL;
}

static void ref_fail(struct compiler *c, const struct reference *r, const char *why)
{
	struct schema_quoted q;

	schema_fault(c, r->node, r->is_dynamic ? "$dynamicRef" : "$ref", "%s %s",
		schema_quoted_str(&q, r->text), why);
}

static void ref_set(const struct reference *r, const struct node *to, struct cv_str dynamic_name)
{
	if (r->is_dynamic) {
		r->node->dynamic_ref = to;
		r->node->dynamic_name = dynamic_name;
	} else {
		r->node->ref = to;
	}
}

static void fragment_resolve(struct compiler *c, const struct reference *r,
	const struct resource *resource, struct cv_str fragment)
{
	const struct node *to = resource->node;

	if (fragment.n && fragment.p[0] == '/')
		to = pointer_follow(c, to, fragment);
	if (!fragment.n || fragment.p[0] == '/') {
		if (to)
			ref_set(r, to, CV_STR_NONE);
		else if (!c->is_full)
			ref_fail(c, r, "leads to no schema");
		return;
	}
	const struct anchor *a = anchor_find(c, resource->node->resource, fragment);
	if (a)
		ref_set(r, a->node, a->is_dynamic ? a->name : CV_STR_NONE);
	else
		ref_fail(c, r, "names no $anchor that is there");
}

static void ref_resolve(struct compiler *c, const struct reference *r)
{
	const size_t hash = cv_str_find_byte(r->text, '#');
	const struct cv_str uri = uri_make(c, r->node->resource, cv_str_slice(r->text, 0, hash));
	struct cv_buf fragment;

	if (!uri.p) {
		ref_fail(c, r, "is too long");
		return;
	}
	const struct resource *resource = resource_find(c, uri);
	if (!resource) {
		ref_fail(c, r, "is another document: references stay within the schema");
		return;
	}
	cv_buf_init(&fragment, CV_SCHEMA_URI_BYTES_MAX);
	if (schema_uri_decode(cv_str_slice(r->text, hash + 1, r->text.n), &fragment))
		fragment_resolve(c, r, resource, cv_buf_str(&fragment));
	else
		ref_fail(c, r, "is too long");
	cv_buf_fini(&fragment);
}

void schema_refs_resolve(struct compiler *c)
{
	/* more may come: what is referred to may be made by that */
	for (uint32_t i = 0; i < c->ref_count && !c->is_full; i++) {
		const struct reference r = c->refs[i];

		ref_resolve(c, &r);
	}
}

/* ---- rings ---- */

enum { COLOUR_NEW, COLOUR_OPEN, COLOUR_DONE };

static void loop_visit(struct compiler *c, const struct node *at, uint32_t depth);

static void loop_visit_list(struct compiler *c, const struct node_list *list, uint32_t depth)
{
	for (uint32_t i = 0; i < list->n; i++)
		loop_visit(c, list->v[i], depth);
}

static void loop_visit_named(struct compiler *c, const struct named_list *list, uint32_t depth)
{
	for (uint32_t i = 0; i < list->n; i++)
		loop_visit(c, list->v[i].node, depth);
}

static void loop_visit(struct compiler *c, const struct node *at, uint32_t depth)
{
	struct node *node = at ? schema_node_find(c, at->src) : NULL;

	if (!node || node->colour == COLOUR_DONE || c->is_full)
		return;
	if (node->colour == COLOUR_OPEN) {
		schema_fault(c, node, "", "applies itself to the same value without end");
		return;
	}
	if (depth == CV_SCHEMA_HOPS_MAX) {
		schema_full(c, "refers from one schema to the next too often");
		return;
	}
	node->colour = COLOUR_OPEN;
	loop_visit_list(c, &node->all_of, depth + 1);
	loop_visit_list(c, &node->any_of, depth + 1);
	loop_visit_list(c, &node->one_of, depth + 1);
	loop_visit_named(c, &node->dependents, depth + 1);
	loop_visit_named(c, &node->dependencies, depth + 1);
	loop_visit(c, node->none_of, depth + 1);
	loop_visit(c, node->condition, depth + 1);
	loop_visit(c, node->then, depth + 1);
	loop_visit(c, node->otherwise, depth + 1);
	loop_visit(c, node->ref, depth + 1);
	if (!node->dynamic_name.p)
		loop_visit(c, node->dynamic_ref, depth + 1);
	node->colour = COLOUR_DONE;
}

void schema_loops_find(struct compiler *c)
{
	for (uint32_t i = 0; i < c->node_count; i++)
		loop_visit(c, c->nodes[i], 0);
}
