/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_instance.c - instances: told from profiles, read, refused with place and reason
 */
#include "unit/test.h"

#include "cred/instance.c"

static const struct {
	const char *name, *text, *said;
} cases[] = {
	{ "empty", "", "the provider is empty; it needs at least \"profile: ID\"" },
	{ "value", "profile: a\ncredentials: {t: {value: x}}\n",
		"p:2:26: error: t: 'value' is not accepted" },
	{ "in_its_place", "profile: a\ncredentials: {t: ghp_x}\n",
		"p:2:18: error: t: expected a mapping, found a string; write {env: VAR}" },
	{ "private", "profile: a\ncredentials: {t: {fd: ghp_x}}\n",
		"fd: expected a number from 0 to 4294967295, found a string\n" },
	{ "no_source", "profile: a\ncredentials: {t: {}}\n", "t: no source" },
	{ "two", "profile: a\ncredentials: {t: {env: A, file: b}}\n", "t: more than one source" },
	{ "env", "profile: a\ncredentials: {t: {env: \"ghp_x y\"}}\n",
		"env: this can't be a variable's name" },
	{ "fd", "profile: a\ncredentials: {t: {fd: -1}}\n", "expected a number from 0" },
	{ "command", "profile: a\ncredentials: {t: {command: []}}\n", "the command is empty" },
	{ "command_text", "profile: a\ncredentials: {t: {command: cat x}}\n", "expected a list" },
	{ "expires", "profile: a\ncredentials: {t: {env: A, expires: never}}\n",
		"expires 'never' is not a time" },
	{ "name", "profile: a\nname: a/b\n", "name 'a/b' can't be part" },
	{ "endpoints", "profile: a\nendpoints: []\n", "they belong to the profile" },
	{ "token_url", "profile: a\nrefresh: {t: {token_url: x}}\n", "which says where a secret" },
	{ "strategy", "profile: a\nrefresh: {t: {strategy: command}}\n", "go together" },
	{ "config", "profile: a\nconfig: {a-b: c}\n", "config: 'a-b' can't be a name" },
	{ "duplicate", "profile: a\ncredentials: {t: {env: A}, t: {env: B}}\n",
		"duplicate key 't'" },
};

static void test_words(void **state)
{
	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(cases); i++) {
		struct cv_instance *v = NULL;
		struct cv_findings f;
		struct cv_buf out;

		cv_findings_init(&f);
		cv_buf_init(&out, 1 << 20);
		assert_int_equal(cv_instance_load(CV_STR("p"), cv_str_of(cases[i].text), &v, &f),
			CV_INVALID);
		assert_null(v);
		cv_findings_text(&f, CV_STR("p"), &out);
		cv_buf_put_byte(&out, '\0');
		if (!strstr(cv_buf_str(&out).p, cases[i].said))
			fail_msg("%s: said\n%swant\n%s", cases[i].name, cv_buf_str(&out).p,
				cases[i].said);
		/* whatever stood in place of a variable's name may be a secret */
		assert_null(strstr(cv_buf_str(&out).p, "ghp_x"));
		cv_buf_fini(&out);
		cv_findings_fini(&f);
	}
}

static void test_everything_is_read(void **state)
{
	struct cv_instance *v = NULL;
	struct cv_findings f;

	(void)state;
	cv_findings_init(&f);
	assert_int_equal(
		cv_instance_load(CV_STR("p"),
			CV_STR("profile: ./x.yaml\nname: my.work\ncredentials:\n"
			       "  a: {env: A, expires: 2001-09-09T01:46:40Z}\n"
			       "  b: {file: /f}\n  c: {fd: 0}\n"
			       "  d: {command: [x, y], expires: 1000000000}\n"
			       "refresh: {a: {command: [m]}, b: {material: {s: {env: S}}}}\n"
			       "config: {K: 1}\n"),
			&v, &f),
		CV_OK);
	assert_int_equal(cv_instance_source_find(v, CV_STR("a"))->expires_s, 1000000000);
	assert_int_equal(cv_instance_source_find(v, CV_STR("d"))->expires_s, 1000000000);
	assert_true(cv_instance_source_find(v, CV_STR("c"))->has_fd);
	assert_int_equal(
		cv_instance_refresh_find(v, CV_STR("a"))->strategy, CV_PROFILE_STRATEGY_COMMAND);
	assert_str(cv_instance_refresh_find(v, CV_STR("b"))->materials[0].env.s, "S");
	assert_str(v->config[0].value.s, "1");
	cv_instance_free(v);
	cv_findings_fini(&f);
}

static void test_told_from_a_profile(void **state)
{
	(void)state;
	assert_true(cv_instance_is_one(CV_STR("profile: a\nwhatever: [1]\n")));
	assert_true(cv_instance_is_one(CV_STR("{\"profile\":\"a\"}")));
	assert_false(cv_instance_is_one(CV_STR("id: a\n")));
	assert_false(cv_instance_is_one(CV_STR("id: a\nprofile: b\n")));
	assert_false(cv_instance_is_one(CV_STR("")));
	assert_false(cv_instance_is_one(CV_STR("[")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_everything_is_read),
		cmocka_unit_test(test_told_from_a_profile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
