/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_proposal.c - what an agent proposes, read and handed on
 *
 * Goal: all that can be proposed arrives as it was said; anything else is refused, and the message says
 * where; no list and no text is longer than its limit.
 */
#include "plan/proposal.h"
#include "unit/test.h"
#include "wire/json_value.h"

#include <string.h>

static struct cv_arena arena;

static int setup(void **state)
{
	(void)state;
	cv_arena_init(&arena, 4 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	cv_arena_fini(&arena);
	return 0;
}

static cv_code read_text(const char *text, struct cv_proposals *ret, struct cv_err *err)
{
	const struct cv_value *document;

	assert_int_equal(
		cv_json_value_read(cv_str_of(text), &arena, &document, NULL), CV_JSON_PROBLEM_NONE);
	return cv_proposals_read(document, &arena, ret, err);
}

#define RULE(endpoint)                                                                         \
	"{\"operations\":[{\"addRule\":{\"ruleName\":\"r\",\"rule\":{\"endpoints\":[" endpoint \
	"]}}}]}"

static void all_of_it_arrives(void **state)
{
	struct cv_proposals said, p;
	struct cv_err err;
	struct cv_buf b;

	(void)state;
	assert_int_equal(
		read_text(
			"{\"intent_summary\":\"why\",\"operations\":[{\"add_rule\":{\"rule_name\":\"r\","
			"\"rule\":{\"name\":\"r\",\"endpoints\":[{\"host\":\"a.test\",\"ports\":[1,65535],"
			"\"protocol\":\"rest\",\"tls\":\"terminate\",\"enforcement\":\"enforce\","
			"\"access\":\"read-only\",\"rules\":[{\"allow\":{\"method\":\"GET\",\"path\":\"/a\"}},"
			"{\"allow\":{\"command\":\"SELECT\"}}],\"denyRules\":[{\"method\":\"PUT\",\"path\":\"/\"}],"
			"\"allowedIps\":[\"10.0.0.0/8\"],\"allow_encoded_slash\":true,\"port\":null}],"
			"\"binaries\":[{\"path\":\"/usr/bin/curl\"},{\"path\":\"/x\"}]}}}]}",
			&said, &err),
		CV_OK);
	cv_buf_init(&b, CV_PROPOSALS_BYTES_MAX);
	assert_true(cv_proposals_put(&said, &b));
	assert_true(cv_proposals_get(cv_buf_str(&b), &arena, &p));
	assert_str(p.intent, "why");
	assert_int_equal(p.n, 1);
	assert_str(p.v[0].rule_name, "r");
	assert_int_equal(p.v[0].binary_count, 2);
	assert_str(p.v[0].binaries[1], "/x");
	assert_int_equal(p.v[0].endpoint_count, 1);
	const struct cv_proposal_endpoint *e = &p.v[0].endpoints[0];
	assert_str(e->host, "a.test");
	assert_int_equal(e->port, 0);
	assert_int_equal(e->port_count, 2);
	assert_int_equal(e->ports[1], 65535);
	assert_str(e->protocol, "rest");
	assert_str(e->tls, "terminate");
	assert_str(e->enforcement, "enforce");
	assert_str(e->access, "read-only");
	assert_int_equal(e->rule_count, 2);
	assert_str(e->rules[0].path, "/a");
	assert_str(e->rules[1].command, "SELECT");
	assert_int_equal(e->deny_rule_count, 1);
	assert_str(e->deny_rules[0].method, "PUT");
	assert_int_equal(e->allowed_ip_count, 1);
	assert_str(e->allowed_ips[0], "10.0.0.0/8");
	assert_int_equal(e->allow_encoded_slash, 1);
	cv_buf_fini(&b);
}

static void what_is_wrong_is_said_with_its_place(void **state)
{
	static const struct {
		const char *text, *said;
	} row[] = {
		{ "7", "expected an object, found number" },
		{ "{}", "operations is missing" },
		{ "{\"operations\":{}}", "operations: expected a list of at most 64" },
		{ "{\"operations\":[{}]}", "operations[0]: add_rule is missing" },
		{ "{\"operations\":[{\"addRule\":{}}]}", "operations[0].addRule: rule is missing" },
		{ "{\"operations\":[{\"addRule\":{\"rule\":{\"binaries\":[]}}}]}",
			"operations[0].addRule.rule: endpoints is missing" },
		{ "{\"operations\":[{\"addRule\":null}]}", "operations[0]: add_rule is missing" },
		{ RULE("{\"denyRules\":[],\"deny_rules\":[]}"),
			"endpoints[0].deny_rules: said twice, in both spellings" },
		{ RULE(""), "operations[0].addRule.rule.endpoints: a rule without an endpoint" },
		{ RULE("{\"host\":1}"), "endpoints[0].host: expected a string, found number" },
		{ RULE("{\"port\":0}"), "endpoints[0].port: expected a number from 1 to 65535" },
		{ RULE("{\"port\":1.5}"), "endpoints[0].port: expected a number" },
		{ RULE("{\"ports\":[1,\"2\"]}"), "endpoints[0].ports[1]: expected a number" },
		{ RULE("{},{\"credential_binding\":{}}"),
			"endpoints[1].credential_binding: can't be proposed" },
		{ RULE("{\"rules\":[{\"deny\":{}}]}"),
			"endpoints[0].rules[0].deny: can't be proposed" },
		{ RULE("{\"rules\":[{\"allow\":{\"path\":\"/a?b\"}}]}"),
			"rules[0].allow.path: a path without its query" },
		{ RULE("{\"denyRules\":[{\"path\":\"?\"}]}"), "denyRules[0].path: a path without" },
		{ RULE("{\"host\":\"a\\u0000b\"}"),
			"endpoints[0].host: longer than 2048 bytes, or with a NUL" },
		{ RULE("{\"allow_encoded_slash\":1}"), "expected true or false" },
		{ RULE("{\"a very long key that nobody would ever write, or so one would think\":1}"),
			"endpoints[0].a very long key that nobody would ever w: can't be proposed" },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		struct cv_proposals p;
		struct cv_err err;

		assert_int_equal(read_text(row[i].text, &p, &err), CV_INVALID);
		if (!strstr(err.msg, row[i].said))
			fail_msg("%s\n%s", row[i].text, err.msg);
	}
}

static void bytes_that_are_none(void **state)
{
	struct cv_proposals said, p;
	struct cv_err err;
	struct cv_buf b;

	(void)state;
	assert_int_equal(read_text(RULE("{\"host\":\"a.test\"}"), &said, &err), CV_OK);
	cv_buf_init(&b, CV_PROPOSALS_BYTES_MAX);
	assert_true(cv_proposals_put(&said, &b));
	for (size_t n = 0; n < cv_buf_len(&b); n++)
		assert_false(cv_proposals_get(cv_str_slice(cv_buf_str(&b), 0, n), &arena, &p));
	cv_buf_put_byte(&b, 0);
	assert_false(cv_proposals_get(cv_buf_str(&b), &arena, &p));
	cv_buf_fini(&b);
	cv_buf_init(&b, 20);
	assert_false(cv_proposals_put(&said, &b));
	cv_buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_it_arrives),
		cmocka_unit_test(what_is_wrong_is_said_with_its_place),
		cmocka_unit_test(bytes_that_are_none),
	};

	return cmocka_run_group_tests_name("plan/proposal", tests, setup, teardown);
}
