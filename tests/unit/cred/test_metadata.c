/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_metadata.c - what Google's and AWS's libraries ask, and what they may not get
 */
#include "unit/test.h"

#include "cred/metadata.c"

static const struct cv_metadata_google google = {
	.project_id = CV_STR("proj-1"),
	.email = CV_STR("sa@proj-1.iam.gserviceaccount.com"),
	.scopes = CV_STR("https://a https://b"),
	.token = CV_STR("openshell:resolve:env:GCP_TOKEN"),
};

#define V1 "/computeMetadata/v1"
#define SA V1 "/instance/service-accounts"
#define ACCOUNT_JSON                                                                  \
	"{\"aliases\":[\"default\"],\"email\":\"sa@proj-1.iam.gserviceaccount.com\"," \
	"\"scopes\":[\"https://a\",\"https://b\"]}"
#define TOKEN_JSON                                                                   \
	"{\"access_token\":\"openshell:resolve:env:GCP_TOKEN\",\"expires_in\":3600," \
	"\"token_type\":\"Bearer\"}"

static const struct {
	const char *path, *query, *body; /* body NULL: 404 */
	const char *type;
} paths[] = {
	{ "/", NULL, "computeMetadata/\n", "application/text" },
	{ "/computeMetadata/", NULL, "v1/\n", "application/text" },
	{ V1 "/", NULL, "instance/\nproject/\nuniverse/\n", "application/text" },
	{ V1 "/instance", NULL, "service-accounts/\n", "application/text" },
	{ V1 "/instance/", NULL, "service-accounts/\n", "application/text" },
	{ V1 "/project/project-id", NULL, "proj-1", "application/text" },
	{ V1 "/project/project-id", "alt=json", "\"proj-1\"", "application/json" },
	{ SA "/", NULL, "default/\nsa@proj-1.iam.gserviceaccount.com/\n", "application/text" },
	{ SA "/default/", NULL, "aliases\nemail\nscopes\ntoken\n", "application/text" },
	{ SA "/default/", "recursive=true", ACCOUNT_JSON, "application/json" },
	{ SA "/default/", "recursive=true&alt=json", ACCOUNT_JSON, "application/json" },
	{ SA "/default", "recursive=True", ACCOUNT_JSON, "application/json" },
	{ SA "/", "recursive=true",
		"{\"default\":" ACCOUNT_JSON ",\"sa@proj-1.iam.gserviceaccount.com\":" ACCOUNT_JSON
		"}",
		"application/json" },
	{ V1 "/project/", "recursive=true", "{\"projectId\":\"proj-1\"}", "application/json" },
	{ SA "/default/email", NULL, "sa@proj-1.iam.gserviceaccount.com", "application/text" },
	{ SA "/default/scopes", NULL, "https://a\nhttps://b\n", "application/text" },
	{ SA "/default/aliases", NULL, "default\n", "application/text" },
	{ SA "/default/token", NULL, TOKEN_JSON, "application/json" },
	{ SA "/default/token", "scopes=https://a", TOKEN_JSON, "application/json" },
	{ SA "/sa@proj-1.iam.gserviceaccount.com/token", NULL, TOKEN_JSON, "application/json" },
	{ V1 "/universe/universe-domain", NULL, "googleapis.com", "application/text" },
	{ V1 "/universe/universe_domain", NULL, NULL, NULL },
	{ SA "/other/token", NULL, NULL, NULL },
	{ SA "/default/identity", "audience=x", NULL, NULL },
	{ SA "/default/token/", NULL, NULL, NULL },
	{ SA "//default/token", NULL, NULL, NULL },
	{ "//", NULL, NULL, NULL },
	{ "", NULL, NULL, NULL },
	{ "/computeMetadata/v1beta1/instance/", NULL, NULL, NULL },
};

static struct cv_arena arena;
static struct cv_metadata_answer answer;

static void ask(const char *method, const char *path, const char *query, const char *name,
	const char *value, const struct cv_metadata_google *facts)
{
	const struct cv_cred_header header = { cv_str_of(name), cv_str_of(value) };
	const struct cv_metadata_request r = { cv_str_of(method), cv_str_of(path), cv_str_of(query),
		&header, name != NULL };

	cv_arena_reset(&arena);
	cv_metadata_google(&r, facts, &arena, &answer);
}

static void google_paths(void **state)
{
	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(paths); i++) {
		ask("GET", paths[i].path, paths[i].query, "metadata-flavor", "Google", &google);
		if (answer.status != (paths[i].body ? 200 : 404))
			fail_msg("%s: %d", paths[i].path, answer.status);
		assert_str(cv_cred_header_get(
				   answer.headers, answer.header_count, CV_STR("Metadata-Flavor")),
			"Google");
		if (!paths[i].body)
			continue;
		assert_str(answer.body, paths[i].body);
		assert_str(cv_cred_header_get(
				   answer.headers, answer.header_count, CV_STR("Content-Type")),
			paths[i].type);
	}
}

static void google_refusals(void **state)
{
	const struct cv_metadata_google bare = { .project_id = CV_STR("p") };

	(void)state;
	ask("GET", "/", NULL, NULL, NULL, &google); /* Go looks for the server so */
	assert_int_equal(answer.status, 200);
	ask("GET", SA "/default/token", NULL, NULL, NULL, &google);
	assert_int_equal(answer.status, 403);
	ask("GET", SA "/default/token", NULL, "Metadata-Flavor", "google ", &google);
	assert_int_equal(answer.status, 403);
	ask("GET", "/", NULL, "X-Forwarded-For", "1.2.3.4", &google);
	assert_int_equal(answer.status, 403);
	ask("POST", SA "/default/token", NULL, "Metadata-Flavor", "Google", &google);
	assert_int_equal(answer.status, 405);
	ask("GET", SA "/default/token", NULL, "Metadata-Flavor", "Google", &bare);
	assert_int_equal(answer.status, 404);
	ask("GET", SA "/", NULL, "Metadata-Flavor", "Google", &bare);
	assert_str(answer.body, "");
}

static void aws_credentials(void **state)
{
	const struct cv_metadata_aws facts = { .path = CV_STR("/v1/credentials"),
		.authorization = CV_STR("tok-123"),
		.key_id = CV_STR("AKIAPLACEHOLDER00000"),
		.secret = CV_STR("openshell:resolve:env:AWS_SECRET_ACCESS_KEY"),
		.session_token = CV_STR("st\"1"),
		.expires_s = 1700000000 };
	struct cv_cred_header header = { CV_STR("Authorization"), CV_STR("tok-123") };
	struct cv_metadata_request r = { CV_STR("GET"), CV_STR("/v1/credentials"), CV_STR_NONE,
		&header, 1 };

	(void)state;
	cv_metadata_aws(&r, &facts, &arena, &answer);
	assert_int_equal(answer.status, 200);
	assert_str(answer.body,
		"{\"AccessKeyId\":\"AKIAPLACEHOLDER00000\",\"SecretAccessKey\":\"openshell:resolve:"
		"env:AWS_SECRET_ACCESS_KEY\",\"Token\":\"st\\\"1\",\"Expiration\":"
		"\"2023-11-14T22:13:20Z\"}");
	r.path = CV_STR("/v1/credentials/");
	cv_metadata_aws(&r, &facts, &arena, &answer);
	assert_int_equal(answer.status, 404);
	r.path = CV_STR("/v1/credentials");
	header.value = CV_STR("tok-124");
	cv_metadata_aws(&r, &facts, &arena, &answer);
	assert_int_equal(answer.status, 401);
	r.header_count = 0;
	cv_metadata_aws(&r, &facts, &arena, &answer);
	assert_int_equal(answer.status, 401);
}

static int setup(void **state)
{
	(void)state;
	cv_arena_init(&arena, 65536);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	cv_arena_fini(&arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(google_paths),
		cmocka_unit_test(google_refusals),
		cmocka_unit_test(aws_credentials),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
