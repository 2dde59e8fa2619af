/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json.c - messages as JSON; see json.h (json_read.c is the way back)
 */
#include "rpc/json.h"

#include "base/assert.h"
#include "base/base64.h"
#include "google/protobuf/struct.pb-c.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define DOUBLE_DIGITS 17 /* always enough */
#define FLOAT_DIGITS  9

/* ---- names ---- */

struct cv_str cv_rpc_json_name(const char *name, char text[CV_RPC_JSON_NAME_BYTES])
{
	size_t n = 0;
	bool is_next_upper = false;

	for (; *name && n < CV_RPC_JSON_NAME_BYTES; name++) {
		const bool is_lower = *name >= 'a' && *name <= 'z';

		if (*name == '_') {
			is_next_upper = true;
			continue;
		}
		text[n++] = is_next_upper && is_lower ? (char)(*name - 'a' + 'A') : *name;
		is_next_upper = false;
	}
	return (struct cv_str){ text, n };
}

/* The compiler calls the entries of a map "labels" of M "M.LabelsEntry". */
bool cv_rpc_json_is_map(const ProtobufCMessageDescriptor *m, const ProtobufCFieldDescriptor *f)
{
	char text[CV_RPC_JSON_NAME_BYTES];
	const ProtobufCMessageDescriptor *entry = f->descriptor;

	if (f->label != PROTOBUF_C_LABEL_REPEATED || f->type != PROTOBUF_C_TYPE_MESSAGE ||
		entry->n_fields != 2 || strcmp(entry->fields[0].name, "key") != 0 ||
		strcmp(entry->fields[1].name, "value") != 0)
		return false;
	struct cv_str rest = cv_str_of(entry->name), parent = cv_str_of(m->name);
	struct cv_str name = cv_rpc_json_name(f->name, text);
	if (!cv_str_has_prefix(rest, parent) || !name.n)
		return false;
	rest = cv_str_slice(rest, parent.n, rest.n);
	return rest.n == name.n + sizeof(".Entry") - 1 && rest.p[0] == '.' &&
	       cv_ascii_lower(rest.p[1]) == cv_ascii_lower(name.p[0]) &&
	       memcmp(rest.p + 2, name.p + 1, name.n - 1) == 0 &&
	       cv_str_has_suffix(rest, CV_STR("Entry"));
}

const ProtobufCFieldDescriptor *cv_rpc_json_field(
	const ProtobufCMessageDescriptor *type, struct cv_str name)
{
	char text[CV_RPC_JSON_NAME_BYTES];

	for (unsigned i = 0; i < type->n_fields; i++)
		if (cv_str_eq(cv_str_of(type->fields[i].name), name) ||
			cv_str_eq(cv_rpc_json_name(type->fields[i].name, text), name))
			return &type->fields[i];
	return NULL;
}

/* ---- values ---- */

static bool message_put(struct cv_buf *b, const ProtobufCMessage *m, unsigned depth);

static bool number_put(struct cv_buf *b, double v, int digits_max)
{
	char text[32];

	if (isnan(v))
		return cv_buf_put(b, CV_STR("\"NaN\""));
	if (isinf(v))
		return cv_buf_put(b, v > 0 ? CV_STR("\"Infinity\"") : CV_STR("\"-Infinity\""));
	for (int digits = 1; digits <= digits_max; digits++) { /* the shortest that says v */
		snprintf(text, sizeof(text), "%.*g", digits, v);
		const double back = strtod(text, NULL);
		if (digits_max == FLOAT_DIGITS ? (float)back == (float)v : !(back < v || back > v))
			break;
	}
	return cv_buf_put(b, cv_str_of(text));
}

static bool bytes_put(struct cv_buf *b, const ProtobufCBinaryData *v)
{
	return cv_buf_put_byte(b, '"') &&
	       cv_buf_put_base64(
		       b, (struct cv_str){ (const char *)v->data, v->len }, CV_BASE64_STD) &&
	       cv_buf_put_byte(b, '"');
}

static bool enum_put(struct cv_buf *b, const ProtobufCEnumDescriptor *type, int32_t v)
{
	const ProtobufCEnumValue *known = protobuf_c_enum_descriptor_get_value(type, v);

	if (known)
		return cv_buf_put_json_str(b, cv_str_of(known->name));
	return cv_buf_printf(b, "%d", v);
}

/* Reads what may be at any alignment in theory, and is at its own in protobuf-c's structs. */
#define AT(type, p) (*(type const *)(p))

/* One value at p; a repeated field's element, or the field's own. */
static bool value_put(
	struct cv_buf *b, const ProtobufCFieldDescriptor *f, const void *p, unsigned depth)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32: return cv_buf_printf(b, "%d", AT(int32_t, p));
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32: return cv_buf_printf(b, "%u", AT(uint32_t, p));
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		return cv_buf_printf(b, "\"%lld\"", (long long)AT(int64_t, p));
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		return cv_buf_printf(b, "\"%llu\"", (unsigned long long)AT(uint64_t, p));
	case PROTOBUF_C_TYPE_FLOAT: return number_put(b, (double)AT(float, p), FLOAT_DIGITS);
	case PROTOBUF_C_TYPE_DOUBLE: return number_put(b, AT(double, p), DOUBLE_DIGITS);
	case PROTOBUF_C_TYPE_BOOL:
		return cv_buf_put(b, AT(protobuf_c_boolean, p) ? CV_STR("true") : CV_STR("false"));
	case PROTOBUF_C_TYPE_ENUM: return enum_put(b, f->descriptor, AT(int32_t, p));
	case PROTOBUF_C_TYPE_STRING: return cv_buf_put_json_str(b, cv_str_of(AT(char *, p)));
	case PROTOBUF_C_TYPE_BYTES: return bytes_put(b, p);
	case PROTOBUF_C_TYPE_MESSAGE: return message_put(b, AT(ProtobufCMessage *, p), depth + 1);
	}
	cv_unreachable();
}

size_t cv_rpc_json_size(const ProtobufCFieldDescriptor *f)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
	case PROTOBUF_C_TYPE_ENUM:
	case PROTOBUF_C_TYPE_FLOAT: return 4;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE: return 8;
	case PROTOBUF_C_TYPE_BOOL: return sizeof(protobuf_c_boolean);
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE: return sizeof(void *);
	case PROTOBUF_C_TYPE_BYTES: return sizeof(ProtobufCBinaryData);
	}
	cv_unreachable();
}

/* ---- google.protobuf.Struct and its parts ---- */

static bool struct_put(struct cv_buf *b, const Google__Protobuf__Struct *s, unsigned depth);
static bool list_put(struct cv_buf *b, const Google__Protobuf__ListValue *l, unsigned depth);

static bool any_put(struct cv_buf *b, const Google__Protobuf__Value *v, unsigned depth)
{
	switch (v ? (int)v->kind_case : GOOGLE__PROTOBUF__VALUE__KIND__NOT_SET) {
	case GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE:
		return number_put(b, v->number_value, DOUBLE_DIGITS);
	case GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE:
		return cv_buf_put_json_str(b, cv_str_of(v->string_value));
	case GOOGLE__PROTOBUF__VALUE__KIND_BOOL_VALUE:
		return cv_buf_put(b, v->bool_value ? CV_STR("true") : CV_STR("false"));
	case GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE:
		return struct_put(b, v->struct_value, depth + 1);
	case GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE: return list_put(b, v->list_value, depth + 1);
	case GOOGLE__PROTOBUF__VALUE__KIND_NULL_VALUE:
	case GOOGLE__PROTOBUF__VALUE__KIND__NOT_SET:
	default: return cv_buf_put(b, CV_STR("null"));
	}
}

static bool struct_put(struct cv_buf *b, const Google__Protobuf__Struct *s, unsigned depth)
{
	bool is_good = depth < CV_RPC_JSON_DEPTH_MAX && cv_buf_put_byte(b, '{');

	for (size_t i = 0; is_good && i < s->n_fields; i++)
		is_good = (i == 0 || cv_buf_put_byte(b, ',')) &&
			  cv_buf_put_json_str(b, cv_str_of(s->fields[i]->key)) &&
			  cv_buf_put_byte(b, ':') && any_put(b, s->fields[i]->value, depth);
	return is_good && cv_buf_put_byte(b, '}');
}

static bool list_put(struct cv_buf *b, const Google__Protobuf__ListValue *l, unsigned depth)
{
	bool is_good = depth < CV_RPC_JSON_DEPTH_MAX && cv_buf_put_byte(b, '[');

	for (size_t i = 0; is_good && i < l->n_values; i++)
		is_good = (i == 0 || cv_buf_put_byte(b, ',')) && any_put(b, l->values[i], depth);
	return is_good && cv_buf_put_byte(b, ']');
}

/* ---- fields ---- */

static bool is_default(const ProtobufCFieldDescriptor *f, const void *p)
{
	static const uint8_t zero[8];

	if (f->type == PROTOBUF_C_TYPE_STRING)
		return !AT(char *, p) || !*AT(char *, p);
	if (f->type == PROTOBUF_C_TYPE_BYTES)
		return !AT(ProtobufCBinaryData, p).len;
	if (f->type == PROTOBUF_C_TYPE_MESSAGE)
		return !AT(void *, p);
	return memcmp(p, zero, cv_rpc_json_size(f)) == 0;
}

static bool is_there(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	const char *base = (const char *)m;

	if (f->label == PROTOBUF_C_LABEL_REPEATED)
		return AT(size_t, base + f->quantifier_offset) > 0;
	if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
		return AT(uint32_t, base + f->quantifier_offset) == f->id &&
		       (f->type != PROTOBUF_C_TYPE_MESSAGE || AT(void *, base + f->offset));
	return !is_default(f, base + f->offset);
}

/* A key of a map is a string in JSON whatever it is in the message. */
static bool key_put(struct cv_buf *b, const ProtobufCMessage *entry)
{
	const ProtobufCFieldDescriptor *f = &entry->descriptor->fields[0];
	const bool is_quoted = cv_rpc_json_size(f) == 8 || f->type == PROTOBUF_C_TYPE_STRING;

	return (is_quoted || cv_buf_put_byte(b, '"')) &&
	       value_put(b, f, (const char *)entry + f->offset, 0) &&
	       (is_quoted || cv_buf_put_byte(b, '"')) && cv_buf_put_byte(b, ':');
}

static bool entry_put(struct cv_buf *b, const ProtobufCMessage *entry, unsigned depth)
{
	const ProtobufCFieldDescriptor *f = &entry->descriptor->fields[1];
	const char *p = (const char *)entry + f->offset;

	if (!key_put(b, entry))
		return false;
	if (f->type == PROTOBUF_C_TYPE_MESSAGE && !AT(void *, p)) /* left out: an empty one */
		return cv_buf_put(b, CV_STR("{}"));
	return value_put(b, f, p, depth);
}

static bool repeated_put(struct cv_buf *b, const ProtobufCMessage *m,
	const ProtobufCFieldDescriptor *f, unsigned depth)
{
	const size_t n = AT(size_t, (const char *)m + f->quantifier_offset);
	const char *p = AT(char *, (const char *)m + f->offset);
	const bool is_map = cv_rpc_json_is_map(m->descriptor, f);
	bool is_good = cv_buf_put_byte(b, is_map ? '{' : '[');

	for (size_t i = 0; is_good && i < n; i++, p += cv_rpc_json_size(f))
		is_good = (i == 0 || cv_buf_put_byte(b, ',')) &&
			  (is_map ? entry_put(b, AT(ProtobufCMessage *, p), depth)
				  : value_put(b, f, p, depth));
	return is_good && cv_buf_put_byte(b, is_map ? '}' : ']');
}

static bool field_put(struct cv_buf *b, const ProtobufCMessage *m,
	const ProtobufCFieldDescriptor *f, unsigned depth)
{
	char text[CV_RPC_JSON_NAME_BYTES];

	if (!cv_buf_put_json_str(b, cv_rpc_json_name(f->name, text)) || !cv_buf_put_byte(b, ':'))
		return false;
	if (f->label == PROTOBUF_C_LABEL_REPEATED)
		return repeated_put(b, m, f, depth);
	return value_put(b, f, (const char *)m + f->offset, depth);
}

static bool message_put(struct cv_buf *b, const ProtobufCMessage *m, unsigned depth)
{
	const ProtobufCMessageDescriptor *type = m->descriptor;
	bool is_first = true;

	if (depth >= CV_RPC_JSON_DEPTH_MAX)
		return false;
	if (type == &google__protobuf__struct__descriptor)
		return struct_put(b, (const Google__Protobuf__Struct *)m, depth);
	if (type == &google__protobuf__value__descriptor)
		return any_put(b, (const Google__Protobuf__Value *)m, depth);
	if (type == &google__protobuf__list_value__descriptor)
		return list_put(b, (const Google__Protobuf__ListValue *)m, depth);
	if (!cv_buf_put_byte(b, '{'))
		return false;
	for (unsigned i = 0; i < type->n_fields; i++) {
		if (!is_there(m, &type->fields[i]))
			continue;
		if ((!is_first && !cv_buf_put_byte(b, ',')) ||
			!field_put(b, m, &type->fields[i], depth))
			return false;
		is_first = false;
	}
	return cv_buf_put_byte(b, '}');
}

bool cv_rpc_json_write(struct cv_buf *b, const ProtobufCMessage *m)
{
	return message_put(b, m, 0);
}
