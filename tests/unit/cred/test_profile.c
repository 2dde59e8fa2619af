/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_profile.c - profiles: what is read, what is refused, in which words and where
 */
#include "unit/test.h"

#include "cred/profile.c"
#include "cred/profile_validate.c"

#include <dirent.h>
#include <stdio.h>

struct said_case {
	const char *name, *text, *said; /* said: of the last finding */
};

#define HEAD "id: a\n"
static const struct said_case cases[] = {
	{ "empty", "", "p:1:1: error: the profile is empty; it needs at least an id\n" },
	{ "list", "- a\n", "p:1:1: error: a profile is a mapping of keys, this is a list" },
	{ "no_id", "display_name: x\n", "p:1:1: error: a profile needs the key 'id'; add it\n" },
	{ "id", "id: My_Service\n", "p:1:5: error: id 'My_Service' is not in kebab-case" },
	{ "id_hyphens", "id: a--b\n", "is not in kebab-case" },
	{ "unknown", HEAD "endpoint: []\n",
		"p:2:1: error: unknown key 'endpoint' in a profile; did you mean 'endpoints'?\n" },
	{ "unknown_credential_key", HEAD "credentials: [{name: t, env_var: [X]}]\n",
		"p:2:25: error: credentials[0]: unknown key 'env_var' in a credential; did you mean "
		"'env_vars'?\n" },
	{ "value", HEAD "credentials: [{name: t, env_vars: [X], value: ghp_x}]\n",
		"p:2:47: error: credentials[0]: 'value' is not accepted; a profile holds no secret; "
		"say where it comes from in an instance\n" },
	{ "category", HEAD "category: games\n", "p:2:11: error: unknown category 'games'" },
	{ "alias", HEAD "aliases: [a.yaml]\n", "p:2:11: error: alias 'a.yaml' can't be told" },
	{ "discovery", HEAD "discovery: {credentials: [x]}\n", "there is no credential 'x'" },
	{ "env", HEAD "credentials: [{name: t, env_vars: [\"A B\"]}]\n",
		"p:2:36: error: credentials[0]: 'A B' can't be a variable's name" },
	{ "env_reserved", HEAD "credentials: [{name: t, env_vars: [v1_X]}]\n",
		"'v1_X' can't be a variable's name" },
	{ "env_twice", HEAD "credentials: [{name: t, env_vars: [X]}, {name: u, env_vars: [X]}]\n",
		"credentials[1]: the variable X occurs twice" },
	{ "name_twice", HEAD "credentials: [{name: t, env_vars: [X]}, {name: t, env_vars: [Y]}]\n",
		"credentials[1]: a second credential named 't', first at line 2" },
	{ "auth", HEAD "credentials: [{name: t, env_vars: [X], auth_style: cookie}]\n",
		"unknown auth_style 'cookie'; expected basic, bearer, header, query, path" },
	{ "header", HEAD "credentials: [{name: t, env_vars: [X], auth_style: header}]\n",
		"auth_style header needs header_name; add it" },
	{ "header_blank",
		HEAD "credentials: [{name: t, env_vars: [X], auth_style: header, header_name: \"X "
		     "Key\"}]\n",
		"p:2:73: error: credentials[0]: header_name 'X Key' can't be the name of a header; "
		"write letters, digits and" },
	{ "header_colon",
		HEAD "credentials: [{name: t, env_vars: [X], auth_style: header, header_name: "
		     "\"X-Key:\"}]\n",
		"header_name 'X-Key:' can't be the name of a header" },
	{ "header_crlf",
		HEAD "credentials: [{name: t, env_vars: [X], auth_style: header, header_name: "
		     "\"X\\r\\nHost\"}]\n",
		"can't be the name of a header" },
	{ "header_ignored", /* it is said of it too that nobody reads it */
		HEAD "credentials: [{name: t, env_vars: [X], header_name: \"X\\n\"}]\n",
		"can't be the name of a header" },
	{ "query_blank",
		HEAD "credentials: [{name: t, env_vars: [X], auth_style: query, query_param: \"a "
		     "b\"}]\n",
		"query_param 'a b' can't be the name of a parameter; percent-encode blanks" },
	{ "query_two",
		HEAD "credentials: [{name: t, env_vars: [X], auth_style: query, query_param: "
		     "\"a=b&c\"}]\n",
		"query_param 'a=b&c' can't be the name of a parameter" },
	{ "template_crlf",
		HEAD "credentials: [{name: t, env_vars: [X], auth_style: path, path_template: "
		     "\"/a{credential}\\r\\n\"}]\n",
		"can't be a part of a path; percent-encode blanks" },
	{ "token_url_lf",
		HEAD "credentials: [{name: t, env_vars: [X], refresh: {strategy: "
		     "oauth2_refresh_token, token_url: \"https://a/\\nb\"}}]\n",
		"is not an https URL" },
	{ "shape", HEAD "credentials: [{name: t, env_vars: [X], shape: round}]\n",
		"p:2:47: error: credentials[0]: unknown shape 'round'; known: github_pat" },
	{ "template",
		HEAD "credentials: [{name: t, env_vars: [X], auth_style: path, path_template: "
		     "/a}]\n",
		"must contain {credential} once, not 0 times" },
	{ "strategy", HEAD "credentials: [{name: t, env_vars: [X], refresh: {strategy: magic}}]\n",
		"unknown strategy 'magic'; expected static, external" },
	{ "token_url",
		HEAD "credentials: [{name: t, env_vars: [X], refresh: {strategy: "
		     "oauth2_refresh_token}}]\n",
		"refresh: oauth2_refresh_token needs token_url" },
	{ "token_url_http",
		HEAD "credentials: [{name: t, env_vars: [X], refresh: {strategy: "
		     "oauth2_refresh_token, token_url: \"http://a/\"}}]\n",
		"token_url 'http://a/' is not an https URL" },
	{ "output",
		HEAD "credentials: [{name: t, env_vars: [X], refresh: {strategy: "
		     "aws_sts_assume_role, additional_outputs: [{output: s, credential: u}]}}]\n",
		"additional_outputs: there is no credential 'u'" },
	{ "endpoint", HEAD "endpoints: [{host: \"*.com\", port: 443}]\nbinaries: [{path: /a}]\n",
		"p:2:20: error: a.endpoints[0]: host pattern '*.com' covers a whole top-level "
		"domain" },
	{ "endpoint_binding",
		HEAD "endpoints: [{host: a.example, port: 443, credential_binding: {provider: "
		     "x}}]\nbinaries: [{path: /a}]\n",
		"p:2:13: error: credential_binding is for policies" },
};

static void test_words(void **state)
{
	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(cases); i++) {
		struct cv_profile *p = NULL;
		struct cv_findings f;
		struct cv_buf out;

		cv_findings_init(&f);
		cv_buf_init(&out, 1 << 20);
		const cv_code code = cv_profile_load(CV_STR("p"), cv_str_of(cases[i].text), &p, &f);
		cv_findings_text(&f, CV_STR("p"), &out);
		cv_buf_put_byte(&out, '\0');
		assert_null(p);
		assert_int_equal(code, CV_INVALID);
		if (!strstr(cv_buf_str(&out).p, cases[i].said))
			fail_msg("%s: said\n%swant\n%s", cases[i].name, cv_buf_str(&out).p,
				cases[i].said);
		cv_buf_fini(&out);
		cv_findings_fini(&f);
	}
}

static const char json[] =
	"{\"id\":\"my-api\",\"display_name\":\"My \\u2713 API\",\"aliases\":[\"my\"],"
	"\"category\":\"inference\",\"inference_capable\":true,\"resource_version\":0,"
	"\"annotations\":{\"a\":\"b\"},\n\t\"credentials\":[{\"name\":\"key\",\"env_vars\":[\"A\","
	"\"B\"],\"required\":true,\"auth_style\":\"path\",\"path_template\":\"/x{credential}/y\","
	"\"shape\":\"openai\",\"refresh\":{\"strategy\":\"oauth2_client_credentials\",\"token_url\":"
	"\"https:\\/\\/a.example/token\",\"scopes\":[\"s\"],\"refresh_before_seconds\":60,"
	"\"material\":[{\"name\":\"client_secret\",\"required\":true,\"secret\":true}]}},"
	"{\"name\":\"grant\",\"token_grant\":{\"token_endpoint\":\"https://a.example/t\","
	"\"audience_overrides\":[{\"host\":\"b\",\"port\":1,\"scopes\":[]}]}}],"
	"\"discovery\":{\"credentials\":[\"key\"]},\"source\":\"user\",\"scope\":\"\","
	"\"endpoints\":[{\"host\":\"a.example\",\"port\":443,\"protocol\":\"rest\",\"access\":"
	"\"full\",\"scrub\":\"off\",\"credential_mode\":\"require\"}],\"binaries\":[{\"path\":"
	"\"/usr/bin/x\",\"harness\":true}]}";

static void test_everything_is_read(void **state)
{
	struct cv_profile *p = NULL, *again = NULL;
	struct cv_findings f;
	struct cv_buf out;

	(void)state;
	cv_findings_init(&f);
	cv_buf_init(&out, 1 << 20);
	assert_int_equal(cv_profile_load(CV_STR("p"), cv_str_of(json), &p, &f), CV_OK);
	assert_int_equal(f.n, 0);
	assert_true(cv_profile_is_named(p, CV_STR("my")) && p->is_inference_capable);
	const struct cv_profile_credential *k = cv_profile_credential_find(p, CV_STR("key"));
	assert_non_null(k);
	assert_true(k->is_required && k->has_refresh && !k->has_grant);
	assert_int_equal(k->auth_style, CV_PROFILE_AUTH_PATH);
	assert_str(k->env_vars.v[1].s, "B");
	assert_str(k->shape.s, "openai");
	assert_str(k->refresh.token_url.s, "https://a.example/token");
	assert_int_equal(k->refresh.before_s, 60);
	assert_true(k->refresh.materials[0].is_secret);
	assert_int_equal(p->credentials[1].grant.audiences[0].ports[0], 1);
	assert_int_equal(p->network.endpoints[0].scrub, CV_SCRUB_OFF);
	assert_int_equal(p->network.binary_count, 1);
	/* and the same once written and read again */
	cv_fill_write(&cv_profile_schema, p, &out);
	assert_int_equal(cv_profile_load(CV_STR("p"), cv_buf_str(&out), &again, &f), CV_OK);
	assert_str(again->display_name.s, "My \xe2\x9c\x93 API");
	assert_int_equal(again->credentials[0].refresh.material_count, 1);
	cv_profile_free(again);
	cv_profile_free(p);
	cv_buf_fini(&out);
	cv_findings_fini(&f);
}

/* What is built in is beyond reproach: not even a warning. */
static void test_built_in_profiles(void **state)
{
	DIR *dir = opendir(PROFILES_DIR);
	size_t count = 0;

	(void)state;
	assert_non_null(dir);
	for (struct dirent *e; (e = readdir(dir));) {
		char path[1024], text[16384];
		struct cv_profile *p = NULL;
		struct cv_findings f;
		struct cv_buf out;

		if (!cv_str_has_suffix(cv_str_of(e->d_name), CV_STR(".yaml")))
			continue;
		snprintf(path, sizeof(path), "%s/%s", PROFILES_DIR, e->d_name);
		FILE *file = fopen(path, "r");
		assert_non_null(file);
		const size_t n = fread(text, 1, sizeof(text), file);
		fclose(file);
		cv_findings_init(&f);
		cv_buf_init(&out, 1 << 20);
		(void)!cv_profile_load(cv_str_of(e->d_name), (struct cv_str){ text, n }, &p, &f);
		cv_findings_text(&f, cv_str_of(e->d_name), &out);
		if (f.n)
			fail_msg("%.*s", CV_STR_ARG(cv_buf_str(&out)));
		/* a profile is found by its file's name */
		assert_true(cv_str_has_prefix(cv_str_of(e->d_name), p->id.s) &&
			    strlen(e->d_name) == p->id.s.n + strlen(".yaml"));
		cv_profile_free(p);
		cv_buf_fini(&out);
		cv_findings_fini(&f);
		count++;
	}
	closedir(dir);
	assert_true(count >= 19);
}

static void test_keys(void **state)
{
	static const char *const good[] = { "A", "_", "a1", "v_1", "v1", "s_", "vx1_A" };
	static const char *const bad[] = { "", "1A", "A-B", "A=", "v1_A", "v22_",
		"s0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef_K" };

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(good); i++)
		if (!cv_cred_is_key(cv_str_of(good[i])))
			fail_msg("%s is a key", good[i]);
	for (size_t i = 0; i < CV_ARRAY_LEN(bad); i++)
		if (cv_cred_is_key(cv_str_of(bad[i])))
			fail_msg("%s is no key", bad[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_everything_is_read),
		cmocka_unit_test(test_built_in_profiles),
		cmocka_unit_test(test_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
