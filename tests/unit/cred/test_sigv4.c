/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_sigv4.c - signatures against AWS's published examples and against botocore's
 *
 * Rows named aws_* are of AWS's Signature Version 4 test suite and of the examples in the S3 API
 * reference; rows named botocore_* were recorded from botocore 1.x's own signer.  `covers` is what the
 * sandbox's own signature had covered.
 */
#include "unit/test.h"

#include "cred/sigv4.c"
#include "cred/sigv4_canon.c"

#include "base/hex.h"

#define SUITE_SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define S3_SECRET    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define SUITE_TIME   1440938160 /* 20150830T123600Z */
#define S3_TIME      1369353600 /* 20130524T000000Z */
#define SUITE_TOKEN                                                                              \
	"AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRX" \
	"mxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburE" \
	"Dy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL" \
	"64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="

enum account { SUITE, SUITE_STS, S3, BEDROCK };

static const struct {
	const char *id, *secret, *token, *region, *service, *host;
	int64_t now_s;
} accounts[] = {
	[SUITE] = { "AKIDEXAMPLE", SUITE_SECRET, NULL, "us-east-1", "service",
		"example.amazonaws.com", SUITE_TIME },
	[SUITE_STS] = { "AKIDEXAMPLE", SUITE_SECRET, SUITE_TOKEN, "us-east-1", "service",
		"example.amazonaws.com", SUITE_TIME },
	[S3] = { "AKIAIOSFODNN7EXAMPLE", S3_SECRET, NULL, "us-east-1", "s3",
		"examplebucket.s3.amazonaws.com", S3_TIME },
	[BEDROCK] = { "AKIDEXAMPLE", SUITE_SECRET, NULL, "eu-west-1", "bedrock",
		"bedrock-runtime.eu-west-1.amazonaws.com", 1735689600 },
};

struct vector {
	const char *name;
	enum account account;
	const char *method, *path, *query, *covers;
	struct {
		const char *name, *value;
	} headers[4];
	const char *body; /* NULL: unsigned */
	const char *signature;
};

/* clang-format off */
static const struct vector vectors[] = {
	{ "aws_get_vanilla", SUITE, "GET", "/", NULL, "", {{ NULL }}, "",
	  "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
	{ "aws_post_vanilla", SUITE, "POST", "/", "", "", {{ NULL }}, "",
	  "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b" },
	{ "aws_query_order_key_case", SUITE, "GET", "/", "Param2=value2&Param1=value1", "", {{ NULL }}, "",
	  "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500" },
	{ "aws_query_order_value", SUITE, "GET", "/", "Param1=value2&Param1=value1", "", {{ NULL }}, "",
	  "5772eed61e12b33fae39ee5e7012498b51d56abc0abb7c60486157bd471c4694" },
	{ "aws_unreserved", SUITE, "GET",
	  "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", NULL, "", {{ NULL }}, "",
	  "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f" },
	{ "aws_utf8", SUITE, "GET", "/\xe1\x88\xb4", NULL, "", {{ NULL }}, "",
	  "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85" },
	{ "aws_header_value_trim", SUITE, "GET", "/", NULL, "my-header1;my-header2",
	  {{ "My-Header1", " value1" }, { "My-Header2", " \"a   b   c\"" }}, "",
	  "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736" },
	{ "aws_header_key_duplicate", SUITE, "GET", "/", NULL, "my-header1",
	  {{ "My-Header1", "value2" }, { "My-Header1", "value2" }, { "My-Header1", "value1" }}, "",
	  "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea" },
	{ "aws_slash_dot_slash", SUITE, "GET", "/./", NULL, "", {{ NULL }}, "",
	  "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
	{ "aws_slashes", SUITE, "GET", "//example//", NULL, "", {{ NULL }}, "",
	  "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84" },
	{ "aws_relative_relative", SUITE, "GET", "/example1/example2/../..", NULL, "", {{ NULL }}, "",
	  "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
	{ "aws_slash_pointless_dot", SUITE, "GET", "/./example", NULL, "", {{ NULL }}, "",
	  "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5" },
	{ "aws_form", SUITE, "POST", "/", NULL, "", {{ "Content-Type", "application/x-www-form-urlencoded" }},
	  "Param1=value1", "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a" },
	{ "aws_sts_header_before", SUITE_STS, "POST", "/", NULL, "", {{ NULL }}, "",
	  "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead" },
	{ "aws_s3_get_range", S3, "GET", "/test.txt", NULL, "host;range;x-amz-content-sha256;x-amz-date",
	  {{ "Range", "bytes=0-9" }}, "",
	  "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41" },
	{ "aws_s3_lifecycle", S3, "GET", "/", "lifecycle", "", {{ NULL }}, "",
	  "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543" },
	{ "aws_s3_list", S3, "GET", "/", "max-keys=2&prefix=J", "", {{ NULL }}, "",
	  "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7" },
	{ "aws_s3_put", S3, "PUT", "/test$file.text", NULL, "date",
	  {{ "Date", "Fri, 24 May 2013 00:00:00 GMT" }, { "x-amz-storage-class", "REDUCED_REDUNDANCY" }},
	  "Welcome to Amazon S3.", "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd" },
	{ "botocore_space_twice_encoded", SUITE, "GET", "/example%20space/", NULL, "", {{ NULL }}, "",
	  "446b817944c553435b35e813c261ff4e161fff982d1bacdef1c87f6785dd1662" },
	{ "botocore_query_respelled", SUITE, "GET", "/", "b=%7e%2f&a=1%2b2&c&d=x+y", "", {{ NULL }}, "",
	  "4fbdc7039c8347afa3473222abaa7ff5841495be3f7cb9c2586a1c7555b24fd9" },
	{ "botocore_s3_dots_stay", S3, "GET", "/a//../b%20c/%c3%a9", NULL, "", {{ NULL }}, "",
	  "909dfd02f177ead5c9a524269e7d0a963cee4feb153b847f46ac8d40f0520cc7" },
	{ "botocore_s3_unsigned", S3, "PUT", "/k", NULL, "", {{ NULL }}, NULL,
	  "fe9e666b10d57c981c9fac1b314ec84292dad4c8df64fb9bf5690403b5b77d49" },
	{ "botocore_bedrock_colon", BEDROCK, "POST", "/model/anthropic.claude-v2%3A1/invoke", NULL, "",
	  {{ "Content-Type", "application/json" }}, "{\"a\":1}",
	  "f62895e78932f7596853f28cbf721b88c64632dff332e41756b639ba9ad6f323" },
};
/* clang-format on */

static cv_code vector_sign(const struct vector *v, struct cv_arena *arena,
	struct cv_sigv4_result *ret, struct cv_err *err)
{
	struct cv_cred_header headers[8];
	size_t count = 0;
	unsigned char sha256[CV_SHA256_BYTES];
	char old[256];

	snprintf(old, sizeof(old),
		"AWS4-HMAC-SHA256 Credential=openshell:resolve:env:AWS_ACCESS_KEY_ID/20150830/x/y/"
		"aws4_request, SignedHeaders=%s, Signature=00",
		v->covers);
	headers[count++] = (struct cv_cred_header){ CV_STR("Authorization"), cv_str_of(old) };
	headers[count++] = (struct cv_cred_header){ CV_STR("X-Amz-Date"), CV_STR("stale") };
	headers[count++] = (struct cv_cred_header){ CV_STR("Content-Length"), CV_STR("12") };
	for (size_t i = 0; i < 4 && v->headers[i].name; i++)
		headers[count++] = (struct cv_cred_header){ cv_str_of(v->headers[i].name),
			cv_str_of(v->headers[i].value) };
	if (v->body) {
		struct cv_sha256 h;

		cv_sha256_init(&h);
		cv_sha256_update(&h, v->body, strlen(v->body));
		cv_sha256_final(&h, sha256);
	}
	return cv_sigv4_sign(&(struct cv_sigv4_request){ .method = cv_str_of(v->method),
				     .host = cv_str_of(accounts[v->account].host),
				     .path = cv_str_of(v->path),
				     .query = cv_str_of(v->query),
				     .headers = headers,
				     .header_count = count },
		&(struct cv_sigv4_keys){ cv_str_of(accounts[v->account].id),
			cv_str_of(accounts[v->account].secret),
			cv_str_of(accounts[v->account].token) },
		&(struct cv_sigv4_scope){ cv_str_of(accounts[v->account].region),
			cv_str_of(accounts[v->account].service), accounts[v->account].now_s },
		v->body ? CV_SIGV4_PAYLOAD_HASH : CV_SIGV4_PAYLOAD_UNSIGNED, sha256, arena, ret,
		err);
}

static void c12_signatures(void **state)
{
	struct cv_arena arena;

	(void)state;
	cv_arena_init(&arena, CV_SIGV4_CANON_BYTES_MAX);
	for (size_t i = 0; i < CV_ARRAY_LEN(vectors); i++) {
		struct cv_sigv4_result r;
		struct cv_err err;

		if (vector_sign(&vectors[i], &arena, &r, &err) != CV_OK)
			fail_msg("%s: %s", vectors[i].name, err.msg);
		const struct cv_str authorization = r.set[r.set_count - 1].value;
		const struct cv_str got = cv_str_slice(
			authorization, authorization.n - HASH_TEXT_BYTES, authorization.n);
		if (!cv_str_eq(got, cv_str_of(vectors[i].signature)))
			fail_msg("%s: got %.*s", vectors[i].name, CV_STR_ARG(authorization));
		cv_arena_reset(&arena);
	}
	cv_arena_fini(&arena);
}

static void what_is_set_and_sent(void **state)
{
	struct cv_arena arena;
	struct cv_sigv4_result r;
	struct cv_err err;
	const struct vector v = { "", SUITE_STS, "GET", "/%7ea/%c3", "b=1+2&a&%61=%7E", "", {},
		NULL, NULL };
	struct vector s3 = v;

	(void)state;
	cv_arena_init(&arena, CV_SIGV4_CANON_BYTES_MAX);
	assert_int_equal(vector_sign(&v, &arena, &r, &err), CV_OK);
	assert_int_equal(r.set_count, 4);
	assert_str(r.set[0].name, "x-amz-date");
	assert_str(r.set[0].value, "20150830T123600Z");
	assert_str(r.set[1].name, "x-amz-security-token");
	assert_str(r.set[1].value, SUITE_TOKEN);
	assert_str(r.set[2].name, "x-amz-content-sha256");
	assert_str(r.set[2].value, "UNSIGNED-PAYLOAD");
	assert_str(r.set[3].name, "authorization");
	assert_true(cv_str_has_prefix(r.set[3].value,
		CV_STR("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/"
		       "aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date;"
		       "x-amz-security-token, Signature=")));
	assert_str(r.path, "/%7ea/%c3");
	assert_str(r.query, "b=1%202&a&a=~");
	s3.account = S3;
	assert_int_equal(vector_sign(&s3, &arena, &r, &err), CV_OK);
	assert_str(r.path, "/~a/%C3");
	assert_true(cv_sigv4_is_dropped(CV_STR("X-Amz-Security-Token")));
	assert_true(cv_sigv4_is_dropped(CV_STR("Authorization")));
	assert_false(cv_sigv4_is_dropped(CV_STR("x-amz-meta-date")));
	cv_arena_fini(&arena);
}

static void c12_presigned_refused(void **state)
{
	static const char *const queries[] = { "X-Amz-Signature=1", "a=1&x-amz-credential=k",
		"X%2DAmz%2dSignature=1", "AWSAccessKeyId=A&Signature=b", "X-Amz-Algorithm" };
	struct cv_arena arena;
	struct cv_sigv4_result r;
	struct cv_err err;

	(void)state;
	cv_arena_init(&arena, CV_SIGV4_CANON_BYTES_MAX);
	for (size_t i = 0; i < CV_ARRAY_LEN(queries); i++) {
		const struct vector v = { "", S3, "GET", "/", queries[i], "", {}, "", NULL };

		assert_int_equal(vector_sign(&v, &arena, &r, &err), CV_DENIED);
	}
	cv_arena_fini(&arena);
}

static void c12_payloads(void **state)
{
	static const struct {
		enum cv_sigv4_mode mode;
		const char *sha256;
		bool has_length;
		cv_code code;
		enum cv_sigv4_payload payload;
	} rows[] = {
		{ CV_SIGV4_AUTO, NULL, true, CV_OK, CV_SIGV4_PAYLOAD_HASH },
		{ CV_SIGV4_AUTO, NULL, false, CV_OK, CV_SIGV4_PAYLOAD_UNSIGNED },
		{ CV_SIGV4_AUTO, "e3b0c442", false, CV_OK, CV_SIGV4_PAYLOAD_HASH },
		{ CV_SIGV4_AUTO, "UNSIGNED-PAYLOAD", true, CV_OK, CV_SIGV4_PAYLOAD_UNSIGNED },
		{ CV_SIGV4_AUTO, "STREAMING-UNSIGNED-PAYLOAD-TRAILER", false, CV_OK,
			CV_SIGV4_PAYLOAD_TRAILER },
		{ CV_SIGV4_BODY, "STREAMING-UNSIGNED-PAYLOAD-TRAILER", false, CV_OK,
			CV_SIGV4_PAYLOAD_TRAILER },
		{ CV_SIGV4_AUTO, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", true, CV_DENIED, 0 },
		{ CV_SIGV4_AUTO, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", true, CV_DENIED, 0 },
		{ CV_SIGV4_NO_BODY, "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", true, CV_DENIED,
			0 },
		{ CV_SIGV4_BODY, "UNSIGNED-PAYLOAD", false, CV_OK, CV_SIGV4_PAYLOAD_HASH },
		{ CV_SIGV4_NO_BODY, NULL, true, CV_OK, CV_SIGV4_PAYLOAD_UNSIGNED },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++) {
		enum cv_sigv4_payload got = 99;
		struct cv_err err;

		assert_int_equal(cv_sigv4_payload(rows[i].mode, cv_str_of(rows[i].sha256),
					 rows[i].has_length, &got, &err),
			rows[i].code);
		if (rows[i].code == CV_OK)
			assert_int_equal(got, rows[i].payload);
	}
}

static void c12_regions(void **state)
{
	static const struct {
		const char *host, *fixed, *want; /* NULL: refused */
	} rows[] = {
		{ "s3.amazonaws.com", NULL, "us-east-1" },
		{ "b.s3.amazonaws.com:443", NULL, "us-east-1" },
		{ "b.s3.eu-west-1.amazonaws.com", NULL, "eu-west-1" },
		{ "b.s3.dualstack.us-gov-west-1.amazonaws.com", NULL, "us-gov-west-1" },
		{ "b.s3-eu-central-1.amazonaws.com", NULL, "eu-central-1" },
		{ "s3.cn-north-1.amazonaws.com.cn", NULL, "cn-north-1" },
		{ "iam.amazonaws.com.cn", NULL, "cn-north-1" },
		{ "search-x.ap-south-1.es.amazonaws.com", NULL, "ap-south-1" },
		{ "eu-west-1.s3.amazonaws.com", NULL, "us-east-1" },
		{ "b.s3-accelerate.amazonaws.com", NULL, NULL },
		{ "b.s3-accelerate.amazonaws.com", "eu-west-2", "eu-west-2" },
		{ "s3.eu-west-1.amazonaws.com", "us-east-1", NULL },
		{ "s3.eu-west-1.amazonaws.com", "eu-west-1", "eu-west-1" },
		{ "s3.amazonaws.com", "eu-west-1", "eu-west-1" },
		{ "minio.example", NULL, NULL },
		{ "minio.example", "us-east-1", "us-east-1" },
		{ "s3.eu-west-1.amazonaws.com.evil.example", NULL, NULL },
		{ "amazonaws.com", NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++) {
		struct cv_str got;
		struct cv_err err;
		const cv_code code = cv_sigv4_region(
			cv_str_of(rows[i].host), cv_str_of(rows[i].fixed), &got, &err);

		if ((code == CV_OK) != (rows[i].want != NULL))
			fail_msg("%s: code %d", rows[i].host, code);
		if (code == CV_OK)
			assert_str(got, rows[i].want);
	}
}

static void bounds(void **state)
{
	static struct cv_cred_header many[CV_SIGV4_HEADERS_MAX + 1];
	struct cv_sigv4_request request = { .method = CV_STR("GET"),
		.host = CV_STR("s3.amazonaws.com"),
		.path = CV_STR("/"),
		.headers = many,
		.header_count = CV_ARRAY_LEN(many) };
	struct cv_sigv4_keys keys = { CV_STR("A"), CV_STR("s"), CV_STR_NONE };
	const struct cv_sigv4_scope scope = { CV_STR("us-east-1"), CV_STR("s3"), S3_TIME };
	struct cv_sigv4_result r;
	struct cv_arena arena;
	struct cv_err err;

	(void)state;
	cv_arena_init(&arena, CV_SIGV4_CANON_BYTES_MAX);
	for (size_t i = 0; i < CV_ARRAY_LEN(many); i++)
		many[i] = (struct cv_cred_header){ CV_STR("x-amz-meta-a"), CV_STR("b") };
	assert_int_equal(cv_sigv4_sign(&request, &keys, &scope, CV_SIGV4_PAYLOAD_UNSIGNED, NULL,
				 &arena, &r, &err),
		CV_LIMIT);
	request.header_count = 1;
	assert_int_equal(cv_sigv4_sign(&request, &keys, &scope, CV_SIGV4_PAYLOAD_UNSIGNED, NULL,
				 &arena, &r, &err),
		CV_OK);
	keys.id = CV_STR("A\r\nX: y");
	assert_int_equal(cv_sigv4_sign(&request, &keys, &scope, CV_SIGV4_PAYLOAD_UNSIGNED, NULL,
				 &arena, &r, &err),
		CV_INVALID);
	cv_arena_fini(&arena);
	keys.id = CV_STR("A");
	cv_arena_init(&arena, 64);
	assert_int_equal(cv_sigv4_sign(&request, &keys, &scope, CV_SIGV4_PAYLOAD_UNSIGNED, NULL,
				 &arena, &r, &err),
		CV_LIMIT);
	cv_arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(c12_signatures),
		cmocka_unit_test(what_is_set_and_sent),
		cmocka_unit_test(c12_presigned_refused),
		cmocka_unit_test(c12_payloads),
		cmocka_unit_test(c12_regions),
		cmocka_unit_test(bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
