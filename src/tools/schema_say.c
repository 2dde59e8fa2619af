/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schema_say.c - what is wrong, where, in a sentence
 *
 * Everything a value holds may be in a message, so what is quoted is cut and escaped, and a message
 * has a maximum.  The same thing said twice of one place (by two branches of allOf) is kept once.
 */
#include "tools/schema_int.h"

#include <stdarg.h>
#include <stdio.h>

/* s, or what fits of it without cutting a character. */
static struct cv_str cut(struct cv_str s, size_t max)
{
	if (s.n <= max)
		return s;
	while (max && ((unsigned char)s.p[max] & 0xc0) == 0x80)
		max--;
	return cv_str_slice(s, 0, max);
}

static void quote_str(struct cv_buf *b, struct cv_str s)
{
	const struct cv_str shown = cut(s, CV_SCHEMA_QUOTE_BYTES_MAX);

	cv_buf_put_byte(b, '"');
	cv_buf_put_json(b, shown);
	cv_buf_put(b, shown.n < s.n ? CV_STR("...\"") : CV_STR("\""));
}

void schema_quote(struct cv_buf *b, const struct cv_value *v)
{
	switch (v->type) {
	case CV_VALUE_NULL: cv_buf_put(b, CV_STR("null")); break;
	case CV_VALUE_FALSE: cv_buf_put(b, CV_STR("false")); break;
	case CV_VALUE_TRUE: cv_buf_put(b, CV_STR("true")); break;
	case CV_VALUE_STRING: quote_str(b, v->s); break;
	case CV_VALUE_NUMBER:
		cv_buf_put(b, cut(v->s, CV_SCHEMA_QUOTE_BYTES_MAX));
		if (v->s.n > CV_SCHEMA_QUOTE_BYTES_MAX)
			cv_buf_put(b, CV_STR("..."));
		break;
	case CV_VALUE_ARRAY: cv_buf_put(b, CV_STR("an array")); break;
	case CV_VALUE_OBJECT: cv_buf_put(b, CV_STR("an object")); break;
	case CV_VALUE_TYPE_COUNT: break;
	}
}

const char *schema_quoted(struct schema_quoted *q, const struct cv_value *v)
{
	struct cv_buf b;

	cv_buf_init(&b, sizeof(q->z) - 1);
	schema_quote(&b, v);
	if (b.is_overflown || !cv_str_to_cstr(cv_buf_str(&b), q->z, sizeof(q->z)))
		snprintf(q->z, sizeof(q->z), "it");
	cv_buf_fini(&b);
	return q->z;
}

const char *schema_quoted_str(struct schema_quoted *q, struct cv_str s)
{
	return schema_quoted(q, &(struct cv_value){ .type = CV_VALUE_STRING, .s = s });
}

static void step_put(struct cv_buf *b, const struct place *at)
{
	cv_buf_put_byte(b, '/');
	if (at->is_index)
		cv_buf_put_u64(b, at->index);
	for (size_t i = 0; !at->is_index && i < at->key.n; i++) {
		const char c = at->key.p[i];

		if (c == '~' || c == '/')
			cv_buf_put(b, c == '~' ? CV_STR("~0") : CV_STR("~1"));
		else
			cv_buf_put_byte(b, c);
	}
}

/* From the top, as far as it fits. */
static void pointer_put(struct cv_buf *b, const struct place *at)
{
	size_t len;

	if (!at->up)
		return;
	pointer_put(b, at->up);
	len = cv_buf_len(b);
	step_put(b, at);
	if (b->is_overflown) { /* sticky: what is above stays */
		b->end = b->start + len;
	}
}

bool schema_errors_has_room(struct cv_schema_errors *e)
{
	if (e && e->n == CV_SCHEMA_ERRORS_MAX)
		e->is_cut = true;
	return e && e->n < CV_SCHEMA_ERRORS_MAX;
}

static bool is_said(const struct cv_schema_errors *e, struct cv_str pointer, struct cv_str message)
{
	for (size_t i = 0; i < e->n; i++)
		if (cv_str_eq(e->e[i].pointer, pointer) && cv_str_eq(e->e[i].message, message))
			return true;
	return false;
}

bool schema_say(struct cv_schema_errors *e, const struct place *at, struct cv_str nearest,
	const char *fmt, ...)
{
	char text[CV_SCHEMA_MESSAGE_BYTES_MAX + 8]; /* so that a cut one is seen */
	struct cv_buf pointer;
	va_list ap;
	size_t n = 0;

	if (!schema_errors_has_room(e))
		return false;
	if (at->is_name)
		n = (size_t)snprintf(text, sizeof(text), "its name ");
	va_start(ap, fmt);
	vsnprintf(text + n, sizeof(text) - n, fmt, ap);
	va_end(ap);
	const struct cv_str said = cv_str_of(text);
	const struct cv_str message = cut(said, CV_SCHEMA_MESSAGE_BYTES_MAX);
	cv_buf_init(&pointer, CV_SCHEMA_POINTER_BYTES_MAX);
	pointer_put(&pointer, at);
	if (!is_said(e, cv_buf_str(&pointer), message)) {
		struct cv_schema_error *error = &e->e[e->n];

		error->pointer = cv_arena_str(e->arena, cv_buf_str(&pointer));
		error->message = cv_arena_str(e->arena, message);
		error->nearest = nearest;
		error->at = at->v;
		if (e->arena->is_overflown)
			e->is_cut = true;
		else
			e->n++;
	}
	cv_buf_fini(&pointer);
	return false;
}
