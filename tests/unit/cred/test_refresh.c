/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_refresh.c - what each strategy asks, and what it makes of each answer
 */
#include "unit/test.h"

#include "cred/refresh.c"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#define NOW_S 1700000000

static char rsa_pem[4096];

/* A plan from "name=value" texts; RSA stands for the key. */
static struct cv_cred_refresh plan(const char *strategy, const char *url, const char *const *texts)
{
	static struct cv_cred_material materials[8];
	struct cv_cred_refresh r = {
		.strategy = cv_str_of(strategy), .token_url = cv_str_of(url), .materials = materials
	};

	for (; texts && texts[r.material_count]; r.material_count++) {
		struct cv_str value = cv_str_of(texts[r.material_count]);

		materials[r.material_count].name = cv_str_cut(&value, '=');
		materials[r.material_count].value =
			cv_str_eq(value, CV_STR("RSA")) ? cv_str_of(rsa_pem) : value;
	}
	return r;
}
#define MATERIALS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static struct cv_arena arena;
static struct cv_refresh_request request;
static struct cv_refresh_result result;
static struct cv_err err;

static cv_code ask(const struct cv_cred_refresh *r)
{
	static const unsigned char random[CV_REFRESH_RANDOM_BYTES] = { 0xab };

	cv_arena_fini(&arena);
	cv_arena_init(&arena, 1 << 20);
	err.msg[0] = 0;
	return cv_refresh_request(r, NOW_S, random, &arena, &request, &err);
}

static void answer(const struct cv_cred_refresh *r, int status, const char *body,
	const struct cv_cred_header *headers, size_t count)
{
	const struct cv_refresh_answer a = { status, headers, count, cv_str_of(body) };

	cv_arena_fini(&arena);
	cv_arena_init(&arena, 1 << 20);
	cv_refresh_response(r, &a, NOW_S, &arena, &result);
}

static struct cv_str header(const char *name)
{
	return cv_cred_header_get(request.headers, request.header_count, cv_str_of(name));
}

/* ---- requests ---- */

static void oauth_requests(void **state)
{
	struct cv_cred_refresh r = plan("oauth2_refresh_token", "https://id.example/token",
		MATERIALS("client_id=c d", "refresh_token=r/t+=", "client_secret=s&"));

	(void)state;
	r.scopes = CV_STR("a b");
	assert_int_equal(ask(&r), CV_OK);
	assert_str(request.method, "POST");
	assert_str(request.url, "https://id.example/token");
	assert_str(header("content-type"), "application/x-www-form-urlencoded");
	assert_str(request.body,
		"grant_type=refresh_token&refresh_token=r%2Ft%2B%3D&scope=a%20b&client_id=c%20d&"
		"client_secret=s%26");

	r = plan("oauth2_client_credentials", "https://login.example/{tenant_id}/oauth2/v2.0/token",
		MATERIALS("client_id=c:", "client_secret=s", "tenant_id=t-1.example",
			"client_auth_method=client_secret_basic"));
	assert_int_equal(ask(&r), CV_OK);
	assert_str(request.url, "https://login.example/t-1.example/oauth2/v2.0/token");
	assert_str(request.body, "grant_type=client_credentials");
	assert_str(header("authorization"), "Basic YyUzQTpz"); /* c%3A:s */

	r = plan("oauth2_client_credentials", "https://x.example/t",
		MATERIALS("client_id=c", "private_key=RSA"));
	assert_int_equal(ask(&r), CV_OK);
	assert_true(cv_str_has_prefix(request.body,
		CV_STR("grant_type=client_credentials&client_id=c&client_assertion_type="
		       "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&"
		       "client_assertion=eyJ")));
}

static void other_requests(void **state)
{
	struct cv_cred_refresh r = plan("google_service_account_jwt", NULL,
		MATERIALS("client_email=a@p.iam", "private_key=RSA"));

	(void)state;
	assert_int_equal(ask(&r), CV_OK);
	assert_str(request.url, "https://oauth2.googleapis.com/token");
	assert_true(cv_str_has_prefix(request.body,
		CV_STR("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion="
		       "eyJ")));

	r = plan("github_app_installation", NULL,
		MATERIALS("app_id=7", "installation_id=42", "private_key=RSA",
			"repositories=one, two"));
	r.scopes = CV_STR("contents:read issues:write");
	assert_int_equal(ask(&r), CV_OK);
	assert_str(request.url, "https://api.github.com/app/installations/42/access_tokens");
	assert_true(cv_str_has_prefix(header("authorization"), CV_STR("Bearer eyJ")));
	assert_str(request.body, "{\"permissions\":{\"contents\":\"read\",\"issues\":\"write\"},"
				 "\"repositories\":[\"one\",\"two\"]}");

	r = plan("aws_sts_assume_role", NULL,
		MATERIALS("role_arn=arn:aws:iam::1:role/r", "aws_access_key_id=AKIDEXAMPLE",
			"aws_secret_access_key=s", "aws_region=eu-west-1"));
	assert_int_equal(ask(&r), CV_OK);
	assert_str(request.url, "https://sts.eu-west-1.amazonaws.com/");
	assert_str(request.body, "Action=AssumeRole&Version=2011-06-15&DurationSeconds=3600&"
				 "RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr&RoleSessionName=cove");
	assert_true(cv_str_has_prefix(header("authorization"),
		CV_STR("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20231114/eu-west-1/sts/"
		       "aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature=")));
	r = plan("aws_sts_assume_role", NULL,
		MATERIALS("role_arn=r", "aws_access_key_id=A", "aws_secret_access_key=s",
			"aws_region=cn-north-1"));
	assert_int_equal(ask(&r), CV_OK);
	assert_str(request.url, "https://sts.cn-north-1.amazonaws.com.cn/");

	struct cv_str argv[] = { CV_STR("/usr/bin/gcloud") };
	r = plan("command", NULL, NULL);
	r.argv = argv;
	r.argc = 1;
	assert_int_equal(ask(&r), CV_OK);
	assert_true(request.is_command);
}

static void plans_refused(void **state)
{
	static const char *const one[] = { "client_id=c", "refresh_token=hunter2", NULL };
	const struct {
		struct cv_cred_refresh plan;
		const char *words;
	} rows[] = {
		{ plan("oauth3", "https://x/", one), "unknown strategy oauth3" },
		{ plan("oauth2_refresh_token", NULL, one), "needs token_url" },
		{ plan("oauth2_refresh_token", "http://x.example/", one), "not a plain https" },
		{ plan("oauth2_refresh_token", "https://u@x.example/", one), "not a plain https" },
		{ plan("oauth2_refresh_token", "https://x/{refresh_token}", one),
			"{refresh_token}" },
		{ plan("oauth2_refresh_token", "https://x/{tenant_id}", one), "{tenant_id}" },
		{ plan("oauth2_client_credentials", "https://x/", one), "client_secret or" },
		{ plan("github_app_installation", NULL, one), "needs the material app_id" },
		{ plan("command", NULL, NULL), "command is empty" },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++) {
		/* plan() has one array of materials: make each row's again. */
		struct cv_cred_refresh r = rows[i].plan;
		struct cv_cred_refresh again = plan("", "", one);

		r.materials = again.materials;
		assert_int_equal(cv_refresh_check(&r, &err), CV_INVALID);
		if (!strstr(err.msg, rows[i].words))
			fail_msg("row %zu: %s", i, err.msg);
		assert_null(strstr(err.msg, "hunter2"));
	}
	struct cv_cred_refresh bad = plan("google_service_account_jwt", NULL,
		MATERIALS("client_email=a", "private_key=hunter2"));
	assert_int_equal(cv_refresh_check(&bad, &err), CV_INVALID);
	assert_null(strstr(err.msg, "hunter2"));
}

/* ---- answers ---- */

#define STS_OK                                                                               \
	"<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIA</AccessKeyId>" \
	"<SecretAccessKey>sk</SecretAccessKey><SessionToken>st</SessionToken>"               \
	"<Expiration>2023-11-14T23:13:20Z</Expiration></Credentials></AssumeRoleResult>"     \
	"</AssumeRoleResponse>"
#define STS_ERROR(code) "<ErrorResponse><Error><Code>" code "</Code></Error></ErrorResponse>"

static const struct {
	const char *strategy;
	int status;
	const char *body;
	const char *slug, *token; /* "ok": token */
	int64_t lifetime_s;
} answers[] = {
	{ "oauth2_refresh_token", 200, "{\"access_token\":\"t\",\"expires_in\":60}", "ok", "t",
		60 },
	{ "oauth2_refresh_token", 200,
		"{\"access_token\":\"t\",\"token_type\":\"Bearer\",\"expires_in\":\"90\"}", "ok",
		"t", 90 },
	{ "oauth2_refresh_token", 200, "{\"access_token\":\"t\"}", "ok", "t", 3600 },
	{ "oauth2_refresh_token", 200, "{\"access_token\":\"t\",\"token_type\":\"DPoP\"}",
		"bad_answer", NULL, 0 },
	{ "oauth2_refresh_token", 200, "{\"access_token\":\"t\\r\\nX: y\"}", "bad_answer", NULL,
		0 },
	{ "oauth2_refresh_token", 200, "{\"access_token\":\"t\",\"expires_in\":0}",
		"already_expired", NULL, 0 },
	{ "oauth2_refresh_token", 200, "{\"access_token\":\"t\",\"expires_in\":-1}", "bad_answer",
		NULL, 0 },
	{ "oauth2_refresh_token", 200, "<html>sign in</html>", "bad_answer", NULL, 0 },
	{ "oauth2_refresh_token", 302, "", "bad_answer", NULL, 0 },
	{ "oauth2_refresh_token", 400, "{\"error\":\"invalid_grant\"}", "grant_rejected", NULL, 0 },
	{ "oauth2_refresh_token", 200, "{\"error\":\"bad_refresh_token\"}", "grant_rejected", NULL,
		0 },
	{ "oauth2_refresh_token", 401, "{\"error\":\"invalid_client\"}", "client_rejected", NULL,
		0 },
	{ "oauth2_refresh_token", 401, "no", "client_rejected", NULL, 0 },
	{ "oauth2_refresh_token", 403, "<html>blocked</html>", "bad_answer", NULL, 0 },
	{ "oauth2_refresh_token", 503, "{\"error\":\"invalid_grant\"}", "issuer_unavailable", NULL,
		0 },
	{ "oauth2_refresh_token", 429, "{}", "rate_limited", NULL, 0 },
	{ "oauth2_client_credentials", 400, "{\"error\":\"invalid_scope\"}", "forbidden", NULL, 0 },
	{ "oauth2_client_credentials", 400, "{\"error\":\"authorization_pending\"}", "bad_answer",
		NULL, 0 },
	{ "aws_sts_assume_role", 200, STS_OK, "ok", "ASIA", 3600 },
	{ "aws_sts_assume_role", 200, "<AssumeRoleResponse/>", "bad_answer", NULL, 0 },
	{ "aws_sts_assume_role", 403, STS_ERROR("AccessDenied"), "forbidden", NULL, 0 },
	{ "aws_sts_assume_role", 403, STS_ERROR("ExpiredToken"), "grant_rejected", NULL, 0 },
	{ "aws_sts_assume_role", 403, STS_ERROR("InvalidClientTokenId"), "client_rejected", NULL,
		0 },
	{ "aws_sts_assume_role", 400, STS_ERROR("Throttling"), "rate_limited", NULL, 0 },
	{ "aws_sts_assume_role", 503, STS_ERROR("AccessDenied"), "issuer_unavailable", NULL, 0 },
	{ "aws_sts_assume_role", 502, "bad gateway", "issuer_unavailable", NULL, 0 },
	{ "github_app_installation", 201,
		"{\"token\":\"ghs_x\",\"expires_at\":\"2023-11-14T23:13:20Z\",\"permissions\":{}}",
		"ok", "ghs_x", 3600 },
	{ "github_app_installation", 201, "{\"token\":\"ghs_x\"}", "bad_answer", NULL, 0 },
	{ "github_app_installation", 201,
		"{\"token\":\"ghs_x\",\"expires_at\":\"2023-11-14T22:13:20Z\"}", "already_expired",
		NULL, 0 },
	{ "github_app_installation", 401, "{\"message\":\"Bad credentials\"}", "client_rejected",
		NULL, 0 },
	{ "github_app_installation", 404, "{}", "forbidden", NULL, 0 },
	{ "command", 0, "tok\n", "ok", "tok", 3600 },
	{ "command", 0, "tok\r\n2023-11-14T23:13:20Z\r\n\n", "ok", "tok", 3600 },
	{ "command", 0, "{\"accessToken\":\"t\",\"expires_in\":5}", "ok", "t", 5 },
	{ "command", 0, "\n{\"token\":\"t\",\"expires_at\":1700000009}", "ok", "t", 9 },
	{ "command", 0, "{\"token\":\"t\",\"expires_at\":\"soon\"}", "bad_answer", NULL, 0 },
	{ "command", 0, "tok\nnot a date\n", "bad_answer", NULL, 0 },
	{ "command", 0, "tok\n2023-11-14T23:13:20Z\nmore\n", "bad_answer", NULL, 0 },
	{ "command", 0, "two words\n", "bad_answer", NULL, 0 },
	{ "command", 0, "", "bad_answer", NULL, 0 },
	{ "command", 1, "tok\n", "command_failed", NULL, 0 },
};

static void answers_of_issuers(void **state)
{
	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(answers); i++) {
		const struct cv_cred_refresh r = plan(answers[i].strategy, NULL, NULL);

		answer(&r, answers[i].status, answers[i].body, NULL, 0);
		const struct cv_refresh_reason_row *row = cv_refresh_reason_row(result.reason);
		if (strcmp(row->slug, answers[i].slug) != 0)
			fail_msg("row %zu: got %s, want %s", i, row->slug, answers[i].slug);
		assert_int_equal(row->verdict, result.verdict);
		assert_int_equal(result.output_count > 0, answers[i].token != NULL);
		if (!answers[i].token)
			continue;
		assert_str(cv_refresh_output(&result, CV_STR_NONE), answers[i].token);
		assert_int_equal(result.expires_s, NOW_S + answers[i].lifetime_s);
	}
}

static void outputs_and_rotation(void **state)
{
	struct cv_cred_refresh r =
		plan("oauth2_refresh_token", NULL, MATERIALS("refresh_token=old"));

	(void)state;
	answer(&r, 200, "{\"access_token\":\"a\",\"id_token\":\"i\",\"refresh_token\":\"new\"}",
		NULL, 0);
	assert_str(result.rotated, "new");
	assert_str(cv_refresh_output(&result, CV_STR("id_token")), "i");
	assert_null(cv_refresh_output(&result, CV_STR("refresh_token")).p);
	answer(&r, 200, "{\"access_token\":\"a\",\"refresh_token\":\"old\"}", NULL, 0);
	assert_null(result.rotated.p);
	r.max_lifetime_s = 300;
	answer(&r, 200, "{\"access_token\":\"a\",\"expires_in\":3600}", NULL, 0);
	assert_int_equal(result.expires_s, NOW_S + 300);

	r = plan("aws_sts_assume_role", NULL, NULL);
	answer(&r, 200, STS_OK, NULL, 0);
	assert_str(cv_refresh_output(&result, CV_STR("secret_access_key")), "sk");
	assert_str(cv_refresh_output(&result, CV_STR("session_token")), "st");
}

static void retry_after(void **state)
{
	const struct cv_cred_refresh r = plan("github_app_installation", NULL, NULL);
	struct cv_cred_header h[] = { { CV_STR("Retry-After"), CV_STR(" 17 ") } };

	(void)state;
	answer(&r, 403, "{}", h, 1);
	assert_int_equal(result.reason, CV_REFRESH_REASON_LIMITED);
	assert_int_equal(result.retry_s, 17);
	h[0].value = CV_STR("99999999");
	answer(&r, 503, "{}", h, 1);
	assert_int_equal(result.retry_s, CV_REFRESH_RETRY_S_MAX);
	h[0].value = CV_STR("Fri, 31 Dec 1999 23:59:59 GMT");
	answer(&r, 503, "{}", h, 1);
	assert_int_equal(result.retry_s, 0);
}

/* No renewal: the body is the caller's, and outlives the wiping of requests. */
static void probes(void **state)
{
	static const char *const key[] = { "key=sk-1", NULL };
	const struct {
		int status;
		enum cv_refresh_reason reason;
	} rows[] = {
		{ 200, CV_REFRESH_REASON_OK },
		{ 302, CV_REFRESH_REASON_PROBE_CALL },
		{ 400, CV_REFRESH_REASON_PROBE_CALL },
		{ 401, CV_REFRESH_REASON_PROBE_KEY },
		{ 403, CV_REFRESH_REASON_PROBE_DENIED },
		{ 404, CV_REFRESH_REASON_PROBE_MODEL },
		{ 429, CV_REFRESH_REASON_LIMITED },
		{ 503, CV_REFRESH_REASON_UNAVAILABLE },
	};
	char body[] = "{\"model\":\"m\"}";
	struct cv_cred_refresh r = plan("probe_bearer", "http://10.0.0.5:8080/v1", key);

	(void)state;
	r.scopes = cv_str_of(body);
	assert_int_equal(cv_refresh_check(&r, &err), CV_OK);
	assert_int_equal(ask(&r), CV_OK);
	assert_str(header("Authorization"), "Bearer sk-1");
	assert_str(request.body, "{\"model\":\"m\"}");
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++) {
		answer(&r, rows[i].status, "sk-1 is wrong", NULL, 0);
		assert_int_equal(result.reason, rows[i].reason);
	}
	r = plan("probe_key", "https://api.test/v1/messages", key);
	r.scopes = cv_str_of(body);
	assert_int_equal(ask(&r), CV_OK);
	assert_str(header("x-api-key"), "sk-1");
	r = plan("probe_open", "https://api.test/v1", NULL);
	r.scopes = cv_str_of(body);
	assert_int_equal(ask(&r), CV_OK);
	assert_int_equal(request.header_count, 2);
	/* What is renewed never goes out without TLS. */
	r = plan("oauth2_refresh_token", "http://10.0.0.5/token",
		MATERIALS("client_id=c", "refresh_token=t"));
	assert_int_equal(cv_refresh_check(&r, &err), CV_INVALID);
}

static int key_make(void **state)
{
	EVP_PKEY *const key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
	BIO *const bio = BIO_new(BIO_s_mem());

	(void)state;
	PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
	const int n = BIO_read(bio, rsa_pem, sizeof(rsa_pem) - 1);
	BIO_free(bio);
	EVP_PKEY_free(key);
	cv_arena_init(&arena, 1 << 20);
	return n > 0 ? 0 : -1;
}

static int arena_end(void **state)
{
	(void)state;
	cv_arena_fini(&arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(oauth_requests),
		cmocka_unit_test(other_requests),
		cmocka_unit_test(plans_refused),
		cmocka_unit_test(answers_of_issuers),
		cmocka_unit_test(outputs_and_rotation),
		cmocka_unit_test(retry_after),
		cmocka_unit_test(probes),
	};

	return cmocka_run_group_tests(tests, key_make, arena_end);
}
