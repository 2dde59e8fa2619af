/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: each row of the pattern language; linear time; the same answers as a naive matcher.
 * Method: tables, a pattern that kills backtracking, and many random pairs.
 */
#include "unit/test.h"

#include "base/glob.c"
#include "unit/base/naive_glob.h"

struct row {
	enum cv_glob_kind kind;
	const char *pattern, *text;
	int want; /* 1, 0, -1 malformed */
};

/* clang-format off */
static const struct row rows[] = {
	/* literals and one star */
	{ CV_GLOB_PATH, "", "", 1 }, { CV_GLOB_PATH, "", "a", 0 },
	{ CV_GLOB_PATH, "/a", "/a", 1 }, { CV_GLOB_PATH, "/a", "/A", 0 }, { CV_GLOB_PATH, "/a", "/ab", 0 },
	{ CV_GLOB_PATH, "/repos/*/issues", "/repos/x/issues", 1 },
	{ CV_GLOB_PATH, "/repos/*/issues", "/repos//issues", 1 },
	{ CV_GLOB_PATH, "/repos/*/issues", "/repos/a/b/issues", 0 },
	{ CV_GLOB_PATH, "/a*", "/a", 1 }, { CV_GLOB_PATH, "/a*", "/abc", 1 }, { CV_GLOB_PATH, "/a*", "/a/b", 0 },
	{ CV_GLOB_PATH, "*", "", 1 }, { CV_GLOB_PATH, "*", "/", 0 },
	{ CV_GLOB_PATH, "/a?c", "/abc", 1 }, { CV_GLOB_PATH, "/a?c", "/a/c", 0 }, { CV_GLOB_PATH, "/a?", "/a", 0 },
	/* whole components */
	{ CV_GLOB_PATH, "**", "", 1 }, { CV_GLOB_PATH, "**", "/a/b", 1 }, { CV_GLOB_PATH, "**", "*", 1 },
	{ CV_GLOB_PATH, "/**", "/", 1 }, { CV_GLOB_PATH, "/**", "/a/b", 1 }, { CV_GLOB_PATH, "/**", "a", 0 },
	{ CV_GLOB_PATH, "/repos/**", "/repos/", 1 }, { CV_GLOB_PATH, "/repos/**", "/repos/a/b", 1 },
	{ CV_GLOB_PATH, "/repos/**", "/repos", 0 }, { CV_GLOB_PATH, "/repos/**", "/reposx/a", 0 },
	{ CV_GLOB_PATH, "**/x", "x", 1 }, { CV_GLOB_PATH, "**/x", "/x", 1 },
	{ CV_GLOB_PATH, "**/x", "/a/b/x", 1 }, { CV_GLOB_PATH, "**/x", "/ax", 0 },
	{ CV_GLOB_PATH, "/a/**/b", "/a/b", 1 }, { CV_GLOB_PATH, "/a/**/b", "/a/x/y/b", 1 },
	{ CV_GLOB_PATH, "/a/**/b", "/a//b", 1 }, { CV_GLOB_PATH, "/a/**/b", "/ab", 0 },
	{ CV_GLOB_PATH, "/a/**/b", "/a/xb", 0 },
	{ CV_GLOB_PATH, "/a**/b", "/axx/b", 1 }, { CV_GLOB_PATH, "/a**/b", "/a/x/b", 0 },
	{ CV_GLOB_PATH, "/**a", "/xa", 1 }, { CV_GLOB_PATH, "/**a", "/x/a", 0 },
	{ CV_GLOB_PATH, "/***", "/a", 1 }, { CV_GLOB_PATH, "/***", "/a/b", 0 },
	{ CV_GLOB_PATH, "{a,**}/x", "b/c/x", 0 }, { CV_GLOB_PATH, "{a,/**/}x", "/b/c/x", 1 },
	/* sets never take the delimiter */
	{ CV_GLOB_PATH, "/[a-c]x", "/bx", 1 }, { CV_GLOB_PATH, "/[a-c]x", "/dx", 0 },
	{ CV_GLOB_PATH, "/[!a]x", "/bx", 1 }, { CV_GLOB_PATH, "/[^a]x", "/ax", 0 },
	{ CV_GLOB_PATH, "/a[!b]c", "/a/c", 0 }, { CV_GLOB_PATH, "/a[/]c", "/a/c", 0 },
	{ CV_GLOB_PATH, "/[a-]", "/-", 1 }, { CV_GLOB_PATH, "/[\\]]", "/]", 1 }, { CV_GLOB_PATH, "/]", "/]", 1 },
	/* alternatives */
	{ CV_GLOB_PATH, "/{a,b}", "/a", 1 }, { CV_GLOB_PATH, "/{a,b}", "/b", 1 }, { CV_GLOB_PATH, "/{a,b}", "/c", 0 },
	{ CV_GLOB_PATH, "/{a,b{c,d}}e", "/bde", 1 }, { CV_GLOB_PATH, "/{a,}x", "/x", 1 }, { CV_GLOB_PATH, "/{}x", "/x", 1 },
	{ CV_GLOB_PATH, "/{a/b,c*}", "/a/b", 1 }, { CV_GLOB_PATH, "/{a/b,c*}", "/c/b", 0 },
	{ CV_GLOB_PATH, "/a,b", "/a,b", 1 },
	/* escapes */
	{ CV_GLOB_PATH, "/\\*", "/*", 1 }, { CV_GLOB_PATH, "/\\*", "/a", 0 }, { CV_GLOB_PATH, "/\\{", "/{", 1 },
	/* malformed */
	{ CV_GLOB_PATH, "/[a", "/a", -1 }, { CV_GLOB_PATH, "/[]", "/]", -1 }, { CV_GLOB_PATH, "/[!]", "/]", -1 },
	{ CV_GLOB_PATH, "/{a", "/a", -1 }, { CV_GLOB_PATH, "/a}", "/a}", -1 }, { CV_GLOB_PATH, "/[z-a]", "/z", -1 },
	{ CV_GLOB_PATH, "/a\\", "/a", -1 }, { CV_GLOB_PATH, "/[a-", "/a", -1 }, { CV_GLOB_PATH, "/[\\", "/", -1 },
	/* hosts */
	{ CV_GLOB_HOST, "*.example.com", "a.example.com", 1 }, { CV_GLOB_HOST, "*.example.com", "a.b.example.com", 0 },
	{ CV_GLOB_HOST, "*.example.com", "example.com", 0 },
	{ CV_GLOB_HOST, "**.example.com", "a.b.example.com", 1 }, { CV_GLOB_HOST, "**.example.com", "example.com", 0 },
	{ CV_GLOB_HOST, "**.example.com", "xexample.com", 0 }, { CV_GLOB_HOST, "**.example.com", "a.example.com.evil.net", 0 },
	{ CV_GLOB_HOST, "*-api.example.com", "x-api.example.com", 1 }, { CV_GLOB_HOST, "a.*.example.com", "a.b.example.com", 1 },
	/* texts: the delimiter is the dot */
	{ CV_GLOB_TEXT, "1.*", "1.2", 1 }, { CV_GLOB_TEXT, "1.*", "1.2.3", 0 },
	{ CV_GLOB_TEXT, "foo-*", "foo-a/b", 1 }, { CV_GLOB_TEXT, "foo-*", "foo-a.b", 0 }, { CV_GLOB_TEXT, "**", "a.b/c", 1 },
	/* no delimiter */
	{ CV_GLOB_FLAT, "/a/*", "/a/b/c", 1 }, { CV_GLOB_FLAT, "/a?b", "/a/b", 1 }, { CV_GLOB_FLAT, "/a/**/b", "/a/x/b", 1 },
	{ CV_GLOB_FLAT, "/a/**/b", "/a/b", 0 },
	/* characters are code points; what is not UTF-8 is one byte */
	{ CV_GLOB_TEXT, "?", "\xc3\xa9", 1 }, { CV_GLOB_TEXT, "[\xc3\xa0-\xc3\xbf]", "\xc3\xa9", 1 },
	{ CV_GLOB_TEXT, "?", "\xff", 1 }, { CV_GLOB_TEXT, "?", "\xc3\xa9x", 0 }, { CV_GLOB_TEXT, "\xc3\xa9*", "\xc3\xa9", 1 },
};
/* clang-format on */

static int match(struct cv_arena *a, struct cv_str pattern, enum cv_glob_kind kind, struct cv_str s)
{
	const struct cv_glob *g;
	const cv_code code = cv_glob_compile(pattern, kind, a, &g, NULL);

	assert_true(code == CV_OK || code == CV_INVALID);
	return code ? -1 : cv_glob_match(g, s);
}

static void each_row_of_the_language(void **state)
{
	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++) {
		const struct row *r = &rows[i];
		const struct cv_str pattern = cv_str_of(r->pattern), text = cv_str_of(r->text);
		struct cv_arena a;

		cv_arena_init(&a, 1 << 20);
		if (match(&a, pattern, r->kind, text) != r->want)
			fail_msg("\"%s\" on \"%s\": want %d", r->pattern, r->text, r->want);
		if (naive_glob(pattern, r->kind, text) != r->want)
			fail_msg("naive: \"%s\" on \"%s\": want %d", r->pattern, r->text, r->want);
		cv_arena_fini(&a);
	}
}

static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static struct cv_str random_text(uint64_t *seed, const char *letters, char *buf, size_t max)
{
	const size_t n = next_random(seed) % (max + 1);

	for (size_t i = 0; i < n; i++)
		buf[i] = letters[next_random(seed) % strlen(letters)];
	return (struct cv_str){ buf, n };
}

static void random_pairs_as_the_naive_one(void **state)
{
	uint64_t seed = 0x1f123bb5159a55e5u;
	unsigned matches = 0, malformed = 0;
	char p[16], s[16];

	(void)state;
	print_message("# seed %llx\n", (unsigned long long)seed);
	for (unsigned i = 0; i < 300000; i++) {
		const enum cv_glob_kind kind = (enum cv_glob_kind)(next_random(&seed) % 4);
		const struct cv_str pattern = random_text(&seed,
			i % 2 ? "ab/.*?" : "ab/.****?[]!-{},\\^/", p, sizeof(p) - (i % 3) * 4);
		const struct cv_str text = random_text(&seed, "ab/./a,\\*", s, 9);
		struct cv_arena a;

		cv_arena_init(&a, 1 << 20);
		const int got = match(&a, pattern, kind, text);
		const int want = naive_glob(pattern, kind, text);
		if (got != want)
			fail_msg("kind %d \"%.*s\" on \"%.*s\": got %d, want %d", kind,
				CV_STR_ARG(pattern), CV_STR_ARG(text), got, want);
		matches += got == 1;
		malformed += got == -1;
		cv_arena_fini(&a);
	}
	print_message("# %u matches, %u malformed\n", matches, malformed);
	assert_true(matches > 5000 && malformed > 10000);
}

static void no_pattern_takes_exponential_time(void **state)
{
	char pattern[400], text[4096];
	const struct cv_glob *g;
	struct cv_arena a;

	(void)state;
	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = i % 2 ? 'a' : '*';
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = 'b';
	cv_arena_init(&a, 1 << 20);
	assert_int_equal(cv_glob_compile((struct cv_str){ pattern, sizeof(pattern) }, CV_GLOB_PATH,
				 &a, &g, NULL),
		CV_OK);
	assert_false(cv_glob_match(g, (struct cv_str){ text, sizeof(text) }));
	assert_true(cv_glob_match(g, (struct cv_str){ text, sizeof(text) - 1 }));
	cv_arena_fini(&a);
}

static void limits_are_errors(void **state)
{
	char pattern[CV_GLOB_STATES_MAX + 2], deep[CV_GLOB_DEPTH_MAX + 1];
	const struct cv_glob *g = NULL;
	struct cv_arena a;

	(void)state;
	cv_arena_init(&a, 1 << 20);
	memset(pattern, '?', sizeof(pattern));
	assert_int_equal(cv_glob_compile((struct cv_str){ pattern, sizeof(pattern) }, CV_GLOB_PATH,
				 &a, &g, NULL),
		CV_LIMIT);
	memset(deep, '{', sizeof(deep));
	assert_int_equal(
		cv_glob_compile((struct cv_str){ deep, sizeof(deep) }, CV_GLOB_PATH, &a, &g, NULL),
		CV_INVALID);
	memset(pattern, 'x', sizeof(pattern)); /* a literal has no states */
	assert_int_equal(cv_glob_compile((struct cv_str){ pattern, sizeof(pattern) }, CV_GLOB_PATH,
				 &a, &g, NULL),
		CV_OK);
	cv_arena_fini(&a);
	assert_false(cv_glob_match(NULL, CV_STR("")));
	cv_arena_init(&a, 64);
	g = NULL;
	assert_int_equal(cv_glob_compile(CV_STR("a*b*c"), CV_GLOB_PATH, &a, &g, NULL), CV_LIMIT);
	assert_null(g);
	cv_arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_row_of_the_language),
		cmocka_unit_test(random_pairs_as_the_naive_one),
		cmocka_unit_test(no_pattern_takes_exponential_time),
		cmocka_unit_test(limits_are_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
