/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: each detector finds what it is named after and leaves alone what only looks like it; what is
 * found is written as [REDACTED:name]; an expression of a policy's author ends in time.
 * Method: rows of text and what they become, with that detector alone; then texts made to cost.
 */
#include "unit/test.h"

#include "cred/detect.c"

#include <stdio.h>
#include <time.h>

#define A36 "0123456789abcdefghijklmnopqrstuvwxyz"
#define A35 "0123456789abcdefghijklmnopqrstuvwxy"

/* clang-format off */
static const struct {
	enum cv_detector detector;
	const char *text, *want; /* want NULL: nothing is found */
} rows[] = {
	{ CV_DETECTOR_PRIVATE_KEY_PEM, "a\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nb", "a\n[REDACTED:private_key_pem]\nb" },
	{ CV_DETECTOR_PRIVATE_KEY_PEM, "\"-----BEGIN PRIVATE KEY-----\\nMII\\n-----END PRIVATE KEY-----\\n\"", "\"[REDACTED:private_key_pem]\\n\"" },
	{ CV_DETECTOR_PRIVATE_KEY_PEM, "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl", "[REDACTED:private_key_pem]" },
	{ CV_DETECTOR_PRIVATE_KEY_PEM, "-----BEGIN PGP PRIVATE KEY BLOCK-----\nx\n-----END PGP PRIVATE KEY BLOCK-----", "[REDACTED:private_key_pem]" },
	{ CV_DETECTOR_PRIVATE_KEY_PEM, "-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----", NULL },
	{ CV_DETECTOR_PRIVATE_KEY_PEM, "-----BEGIN PUBLIC KEY-----\nMIIE", NULL },
	{ CV_DETECTOR_PRIVATE_KEY_PEM, "-----BEGIN ", NULL },
	{ CV_DETECTOR_AWS_ACCESS_KEY, "key=AKIAIOSFODNN7EXAMPLE;", "key=[REDACTED:aws_access_key];" },
	{ CV_DETECTOR_AWS_ACCESS_KEY, "\"ASIAIOSFODNN7EXAMPLE\"", "\"[REDACTED:aws_access_key]\"" },
	{ CV_DETECTOR_AWS_ACCESS_KEY, "AKIAIOSFODNN7EXAMPL", NULL },
	{ CV_DETECTOR_AWS_ACCESS_KEY, "AKIAIOSFODNN7EXAMPLEX", NULL },
	{ CV_DETECTOR_AWS_ACCESS_KEY, "AKIAIOSFODNN7EXAMPLEx", NULL },
	{ CV_DETECTOR_AWS_ACCESS_KEY, "XAKIAIOSFODNN7EXAMPLE", NULL },
	{ CV_DETECTOR_GITHUB_TOKEN, "ghp_" A36 ".", "[REDACTED:github_token]." },
	{ CV_DETECTOR_GITHUB_TOKEN, "github_pat_" A36 "_0123", "[REDACTED:github_token]" },
	{ CV_DETECTOR_GITHUB_TOKEN, "ghp_" A35, NULL },
	{ CV_DETECTOR_GITHUB_TOKEN, "ghx_" A36, NULL },
	{ CV_DETECTOR_GITHUB_TOKEN, "xghp_" A36, NULL },
	{ CV_DETECTOR_SLACK_TOKEN, "xoxb-1234567890-abc", "[REDACTED:slack_token]" },
	{ CV_DETECTOR_SLACK_TOKEN, "xoxb-123", NULL },
	{ CV_DETECTOR_SLACK_TOKEN, "xoxq-1234567890-abc", NULL },
	{ CV_DETECTOR_GOOGLE_API_KEY, "?key=AIza" A35 "&", "?key=[REDACTED:google_api_key]&" },
	{ CV_DETECTOR_GOOGLE_API_KEY, "AIza" A36, NULL },
	{ CV_DETECTOR_GOOGLE_API_KEY, "AIza" "0123", NULL },
	{ CV_DETECTOR_JWT, "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl!", "Bearer [REDACTED:jwt]!" },
	{ CV_DETECTOR_JWT, "eyJhbGciOiJIUzI1NiJ9.c3ViIjoiMSJ9.c2ln", NULL },
	{ CV_DETECTOR_JWT, "eyJhbGciOiJIUzI1NiJ9", NULL },
	{ CV_DETECTOR_JWT, "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0", NULL },
	{ CV_DETECTOR_SK_TOKEN, "sk-ant-api03-abcdefghij", "[REDACTED:sk_token]" },
	{ CV_DETECTOR_SK_TOKEN, "a sk-0123456789abcdef b", "a [REDACTED:sk_token] b" },
	{ CV_DETECTOR_SK_TOKEN, "sk-short", NULL },
	{ CV_DETECTOR_SK_TOKEN, "task-0123456789abcdef", NULL },
	{ CV_DETECTOR_CREDIT_CARD, "pay 4111 1111 1111 1111 now", "pay [REDACTED:credit_card] now" },
	{ CV_DETECTOR_CREDIT_CARD, "4111-1111-1111-1111", "[REDACTED:credit_card]" },
	{ CV_DETECTOR_CREDIT_CARD, "\"378282246310005\"", "\"[REDACTED:credit_card]\"" },
	{ CV_DETECTOR_CREDIT_CARD, "4111 1111 1111 1112", NULL },
	{ CV_DETECTOR_CREDIT_CARD, "4111111111111111a", NULL },
	{ CV_DETECTOR_CREDIT_CARD, "1.4111111111111111", NULL },
	{ CV_DETECTOR_CREDIT_CARD, "1732190000000", NULL },
	{ CV_DETECTOR_CREDIT_CARD, "2222222222222224", "[REDACTED:credit_card]" },
	{ CV_DETECTOR_CREDIT_CARD, "4444444444444444444", NULL },
	{ CV_DETECTOR_IBAN, "to DE89 3704 0044 0532 0130 00 please", "to [REDACTED:iban] please" },
	{ CV_DETECTOR_IBAN, "GB82WEST12345698765432", "[REDACTED:iban]" },
	{ CV_DETECTOR_IBAN, "DE89370400440532013001", NULL },
	{ CV_DETECTOR_IBAN, "DE89 3704", NULL },
	{ CV_DETECTOR_IBAN, "XDE89370400440532013000", NULL },
	{ CV_DETECTOR_US_SSN, "ssn 078-05-1120.", "ssn [REDACTED:us_ssn]." },
	{ CV_DETECTOR_US_SSN, "666-05-1120 000-05-1120 912-05-1120 078-00-1120 078-05-0000", NULL },
	{ CV_DETECTOR_US_SSN, "078-05-11201", NULL },
	{ CV_DETECTOR_US_SSN, "1078-05-1120", NULL },
	{ CV_DETECTOR_EMAIL, "to <jane.doe+x@mail.example.com>,", "to <[REDACTED:email]>," },
	{ CV_DETECTOR_EMAIL, "a@b.co", "[REDACTED:email]" },
	{ CV_DETECTOR_EMAIL, "a@b.co.", "[REDACTED:email]." },
	{ CV_DETECTOR_EMAIL, "@decorator x@y 5@6.7 a@b.c", NULL },
	{ CV_DETECTOR_HIGH_ENTROPY, "k=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY1", "[REDACTED:high_entropy]" },
	{ CV_DETECTOR_HIGH_ENTROPY, "da39a3ee5e6b4b0d3255bfef95601890afd80709", NULL },
	{ CV_DETECTOR_HIGH_ENTROPY, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaA1", NULL },
	{ CV_DETECTOR_HIGH_ENTROPY, "wJalrXUtnFEMI/K7MDENG", NULL },
};
/* clang-format on */

static struct cv_detect *must_new(uint32_t detectors, const char *regex)
{
	static struct cv_middleware m;
	struct cv_detect *d = NULL;
	struct cv_err err = { 0 };

	m = (struct cv_middleware){ .detectors = detectors };
	if (regex)
		m.pattern[m.pattern_count++] =
			(struct cv_middleware_pattern){ .name = CV_STR("own"),
				.regex = cv_str_of(regex) };
	if (cv_detect_new(&m, &d, &err) != CV_OK)
		fail_msg("%s", err.msg);
	return d;
}

static void check_row(const struct cv_detect *d, const char *text, const char *want)
{
	struct cv_detect_result result;
	struct cv_detect_hit hit;
	struct cv_buf out;

	cv_buf_init(&out, 1 << 20);
	const enum cv_detect_rc rc = cv_detect_redact(d, cv_str_of(text), &out, &result);
	if (rc != (want ? CV_DETECT_HIT : CV_DETECT_NONE) ||
		cv_detect_first(d, cv_str_of(text), &hit) != rc)
		fail_msg("%s: rc %d, made %.*s", text, (int)rc, CV_STR_ARG(cv_buf_str(&out)));
	if (!cv_str_eq(cv_buf_str(&out), cv_str_of(want)))
		fail_msg("%s: made %.*s, want %s", text, CV_STR_ARG(cv_buf_str(&out)), want);
	cv_buf_fini(&out);
}

static void test_detectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++) {
		struct cv_detect *d = must_new(1u << rows[i].detector, NULL);

		check_row(d, rows[i].text, rows[i].want);
		cv_detect_free(d);
	}
}

static void test_each_has_rows_of_both_kinds(void **state)
{
	(void)state;
	for (int k = 0; k < CV_DETECTOR_COUNT; k++) {
		bool has[2] = { false, false };

		for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++)
			if ((int)rows[i].detector == k)
				has[rows[i].want != NULL] = true;
		assert_true(has[0] && has[1]);
	}
}

static void test_several_at_once(void **state)
{
	struct cv_detect *d =
		must_new(1u << CV_DETECTOR_EMAIL | 1u << CV_DETECTOR_US_SSN, "proj-[0-9]{4}");

	(void)state;
	check_row(d, "a@b.co proj-1234 078-05-1120 proj-12 proj-5678",
		"[REDACTED:email] [REDACTED:own] [REDACTED:us_ssn] proj-12 [REDACTED:own]");
	check_row(d, "proj-1234@b.co", "[REDACTED:own]@b.co"); /* both begin there */
	cv_detect_free(d);
}

/* Beyond one window, at its seams, and with a look back over one. */
static void test_own_at_every_place(void **state)
{
	struct cv_detect *d = must_new(0, "(?<=x )secret-[a-z]{1,500}!");
	static char text[3 * CV_REGEX_WINDOW_BYTES];
	struct cv_detect_hit hit;

	(void)state;
	for (size_t at = 2; at + 600 < sizeof(text); at += 37) {
		memset(text, '.', sizeof(text));
		memcpy(text + at - 2, "x secret-", 9);
		memset(text + at + 7, 'q', 400);
		text[at + 407] = '!';
		assert_int_equal(cv_detect_first(d, (struct cv_str){ text, sizeof(text) }, &hit),
			CV_DETECT_HIT);
		assert_int_equal(hit.start, at);
		assert_int_equal(hit.end, at + 408);
	}
	cv_detect_free(d);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

#define COSTLY_BYTES (1u << 20)

/* T13: neither a text nor an expression makes the proxy stand still. */
static void test_t13_time_is_bounded(void **state)
{
	static const char *const pieces[] = { "a", "a@", "eyJaaaaaaaa-", "AIza-", "-----BEGIN ",
		"4111 ", "AA11 ", "sk-", "eyJaaaaaaaa.eyJ", "aB3/", "x.", "1-",
		"-----BEGIN PRIVATE KEY-----" };
	static const char *const regexes[] = { "(a+)+[0-9]", "(a|aa)+[0-9]", "(.*)*[0-9]",
		"a*a*a*a*a*[0-9]", "[^x]{1000}[0-9]", "(?=a*[0-9])[x0]", "\\w+[@][0-9]" };
	char *text = malloc(COSTLY_BYTES);
	struct cv_detect_result result;
	struct cv_buf out;

	(void)state;
	assert_non_null(text);
	cv_buf_init(&out, 64u << 20);
	for (size_t i = 0; i < CV_ARRAY_LEN(pieces) + CV_ARRAY_LEN(regexes); i++) {
		const bool is_own = i >= CV_ARRAY_LEN(pieces);
		const char *piece = is_own ? "a" : pieces[i];
		const char *regex = is_own ? regexes[i - CV_ARRAY_LEN(pieces)] : NULL;
		struct cv_detect *d = must_new(is_own ? 0 : (1u << CV_DETECTOR_COUNT) - 1, regex);

		for (size_t k = 0; k < COSTLY_BYTES; k++)
			text[k] = piece[k % strlen(piece)];
		cv_buf_reset(&out);
		const double before = seconds();
		(void)!cv_detect_redact(d, (struct cv_str){ text, COSTLY_BYTES }, &out, &result);
		const double took = seconds() - before;
		printf("# %.2f s: %s\n", took, is_own ? regex : piece);
		if (took >
			10) /* sanitizers and a busy machine included; without a bound it is hours */
			fail_msg("%s took %.1f s", is_own ? regex : piece, took);
		cv_detect_free(d);
	}
	cv_buf_fini(&out);
	free(text);
}

static void test_bad_expressions_are_refused(void **state)
{
	static const char *const bad[] = { "", "(", "[a", "a*", "(?C1)a", "(*UTF)a", "\\Ca", "x|" };

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(bad); i++) {
		struct cv_regex *r = NULL;
		struct cv_err err = { 0 };

		if (cv_regex_compile(cv_str_of(bad[i]), &r, &err) == CV_OK)
			fail_msg("%s was compiled", bad[i]);
		assert_true(err.msg[0] != '\0');
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_detectors),
		cmocka_unit_test(test_each_has_rows_of_both_kinds),
		cmocka_unit_test(test_several_at_once),
		cmocka_unit_test(test_own_at_every_place),
		cmocka_unit_test(test_t13_time_is_bounded),
		cmocka_unit_test(test_bad_expressions_are_refused),
	};

	return cmocka_run_group_tests_name("cred/detect", tests, NULL, NULL);
}
