/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schema_int.h - a compiled schema, as the files of schema.h share it
 *
 *     schema_compile.c  text of the schema -> nodes        schema_uri.c   what $ref and $id name
 *     schema_ref.c      references -> nodes; endless ones  schema_say.c   mistakes in words
 *     schema_check.c    a value against nodes: in place    schema_parts.c its members and items
 */
#pragma once
#include "base/buf.h"
#include "base/map.h"
#include "policy/regex.h"
#include "tools/format.h"
#include "tools/schema.h"

/* ---- compiled ---- */

struct node;

struct node_list {
	const struct node **v;
	uint32_t n;
};

struct named_node {
	struct cv_str name;
	struct cv_regex *regex; /* of patternProperties; else NULL */
	const struct node *node;
};

struct named_list {
	struct named_node *v; /* of properties and dependents: by name */
	uint32_t n;
};

enum node_kind { NODE_RULES, NODE_ANYTHING, NODE_NOTHING };

#define TYPE_INTEGER CV_VALUE_TYPE_COUNT /* bit of types besides those of enum cv_value_type */

/* One subschema.  What it does not say is NULL, 0, or a maximum of UINT64_MAX. */
struct node {
	const struct cv_value *src;
	struct cv_str pointer; /* to src, in the schema */
	enum node_kind kind;
	uint16_t types;    /* bits; 0: any */
	uint16_t resource; /* index: which $id it is in */
	uint8_t colour;    /* of the search for endless references */
	bool has_properties;
	bool is_unique;

	const struct cv_value *one_value, *values;                          /* const, enum */
	const struct cv_value *minimum, *maximum, *above, *below, *divisor; /* numbers */

	uint64_t length_min, length_max; /* strings */
	struct cv_regex *pattern;
	struct cv_str pattern_text;
	const struct cv_format *format;

	uint64_t items_min, items_max, contains_min, contains_max; /* arrays */
	struct node_list prefix;
	const struct node *items, *contains, *items_rest;

	uint64_t members_min, members_max; /* objects */
	const struct cv_value *required, *required_by, *dependencies_src;
	struct named_list properties, patterns, dependents, dependencies;
	const struct node *additional, *names, *members_rest;

	struct node_list all_of, any_of, one_of; /* in place */
	const struct node *none_of, *condition, *then, *otherwise, *ref, *dynamic_ref;
	struct cv_str dynamic_name; /* of dynamic_ref: looked for again at run time; or empty */
};

struct anchor {
	struct cv_str name;
	const struct node *node;
	uint16_t resource;
	bool is_dynamic;
};

struct resource {
	struct cv_str uri;
	const struct node *node;
};

struct cv_schema {
	struct cv_arena arena;
	const struct node *root;
	struct anchor *anchors;
	struct resource *resources;
	struct cv_regex **patterns;
	uint32_t anchor_count, resource_count, pattern_count;
};

/* ---- where something is ---- */

struct place {
	const struct place *up; /* NULL: the whole */
	struct cv_str key;
	uint32_t index;
	bool is_index, is_name; /* is_name: v is the member's name, as a value */
	const struct cv_value *v;
};

/* ---- schema_say.c ---- */

/* Whether an error would still be kept. */
bool schema_errors_has_room(struct cv_schema_errors *e);
/* Always false, so that a rule ends with it.  nearest may be empty.  e NULL: nothing is kept. */
CV_PRINTF(4, 5)
bool schema_say(struct cv_schema_errors *e, const struct place *at, struct cv_str nearest,
	const char *fmt, ...);
/* v in a message: cut, in quotes if it is a string. */
void schema_quote(struct cv_buf *b, const struct cv_value *v);
/* For "%s": v as schema_quote() shows it. */
struct schema_quoted {
	char z[CV_SCHEMA_QUOTE_BYTES_MAX * 6 + 8];
};
const char *schema_quoted(struct schema_quoted *q, const struct cv_value *v);
const char *schema_quoted_str(struct schema_quoted *q, struct cv_str s);

/* ---- schema_uri.c ---- */

/* RFC 3986 5.2: what ref means where base is; without its fragment.  False: longer than out. */
bool schema_uri_resolve(struct cv_str base, struct cv_str ref, struct cv_buf *out);
/* %XX as bytes; what is malformed stays. */
bool schema_uri_decode(struct cv_str s, struct cv_buf *out);

/* ---- compiling ---- */

struct reference {
	struct node *node;
	struct cv_str text;
	bool is_dynamic;
};

struct compiler {
	struct cv_schema *s;
	struct cv_schema_errors *errors;
	unsigned flags;
	bool is_bad, is_full; /* something was said; a limit was reached */
	uint16_t resource;    /* that the walk is in */
	uint32_t depth, node_count;
	struct cv_map by_src; /* nodes by the address of their value */
	struct node **nodes;  /* all of them */
	struct reference *refs;
	uint32_t ref_count;
};

/* The node of a schema, made if there is none.  NULL: full. */
struct node *schema_node_make(struct compiler *c, const struct cv_value *v, struct cv_str pointer);
struct node *schema_node_find(const struct compiler *c, const struct cv_value *v);
CV_PRINTF(4, 5)
void schema_fault(
	struct compiler *c, const struct node *node, const char *keyword, const char *fmt, ...);
void schema_full(struct compiler *c, const char *what);

/* schema_ref.c */
void schema_resource_enter(struct compiler *c, struct node *node); /* by its $id, if there is one */
void schema_anchors_add(struct compiler *c, struct node *node);
void schema_refs_add(struct compiler *c, struct node *node);
void schema_refs_resolve(struct compiler *c);
void schema_loops_find(struct compiler *c);

/* ---- checking ---- */

struct scope { /* resources that were entered, the innermost first */
	const struct scope *up;
	uint16_t resource;
};

struct check {
	const struct cv_schema *schema;
	struct cv_schema_errors *errors; /* NULL: only yes or no is asked */
	const struct scope *scope;
	uint64_t work; /* that is left */
	uint32_t hops;
	uint32_t asking; /* depth of `not`, `if`, `contains`: there nothing is strict */
	bool is_strict, is_over, is_over_said;
};

/* Members or items that some schema has looked at. */
struct marks {
	uint64_t *bits;
	uint64_t few[2];
	uint32_t n;
	bool has_properties; /* one listed them */
};

bool schema_spend(struct check *c, uint64_t steps); /* false: nothing is left */
bool schema_over(struct check *c, const struct place *at, const char *what); /* false */
uint64_t schema_weight(struct check *c, const struct cv_value *v); /* what it takes to compare v */

bool schema_marks_init(struct check *c, struct marks *m, const struct cv_value *v);
void schema_marks_fini(struct marks *m);
static inline void schema_mark(struct marks *m, uint32_t i)
{
	if (m)
		m->bits[i / 64] |= UINT64_C(1) << (i % 64);
}
static inline bool schema_is_marked(const struct marks *m, uint32_t i)
{
	return m->bits[i / 64] >> (i % 64) & 1;
}

/* A value where it stands (the first of its place), and in place. */
bool schema_place_check(struct check *c, const struct node *node, const struct place *at);
bool schema_node_check(
	struct check *c, const struct node *node, const struct place *at, struct marks *m);
/* Whether at would be good, with nothing said. */
bool schema_place_ask(struct check *c, const struct node *node, const struct place *at);

/* schema_parts.c.  m may be NULL in the first two. */
bool schema_array_check(
	struct check *c, const struct node *node, const struct place *at, struct marks *m);
bool schema_object_check(
	struct check *c, const struct node *node, const struct place *at, struct marks *m);
bool schema_rest_check(
	struct check *c, const struct node *node, const struct place *at, struct marks *m);
bool schema_strict_check(
	struct check *c, const struct node *node, const struct place *at, const struct marks *m);
