/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: whatever an event holds, its JSON is one line of valid JSON and its one-line form is one
 * line of visible text whose fields cannot be forged (C11); a full buffer is never a half record
 * that counts as written.
 * Method: 20 000 events of random shape whose strings are biased towards what breaks log formats,
 * from a fixed seed; a strict JSON reader written here.
 */
#include "unit/test.h"

#include "audit/event.h"
#include "audit/summary.h"
#include "base/utf8.h"

static uint64_t rng = 88172645463325252ULL;

static unsigned rnd(unsigned n) /* xorshift64 */
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (unsigned)(rng % n);
}

static struct cv_str rnd_str(char *room, size_t max)
{
	static const char *const piece[] = { "\n", "\r\n", "\"", "\\", "]", "[", " ", " OCSF ",
		"\x1b[31m", "\xff", "\xc2\x85", "\xe2\x80\xa8", "\xe2\x80\xae", "\xf0\x9f\x98\x80",
		"\xed\xa0\x80", "a", "/x", "{\"k\":1}", "\t", "\x7f", "%0a", "\xc3" };
	size_t n = 0;

	for (unsigned left = rnd(12); left; left--) {
		const struct cv_str p = cv_str_of(piece[rnd(CV_ARRAY_LEN(piece))]);

		if (rnd(9) == 0 && n < max)
			room[n++] = '\0';
		if (n + p.n > max)
			break;
		memcpy(room + n, p.p, p.n);
		n += p.n;
	}
	return (struct cv_str){ room, n };
}

/* A strict reader of JSON (RFC 8259): position behind the value at *p, or NULL. */
static const char *read_value(const char *p, const char *end, int depth);

static const char *read_string(const char *p, const char *end)
{
	if (p == end || *p++ != '"')
		return NULL;
	while (p < end && *p != '"') {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return NULL;
		if (*p++ != '\\')
			continue;
		if (p == end || !memchr("\"\\/bfnrtu", *p, 9))
			return NULL;
		if (*p++ == 'u') {
			for (int i = 0; i < 4; i++, p++)
				if (p == end || !memchr("0123456789abcdef", *p, 16))
					return NULL;
		}
	}
	return p < end ? p + 1 : NULL;
}

static const char *read_list(const char *p, const char *end, char close, int depth)
{
	if (p < end && *p == close)
		return p + 1;
	for (;;) {
		if (close == '}') {
			p = read_string(p, end);
			if (!p || p == end || *p++ != ':')
				return NULL;
		}
		p = read_value(p, end, depth + 1);
		if (!p || p == end)
			return NULL;
		if (*p == close)
			return p + 1;
		if (*p++ != ',')
			return NULL;
	}
}

static const char *read_value(const char *p, const char *end, int depth)
{
	if (p == end || depth > 8)
		return NULL;
	if (*p == '{' || *p == '[')
		return read_list(p + 1, end, *p == '{' ? '}' : ']', depth);
	if (*p == '"')
		return read_string(p, end);
	const char *start = p;
	if (*p == '-')
		p++;
	while (p < end && *p >= '0' && *p <= '9')
		p++;
	return p > start ? p : NULL;
}

static bool is_one_visible_line(struct cv_str s)
{
	for (size_t i = 0, n; i < s.n; i += n) {
		uint32_t cp;

		n = cv_utf8_decode(cv_str_slice(s, i, s.n), &cp);
		if (!n || cv_utf8_is_hidden(cp))
			return false;
	}
	return true;
}

struct rooms {
	char text[12][64];
	struct cv_str ancestor[2];
	struct cv_audit_pair pair[2];
	struct cv_ip ip;
};

static struct cv_audit_event rnd_event(struct rooms *r)
{
	struct cv_audit_event e = {
		.kind = rnd(CV_AUDIT_KIND_COUNT),
		.activity = rnd(CV_AUDIT_ACTIVITY_COUNT),
		.severity = rnd(CV_AUDIT_SEVERITY_COUNT),
		.action = rnd(CV_AUDIT_ACTION_COUNT),
		.time_ms = (int64_t)rng,
		.seq = rnd(3),
		.pid = (int64_t)rnd(3) - 1,
		.port = (uint16_t)rnd(65536),
		.status = (uint16_t)rnd(600),
		.has_query = rnd(2),
		.rule_line = rnd(2),
		.engine = rnd(2) ? "opa" : NULL,
		.reason_code = rnd(2) ? "code" : NULL,
		.has_counts = rnd(2),
		.bytes_up = rng,
		.duration_us = rng,
		.has_exit_code = rnd(2),
	};
	struct cv_str *const strings[] = { &e.sandbox, &e.exe, &e.host, &e.sni, &e.protocol,
		&e.method, &e.path, &e.qtype, &e.policy, &e.reason, &e.nearest_miss, &e.message };

	for (size_t i = 0; i < CV_ARRAY_LEN(strings); i++)
		*strings[i] = rnd_str(r->text[i], sizeof(r->text[i]));
	for (size_t i = 0; i < 2; i++) {
		r->ancestor[i] = *strings[rnd(CV_ARRAY_LEN(strings))];
		r->pair[i] = (struct cv_audit_pair){ i ? "k" : "l", e.reason };
	}
	for (size_t i = 0; i < sizeof(r->ip.b); i++)
		r->ip.b[i] = (uint8_t)(rng >> (i * 4));
	r->ip.is_v4 = false;
	e.ancestors = r->ancestor;
	e.ancestor_count = rnd(3);
	e.extra = r->pair;
	e.extra_count = rnd(3);
	e.dst_ip = rnd(2) ? &r->ip : NULL;
	e.finding_uid = e.policy;
	return e;
}

static void c11_any_event_is_one_line(void **state)
{
	struct cv_buf out;
	struct rooms r;

	(void)state;
	cv_buf_init(&out, CV_AUDIT_LINE_BYTES_MAX);
	for (int i = 0; i < 20000; i++) {
		const struct cv_audit_event e = rnd_event(&r);

		cv_buf_reset(&out);
		assert_true(cv_audit_json(&e, CV_STR_NONE, &out));
		const struct cv_str s = cv_buf_str(&out);
		if (!is_one_visible_line(s) || read_value(s.p, s.p + s.n, 0) != s.p + s.n)
			fail_msg("not one line of JSON: %.*s", CV_STR_ARG(s));

		cv_buf_reset(&out);
		assert_true(cv_audit_line(&e, &out));
		const struct cv_str line = cv_buf_str(&out);
		if (!is_one_visible_line(line))
			fail_msg("not one visible line: %.*s", CV_STR_ARG(line));
	}
	cv_buf_fini(&out);
}

static void c11_a_full_buffer_is_told(void **state)
{
	struct rooms r;

	(void)state;
	for (int i = 0; i < 200; i++) {
		const struct cv_audit_event e = rnd_event(&r);
		struct cv_buf whole, small;

		cv_buf_init(&whole, CV_AUDIT_LINE_BYTES_MAX);
		assert_true(cv_audit_json(&e, CV_STR_NONE, &whole));
		for (size_t max = 0; max < cv_buf_len(&whole); max += 7) {
			cv_buf_init(&small, max);
			assert_false(cv_audit_json(&e, CV_STR_NONE, &small));
			cv_buf_fini(&small);
		}
		cv_buf_fini(&whole);
	}
}

static void long_reasons_are_cut_in_one_form_only(void **state)
{
	char reason[1000];
	struct cv_audit_event e = { .kind = CV_AUDIT_NET,
		.activity = CV_ACTIVITY_OPEN,
		.action = CV_AUDIT_ACTION_DENY,
		.host = CV_STR("a.test"),
		.reason = { reason, sizeof(reason) } };
	struct cv_buf out;

	(void)state;
	memset(reason, 'x', sizeof(reason));
	memcpy(reason + 255, "\xc3\xbc", 2); /* across the cut */
	cv_buf_init(&out, CV_AUDIT_LINE_BYTES_MAX);
	assert_true(cv_audit_short(&e, &out));
	assert_true(cv_str_has_suffix(cv_buf_str(&out), CV_STR("xxx...]")));
	assert_false(cv_str_has_byte(cv_buf_str(&out), '\\')); /* no half of a character */
	assert_true(cv_buf_len(&out) < 340);
	cv_buf_reset(&out);
	assert_true(cv_audit_json(&e, CV_STR_NONE, &out));
	assert_true(cv_buf_len(&out) > 1000);
	cv_buf_fini(&out);
}

static void p10_summary_is_bounded(void **state)
{
	struct rooms r;
	struct cv_summary s;
	struct cv_buf out;
	char path[8192];

	(void)state;
	cv_summary_init(&s);
	for (int i = 0; i < 5000; i++) {
		struct cv_audit_event e = rnd_event(&r);

		cv_summary_add(&s, &e);
	}
	assert_int_equal(s.denial_count, CV_SUMMARY_DENIALS_MAX);
	assert_true(s.overflow_count > 0);
	cv_buf_init(&out, 1 << 20);
	assert_true(cv_summary_text(&s, &out));
	for (struct cv_str rest = cv_buf_str(&out); rest.p;)
		assert_true(is_one_visible_line(cv_str_cut(&rest, '\n')));
	cv_summary_fini(&s);

	/* the longest texts all fit, and a cut one is known as such */
	cv_summary_init(&s);
	memset(path, '/', sizeof(path));
	for (unsigned i = 0; i < CV_SUMMARY_DENIALS_MAX; i++) {
		const struct cv_str big = { path, sizeof(path) };
		const struct cv_audit_event e = { .kind = CV_AUDIT_HTTP,
			.action = CV_AUDIT_ACTION_DENY,
			.port = (uint16_t)(i + 1),
			.host = big,
			.method = big,
			.path = big,
			.exe = big,
			.reason = big };

		cv_summary_add(&s, &e);
		assert_true(s.denial[i].is_cut);
	}
	assert_int_equal(s.denial_count, CV_SUMMARY_DENIALS_MAX);
	assert_int_equal(s.overflow_count, 0);
	cv_summary_fini(&s);
	cv_buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(c11_any_event_is_one_line),
		cmocka_unit_test(c11_a_full_buffer_is_told),
		cmocka_unit_test(long_reasons_are_cut_in_one_form_only),
		cmocka_unit_test(p10_summary_is_bounded),
	};

	return cmocka_run_group_tests_name("audit/property", tests, NULL, NULL);
}
