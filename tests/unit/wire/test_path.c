/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: a path has one spelling, which means the same to whoever reads it again (T12).
 * Method: a table of spellings; then random paths made of the pieces that attacks are made of,
 * for which the canonical form must be its own canonical form and hold nothing left to resolve.
 */
#include "unit/test.h"

#include "wire/path.c"

#define S(lit)                       \
	{                            \
		lit, sizeof(lit) - 1 \
	}

static void t12_canonical(void **state)
{
	static const struct {
		struct cv_str in;
		bool allow_slash;
		enum cv_path_rc rc;
		const char *want;
	} row[] = {
		{ S(""), false, CV_PATH_OK, "/" },
		{ S("/"), false, CV_PATH_OK, "/" },
		{ S("/a/b"), false, CV_PATH_OK, "/a/b" },
		{ S("/a/b/"), false, CV_PATH_OK, "/a/b/" },
		{ S("//a///b//"), false, CV_PATH_OK, "/a/b/" },
		{ S("/a/../b"), false, CV_PATH_OK, "/b" },
		{ S("/a/./b"), false, CV_PATH_OK, "/a/b" },
		{ S("/a/b/.."), false, CV_PATH_OK, "/a/" },
		{ S("/a/."), false, CV_PATH_OK, "/a/" },
		{ S("/a/.."), false, CV_PATH_OK, "/" },
		{ S("/a//../b"), false, CV_PATH_OK, "/b" },
		{ S("/a/b/../../c"), false, CV_PATH_OK, "/c" },
		{ S("/.."), false, CV_PATH_ROOT, NULL },
		{ S("/a/../.."), false, CV_PATH_ROOT, NULL },
		{ S("/../a"), false, CV_PATH_ROOT, NULL },
		{ S("/..."), false, CV_PATH_OK, "/..." },
		{ S("/.a/..b"), false, CV_PATH_OK, "/.a/..b" },
		{ S("/a/%2e%2e/b"), false, CV_PATH_OK, "/b" },
		{ S("/a/.%2E/b"), false, CV_PATH_OK, "/b" },
		{ S("/%2e%2e/b"), false, CV_PATH_ROOT, NULL },
		{ S("/a/%2e/b"), false, CV_PATH_OK, "/a/b" },
		/* parameters */
		{ S("/a;x=1/b;y"), false, CV_PATH_OK, "/a/b" },
		{ S("/a/..;x/b"), false, CV_PATH_OK, "/b" },
		{ S("/a/%2e%2e%3bx/b"), false, CV_PATH_OK, "/b" },
		{ S("/a/;x/b"), false, CV_PATH_OK, "/a/b" },
		{ S("/;x"), false, CV_PATH_OK, "/" },
		{ S("/..;/a"), false, CV_PATH_ROOT, NULL },
		/* escapes */
		{ S("/%41%7e%2d"), false, CV_PATH_OK, "/A~-" },
		{ S("/%40scope/x%3ay"), false, CV_PATH_OK, "/@scope/x:y" },
		{ S("/a%20b%3f%23"), false, CV_PATH_OK, "/a%20b%3F%23" },
		{ S("/\"<>^`{|}"), false, CV_PATH_OK, "/%22%3C%3E%5E%60%7B%7C%7D" },
		{ S("/caf%c3%a9"), false, CV_PATH_OK, "/caf%C3%A9" },
		{ S("/100%25"), false, CV_PATH_OK, "/100%25" },
		{ S("/a%"), false, CV_PATH_ESCAPE, NULL },
		{ S("/a%4"), false, CV_PATH_ESCAPE, NULL },
		{ S("/a%4g"), false, CV_PATH_ESCAPE, NULL },
		{ S("/a%u0041"), false, CV_PATH_ESCAPE, NULL },
		{ S("/a%00b"), false, CV_PATH_CONTROL, NULL },
		{ S("/a%0d%0ab"), false, CV_PATH_CONTROL, NULL },
		{ S("/a%7f"), false, CV_PATH_CONTROL, NULL },
		{ S("/a%01b"), true, CV_PATH_CONTROL, NULL }, /* the mark cannot be forged */
		{ S("/a\x01"
		    "b"),
			true, CV_PATH_BYTE, NULL },
		{ S("/a\0b"), false, CV_PATH_BYTE, NULL },
		{ S("/a b"), false, CV_PATH_BYTE, NULL },
		{ S("/a\x7f"), false, CV_PATH_BYTE, NULL },
		{ S("/caf\xc3\xa9"), false, CV_PATH_BYTE, NULL },
		{ S("/a#b"), false, CV_PATH_BYTE, NULL },
		{ S("/a?b"), false, CV_PATH_BYTE, NULL },
		{ S("a/b"), false, CV_PATH_FORM, NULL },
		{ S("*"), false, CV_PATH_FORM, NULL },
		/* backslash, overlong, not UTF-8 */
		{ S("/a\\b"), false, CV_PATH_BACKSLASH, NULL },
		{ S("/a/..%5cb"), false, CV_PATH_BACKSLASH, NULL },
		{ S("/a/..%c0%afb"), false, CV_PATH_UTF8, NULL },
		{ S("/a/%c0%ae%c0%ae/b"), false, CV_PATH_UTF8, NULL },
		{ S("/a/%e0%80%af"), false, CV_PATH_UTF8, NULL },
		{ S("/a%ff"), false, CV_PATH_UTF8, NULL },
		{ S("/a%ed%a0%80"), false, CV_PATH_UTF8, NULL },
		/* encoded slash */
		{ S("/a%2Fb"), false, CV_PATH_SLASH, NULL },
		{ S("/a%2fb"), true, CV_PATH_OK, "/a%2Fb" },
		{ S("/a%2f%2fb/c"), true, CV_PATH_OK, "/a%2F%2Fb/c" },
		{ S("/a%2f../b"), true, CV_PATH_TWICE, NULL },
		{ S("/a%2f..%2fb"), true, CV_PATH_TWICE, NULL },
		{ S("/..%2fb"), true, CV_PATH_TWICE, NULL },
		{ S("/a%2f.%2fb"), true, CV_PATH_TWICE, NULL },
		{ S("/a%2f..b"), true, CV_PATH_OK, "/a%2F..b" },
		/* encoded twice */
		{ S("/a/%252e%252e/b"), false, CV_PATH_TWICE, NULL },
		{ S("/a/%25252e%25252e/b"), false, CV_PATH_TWICE, NULL },
		{ S("/a/.%252e/b"), false, CV_PATH_TWICE, NULL },
		{ S("/a/%25%32%65./b"), false, CV_PATH_TWICE, NULL },
		{ S("/a/..%252fb"), false, CV_PATH_TWICE, NULL },
		{ S("/a%255cb"), false, CV_PATH_TWICE, NULL },
		{ S("/a%2500b"), false, CV_PATH_TWICE, NULL },
		{ S("/a%253bx"), false, CV_PATH_TWICE, NULL },
		{ S("/a/%25%2532e./b"), false, CV_PATH_TWICE, NULL }, /* a dot two decodings on */
		{ S("/a%25c0%25afb"), false, CV_PATH_TWICE, NULL },
		{ S("/a%25252525252520"), false, CV_PATH_TWICE, NULL },
		{ S("/a%2520b"), false, CV_PATH_OK, "/a%2520b" },
		{ S("/v1%252e5"), false, CV_PATH_OK, "/v1%252e5" },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		struct cv_path p;
		const enum cv_path_rc rc = cv_path_canonical(row[i].in, row[i].allow_slash, &p);

		if (rc != row[i].rc)
			fail_msg("\"%.*s\": got %s, want %s", CV_STR_ARG(row[i].in),
				cv_path_rc_text(rc), cv_path_rc_text(row[i].rc));
		if (rc == CV_PATH_OK)
			assert_str(cv_path_str(&p), row[i].want);
	}
}

static void t12_length(void **state)
{
	static char raw[CV_PATH_BYTES_MAX + 1];
	struct cv_path p;

	(void)state;
	memset(raw, 'a', sizeof(raw));
	raw[0] = '/';
	assert_int_equal(
		cv_path_canonical((struct cv_str){ raw, sizeof(raw) - 1 }, false, &p), CV_PATH_OK);
	assert_int_equal(p.n, CV_PATH_BYTES_MAX);
	assert_int_equal(
		cv_path_canonical((struct cv_str){ raw, sizeof(raw) }, false, &p), CV_PATH_LONG);
	memset(raw + 1, '"', sizeof(raw) - 1); /* grows when encoded */
	assert_int_equal(cv_path_canonical((struct cv_str){ raw, 2000 }, false, &p), CV_PATH_LONG);
}

/* A small generator, so that a failure can be repeated. */
static uint32_t next(uint32_t *x)
{
	*x = *x * 1664525u + 1013904223u;
	return *x >> 16;
}

static void t12_canonical_is_idempotent(void **state)
{
	static const char *const piece[] = { "/", "/", ".", "..", "%2e", "%2F", "%252e", "%25",
		"2e", "2f", "a", "B", ";", ";x=1", "%3b", "%5c", "%c3%a9", "%41", "\"", "+", "%2B",
		"@" };
	uint32_t seed = 1;
	size_t ok = 0;

	(void)state;
	for (size_t round = 0; round < 200000; round++) {
		char raw[256] = "/";
		struct cv_path once, twice;
		const bool allow = next(&seed) & 1;
		size_t n = 1;

		for (size_t k = next(&seed) % 12; k > 0; k--) {
			const char *s = piece[next(&seed) % CV_ARRAY_LEN(piece)];

			memcpy(raw + n, s, strlen(s));
			n += strlen(s);
		}
		if (cv_path_canonical((struct cv_str){ raw, n }, allow, &once) != CV_PATH_OK)
			continue;
		ok++;
		if (cv_path_canonical(cv_path_str(&once), allow, &twice) != CV_PATH_OK ||
			!cv_str_eq(cv_path_str(&once), cv_path_str(&twice)))
			fail_msg("\"%.*s\" -> \"%.*s\" is not stable", (int)n, raw,
				CV_STR_ARG(cv_path_str(&once)));
		for (struct cv_str rest = cv_str_slice(cv_path_str(&once), 1, once.n); rest.p;) {
			const struct cv_str seg = cv_str_cut(&rest, '/');

			assert_false(cv_str_eq(seg, CV_STR(".")) || cv_str_eq(seg, CV_STR("..")));
			assert_true(seg.n > 0 || !rest.p); /* only the last may be empty */
			assert_false(cv_str_has_byte(seg, ';'));
		}
	}
	assert_true(ok > 20000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t12_canonical),
		cmocka_unit_test(t12_length),
		cmocka_unit_test(t12_canonical_is_idempotent),
	};

	return cmocka_run_group_tests_name("wire/path", tests, NULL, NULL);
}
