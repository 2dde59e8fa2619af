/* SPDX-License-Identifier: Apache-2.0 */
/*
 * span.c - see span.h
 *
 * Spans are packed by the generated code.  The two messages around them are written here, since their
 * contents are packed already: a length is known, and a copy of all spans is not made.
 */
#include "gateway/span.h"

#include "base/assert.h"
#include "base/utf8.h"

#include "otlp.pb-c.h"

#include <stdio.h>

#define TAG_BYTES_MAX   16 /* a tag and a length */
#define HEAD_BYTES_MAX  1024
#define ESCAPE_BYTES    10                   /* \u{10ffff} */
#define TAG_LEN(number) ((number) << 3 | 2u) /* length-delimited */

static void attr_put(struct cv_span *s, const struct cv_span_attr *a)
{
	if (s->attr_count < CV_SPAN_ATTRS_MAX)
		s->attr[s->attr_count++] = *a;
}

void cv_span_text(struct cv_span *s, const char *key, struct cv_str value)
{
	const struct cv_span_attr a = { .key = key, .text = value.p ? value : CV_STR("") };

	attr_put(s, &a);
}

void cv_span_number(struct cv_span *s, const char *key, int64_t value)
{
	const struct cv_span_attr a = { .key = key, .number = value };

	attr_put(s, &a);
}

/* ---- values ---- */

struct text {
	char bytes[CV_SPAN_VALUE_BYTES_MAX + ESCAPE_BYTES + 1];
};

static char *clean(struct cv_str s, struct text *to)
{
	size_t n = 0;

	while (s.n && n < CV_SPAN_VALUE_BYTES_MAX) {
		uint32_t cp = 0;
		const size_t step = cv_utf8_decode(s, &cp);
		const bool is_plain = step && !cv_utf8_is_hidden(cp);

		if (is_plain && n + step > CV_SPAN_VALUE_BYTES_MAX)
			break;
		if (is_plain)
			memcpy(to->bytes + n, s.p, step), n += step;
		else
			n += (size_t)snprintf(to->bytes + n, ESCAPE_BYTES + 1,
				step ? "\\u{%x}" : "\\x{%02x}",
				step ? (unsigned)cp : (unsigned)(unsigned char)s.p[0]);
		s = cv_str_slice(s, step ? step : 1, s.n);
	}
	to->bytes[n] = '\0';
	return to->bytes;
}

struct attrs {
	Cove__Otlp__KeyValue pair[CV_SPAN_ATTRS_MAX], *list[CV_SPAN_ATTRS_MAX];
	Cove__Otlp__AnyValue value[CV_SPAN_ATTRS_MAX];
	struct text text[CV_SPAN_ATTRS_MAX];
};

static void attrs_fill(struct attrs *to, const struct cv_span_attr *from, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		Cove__Otlp__AnyValue *v = &to->value[i];

		cove__otlp__key_value__init(&to->pair[i]);
		cove__otlp__any_value__init(v);
		to->list[i] = &to->pair[i];
		to->pair[i].key = (char *)(uintptr_t)from[i].key;
		to->pair[i].value = v;
		v->value_case = from[i].text.p ? COVE__OTLP__ANY_VALUE__VALUE_STRING_VALUE
					       : COVE__OTLP__ANY_VALUE__VALUE_INT_VALUE;
		if (from[i].text.p)
			v->string_value = clean(from[i].text, &to->text[i]);
		else
			v->int_value = from[i].number;
	}
}

/* ---- bytes ---- */

static void varint_put(struct cv_buf *b, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		cv_buf_put_byte(b, (char)(v | 0x80));
	cv_buf_put_byte(b, (char)v);
}

static size_t varint_bytes(uint64_t v)
{
	size_t n = 1;

	for (; v >= 0x80; v >>= 7)
		n++;
	return n;
}

static bool message_put(struct cv_buf *b, const ProtobufCMessage *m)
{
	const size_t n = protobuf_c_message_get_packed_size(m);
	char *to = cv_buf_reserve(b, n);

	if (!to)
		return false;
	(void)protobuf_c_message_pack(m, (uint8_t *)to);
	cv_buf_commit(b, n);
	return true;
}

static ProtobufCBinaryData id_of(const uint8_t *bytes, size_t n)
{
	return (ProtobufCBinaryData){ n, (uint8_t *)(uintptr_t)bytes };
}

bool cv_span_put(struct cv_buf *b, const struct cv_span *s)
{
	struct attrs attrs;
	Cove__Otlp__Span m;
	Cove__Otlp__Status status;

	cove__otlp__span__init(&m);
	cove__otlp__status__init(&status);
	attrs_fill(&attrs, s->attr, s->attr_count);
	m.trace_id = id_of(s->self.trace, sizeof(s->self.trace));
	m.span_id = id_of(s->self.span, sizeof(s->self.span));
	if (s->parent)
		m.parent_span_id = id_of(s->parent, CV_SPAN_ID_BYTES);
	m.name = (char *)(uintptr_t)s->name;
	m.kind = (Cove__Otlp__Span__Kind)s->kind;
	m.start_time_unix_nano = (uint64_t)s->begin_ns;
	m.end_time_unix_nano = (uint64_t)s->end_ns;
	m.n_attributes = s->attr_count;
	m.attributes = attrs.list;
	m.flags = s->self.is_sampled;
	if (s->failure) {
		status.code = COVE__OTLP__STATUS__CODE__ERROR;
		status.message = (char *)(uintptr_t)s->failure;
		m.status = &status;
	}
	const size_t n = protobuf_c_message_get_packed_size(&m.base);
	if (n > CV_SPAN_BYTES_MAX || !cv_buf_reserve(b, n + TAG_BYTES_MAX))
		return false;
	varint_put(b, TAG_LEN(2u)); /* ScopeSpans.spans */
	varint_put(b, n);
	return message_put(b, &m.base);
}

/* ScopeSpans up to its spans, and the Resource beside it. */
static bool heads_put(struct cv_buf *resource, struct cv_buf *scope, struct cv_str service_id)
{
	const struct cv_span_attr of_us[] = {
		{ .key = "service.name", .text = CV_STR("cove-gateway") },
		{ .key = "service.version", .text = CV_STR(CV_VERSION) },
		{ .key = "service.instance.id", .text = service_id },
	};
	struct attrs attrs;
	Cove__Otlp__Resource r;
	Cove__Otlp__Scope s;
	Cove__Otlp__ScopeSpans spans;
	Cove__Otlp__ResourceSpans outer;

	cove__otlp__resource__init(&r);
	cove__otlp__scope__init(&s);
	cove__otlp__scope_spans__init(&spans);
	cove__otlp__resource_spans__init(&outer);
	attrs_fill(&attrs, of_us, CV_ARRAY_LEN(of_us));
	r.n_attributes = CV_ARRAY_LEN(of_us);
	r.attributes = attrs.list;
	outer.resource = &r;
	s.name = (char *)(uintptr_t) "cove";
	s.version = (char *)(uintptr_t)CV_VERSION;
	spans.scope = &s;
	return message_put(resource, &outer.base) && message_put(scope, &spans.base);
}

bool cv_span_request(struct cv_buf *b, struct cv_str service_id, struct cv_str spans)
{
	struct cv_buf resource, scope;

	cv_buf_init(&resource, HEAD_BYTES_MAX);
	cv_buf_init(&scope, HEAD_BYTES_MAX);
	bool is_put = heads_put(&resource, &scope, service_id);
	const size_t inner = cv_buf_len(&scope) + spans.n;

	varint_put(b, TAG_LEN(1u)); /* ExportRequest.resource_spans */
	varint_put(
		b, cv_buf_len(&resource) + varint_bytes(TAG_LEN(2u)) + varint_bytes(inner) + inner);
	cv_buf_put(b, cv_buf_str(&resource));
	varint_put(b, TAG_LEN(2u)); /* ResourceSpans.scope_spans */
	varint_put(b, inner);
	cv_buf_put(b, cv_buf_str(&scope));
	is_put = cv_buf_put(b, spans) && is_put && !b->is_overflown;
	cv_buf_fini(&resource);
	cv_buf_fini(&scope);
	return is_put;
}
