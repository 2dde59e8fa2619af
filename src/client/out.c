/* SPDX-License-Identifier: Apache-2.0 */
/*
 * out.c - writes values and tables into memory; who prints them is the command
 */
#include "client/out.h"

#include "base/assert.h"
#include "base/hex.h"
#include "base/shown.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <string.h>

void cl_out_init(struct cl_out *o, enum cl_form form)
{
	*o = (struct cl_out){ .form = form };
	cv_buf_init(&o->b, CL_OUT_BYTES_MAX);
}

void cl_out_fini(struct cl_out *o)
{
	cv_buf_fini(&o->b);
}

/* ---- scalars ---- */

/* Words that a reader of YAML would take for something else than text. */
static bool yaml_is_word(struct cv_str s)
{
	static const char *const reserved[] = { "true", "false", "null", "yes", "no", "on", "off",
		"y", "n", "nan", "inf" };

	if (!s.n || !((s.p[0] >= 'a' && s.p[0] <= 'z') || (s.p[0] >= 'A' && s.p[0] <= 'Z') ||
			    s.p[0] == '/' || s.p[0] == '_'))
		return false;
	for (size_t i = 0; i < s.n; i++) {
		const char c = s.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			    strchr("_-./", c)))
			return false;
	}
	for (size_t i = 0; i < CV_ARRAY_LEN(reserved); i++)
		if (cv_str_eq_nocase(s, cv_str_of(reserved[i])))
			return false;
	return true;
}

/* The code unit of an escape "\\uXXXX" at the front; 0: there is none. */
static uint32_t unit_at(struct cv_str s)
{
	uint32_t unit = 0;

	if (s.n < 6 || s.p[0] != '\\' || s.p[1] != 'u')
		return 0;
	for (size_t i = 2; i < 6; i++)
		unit = unit << 4 | (uint32_t)cv_hex_digit(s.p[i]);
	return unit;
}

/* JSON escapes what hides in text as two halves, which are no characters to readers of YAML. */
static void yaml_quote(struct cl_out *o, struct cv_str s)
{
	struct cv_buf json;

	cv_buf_init(&json, CL_OUT_BYTES_MAX);
	cv_buf_put_json_str(&json, s);
	o->b.is_overflown |= json.is_overflown;
	for (struct cv_str rest = cv_buf_str(&json); rest.n;) {
		const uint32_t high = unit_at(rest), low = unit_at(cv_str_slice(rest, 6, rest.n));
		size_t n = rest.p[0] == '\\' ? 2 : 1;

		if (high >> 10 == 0xd800 >> 10 && low >> 10 == 0xdc00 >> 10) {
			cv_buf_printf(&o->b, "\\U%08" PRIx32,
				0x10000 + ((high & 0x3ff) << 10 | (low & 0x3ff)));
			n = 12;
		} else {
			cv_buf_put(&o->b, cv_str_slice(rest, 0, n));
		}
		rest = cv_str_slice(rest, n, rest.n);
	}
	cv_buf_fini(&json);
}

static void text_put(struct cl_out *o, struct cv_str s)
{
	if (o->form == CL_FORM_JSON)
		cv_buf_put_json_str(&o->b, s);
	else if (yaml_is_word(s))
		cv_buf_put(&o->b, s);
	else
		yaml_quote(o, s);
}

static void line_begin(struct cl_out *o, int indent)
{
	if (cv_buf_len(&o->b))
		cv_buf_put_byte(&o->b, '\n');
	for (int i = 0; i < indent; i++)
		cv_buf_put_byte(&o->b, ' ');
}

/* Everything that stands before a value: comma, line, key or dash. */
static void member_begin(struct cl_out *o, struct cv_str key, bool is_container)
{
	if (!o->depth)
		return;
	struct cl_out_frame *f = &o->frame[o->depth - 1];

	if (o->form == CL_FORM_JSON) {
		if (f->count)
			cv_buf_put_byte(&o->b, ',');
		line_begin(o, f->indent);
	} else if (!(f->is_inline && f->count == 0)) {
		line_begin(o, f->indent);
	}
	f->count++;
	if (f->is_array) {
		if (o->form == CL_FORM_YAML)
			cv_buf_put(&o->b, CV_STR("- "));
		return;
	}
	text_put(o, key);
	cv_buf_put(&o->b, o->form == CL_FORM_YAML && is_container ? CV_STR(":") : CV_STR(": "));
}

static void container_begin(struct cl_out *o, struct cv_str key, bool is_array)
{
	const struct cl_out_frame *above = o->depth ? &o->frame[o->depth - 1] : NULL;
	int indent = above ? above->indent + 2 : 0;

	cv_assert(o->depth < CL_OUT_DEPTH_MAX);
	member_begin(o, key, true);
	if (o->form == CL_FORM_JSON) {
		indent = above ? above->indent + 2 : 2;
		cv_buf_put_byte(&o->b, is_array ? '[' : '{');
	} else if (above && is_array && !above->is_array) {
		indent = above->indent; /* dashes stand under the key */
	}
	o->frame[o->depth++] = (struct cl_out_frame){
		.is_array = is_array, .is_inline = above && above->is_array, .indent = indent
	};
}

void cl_out_object(struct cl_out *o, const char *key)
{
	container_begin(o, cv_str_of(key), false);
}

void cl_out_array(struct cl_out *o, const char *key)
{
	container_begin(o, cv_str_of(key), true);
}

void cl_out_end(struct cl_out *o)
{
	cv_assert(o->depth > 0);
	const struct cl_out_frame f = o->frame[--o->depth];

	if (o->form == CL_FORM_JSON) {
		if (f.count)
			line_begin(o, f.indent - 2);
		cv_buf_put_byte(&o->b, f.is_array ? ']' : '}');
	} else if (!f.count) {
		if (o->depth && !f.is_inline)
			cv_buf_put_byte(&o->b, ' ');
		cv_buf_put(&o->b, f.is_array ? CV_STR("[]") : CV_STR("{}"));
	}
	if (!o->depth)
		cv_buf_put_byte(&o->b, '\n');
}

void cl_out_bytes(struct cl_out *o, const char *key, struct cv_str value)
{
	member_begin(o, cv_str_of(key), false);
	text_put(o, value);
}

static void raw_put(struct cl_out *o, struct cv_str key, struct cv_str value)
{
	member_begin(o, key, false);
	cv_buf_put(&o->b, value);
}

void cl_out_str(struct cl_out *o, const char *key, const char *value)
{
	if (value)
		cl_out_bytes(o, key, cv_str_of(value));
	else
		raw_put(o, cv_str_of(key), CV_STR("null"));
}

void cl_out_int(struct cl_out *o, const char *key, int64_t value)
{
	member_begin(o, cv_str_of(key), false);
	cv_buf_printf(&o->b, "%" PRId64, value);
}

void cl_out_u64(struct cl_out *o, const char *key, uint64_t value)
{
	member_begin(o, cv_str_of(key), false);
	cv_buf_put_u64(&o->b, value);
}

void cl_out_bool(struct cl_out *o, const char *key, bool value)
{
	raw_put(o, cv_str_of(key), value ? CV_STR("true") : CV_STR("false"));
}

static void value_put(struct cl_out *o, struct cv_str key, const struct cv_value *v)
{
	switch (v->type) {
	case CV_VALUE_NULL: raw_put(o, key, CV_STR("null")); return;
	case CV_VALUE_FALSE: raw_put(o, key, CV_STR("false")); return;
	case CV_VALUE_TRUE: raw_put(o, key, CV_STR("true")); return;
	case CV_VALUE_NUMBER: raw_put(o, key, v->s); return;
	case CV_VALUE_STRING:
		member_begin(o, key, false);
		text_put(o, v->s);
		return;
	case CV_VALUE_ARRAY:
	case CV_VALUE_OBJECT: break;
	case CV_VALUE_TYPE_COUNT: cv_unreachable();
	}
	container_begin(o, key, v->type == CV_VALUE_ARRAY);
	for (uint32_t i = 0; i < v->n; i++)
		value_put(o, v->type == CV_VALUE_ARRAY ? CV_STR_NONE : v->key[i], &v->v[i]);
	cl_out_end(o);
}

void cl_out_value(struct cl_out *o, const char *key, const struct cv_value *v)
{
	value_put(o, cv_str_of(key), v);
}

/* ---- tables ---- */

void cl_table_init(struct cl_table *t, size_t columns)
{
	cv_assert(columns <= CL_TABLE_COLUMNS_MAX);
	*t = (struct cl_table){ .columns = columns };
	cv_buf_init(&t->cells, CL_OUT_BYTES_MAX);
}

void cl_table_fini(struct cl_table *t)
{
	cv_buf_fini(&t->cells);
}

static size_t columns_of(struct cv_str s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; n++) {
		const size_t step = cv_utf8_step(cv_str_slice(s, i, s.n));
		i += step ? step : 1;
	}
	return n;
}

void cl_table_cell(struct cl_table *t, struct cv_str text)
{
	const size_t from = cv_buf_len(&t->cells), at = t->cells_put % t->columns;

	(void)cv_shown_put_line(&t->cells, text, 0);
	const struct cv_str all = cv_buf_str(&t->cells);
	const size_t n = columns_of(cv_str_slice(all, from, all.n));
	t->width[at] = CV_MAX(t->width[at], n);
	cv_buf_put_byte(&t->cells, '\0');
	t->cells_put++;
}

void cl_table_put(const struct cl_table *t, struct cv_buf *out)
{
	struct cv_str rest = cv_buf_str(&t->cells);

	for (size_t i = 0; i < t->cells_put; i++) {
		const struct cv_str cell = cv_str_cut(&rest, '\0');
		const size_t at = i % t->columns;

		cv_buf_put(out, cell);
		if (at + 1 == t->columns) {
			cv_buf_put_byte(out, '\n');
			continue;
		}
		for (size_t n = columns_of(cell); n < t->width[at] + 2; n++)
			cv_buf_put_byte(out, ' ');
	}
}
