/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: a released value doesn't come back in any documented encoding, however the stream is cut;
 * nothing else changes; lengths stay; time is linear (C2, C3).
 * Method: values are encoded here, put between neighbours, and fed whole, in two pieces at every
 * cut, and byte by byte; moves of the automata are counted, not timed.
 */
#include "unit/test.h"

#include "base/base64.h"
#include "base/hex.h"
#include "cred/scrub.c"

#include <stdio.h>

#define TOKEN "ghp_16C7e42F/92c+91\"2E7\\10c83847Ae=78B4a"

static struct cv_scrub *scrub_of(const struct cv_str *values, size_t count)
{
	struct cv_scrub_set *set;

	assert_int_equal(cv_scrub_set_new(values, count, NULL, &set, NULL), CV_OK);
	struct cv_scrub *s = cv_scrub_new(set);

	assert_non_null(s);
	cv_scrub_set_unref(set);
	return s;
}

/* Feeds in three ways that must agree; the result is in out. */
static void scrubbed(struct cv_scrub *s, struct cv_str in, struct cv_buf *out)
{
	struct cv_buf other;

	cv_buf_reset(out);
	assert_true(cv_scrub_text(s, in, out));
	assert_int_equal(cv_buf_len(out), in.n);
	cv_buf_init(&other, 1u << 24);
	for (size_t cut = 0; cut <= in.n; cut++) {
		cv_buf_reset(&other);
		assert_true(cv_scrub_feed(s, cv_str_slice(in, 0, cut), &other));
		assert_int_equal(cv_buf_len(&other) + cv_scrub_held(s), cut);
		assert_true(cv_scrub_feed(s, cv_str_slice(in, cut, in.n), &other));
		assert_true(cv_scrub_end(s, &other));
		assert_true(cv_str_eq(cv_buf_str(out), cv_buf_str(&other)));
	}
	cv_buf_reset(&other);
	for (size_t i = 0; i < in.n; i++)
		assert_true(cv_scrub_feed(s, cv_str_slice(in, i, i + 1), &other));
	assert_true(cv_scrub_end(s, &other));
	assert_true(cv_str_eq(cv_buf_str(out), cv_buf_str(&other)));
	cv_buf_fini(&other);
}

/* ---- encoders: each appends v; i picks a variant ---- */

typedef void encode_fn(struct cv_buf *b, struct cv_str v, unsigned i);

static void plain(struct cv_buf *b, struct cv_str v, unsigned i)
{
	(void)i;
	cv_buf_put(b, v);
}

static bool is_picked(unsigned i, size_t at)
{
	return i == 0 || (at * 7 + i) % (i + 1) == 0;
}

static void percent(struct cv_buf *b, struct cv_str v, unsigned i)
{
	for (size_t k = 0; k < v.n; k++)
		if (v.p[k] == '%' || is_picked(i, k))
			cv_buf_printf(b, (k + i) % 2 ? "%%%02x" : "%%%02X", (uint8_t)v.p[k]);
		else
			cv_buf_put_byte(b, v.p[k]);
}

static void percent_twice(struct cv_buf *b, struct cv_str v, unsigned i)
{
	struct cv_buf once;

	cv_buf_init(&once, 1u << 20);
	percent(&once, v, i);
	percent(b, cv_buf_str(&once), 97); /* little more than its `%` */
	cv_buf_fini(&once);
}

static void json(struct cv_buf *b, struct cv_str v, unsigned i)
{
	for (size_t k = 0; k < v.n; k++)
		if (strchr("\"\\/", v.p[k]) && i % 2)
			cv_buf_printf(b, "\\%c", v.p[k]);
		else if (v.p[k] == '\\' || v.p[k] == '"' || is_picked(i, k))
			cv_buf_printf(b, k % 2 ? "\\u%04x" : "\\u%04X", (uint8_t)v.p[k]);
		else
			cv_buf_put_byte(b, v.p[k]);
}

static void json_twice(struct cv_buf *b, struct cv_str v, unsigned i)
{
	struct cv_buf once;

	cv_buf_init(&once, 1u << 20);
	json(&once, v, i);
	json(b, cv_buf_str(&once), 95);
	cv_buf_fini(&once);
}

static void json_of_percent(struct cv_buf *b, struct cv_str v, unsigned i)
{
	struct cv_buf once;

	cv_buf_init(&once, 1u << 20);
	percent(&once, v, i);
	json(b, cv_buf_str(&once), i + 1);
	cv_buf_fini(&once);
}

static void percent_of_json(struct cv_buf *b, struct cv_str v, unsigned i)
{
	struct cv_buf once;

	cv_buf_init(&once, 1u << 20);
	json(&once, v, i);
	percent(b, cv_buf_str(&once), i + 1);
	cv_buf_fini(&once);
}

/* At each alignment, between neighbours, with and without padding. */
static void base64_any(struct cv_buf *b, struct cv_str v, unsigned i, enum cv_base64 alphabet)
{
	struct cv_buf in;
	char tail[4] = "x:@";

	cv_buf_init(&in, 1u << 20);
	cv_buf_put(&in, cv_str_slice(CV_STR("u:Zq"), 0, i % 3));
	cv_buf_put(&in, v);
	cv_buf_put(&in, (struct cv_str){ tail, i / 3 % 4 });
	cv_buf_put_base64(b, cv_buf_str(&in), alphabet);
	cv_buf_fini(&in);
}

static void base64_std(struct cv_buf *b, struct cv_str v, unsigned i)
{
	base64_any(b, v, i, CV_BASE64_STD);
}

static void base64_url(struct cv_buf *b, struct cv_str v, unsigned i)
{
	base64_any(b, v, i, CV_BASE64_URL);
}

static void base64_lines(struct cv_buf *b, struct cv_str v, unsigned i)
{
	struct cv_buf one;
	size_t at = 0;

	cv_buf_init(&one, 1u << 20);
	base64_std(&one, v, i);
	for (struct cv_str s = cv_buf_str(&one); at < s.n; at += i + 1) {
		cv_buf_put(b, cv_str_slice(s, at, at + i + 1));
		cv_buf_put(b, i % 2 ? CV_STR("\r\n") : CV_STR("\n"));
	}
	cv_buf_fini(&one);
}

static void base64_percent(struct cv_buf *b, struct cv_str v, unsigned i)
{
	struct cv_buf one;

	cv_buf_init(&one, 1u << 20);
	base64_std(&one, v, i);
	percent(b, cv_buf_str(&one), i + 1);
	cv_buf_fini(&one);
}

static void base64_json(struct cv_buf *b, struct cv_str v, unsigned i)
{
	struct cv_buf one;

	cv_buf_init(&one, 1u << 20);
	base64_std(&one, v, i);
	json(b, cv_buf_str(&one), i + 1);
	cv_buf_fini(&one);
}

static void hex(struct cv_buf *b, struct cv_str v, unsigned i)
{
	for (size_t k = 0; k < v.n; k++)
		cv_buf_printf(b, (k * 5 + i) % (i + 1) ? "%02x" : "%02X", (uint8_t)v.p[k]);
}

static const struct {
	const char *name;
	encode_fn *encode;
	unsigned variants;
	size_t kept_max; /* bytes in a row: `\\u00`; neighbours, an edge and padding */
} encodings[] = {
	{ "plain", plain, 1, 6 },
	{ "percent", percent, 9, 6 },
	{ "json", json, 9, 6 },
	{ "percent twice", percent_twice, 4, 6 },
	{ "json twice", json_twice, 4, 6 },
	{ "json of percent", json_of_percent, 4, 6 },
	{ "percent of json", percent_of_json, 4, 6 },
	{ "base64", base64_std, 12, 10 },
	{ "base64url", base64_url, 12, 10 },
	{ "base64 in lines", base64_lines, 12, 10 },
	{ "base64 percent", base64_percent, 6, 20 },
	{ "base64 json", base64_json, 6, 40 },
	{ "hex", hex, 4, 4 },
};

/* Longest run of bytes, of what stood at the same place before, that is there still. */
static size_t longest_kept(struct cv_str before, struct cv_str after, size_t from, size_t to)
{
	size_t longest = 0, n = 0;

	for (size_t i = from; i < to; i++) {
		n = before.p[i] == after.p[i] ? n + 1 : 0;
		longest = CV_MAX(longest, n);
	}
	return longest;
}

static void c2_echo(void **state)
{
	static const char *const around[][2] = { { "", "" }, { "{\"a\":\"", "\"}\n\n" },
		{ "x=1&y=", "&z=ghp_16" }, { "ghp_16C7e4ghp_", "ghp_16C7" },
		{ "\\n\\\\\\\\", "\\\\" } };
	const struct cv_str value = CV_STR(TOKEN);
	struct cv_scrub *s = scrub_of(&value, 1);
	struct cv_buf in, out;

	(void)state;
	cv_buf_init(&in, 1u << 20);
	cv_buf_init(&out, 1u << 20);
	for (size_t e = 0; e < CV_ARRAY_LEN(encodings); e++)
		for (unsigned i = 0; i < encodings[e].variants; i++)
			for (size_t a = 0; a < CV_ARRAY_LEN(around); a++) {
				const uint64_t hits = cv_scrub_hits(s);
				const struct cv_str before = cv_str_of(around[a][0]);

				cv_buf_reset(&in);
				cv_buf_put(&in, before);
				encodings[e].encode(&in, value, i);
				const size_t end = cv_buf_len(&in);
				cv_buf_put(&in, cv_str_of(around[a][1]));
				scrubbed(s, cv_buf_str(&in), &out);
				const struct cv_str was = cv_buf_str(&in), is = cv_buf_str(&out);

				/* Outside the value all is as it was; inside nothing worth
				 * having: `\u00`, padding, an edge of base64. */
				assert_memory_equal(was.p, is.p, before.n);
				assert_memory_equal(was.p + end, is.p + end, was.n - end);
				if (cv_scrub_hits(s) != hits + was.n + 3 ||
					longest_kept(was, is, before.n, end) >
						encodings[e].kept_max)
					fail_msg("%s %u: %.*s -> %.*s (%u hits)", encodings[e].name,
						i, CV_STR_ARG(was), CV_STR_ARG(is),
						(unsigned)(cv_scrub_hits(s) - hits));
			}
	cv_buf_fini(&in);
	cv_buf_fini(&out);
	cv_scrub_free(s);
}

static void c2_every_mix(void **state)
{
	const struct cv_str value = CV_STR("ab/d%f\\h");
	struct cv_scrub *s = scrub_of(&value, 1);
	struct cv_buf in, out;

	(void)state;
	cv_buf_init(&in, 1u << 12);
	cv_buf_init(&out, 1u << 12);
	for (unsigned kind = 0; kind < 2; kind++)
		for (unsigned mix = 0; mix < 256; mix++) {
			cv_buf_reset(&in);
			for (unsigned k = 0; k < 8; k++)
				if (!(mix >> k & 1) && value.p[k] != (kind ? '\\' : '%'))
					cv_buf_put_byte(&in, value.p[k]);
				else
					cv_buf_printf(&in, kind ? "\\u%04x" : "%%%02x",
						(uint8_t)value.p[k]);
			scrubbed(s, cv_buf_str(&in), &out);
			const struct cv_str got = cv_buf_str(&out);

			for (size_t k = 0; k < got.n; k++)
				assert_non_null(strchr("*%\\u02A", got.p[k]));
		}
	cv_buf_fini(&in);
	cv_buf_fini(&out);
	cv_scrub_free(s);
}

static void texts(void **state)
{
	static const struct {
		const char *in, *want;
	} row[] = {
		{ "", "" },
		{ "nothing here % \\ %4 \\u00", "nothing here % \\ %4 \\u00" },
		{ "secret/value", "************" },
		{ "{\"t\":\"secret\\/value\"}", "{\"t\":\"*************\"}" },
		{ "secret%2Fvalue", "******%2A*****" },
		{ "\\u0073ecret/value", "\\u002A***********" },
		{ "\\x73ecret/value", "***************" },
		{ "secret/valu", "secret/valu" },
		{ "secret/valusecret/value", "secret/valu************" },
		{ "secret/secret/value", "secret/************" },
		{ "7365637265742f76616c7565", "303030303030303030303030" },
		{ "7365637265742F76616C7565!", "303030303030303030303030!" },
		{ "c2VjcmV0L3ZhbHVl", "AAAAAAAAAAAAAAAA" },
		{ "OnNlY3JldC92YWx1ZQ==", "OnAAAAAAAAAAAAAAAQ==" },
		{ "\\nsecret/value", "\\n************" },
		{ "%5Cnsecret%2Fvalue", "%5Cn******%2A*****" },
		{ "%secret/value", "%************" },
		{ "\\ud83d\\ude00secret\\/value", "\\ud83d\\ude00*************" },
	};
	const struct cv_str value = CV_STR("secret/value");
	struct cv_scrub *s = scrub_of(&value, 1);
	struct cv_buf out;

	(void)state;
	cv_buf_init(&out, 1u << 12);
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		scrubbed(s, cv_str_of(row[i].in), &out);
		assert_str(cv_buf_str(&out), row[i].want);
	}
	cv_buf_fini(&out);
	cv_scrub_free(s);
}

/* Text of another alphabet: `é` and a pair of surrogates, as JSON may write them. */
static void json_beyond_ascii(void **state)
{
	const struct cv_str value = CV_STR("p\xc3\xa9-\xf0\x9f\x98\x80-word");
	struct cv_scrub *s = scrub_of(&value, 1);
	struct cv_buf out;

	(void)state;
	cv_buf_init(&out, 1u << 12);
	scrubbed(s, CV_STR("\"p\\u00e9-\\uD83D\\ude00-word\""), &out);
	assert_str(cv_buf_str(&out), "\"*\\u002A******************\"");
	scrubbed(s, CV_STR("\"\\ud83d\\u0041\\ud83d\""), &out);
	assert_str(cv_buf_str(&out), "\"\\ud83d\\u0041\\ud83d\"");
	cv_buf_fini(&out);
	cv_scrub_free(s);
}

static void forms(void **state)
{
	const struct cv_str value = CV_STR("pass word one");
	struct cv_scrub *s = scrub_of(&value, 1);
	struct cv_buf out;

	(void)state;
	cv_buf_init(&out, 1u << 12);
	scrubbed(s, CV_STR("a=pass%20word%20one"), &out);
	assert_str(cv_buf_str(&out), "a=****%2A****%2A***");
	scrubbed(s, CV_STR("a=pass+word+one"), &out);
	assert_str(cv_buf_str(&out), "a=*************");
	cv_buf_fini(&out);
	cv_scrub_free(s);
}

static void many_values_and_prefixes(void **state)
{
	static const struct cv_str value[] = { { "abcdefgh", 8 }, { "abcdefghijkl", 12 },
		{ "bcdefghij", 9 }, { "efghijklmnop", 12 }, { "zzzzzzzzz", 9 },
		{ "zzzzzzzzzy", 10 }, { "0000000000", 10 }, { "%41%42%43", 9 },
		{ "\\n\\n\\n\\n\\n", 10 }, { "deadbeef", 8 } };
	static const struct {
		const char *in, *want;
	} row[] = {
		{ "abcdefgh", "********" },
		{ "abcdefghijk", "**********k" },
		{ "abcdefghijkl", "************" },
		{ "abcdefghijklmnop", "****************" },
		{ "zzzzzzzzzzzzy", "*************" },
		{ "zzzzzzzz", "zzzzzzzz" },
		{ "%41%42%43", "*********" },
		{ "%2541%2542%2543", "%2A**%2A**%2A**" },
		{ "\\\\n\\\\n\\\\n\\\\n\\\\n", "***************" },
		{ "DEADBEEF", "DEADBEEF" },
		{ "abcdefg%68", "*******%2A" },
	};
	struct cv_scrub *s = scrub_of(value, CV_ARRAY_LEN(value));
	struct cv_buf out;

	(void)state;
	cv_buf_init(&out, 1u << 12);
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		scrubbed(s, cv_str_of(row[i].in), &out);
		assert_str(cv_buf_str(&out), row[i].want);
	}
	cv_buf_fini(&out);
	cv_scrub_free(s);
}

/* ---- what is held ---- */

static void held_is_only_what_may_match(void **state)
{
	static const struct {
		const char *in;
		size_t held;
	} row[] = {
		{ "data: {\"x\":1}\n\n", 0 },
		{ "data: secret", 6 },
		{ "data: secret\n\n", 0 },
		{ "text %", 1 },
		{ "text %7", 2 },
		{ "text %73", 3 },
		{ "text %74", 0 },
		{ "text \\u007", 5 },
		{ "text \\u0073e", 7 },
		{ "text \\u0073x", 0 },
		{ "secret/valuX", 0 },
	};
	const struct cv_str value = CV_STR("secret/value");
	struct cv_scrub *s = scrub_of(&value, 1);
	struct cv_buf out;

	(void)state;
	cv_buf_init(&out, 1u << 12);
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		cv_buf_reset(&out);
		assert_true(cv_scrub_feed(s, cv_str_of(row[i].in), &out));
		assert_int_equal(cv_scrub_held(s), row[i].held);
		assert_true(cv_scrub_end(s, &out));
		assert_str(cv_buf_str(&out), row[i].in);
	}
	cv_buf_fini(&out);
	cv_scrub_free(s);
}

/* ---- hostile ---- */

static void c2_hostile_text_costs_linear_time_and_bounded_memory(void **state)
{
	static const char *const pieces[] = { "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "%", "\\",
		"%61", "\\u0061", "\\ud83d", "%5Cu0061", "%255Cu0061", "a%61", "%2561", "%%6",
		"\\u006", "YWFh", "YWFh\n", "6161", "61\r\n", "\\\\u0061", "%25", "\\u0025",
		"%5C%75%30%30%36%31", "%255C%2575%2530%2530%2536%2531",
		"\\u0025\\u0035\\u0043\\u0075\\u0030" };
	char text[2000];

	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = 'b';
	memcpy(text + 900, "%a\\u", 4);
	const struct cv_str value[] = { { text, sizeof(text) }, { text, 60 }, { text, 800 } };
	struct cv_scrub *s = scrub_of(value, 1);
	struct cv_buf out;

	(void)state;
	cv_buf_init(&out, 1u << 22);
	for (size_t i = 0; i < CV_ARRAY_LEN(pieces); i++) {
		const struct cv_str p = cv_str_of(pieces[i]);
		const uint64_t steps = cv_scrub_steps(s);
		uint64_t bytes = 0;

		cv_buf_reset(&out);
		while (bytes < 100000) {
			assert_true(cv_scrub_feed(s, p, &out));
			bytes += p.n;
			assert_true(cv_scrub_held(s) <= CV_SCRUB_HOLD_BYTES_MAX(sizeof(text)));
		}
		assert_true(cv_scrub_end(s, &out));
		assert_int_equal(cv_buf_len(&out), bytes);
		/* Four lanes of three automata, two moves each at most. */
		assert_true(cv_scrub_steps(s) - steps <= 4 * 3 * 2 * bytes);
	}
	cv_buf_fini(&out);
	cv_scrub_free(s);
}

static void values_are_checked(void **state)
{
	static char big[CV_SCRUB_VALUE_BYTES_MAX + 1];
	const struct cv_str value[] = { CV_STR("1234567"), CV_STR("12345678"), CV_STR("") };
	const struct cv_str long_one = { big, sizeof(big) };
	bool is_short[3];
	struct cv_scrub_set *set = NULL;
	struct cv_err err;
	struct cv_buf out;

	(void)state;
	assert_int_equal(cv_scrub_set_new(&long_one, 1, NULL, &set, &err), CV_LIMIT);
	assert_int_equal(
		cv_scrub_set_new(value, CV_SCRUB_VALUES_MAX + 1, NULL, &set, &err), CV_LIMIT);
	assert_null(set);
	assert_int_equal(cv_scrub_set_new(value, 3, is_short, &set, &err), CV_OK);
	assert_true(is_short[0] && !is_short[1] && is_short[2]);
	cv_scrub_set_unref(set);
	assert_int_equal(cv_scrub_set_new(value, 1, is_short, &set, &err), CV_OK);
	assert_true(cv_scrub_set_is_empty(set));
	struct cv_scrub *s = cv_scrub_new(set);

	cv_buf_init(&out, 100);
	assert_true(cv_scrub_text(s, CV_STR("1234567"), &out));
	assert_str(cv_buf_str(&out), "1234567");
	cv_buf_fini(&out);
	cv_scrub_free(s);
	cv_scrub_set_unref(set);
}

static void no_room(void **state)
{
	const struct cv_str value = CV_STR("secret/value");
	struct cv_scrub *s = scrub_of(&value, 1);
	struct cv_buf out;

	(void)state;
	cv_buf_init(&out, 4);
	assert_false(cv_scrub_feed(s, CV_STR("hello, hello"), &out));
	assert_true(out.is_overflown);
	cv_buf_fini(&out);
	cv_scrub_free(s);
}

/* Places are 32 bits wide; streams are longer. */
/* Whatever a stream was in the middle of: the next one that has its memory knows nothing of it. */
static void c2_used_again(void **state)
{
	static const char *const left[] = { "", "the-se", "x the-secret-value", "%74%68e-s",
		"dGhlLXNlY3Jl", "7468652d73", "\\u0074he-", "\\ud83d", "%", "text" };
	const struct cv_str value = CV_STR("the-secret-value");
	struct cv_scrub_set *set;
	struct cv_buf out;

	(void)state;
	assert_int_equal(cv_scrub_set_new(&value, 1, NULL, &set, NULL), CV_OK);
	for (size_t i = 0; i < CV_ARRAY_LEN(left); i++) {
		struct cv_scrub *s = cv_scrub_new(set), *other = cv_scrub_new(set);

		cv_buf_init(&out, 1024);
		assert_true(cv_scrub_feed(s, cv_str_of(left[i]), &out));
		const size_t held = cv_scrub_held(s);
		const char *memory = s->buf;
		cv_scrub_free(s);
		assert_ptr_equal(set->spare, s);
		for (size_t k = 0; k < held; k++)
			assert_int_equal(memory[k], 0);
		cv_scrub_free(other); /* one is enough */
		assert_ptr_equal(set->spare, s);
		assert_int_equal(set->refs, 1);
		s = cv_scrub_new(set);
		assert_int_equal(cv_scrub_held(s) + cv_scrub_hits(s) + cv_scrub_steps(s), 0);
		cv_buf_reset(&out);
		assert_true(cv_scrub_text(s, CV_STR("cret-value the-secret-value y"), &out));
		assert_str(cv_buf_str(&out), "cret-value **************** y");
		assert_int_equal(cv_scrub_hits(s), 1);
		cv_buf_fini(&out);
		cv_scrub_free(s);
	}
	cv_scrub_set_unref(set); /* and the spare with it: the sanitizer would tell */
}

static void long_streams(void **state)
{
	const struct cv_str value = CV_STR("secret/value");
	struct cv_scrub *s = scrub_of(&value, 1);
	struct cv_buf out;

	(void)state;
	s->base = s->hit_end = UINT32_MAX - 20;
	cv_buf_init(&out, 1000);
	assert_true(cv_scrub_feed(s, CV_STR("0123456789 secr%65t"), &out));
	assert_true(cv_scrub_feed(s, CV_STR("\\/value, secret/value"), &out));
	assert_true(cv_scrub_end(s, &out));
	assert_str(cv_buf_str(&out), "0123456789 ****%2A*******"
				     "*, ************");
	assert_int_equal(cv_scrub_hits(s), 2);
	cv_buf_fini(&out);
	cv_scrub_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(c2_echo),
		cmocka_unit_test(c2_every_mix),
		cmocka_unit_test(texts),
		cmocka_unit_test(json_beyond_ascii),
		cmocka_unit_test(forms),
		cmocka_unit_test(many_values_and_prefixes),
		cmocka_unit_test(held_is_only_what_may_match),
		cmocka_unit_test(c2_hostile_text_costs_linear_time_and_bounded_memory),
		cmocka_unit_test(values_are_checked),
		cmocka_unit_test(no_room),
		cmocka_unit_test(c2_used_again),
		cmocka_unit_test(long_streams),
	};

	return cmocka_run_group_tests_name("cred/scrub", tests, NULL, NULL);
}
