/* SPDX-License-Identifier: Apache-2.0 */
/*
 * structs.c - JSON as google.protobuf.Struct
 */
#include "client/structs.h"

#include "wire/json_value.h"

#include <stdlib.h>

static Google__Protobuf__Struct *struct_of(struct cl *c, const struct cv_value *v);

static Google__Protobuf__Value *value_of(struct cl *c, const struct cv_value *v)
{
	Google__Protobuf__Value *m = cl_alloc(c, sizeof(*m));

	google__protobuf__value__init(m);
	switch (v->type) {
	case CV_VALUE_NULL: m->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_NULL_VALUE; break;
	case CV_VALUE_FALSE:
	case CV_VALUE_TRUE:
		m->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_BOOL_VALUE;
		m->bool_value = v->type == CV_VALUE_TRUE;
		break;
	case CV_VALUE_NUMBER:
		m->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE;
		m->number_value = strtod(cl_print(c, "%.*s", CV_STR_ARG(v->s)), NULL);
		break;
	case CV_VALUE_STRING:
		m->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
		m->string_value = cl_print(c, "%.*s", CV_STR_ARG(v->s));
		break;
	case CV_VALUE_ARRAY:
		m->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE;
		m->list_value = cl_alloc(c, sizeof(*m->list_value));
		google__protobuf__list_value__init(m->list_value);
		m->list_value->values = cl_alloc(c, (v->n + 1) * sizeof(*m->list_value->values));
		m->list_value->n_values = v->n;
		for (uint32_t i = 0; i < v->n; i++)
			m->list_value->values[i] = value_of(c, &v->v[i]);
		break;
	case CV_VALUE_OBJECT:
		m->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE;
		m->struct_value = struct_of(c, v);
		break;
	case CV_VALUE_TYPE_COUNT: break;
	}
	return m;
}

static Google__Protobuf__Struct *struct_of(struct cl *c, const struct cv_value *v)
{
	Google__Protobuf__Struct *m = cl_alloc(c, sizeof(*m));

	google__protobuf__struct__init(m);
	m->fields = cl_alloc(c, (v->n + 1) * sizeof(*m->fields));
	m->n_fields = v->n;
	for (uint32_t i = 0; i < v->n; i++) {
		m->fields[i] = cl_alloc(c, sizeof(*m->fields[i]));
		google__protobuf__struct__fields_entry__init(m->fields[i]);
		m->fields[i]->key = cl_print(c, "%.*s", CV_STR_ARG(v->key[i]));
		m->fields[i]->value = value_of(c, &v->v[i]);
	}
	return m;
}

Google__Protobuf__Struct *cl_struct_of_json(struct cl *c, const char *what, struct cv_str text)
{
	const struct cv_value *v;
	size_t at;

	const struct cv_str copy = cv_arena_str(&c->arena, text);
	if (cv_json_value_read(copy, &c->arena, &v, &at) != CV_JSON_PROBLEM_NONE ||
		v->type != CV_VALUE_OBJECT)
		cl_die_usage(c, "invalid value for '%s': not a JSON object", what);
	return struct_of(c, v);
}
