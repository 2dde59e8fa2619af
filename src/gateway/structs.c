/* SPDX-License-Identifier: Apache-2.0 */
/* structs.c - see structs.h */
#include "gateway/structs.h"

#include <string.h>

const Google__Protobuf__Value *struct_get(const Google__Protobuf__Struct *s, const char *name)
{
	for (size_t i = 0; s && i < s->n_fields; i++)
		if (strcmp(s->fields[i]->key, name) == 0)
			return s->fields[i]->value;
	return NULL;
}

static bool is_kind(const Google__Protobuf__Value *v, Google__Protobuf__Value__KindCase kind)
{
	return v && v->kind_case == kind;
}

bool value_is_null(const Google__Protobuf__Value *v)
{
	return !v || v->kind_case == GOOGLE__PROTOBUF__VALUE__KIND__NOT_SET ||
	       v->kind_case == GOOGLE__PROTOBUF__VALUE__KIND_NULL_VALUE;
}

const Google__Protobuf__Struct *value_struct(const Google__Protobuf__Value *v)
{
	return is_kind(v, GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE) ? v->struct_value : NULL;
}

const Google__Protobuf__ListValue *value_list(const Google__Protobuf__Value *v)
{
	return is_kind(v, GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE) ? v->list_value : NULL;
}

const char *value_text(const Google__Protobuf__Value *v)
{
	return is_kind(v, GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE) ? v->string_value : NULL;
}
