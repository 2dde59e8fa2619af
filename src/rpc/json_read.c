/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_read.c - JSON as messages; see json.h
 *
 * The text becomes a tree of values first (wire/json_value.h, which refuses what two readers could
 * take differently), and the tree a message.  The reader keeps the JSON pointer of the value at hand,
 * so that the first thing wrong is named.  A word of a path or a query is read as a string whose type
 * the field decides (is_word).
 */
#include "rpc/json.h"

#include "base/assert.h"
#include "base/base64.h"
#include "google/protobuf/struct.pb-c.h"
#include "wire/json_value.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define NUMBER_BYTES_MAX 128 /* of a double as text: its longest useful form has 24 */

struct reader {
	struct cv_arena *arena;
	struct cv_err *err;
	bool is_word;
	unsigned depth;
	size_t n;
	char path[CV_RPC_JSON_PATH_BYTES];
};

typedef const ProtobufCFieldDescriptor field_type;

static cv_code message_read(struct reader *r, const ProtobufCMessageDescriptor *type,
	const struct cv_value *v, ProtobufCMessage **ret);

/* ---- where we are, and what is wrong there ---- */

static size_t enter(struct reader *r, struct cv_str key)
{
	const size_t before = r->n, room = sizeof(r->path) - 1 - r->n;
	const size_t n = CV_MIN(key.n + 1, room);

	if (n) {
		r->path[r->n] = '/';
		memcpy(r->path + r->n + 1, key.p, n - 1);
	}
	r->n += n;
	return before;
}

CV_PRINTF(2, 3) static cv_code bad(struct reader *r, const char *fmt, ...)
{
	char text[CV_ERR_MSG_BYTES_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return cv_fail(
		r->err, CV_INVALID, "%.*s: %s", (int)(r->n ? r->n : 1), r->n ? r->path : "/", text);
}

static cv_code full(struct reader *r)
{
	return cv_fail(r->err, CV_LIMIT, "the message is too large");
}

static cv_code wants(struct reader *r, const char *what, const struct cv_value *v)
{
	return bad(r, "wants %s, not %s", what, cv_value_type_name(v->type));
}

/* ---- values ---- */

static bool is_text(const struct cv_value *v)
{
	return v->type == CV_VALUE_STRING;
}

/* A number, or one in a string, as digits without sign, fraction and exponent. */
static cv_code digits_read(struct reader *r, const struct cv_value *v, struct cv_buf *b,
	bool *ret_negative, struct cv_str *ret)
{
	if (is_text(v)) {
		if (!cv_buf_put(b, v->s))
			return bad(r, "is no integer that fits");
	} else if (v->type != CV_VALUE_NUMBER) {
		return wants(r, "an integer", v);
	} else if (!cv_value_is_integer(v) || !cv_value_number_write(v, b)) {
		return bad(r, "is no integer that fits");
	}
	struct cv_str s = cv_buf_str(b);
	*ret_negative = cv_str_has_prefix(s, CV_STR("-"));
	*ret = cv_str_slice(s, *ret_negative, s.n);
	return CV_OK;
}

static cv_code integer_read(struct reader *r, const struct cv_value *v, uint64_t max,
	uint64_t negative_max, uint64_t *ret)
{
	struct cv_buf b;
	struct cv_str digits;
	bool is_negative;
	uint64_t n = 0;

	cv_buf_init(&b, NUMBER_BYTES_MAX);
	cv_code code = digits_read(r, v, &b, &is_negative, &digits);
	if (code == CV_OK && !cv_str_to_u64(digits, is_negative ? negative_max : max, &n))
		code = bad(r, "is no integer that fits");
	cv_buf_fini(&b);
	if (code == CV_OK)
		*ret = is_negative ? 0 - n : n;
	return code;
}

static cv_code double_read(struct reader *r, const struct cv_value *v, double max, double *ret)
{
	static const struct {
		struct cv_str name;
		double value;
	} odd[] = {
		{ { "NaN", 3 }, NAN },
		{ { "Infinity", 8 }, INFINITY },
		{ { "-Infinity", 9 }, -INFINITY },
	};
	char z[NUMBER_BYTES_MAX], *end;

	for (size_t i = 0; is_text(v) && i < CV_ARRAY_LEN(odd); i++)
		if (cv_str_eq(v->s, odd[i].name)) {
			*ret = odd[i].value;
			return CV_OK;
		}
	if (v->type != CV_VALUE_NUMBER && !is_text(v))
		return wants(r, "a number", v);
	/* hex, blanks and "inf", which strtod() takes too, are no numbers of JSON */
	if (!cv_str_to_cstr(v->s, z, sizeof(z)) || !v->s.n ||
		strspn(z, "0123456789+-.eE") != v->s.n)
		return bad(r, "is no number that fits");
	const double d = strtod(z, &end);
	if (*end || !isfinite(d) || fabs(d) > max)
		return bad(r, "is no number that fits");
	*ret = d;
	return CV_OK;
}

static cv_code bool_read(struct reader *r, const struct cv_value *v, bool *ret)
{
	const bool is_true =
		v->type == CV_VALUE_TRUE || (r->is_word && cv_str_eq(v->s, CV_STR("true")));
	const bool is_false =
		v->type == CV_VALUE_FALSE || (r->is_word && cv_str_eq(v->s, CV_STR("false")));

	if (!is_true && !is_false)
		return r->is_word ? bad(r, "wants true or false") : wants(r, "true or false", v);
	*ret = is_true;
	return CV_OK;
}

static cv_code string_read(struct reader *r, struct cv_str s, char **ret)
{
	if (cv_str_has_byte(s, 0))
		return bad(r, "has a NUL in it");
	const struct cv_str copy = cv_arena_str(r->arena, s);
	if (!copy.p)
		return full(r);
	*ret = (char *)(uintptr_t)copy.p;
	return CV_OK;
}

/* Base64 of either alphabet, padded or not. */
static cv_code bytes_read(struct reader *r, const struct cv_value *v, ProtobufCBinaryData *ret)
{
	struct cv_str s = v->s;
	struct cv_buf url, out;

	if (!is_text(v))
		return wants(r, "bytes in base64", v);
	for (int i = 0; i < 2 && v->s.n % 4 == 0 && cv_str_has_suffix(s, CV_STR("=")); i++)
		s.n--;
	cv_buf_init(&url, s.n);
	cv_buf_init(&out, s.n + 2); /* as decoding asks for */
	for (size_t i = 0; i < s.n; i++)
		cv_buf_put_byte(&url, s.p[i] == '+' ? '-' : s.p[i] == '/' ? '_' : s.p[i]);
	cv_code code = CV_OK;
	if (url.is_overflown || !cv_base64_decode(cv_buf_str(&url), CV_BASE64_URL, &out))
		code = bad(r, "is no base64");
	if (code == CV_OK) {
		const struct cv_str copy = cv_arena_str(r->arena, cv_buf_str(&out));

		ret->data = (uint8_t *)(uintptr_t)copy.p;
		ret->len = copy.n;
		code = r->arena->is_overflown ? full(r) : CV_OK;
	}
	cv_buf_wipe(&url);
	cv_buf_wipe(&out);
	return code;
}

static cv_code enum_read(struct reader *r, const ProtobufCEnumDescriptor *type,
	const struct cv_value *v, int32_t *ret)
{
	char name[CV_RPC_JSON_NAME_BYTES];
	const ProtobufCEnumValue *known = NULL;
	uint64_t n = 0;

	if (is_text(v) && cv_str_to_cstr(v->s, name, sizeof(name)))
		known = protobuf_c_enum_descriptor_get_value_by_name(type, name);
	if (known) {
		*ret = known->value;
		return CV_OK;
	}
	if (is_text(v))
		return bad(r, "is no %s", type->short_name);
	const cv_code code = integer_read(r, v, INT32_MAX, (uint64_t)INT32_MAX + 1, &n);
	if (code == CV_OK)
		*ret = (int32_t)n;
	return code;
}

/* One value, into p. */
static cv_code value_read(struct reader *r, field_type *f, const struct cv_value *v, void *p)
{
	ProtobufCMessage *m = NULL;
	uint64_t n = 0;
	double d = 0;
	bool is_true = false;
	cv_code code;

	switch (f->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		code = integer_read(r, v, INT32_MAX, (uint64_t)INT32_MAX + 1, &n);
		*(uint32_t *)p = (uint32_t)n;
		return code;
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		code = integer_read(r, v, UINT32_MAX, 0, &n);
		*(uint32_t *)p = (uint32_t)n;
		return code;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		code = integer_read(r, v, INT64_MAX, (uint64_t)INT64_MAX + 1, &n);
		*(uint64_t *)p = n;
		return code;
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		code = integer_read(r, v, UINT64_MAX, 0, &n);
		*(uint64_t *)p = n;
		return code;
	case PROTOBUF_C_TYPE_FLOAT:
		code = double_read(r, v, 3.4028234663852886e38, &d);
		*(float *)p = (float)d;
		return code;
	case PROTOBUF_C_TYPE_DOUBLE: return double_read(r, v, INFINITY, p);
	case PROTOBUF_C_TYPE_BOOL:
		code = bool_read(r, v, &is_true);
		*(protobuf_c_boolean *)p = is_true;
		return code;
	case PROTOBUF_C_TYPE_ENUM: return enum_read(r, f->descriptor, v, p);
	case PROTOBUF_C_TYPE_STRING:
		return is_text(v) ? string_read(r, v->s, p) : wants(r, "a string", v);
	case PROTOBUF_C_TYPE_BYTES: return bytes_read(r, v, p);
	case PROTOBUF_C_TYPE_MESSAGE:
		code = message_read(r, f->descriptor, v, &m);
		if (code == CV_OK)
			*(ProtobufCMessage **)p = m;
		return code;
	}
	cv_unreachable();
}

/* ---- messages ---- */

static ProtobufCMessage *message_new(struct reader *r, const ProtobufCMessageDescriptor *type)
{
	ProtobufCMessage *m = cv_arena_alloc(r->arena, type->sizeof_message);

	if (m)
		protobuf_c_message_init(type, m);
	return m;
}

static void *member(ProtobufCMessage *m, unsigned offset)
{
	return (char *)m + offset;
}

static cv_code list_read(
	struct reader *r, field_type *f, const struct cv_value *v, ProtobufCMessage *m)
{
	const size_t size = cv_rpc_json_size(f);
	char *all = cv_arena_array(r->arena, v->n, size), number[16];

	if (v->type != CV_VALUE_ARRAY)
		return wants(r, "an array", v);
	if (v->n && !all)
		return full(r);
	for (uint32_t i = 0; i < v->n; i++) {
		snprintf(number, sizeof(number), "%u", i);
		const size_t before = enter(r, cv_str_of(number));
		const cv_code code =
			v->v[i].type == CV_VALUE_NULL &&
					f->descriptor != &google__protobuf__value__descriptor
				? bad(r, "is null")
				: value_read(r, f, &v->v[i], all + i * size);
		if (code != CV_OK)
			return code;
		r->n = before;
	}
	*(size_t *)member(m, f->quantifier_offset) = v->n;
	*(void **)member(m, f->offset) = all;
	return CV_OK;
}

static cv_code entry_read(struct reader *r, const ProtobufCMessageDescriptor *type,
	struct cv_str key, const struct cv_value *v, ProtobufCMessage **ret)
{
	const struct cv_value k = { .type = CV_VALUE_STRING, .s = key };
	ProtobufCMessage *m = message_new(r, type);
	const bool was_word = r->is_word;

	if (!m)
		return full(r);
	r->is_word = true; /* keys of any type are strings here */
	cv_code code = value_read(r, &type->fields[0], &k, member(m, type->fields[0].offset));
	r->is_word = was_word;
	if (code == CV_OK && v->type == CV_VALUE_NULL &&
		type->fields[1].descriptor != &google__protobuf__value__descriptor)
		code = bad(r, "is null");
	if (code == CV_OK)
		code = value_read(r, &type->fields[1], v, member(m, type->fields[1].offset));
	if (code == CV_OK)
		*ret = m;
	return code;
}

static cv_code map_read(
	struct reader *r, field_type *f, const struct cv_value *v, ProtobufCMessage *m)
{
	ProtobufCMessage **all = cv_arena_array(r->arena, v->n, sizeof(*all));

	if (v->type != CV_VALUE_OBJECT)
		return wants(r, "an object", v);
	if (v->n && !all)
		return full(r);
	for (uint32_t i = 0; i < v->n; i++) {
		const size_t before = enter(r, v->key[i]);
		const cv_code code = entry_read(r, f->descriptor, v->key[i], &v->v[i], &all[i]);
		if (code != CV_OK)
			return code;
		r->n = before;
	}
	*(size_t *)member(m, f->quantifier_offset) = v->n;
	*(void **)member(m, f->offset) = all;
	return CV_OK;
}

static cv_code field_read(
	struct reader *r, field_type *f, const struct cv_value *v, ProtobufCMessage *m)
{
	if (f->label == PROTOBUF_C_LABEL_REPEATED)
		return cv_rpc_json_is_map(m->descriptor, f) ? map_read(r, f, v, m)
							    : list_read(r, f, v, m);
	if (!(f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF))
		return value_read(r, f, v, member(m, f->offset));
	uint32_t *which = member(m, f->quantifier_offset);
	if (*which && *which != f->id)
		return bad(r, "excludes another field that is there");
	*which = f->id;
	return value_read(r, f, v, member(m, f->offset));
}

/* ---- google.protobuf.Struct and its parts ---- */

static cv_code any_read(struct reader *r, const struct cv_value *v, Google__Protobuf__Value *any)
{
	ProtobufCMessage *m = NULL;
	cv_code code;

	switch (v->type) {
	case CV_VALUE_NULL: any->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_NULL_VALUE; return CV_OK;
	case CV_VALUE_FALSE:
	case CV_VALUE_TRUE:
		any->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_BOOL_VALUE;
		any->bool_value = v->type == CV_VALUE_TRUE;
		return CV_OK;
	case CV_VALUE_NUMBER:
		any->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE;
		return double_read(r, v, INFINITY, &any->number_value);
	case CV_VALUE_STRING:
		any->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
		return string_read(r, v->s, &any->string_value);
	case CV_VALUE_ARRAY:
		any->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE;
		code = message_read(r, &google__protobuf__list_value__descriptor, v, &m);
		any->list_value = (Google__Protobuf__ListValue *)m;
		return code;
	case CV_VALUE_OBJECT:
		any->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE;
		code = message_read(r, &google__protobuf__struct__descriptor, v, &m);
		any->struct_value = (Google__Protobuf__Struct *)m;
		return code;
	case CV_VALUE_TYPE_COUNT: break;
	}
	cv_unreachable();
}

/* Of the kinds that are not objects of their fields; false: m is a plain message. */
static bool known_read(
	struct reader *r, const struct cv_value *v, ProtobufCMessage *m, cv_code *ret)
{
	if (m->descriptor == &google__protobuf__struct__descriptor)
		*ret = map_read(r, &m->descriptor->fields[0], v, m);
	else if (m->descriptor == &google__protobuf__list_value__descriptor)
		*ret = list_read(r, &m->descriptor->fields[0], v, m);
	else if (m->descriptor == &google__protobuf__value__descriptor)
		*ret = any_read(r, v, (Google__Protobuf__Value *)m);
	else
		return false;
	return true;
}

#define FIELDS_MAX 64 /* of one message, for the bits of those seen; the largest of ours has 21 */

static cv_code fields_read(struct reader *r, const struct cv_value *v, ProtobufCMessage *m)
{
	const ProtobufCMessageDescriptor *type = m->descriptor;
	uint64_t seen = 0;

	if (v->type != CV_VALUE_OBJECT)
		return wants(r, "an object", v);
	cv_assert(type->n_fields <= FIELDS_MAX);
	for (uint32_t i = 0; i < v->n; i++) {
		field_type *f = cv_rpc_json_field(type, v->key[i]);
		const size_t before = enter(r, v->key[i]);

		if (!f)
			return bad(r, "%s has no such field", type->short_name);
		if (seen & UINT64_C(1) << (f - type->fields))
			return bad(r, "is there under both of its names");
		seen |= UINT64_C(1) << (f - type->fields);
		const bool is_null = v->v[i].type == CV_VALUE_NULL &&
				     f->descriptor != &google__protobuf__value__descriptor;
		const cv_code code = is_null ? CV_OK : field_read(r, f, &v->v[i], m);
		if (code != CV_OK)
			return code;
		r->n = before;
	}
	return CV_OK;
}

static cv_code message_read(struct reader *r, const ProtobufCMessageDescriptor *type,
	const struct cv_value *v, ProtobufCMessage **ret)
{
	if (r->is_word)
		return bad(r, "cannot be set by a word");
	if (r->depth == CV_RPC_JSON_DEPTH_MAX)
		return bad(r, "is nested too deep");
	ProtobufCMessage *m = message_new(r, type);
	if (!m)
		return full(r);
	r->depth++;
	cv_code code;
	if (!known_read(r, v, m, &code))
		code = fields_read(r, v, m);
	r->depth--;
	if (code == CV_OK)
		*ret = m;
	return code;
}

cv_code cv_rpc_json_read(const ProtobufCMessageDescriptor *type, struct cv_str text,
	struct cv_arena *arena, ProtobufCMessage **ret, struct cv_err *err)
{
	struct reader r = { .arena = arena, .err = err };
	const struct cv_value *v;
	size_t at;

	const enum cv_json_problem p = cv_json_value_read(text, arena, &v, &at);
	if (p == CV_JSON_PROBLEM_LARGE)
		return full(&r);
	if (p != CV_JSON_PROBLEM_NONE)
		return cv_fail(
			err, CV_INVALID, "the JSON %s, at byte %zu", cv_json_problem_text(p), at);
	return message_read(&r, type, v, ret);
}

/* ---- words ---- */

/* One element more; the array moves, what it was is the arena's. */
static cv_code element_add(
	struct reader *r, field_type *f, const struct cv_value *v, ProtobufCMessage *m)
{
	size_t *n = member(m, f->quantifier_offset);
	const size_t size = cv_rpc_json_size(f);
	char *all = cv_arena_array(r->arena, *n + 1, size);

	if (!all)
		return full(r);
	if (*n)
		memcpy(all, *(void **)member(m, f->offset), *n * size);
	const cv_code code = value_read(r, f, v, all + *n * size);
	if (code != CV_OK)
		return code;
	*(void **)member(m, f->offset) = all;
	(*n)++;
	return CV_OK;
}

cv_code cv_rpc_json_set(ProtobufCMessage *m, struct cv_str name, struct cv_str word,
	struct cv_arena *arena, struct cv_err *err)
{
	const struct cv_value v = { .type = CV_VALUE_STRING, .s = word };
	struct reader r = { .arena = arena, .err = err, .is_word = true };
	field_type *f = cv_rpc_json_field(m->descriptor, name);

	if (!f || f->type == PROTOBUF_C_TYPE_MESSAGE)
		return cv_fail(
			err, CV_NOT_FOUND, "there is no parameter \"%.*s\"", CV_STR_ARG(name));
	(void)enter(&r, name);
	return f->label == PROTOBUF_C_LABEL_REPEATED ? element_add(&r, f, &v, m)
						     : field_read(&r, f, &v, m);
}
