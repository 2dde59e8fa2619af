/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_span.c - spans as bytes, read back by the generated code; what strangers said is bounded
 */
#include "unit/test.h"

#include "gateway/span.c"

static Cove__Otlp__ExportRequest *read_back(const struct cv_buf *spans)
{
	struct cv_buf b;

	cv_buf_init(&b, 1u << 20);
	assert_true(cv_span_request(&b, CV_STR("gateway-1"), cv_buf_str(spans)));
	const struct cv_str s = cv_buf_str(&b);
	Cove__Otlp__ExportRequest *m =
		cove__otlp__export_request__unpack(NULL, s.n, (const uint8_t *)s.p);
	cv_buf_fini(&b);
	assert_non_null(m);
	assert_int_equal(m->n_resource_spans, 1);
	assert_int_equal(m->resource_spans[0]->n_scope_spans, 1);
	return m;
}

static struct cv_span a_span(void)
{
	struct cv_span s = { .name = "x", .kind = CV_SPAN_SERVER, .begin_ns = 5, .end_ns = 7 };

	memset(s.self.trace, 0xab, sizeof(s.self.trace));
	memset(s.self.span, 0xcd, sizeof(s.self.span));
	s.self.is_sampled = true;
	return s;
}

static void what_is_put_is_read(void **state)
{
	static const uint8_t parent[CV_SPAN_ID_BYTES] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	struct cv_span s = a_span();
	struct cv_buf b;

	(void)state;
	cv_buf_init(&b, 1u << 16);
	s.parent = parent;
	s.failure = "INTERNAL";
	cv_span_text(&s, "who", CV_STR("me"));
	cv_span_number(&s, "n", -3);
	cv_span_text(&s, "nothing", CV_STR_NONE);
	assert_true(cv_span_put(&b, &s));
	s = a_span();
	assert_true(cv_span_put(&b, &s));

	Cove__Otlp__ExportRequest *m = read_back(&b);
	const Cove__Otlp__ResourceSpans *r = m->resource_spans[0];
	const Cove__Otlp__ScopeSpans *of = r->scope_spans[0];

	assert_string_equal(r->resource->attributes[0]->value->string_value, "cove-gateway");
	assert_string_equal(r->resource->attributes[2]->value->string_value, "gateway-1");
	assert_string_equal(of->scope->name, "cove");
	assert_int_equal(of->n_spans, 2);
	const Cove__Otlp__Span *got = of->spans[0];
	assert_int_equal(got->trace_id.len, CV_TRACE_ID_BYTES);
	assert_int_equal(got->span_id.data[0], 0xcd);
	assert_memory_equal(got->parent_span_id.data, parent, sizeof(parent));
	assert_int_equal(got->start_time_unix_nano, 5);
	assert_int_equal(got->end_time_unix_nano, 7);
	assert_int_equal(got->kind, COVE__OTLP__SPAN__KIND__SERVER);
	assert_int_equal(got->status->code, COVE__OTLP__STATUS__CODE__ERROR);
	assert_string_equal(got->status->message, "INTERNAL");
	assert_int_equal(got->flags, 1);
	assert_int_equal(got->n_attributes, 3);
	assert_string_equal(got->attributes[0]->key, "who");
	assert_string_equal(got->attributes[0]->value->string_value, "me");
	assert_int_equal(got->attributes[1]->value->int_value, -3);
	assert_string_equal(got->attributes[2]->value->string_value, "");
	assert_int_equal(of->spans[1]->parent_span_id.len, 0);
	assert_null(of->spans[1]->status);
	cove__otlp__export_request__free_unpacked(m, NULL);
	cv_buf_fini(&b);
}

static void t_values_are_bounded_and_escaped(void **state)
{
	static const struct {
		const char *in;
		size_t n;
		const char *want;
	} row[] = {
		{ "a\nb", 3, "a\\u{a}b" },
		{ "a\0b", 3, "a\\u{0}b" },
		{ "\xff", 1, "\\x{ff}" },
		{ "\xe2\x80\xae", 3, "\\u{202e}" }, /* turns what follows around */
		{ "\xc3\xa4", 2, "\xc3\xa4" },
	};
	struct text t;
	char many[300];

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++)
		assert_string_equal(clean((struct cv_str){ row[i].in, row[i].n }, &t), row[i].want);
	memset(many, 'a', sizeof(many));
	assert_int_equal(
		strlen(clean((struct cv_str){ many, sizeof(many) }, &t)), CV_SPAN_VALUE_BYTES_MAX);
	memset(many, '\1', sizeof(many));
	assert_true(strlen(clean((struct cv_str){ many, sizeof(many) }, &t)) <=
		    CV_SPAN_VALUE_BYTES_MAX + ESCAPE_BYTES);
	for (size_t i = 0; i + 1 < sizeof(many); i += 2) /* the last one does not fit as a whole */
		memcpy(many + i, "\xc3\xa4", 2);
	assert_true(cv_utf8_is_valid(cv_str_of(clean((struct cv_str){ many + 1, 299 }, &t))));
}

static void more_attributes_than_there_is_room(void **state)
{
	struct cv_span s = a_span();
	struct cv_buf b;
	char value[200];

	(void)state;
	memset(value, 1, sizeof(value));
	for (int i = 0; i < 2 * CV_SPAN_ATTRS_MAX; i++)
		cv_span_text(&s, "key", (struct cv_str){ value, sizeof(value) });
	assert_int_equal(s.attr_count, CV_SPAN_ATTRS_MAX);
	cv_buf_init(&b, 1u << 16);
	assert_true(cv_span_put(&b, &s));
	assert_true(cv_buf_len(&b) <= CV_SPAN_BYTES_MAX);
	cv_buf_fini(&b);
	cv_buf_init(&b, 100);
	assert_false(cv_span_put(&b, &s));
	assert_int_equal(cv_buf_len(&b), 0);
	cv_buf_fini(&b);
}

static void without_spans(void **state)
{
	struct cv_buf b;

	(void)state;
	cv_buf_init(&b, 16);
	Cove__Otlp__ExportRequest *m = read_back(&b);
	assert_int_equal(m->resource_spans[0]->scope_spans[0]->n_spans, 0);
	cove__otlp__export_request__free_unpacked(m, NULL);
	cv_buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_put_is_read),
		cmocka_unit_test(t_values_are_bounded_and_escaped),
		cmocka_unit_test(more_attributes_than_there_is_room),
		cmocka_unit_test(without_spans),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
