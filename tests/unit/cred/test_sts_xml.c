/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_sts_xml.c - answers of STS, and XML that is more than that
 */
#include "unit/test.h"

#include "cred/sts_xml.c"

static cv_code parse(const char *text, struct cv_arena *arena, struct cv_sts_answer *ret)
{
	struct cv_err err;

	cv_arena_init(arena, 65536);
	return cv_sts_xml_parse(cv_str_of(text), arena, ret, &err);
}

static void credentials_and_errors(void **state)
{
	struct cv_sts_answer a;
	struct cv_arena arena;

	(void)state;
	assert_int_equal(
		parse("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		      "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n"
		      " <AssumeRoleResult><AssumedRoleUser><Arn>arn:x</Arn><AccessKeyId>no</AccessKeyId>"
		      "</AssumedRoleUser>\n<Credentials>"
		      "<AccessKeyId>ASIAEXAMPLE</AccessKeyId>\n<SecretAccessKey>a/b+c&amp;d</SecretAccessKey>"
		      "<SessionToken>\n tok==\n</SessionToken><Expiration >2026-11-21T12:00:00Z</Expiration>"
		      "</Credentials><PackedPolicySize/></AssumeRoleResult>"
		      "<ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></AssumeRoleResponse>\n",
			&arena, &a),
		CV_OK);
	assert_str(a.key_id, "ASIAEXAMPLE");
	assert_str(a.secret, "a/b+c&d");
	assert_str(a.session_token, "tok==");
	assert_str(a.expiration, "2026-11-21T12:00:00Z");
	assert_null(a.error_code.p);
	cv_arena_fini(&arena);
	assert_int_equal(
		parse("<ErrorResponse xmlns='x'><Error><Type>Sender</Type><Code>AccessDenied</Code>"
		      "<Message>User: arn is not authorized</Message></Error></ErrorResponse>",
			&arena, &a),
		CV_OK);
	assert_str(a.error_code, "AccessDenied");
	assert_null(a.key_id.p);
	cv_arena_fini(&arena);
}

static void refused(void **state)
{
	static const char *const texts[] = { "", "x", "<a>", "<a></b>", "<a/><b/>", "<a>&x;</a>",
		"<a>&#65;</a>", "<!DOCTYPE a><a/>", "<a><!-- c --></a>", "<a><![CDATA[x]]></a>",
		"<a><?pi?></a>", "<a b></a>", "<a b=c></a>", "<a b=\"<\"></a>", "<a b=\"></a>",
		"</a>", "<a></a></a>", "<a/>x", "<a\x01/>", "<a>\x01</a>", "< a/>", "<a", "<a/",
		"<ErrorResponse><Error><Code>1</Code><Code>2</Code></Error></ErrorResponse>",
		"<ErrorResponse><Error><Code>1<x/>2</Code></Error></ErrorResponse>",
		("<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a></a></a></a></a></a></a></a></a></a>"
		 "</a></a></a></a></a></a></a></a>") };
	struct cv_sts_answer a;
	struct cv_arena arena;

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(texts); i++) {
		if (parse(texts[i], &arena, &a) != CV_PROTO)
			fail_msg("accepted: %s", texts[i]);
		cv_arena_fini(&arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(credentials_and_errors),
		cmocka_unit_test(refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
