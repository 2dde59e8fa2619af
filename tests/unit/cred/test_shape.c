/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_shape.c - placeholders pass the checks of those that look at tokens, and are found again
 */
#include "unit/test.h"

#include <dirent.h>
#include <regex.h>
#include <stdio.h>

#include "cred/placeholder.h"
#include "cred/shape.c"

static struct cv_arena arena;

static int setup(void **state)
{
	(void)state;
	cv_arena_init(&arena, 8 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	cv_arena_fini(&arena);
	return 0;
}

static struct cv_str make(const char *name, const char *key, unsigned char salt)
{
	const unsigned char seed[CV_SHAPE_SEED_BYTES] = { salt };
	const struct cv_shape *shape;
	struct cv_str text;

	assert_true(cv_shape_find(cv_str_of(name), &shape));
	assert_true(cv_shape_make(shape, cv_str_of(key), seed, &arena, &text));
	return text;
}

/* What secret scanners and SDKs take for a token of the kind. */
static void c13_shapes_are_what_sdks_look_for(void **state)
{
	static const struct {
		const char *name, *regex;
	} row[] = {
		{ "github_pat", "^github_pat_[0-9A-Za-z]{22}_[0-9A-Za-z]{59}$" },
		{ "github_classic", "^ghp_[0-9A-Za-z]{36}$" },
		{ "github_oauth", "^gho_[0-9A-Za-z]{36}$" },
		{ "github_user", "^ghu_[0-9A-Za-z]{36}$" },
		{ "github_server", "^ghs_[0-9A-Za-z]{36}$" },
		{ "github_refresh", "^ghr_[0-9A-Za-z]{36}$" },
		{ "gitlab_pat", "^glpat-[0-9A-Za-z_-]{20}$" },
		{ "anthropic_oauth", "^sk-ant-oat01-[A-Za-z0-9_-]{93}AA$" },
		{ "anthropic", "^sk-ant-api03-[A-Za-z0-9_-]{93}AA$" },
		{ "openrouter", "^sk-or-v1-[0-9a-f]{64}$" },
		{ "openai_project", "^sk-proj-[A-Za-z0-9_-]{74}T3BlbkFJ[A-Za-z0-9_-]{74}$" },
		{ "openai", "^sk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}$" },
		{ "nvidia", "^nvapi-[A-Za-z0-9_-]{64}$" },
		{ "google_api_key", "^AIza[A-Za-z0-9_-]{35}$" },
		{ "google_access_token", "^ya29\\.[A-Za-z0-9_-]{172}$" },
		{ "huggingface", "^hf_[A-Za-z]{34}$" },
		{ "groq", "^gsk_[A-Za-z0-9]{52}$" },
		{ "xai", "^xai-[A-Za-z0-9]{80}$" },
		{ "slack_bot", "^xoxb-[0-9]{10,13}-[0-9]{10,13}-[a-zA-Z0-9]{24}$" },
		{ "slack_user", "^xoxp-([0-9]{10,13}-){3}[a-f0-9]{32}$" },
		{ "slack_app", "^xapp-1-A[A-Z0-9]{10}-[0-9]{13}-[a-f0-9]{64}$" },
		{ "aws_temporary_key", "^ASIA[A-Z2-7]{16}$" },
		{ "aws_key_id", "^AKIA[A-Z2-7]{16}$" },
		{ "aws_secret_key", "^[A-Za-z0-9/+=]{40}$" },
		{ "aws_session_token", "^IQoJ[A-Za-z0-9]{312}$" },
		{ "cove_tools", "^cvt_[0-9a-f]{64}$" },
		{ "npm", "^npm_[0-9A-Za-z]{36}$" },
		{ "pypi", "^pypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,1000}$" },
		{ "jwt", "^eyJ[A-Za-z0-9_-]+\\.eyJ[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]{43}$" },
		{ "canonical", "^openshell:resolve:env:KEY$" },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		char text[SHAPE_BYTES_MAX];
		regex_t re;

		assert_true(cv_str_to_cstr(make(row[i].name, "KEY", 1), text, sizeof(text)));
		assert_int_equal(regcomp(&re, row[i].regex, REG_EXTENDED | REG_NOSUB), 0);
		if (regexec(&re, text, 0, NULL, 0) != 0)
			fail_msg("%s: %s", row[i].name, text);
		regfree(&re);
	}
	assert_int_equal(CV_ARRAY_LEN(row), CV_ARRAY_LEN(shapes) + 1);
}

static bool is_checksum_right(struct cv_str token)
{
	const size_t line = cv_str_rfind_byte(token, '_');
	struct cv_buf b;

	cv_buf_init(&b, SHAPE_BYTES_MAX);
	cv_buf_put(&b, cv_str_slice(token, 0, token.n - 6));
	checksum_put(&b);
	const bool is_right = line < token.n && cv_str_eq(cv_buf_str(&b), token);
	cv_buf_fini(&b);
	return is_right;
}

static void c13_github_checksums_are_right(void **state)
{
	static const char *const name[] = { "github_pat", "github_classic", "github_oauth",
		"github_user", "github_server", "github_refresh", "npm" };

	(void)state;
	assert_int_equal(crc32_of(CV_STR("123456789")), 0xcbf43926); /* the usual check value */
	/* a published token that was revoked before it was published */
	assert_true(is_checksum_right(CV_STR("ghp_"
					     "zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17")));
	assert_false(is_checksum_right(CV_STR("ghp_"
					      "zQWBuTSOoRi4A9spHcVY5ncnsDkxkK0mLq17")));
	for (size_t i = 0; i < CV_ARRAY_LEN(name); i++)
		assert_true(is_checksum_right(make(name[i], "KEY", 3)));
}

static void c13_jwts_parse_and_end_far_away(void **state)
{
	struct cv_str rest = make("jwt", "KEY", 1);
	const struct cv_str head = cv_str_cut(&rest, '.'), claims = cv_str_cut(&rest, '.');
	struct cv_buf b;

	(void)state;
	cv_buf_init(&b, SHAPE_BYTES_MAX);
	assert_true(cv_base64_decode(head, CV_BASE64_URL, &b));
	assert_str(cv_buf_str(&b), "{\"alg\":\"HS256\",\"typ\":\"JWT\"}");
	cv_buf_reset(&b);
	assert_true(cv_base64_decode(claims, CV_BASE64_URL, &b));
	assert_true(cv_str_has_prefix(cv_buf_str(&b), CV_STR("{\"iss\":")));
	assert_true(cv_str_has_suffix(cv_buf_str(&b), CV_STR("\"}")));
	assert_non_null(memmem(b.data + b.start, cv_buf_len(&b), "\"exp\":4102444800,", 17));
	cv_buf_reset(&b);
	assert_true(cv_base64_decode(rest, CV_BASE64_URL, &b));
	assert_int_equal(cv_buf_len(&b), 32);
	cv_buf_fini(&b);
}

static void two_seeds_and_two_keys_never_agree(void **state)
{
	(void)state;
	for (size_t i = 0; cv_shape_at(i); i++) {
		const char *name = shapes[i].name;

		assert_true(cv_str_eq(make(name, "KEY", 1), make(name, "KEY", 1)));
		assert_false(cv_str_eq(make(name, "KEY", 1), make(name, "KEY", 2)));
		assert_false(cv_str_eq(make(name, "KEY", 1), make(name, "KEY_2", 1)));
	}
}

static void letters_are_spread_evenly(void **state)
{
	const unsigned char seed[CV_SHAPE_SEED_BYTES] = { 9 };
	struct stream s = { .seed = seed };
	size_t count[256] = { 0 };
	struct cv_buf b;

	(void)state;
	cv_buf_init(&b, 100000);
	letters_put(&b, &s, 62000, letters_of('w'));
	for (size_t i = 0; i < cv_buf_len(&b); i++)
		count[(unsigned char)b.data[i]]++;
	for (const char *c = letters_of('w').p; *c; c++)
		assert_in_range(count[(unsigned char)*c], 850, 1150);
	cv_buf_fini(&b);
}

/* All shapes in one set: it compiles, and finds each of them where it stands. */
static void c4_every_shape_is_found_again(void **state)
{
	static struct cv_ph_entry entry[CV_ARRAY_LEN(shapes) + 1];
	static char key[CV_ARRAY_LEN(shapes) + 1][16];
	struct cv_err err = { 0 };
	struct cv_ph_set set;
	struct cv_ph_hit hit;

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(entry); i++) {
		snprintf(key[i], sizeof(key[i]), "KEY_%zu", i);
		entry[i].key = cv_str_of(key[i]);
		entry[i].text = make(
			cv_shape_at(i) ? shapes[i].name : "canonical", key[i], (unsigned char)i);
	}
	if (cv_ph_set_compile(&set, entry, CV_ARRAY_LEN(entry), &arena, &err) != CV_OK)
		fail_msg("%s", err.msg);
	for (size_t i = 0; i < CV_ARRAY_LEN(entry); i++) {
		const struct cv_str text =
			cv_arena_printf(&arena, "<%.*s>", CV_STR_ARG(entry[i].text));

		assert_true(cv_ph_find(&set, text, 0, &hit));
		assert_int_equal(hit.entry, i);
		assert_int_equal(hit.at, 1);
		assert_int_equal(hit.n, entry[i].text.n);
		assert_true(cv_ph_is_in(&set, text));
	}
}

static void shapes_are_guessed(void **state)
{
	static const struct {
		const char *key, *value, *name;
	} row[] = {
		{ "GITHUB_TOKEN", "", "github_classic" },
		{ "MY_GITHUB_TOKEN", "", "github_classic" },
		{ "COPILOT_GITHUB_TOKEN", "", "github_pat" },
		{ "NOTGH_TOKEN", "", "canonical" },
		{ "GITHUB_TOKEN", "github_pat_11x", "github_pat" },
		{ "GITHUB_TOKEN", "ghs_x", "github_server" },
		{ "WHATEVER", "xoxb-1", "slack_bot" },
		{ "WHATEVER", "sk-ant-oat01-x", "anthropic_oauth" },
		{ "WHATEVER", "sk-ant-api03-x", "anthropic" },
		{ "WHATEVER", "sk-proj-x", "openai_project" },
		{ "WHATEVER", "sk-x", "openai" },
		{ "ANTHROPIC_API_KEY", "", "anthropic" },
		{ "CODEX_AUTH_ID_TOKEN", "", "jwt" },
		{ "AWS_ACCESS_KEY_ID", "", "aws_key_id" },
		{ "AWS_SECRET_ACCESS_KEY", "wJalr", "aws_secret_key" },
		{ "PASSWORD", "hunter2", "canonical" },
		{ "", "", "canonical" },
	};
	const struct cv_shape *shape;

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++)
		assert_str(cv_shape_name(
				   cv_shape_guess(cv_str_of(row[i].key), cv_str_of(row[i].value))),
			row[i].name);
	assert_false(cv_shape_find(CV_STR("no_such"), &shape));
}

/* A profile's `shape: NAME` must be a row of the table; a wrong word would fail a run. */
static void shapes_of_our_profiles_exist(void **state)
{
	struct dirent *d;
	size_t count = 0;

	(void)state;
	DIR *dir = opendir(PROFILES_DIR);
	assert_non_null(dir);
	while ((d = readdir(dir))) {
		char path[4096], line[512], name[64];

		snprintf(path, sizeof(path), PROFILES_DIR "/%s", d->d_name);
		FILE *f = strstr(d->d_name, ".yaml") ? fopen(path, "r") : NULL;
		while (f && fgets(line, sizeof(line), f)) {
			const struct cv_shape *shape;
			struct cv_str text =
				cv_str_trim(cv_str_slice(cv_str_of(line), 0, strcspn(line, "#\n")));

			if (!cv_str_has_prefix(text, CV_STR("shape:")))
				continue;
			text = cv_str_trim(cv_str_slice(text, 6, text.n));
			assert_true(cv_str_to_cstr(text, name, sizeof(name)));
			if (!cv_shape_find(text, &shape))
				fail_msg("%s: no shape %s", d->d_name, name);
			count++;
		}
		if (f)
			fclose(f);
	}
	closedir(dir);
	assert_true(count > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(c13_shapes_are_what_sdks_look_for),
		cmocka_unit_test(c13_github_checksums_are_right),
		cmocka_unit_test(c13_jwts_parse_and_end_far_away),
		cmocka_unit_test(two_seeds_and_two_keys_never_agree),
		cmocka_unit_test(letters_are_spread_evenly),
		cmocka_unit_test(c4_every_shape_is_found_again),
		cmocka_unit_test(shapes_are_guessed),
		cmocka_unit_test(shapes_of_our_profiles_exist),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
