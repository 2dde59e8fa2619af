/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_approve_show.c - a question in words: all that decides is there, and nothing steers
 */
#include "unit/test.h"

#include "ipc/approve_show.c"

static const struct cv_ask plain = {
	.id = 3,
	.seconds = 120,
	.sandbox = CV_STR("cove-7"),
	.who = CV_STR("/usr/bin/curl"),
	.what = CV_STR("issue_new"),
	.text = CV_STR("{\"a\":\"\\u001b\"}"),
	.text_bytes = 14,
	.rule = CV_STR("issues"),
	.flags = CV_ASK_ONCE | CV_ASK_JSON,
	.pid = 4,
	.ancestors = { CV_STR("/bin/sh"), CV_STR("/usr/bin/claude") },
	.ancestor_count = 2,
	.ancestors_more = 1,
};

static void shows(const struct cv_ask *ask, bool is_whole, const char *want)
{
	struct cv_buf out;

	cv_buf_init(&out, CV_ASK_SHOW_BYTES_MAX);
	assert_true(cv_ask_show(&out, ask, is_whole));
	cv_buf_put_byte(&out, 0);
	if (!strstr(cv_buf_str(&out).p, want))
		fail_msg("no \"%s\" in:\n%s", want, cv_buf_str(&out).p);
	cv_buf_fini(&out);
}

static void all_that_decides(void **state)
{
	(void)state;
	shows(&plain, false,
		"question 3 of cove-7, denied in 120 s\n"
		"  tool       issue_new\n"
		"  arguments  {\"a\":\"\\u001b\"}\n"
		"  asked by   /usr/bin/curl (process 4 of the sandbox)\n"
		"  under      /bin/sh\n"
		"             /usr/bin/claude\n"
		"             (1 more)\n"
		"  rule       issues; a yes is for every call");
	assert_false(cv_ask_is_long(&plain));
}

static void b6_p9_a4_strangers_words_are_escaped(void **state)
{
	struct cv_ask ask = plain;
	const struct cv_str evil = CV_STR("\033[2J\xe2\x80\xae\n  rule       none");

	(void)state;
	ask.who = ask.what = ask.rule = ask.text = ask.ancestors[0] = evil;
	shows(&ask, false, "  tool       \\u{1b}[2J\\u{202e}\\u{0a}  rule       none\n");
	shows(&ask, true, "  under      \\u{1b}[2J\\u{202e}\\u{0a}  rule       none\n");
	shows(&ask, false, "  rule       \\u{1b}[2J\\u{202e}\\u{0a}  rule       none; ");
	ask.who = CV_STR_NONE;
	shows(&ask, false, "  asked by   (unknown) (process 4");
}

static void b6_long_texts_say_so(void **state)
{
	struct cv_ask ask = plain;
	static char path[4096], text[CV_ASK_TEXT_BYTES_MAX];

	(void)state;
	memset(path, 'p', sizeof(path));
	memset(text, 't', sizeof(text));
	ask.who = (struct cv_str){ path, sizeof(path) };
	ask.text = (struct cv_str){ text, sizeof(text) };
	ask.text_bytes = 1 << 20;
	assert_true(cv_ask_is_long(&ask));
	shows(&ask, false, "\xe2\x80\xa6(3796 bytes more)\xe2\x80\xa6");
	shows(&ask, true, "(these are the first 24576 of 1048576 bytes)");
	/* the worst that can come fits */
	memset(path, 1, sizeof(path));
	memset(text, 1, sizeof(text));
	for (size_t i = 0; i < CV_IDENTITY_ANCESTORS_MAX; i++)
		ask.ancestors[i] = (struct cv_str){ path, 256 };
	ask.ancestor_count = CV_IDENTITY_ANCESTORS_MAX;
	shows(&ask, true, "\\u{01}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_that_decides),
		cmocka_unit_test(b6_p9_a4_strangers_words_are_escaped),
		cmocka_unit_test(b6_long_texts_say_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
