/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_policy.c - revisions with what providers lay over them, settings, and notes on proposals
 */
#include "unit/test.h"

#include "gateway/draft_notes.c"
#include "gateway/revisions.c"

/* No directory says a policy here. */
const cv_policy_pb *cv_gw_folder_policy(
	const struct cv_gateway *g, struct cv_str workspace, struct cv_str *ret_file)
{
	(void)g;
	(void)workspace;
	*ret_file = CV_STR_NONE;
	return NULL;
}

static struct cv_gateway g;
static struct cv_gw_policies policies;
static struct cv_object *box;
static const char *layer; /* what the provider says; NULL: fails */

static uint64_t sent_revision;
static char sent_text[4096];

static void keep_sent(struct cv_gateway *gateway, const struct cv_object *sandbox,
	uint64_t revision, struct cv_str text, struct cv_str with)
{
	assert_true(cv_str_eq(with, cv_str_of(layer)));
	assert_ptr_equal(gateway, &g);
	assert_ptr_equal(sandbox, box);
	sent_revision = revision;
	assert_true(cv_str_to_cstr(text, sent_text, sizeof(sent_text)));
}

static cv_code give_layer(struct cv_gateway *gateway, const struct cv_object *sandbox,
	struct cv_buf *ret, struct cv_err *err)
{
	(void)gateway;
	(void)sandbox;
	if (!layer)
		return cv_fail(err, CV_INVALID, "no profile");
	cv_buf_put(ret, cv_str_of(layer));
	return CV_OK;
}

static int start(void **state)
{
	Openshell__V1__Sandbox *m = cv_pb_new(&openshell__v1__sandbox__descriptor);
	struct cv_err err = { 0 };

	(void)state;
	policies = (struct cv_gw_policies){ .layer = give_layer, .send = keep_sent };
	g = (struct cv_gateway){ .policies = &policies };
	layer = "";
	sent_revision = 0;
	assert_int_equal(cv_store_open_memory(&g.store, &err), CV_OK);
	assert_int_equal(cv_objects_open(g.store, &g.objects, &err), CV_OK);
	m->metadata = cv_pb_new(&openshell__datamodel__v1__object_meta__descriptor);
	cv_pb_str_set(&m->metadata->name, CV_STR("box"));
	cv_pb_str_set(&m->metadata->workspace, CV_STR("default"));
	assert_int_equal(
		cv_object_create(g.objects, CV_OBJECT_SANDBOX, &m->base, 1, &box, &err), CV_RPC_OK);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	cv_objects_close(g.objects);
	cv_store_close(g.store);
	return 0;
}

static cv_policy_pb *policy(const char *text, struct cv_arena *arena)
{
	struct cv_err err = { 0 };
	cv_policy_pb *m;

	if (cv_policy_pb_from_text(CV_STR("t"), cv_str_of(text), arena, &m, &err) != CV_OK)
		fail_msg("%s", err.msg);
	return m;
}

#define LAYER                                                                                 \
	"version: 1\nnetwork_policies:\n  _provider_gh: {endpoints: [{host: api.github.com, " \
	"port: 443, protocol: rest, access: full}], binaries: [{path: /usr/bin/gh}]}\n"

static void layers_are_laid_over(void **state)
{
	struct cv_gw_effective now;
	struct cv_err err = { 0 };
	struct cv_arena arena;
	cv_setting_value off;
	bool was;

	(void)state;
	cv_arena_init(&arena, CV_GW_POLICY_ARENA_MAX);
	layer = LAYER;
	assert_int_equal(cv_gw_policy_effective(&g, box, &arena, &now, &err), CV_RPC_OK);
	assert_int_equal(now.version, 1);
	assert_int_equal(now.policy->n_network_policies, 1);
	assert_string_equal(now.policy->network_policies[0]->key, "_provider_gh");
	openshell__sandbox__v1__setting_value__init(&off);
	off.value_case = OPENSHELL__SANDBOX__V1__SETTING_VALUE__VALUE_BOOL_VALUE;
	assert_int_equal(
		cv_gw_setting_put(&g, CV_STR_NONE, "providers_v2_enabled", &off, &was, &err),
		CV_RPC_OK);
	assert_int_equal(cv_gw_policy_effective(&g, box, &arena, &now, &err), CV_RPC_OK);
	assert_int_equal(now.policy->n_network_policies, 0);
	cv_arena_fini(&arena);
}

static void checked_with_the_layer(void **state)
{
	static const struct {
		const char *inside;
		enum cv_rpc_status status;
		const char *said;
	} rows[] = {
		{ ", protocol: rest, access: read-only, enforcement: audit", CV_RPC_OK, "" },
		{ "", CV_RPC_FAILED_PRECONDITION,
			"credentialed endpoint 'api.github.com:443' in rule 'a' uses L4 passthrough; "
			"configure L7 inspection or explicitly set allow_uninspected_credentials: true" },
		{ ", allow_uninspected_credentials: true", CV_RPC_OK, "" },
		{ ", protocol: rest, access: full, enforcement: enforce",
			CV_RPC_FAILED_PRECONDITION,
			"network endpoint ambiguity validation failed:\n" },
		{ ", tls: skip", CV_RPC_FAILED_PRECONDITION, "network endpoint ambiguity" },
	};
	struct cv_arena arena;

	(void)state;
	layer = LAYER;
	cv_arena_init(&arena, CV_GW_POLICY_ARENA_MAX);
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++) {
		struct cv_err err = { 0 };
		char text[512];

		snprintf(text, sizeof(text),
			"version: 1\nnetwork_policies:\n  a: {endpoints: [{host: api.github.com, "
			"port: 443%s}], binaries: [{path: /usr/bin/curl}]}\n",
			rows[i].inside);
		assert_int_equal(cv_gw_policy_check(&g, box, NULL, policy(text, &arena), &err),
			rows[i].status);
		if (!strstr(err.msg, rows[i].said))
			fail_msg("'%s' is not in '%s'", rows[i].said, err.msg);
	}
	layer = NULL;
	struct cv_err err = { 0 };
	assert_int_equal(cv_gw_policy_check(&g, box, NULL, policy("version: 1\n", &arena), &err),
		CV_RPC_FAILED_PRECONDITION);
	cv_arena_fini(&arena);
}

static void revisions_follow_each_other(void **state)
{
	const struct cv_str id = cv_str_of(box->id);
	char hash[CV_POLICY_HASH_BYTES];
	struct cv_err err = { 0 };
	struct cv_arena arena;
	uint32_t version;

	(void)state;
	cv_arena_init(&arena, CV_GW_POLICY_ARENA_MAX);
	for (uint32_t i = 1; i <= 3; i++) {
		char text[256];

		snprintf(text, sizeof(text),
			"version: 1\nnetwork_policies:\n  a: {endpoints: [{host: a.test, port: %u}]}\n",
			i);
		assert_int_equal(cv_gw_policy_put(&g, box, policy(text, &arena), NULL, 0, &version,
					 hash, &err),
			CV_RPC_OK);
		assert_int_equal(version, i);
		assert_int_equal(sent_revision, i);
		assert_non_null(strstr(sent_text, "host: a.test"));
		if (i == 1)
			cv_gw_policy_reported(&g, id, 1, true, CV_STR_NONE);
	}
	static const char *const wanted[] = { "loaded", "superseded", "pending" };
	for (uint32_t i = 1; i <= 3; i++)
		assert_string_equal(
			cv_gw_revision_of(cv_gw_revision_find(&g, id, i))->status, wanted[i - 1]);
	cv_gw_policy_reported(&g, id, 2, true, CV_STR_NONE); /* too late */
	assert_int_equal(cv_gw_policy_active(&g, id), 1);
	cv_gw_policy_reported(&g, id, 3, false, CV_STR("bad"));
	assert_int_equal(cv_gw_policy_active(&g, id), 1);
	assert_string_equal(cv_gw_revision_of(cv_gw_revision_find(&g, id, 3))->load_error, "bad");
	cv_gw_policy_reported(&g, id, 7, true, CV_STR_NONE); /* there is none */
	cv_gw_policy_forget(&g, id);
	assert_null(cv_gw_revision_latest(&g, id));
	cv_arena_fini(&arena);
}

static void notes_and_refusals(void **state)
{
	static const struct {
		const char *endpoint, *refused, *notes;
	} rows[] = {
		{ "host: a.test, port: 443", NULL, "" },
		{ "host: LOCALHOST, port: 80", "always blocked", NULL },
		{ "host: x.localhost, port: 80", "always blocked", NULL },
		{ "host: metadata.google.internal., port: 80", "always blocked", NULL },
		{ "host: \"*.google.internal\", port: 80", "always blocked", NULL },
		{ "host: 169.254.169.254, port: 80", "always blocked", NULL },
		{ "host: \"::1\", port: 80", "always blocked", NULL },
		{ "host: 127.0.0.1, port: 80", "always blocked", NULL },
		{ "host: a.test", "has no port", NULL },
		{ "host: 10.0.0.1, port: 443", NULL, "10.0.0.1 is a private or special address: " },
		{ "host: 100.64.0.1, port: 443", NULL,
			"100.64.0.1 is a private or special address: " },
		{ "host: a.test, port: 443, allowed_ips: [10.0.0.0/8]", NULL,
			"allowed_ips lets a.test be an internal address" },
		{ "port: 443, allowed_ips: [10.0.0.0/8]", NULL,
			"allowed_ips without a host opens internal addresses to any name" },
		{ "host: \"*.a.test\", port: 443", NULL, "'*.a.test' is many hosts" },
		{ "host: a.test, port: 5432", NULL, "port 5432 is that of PostgreSQL" },
		{ "host: a.test, port: 60000", NULL, "port 60000 is ephemeral" },
		{ "host: a.test, port: 443, tls: skip", NULL, "nothing that is sent to a.test" },
	};
	struct cv_arena arena;

	(void)state;
	cv_arena_init(&arena, CV_GW_POLICY_ARENA_MAX);
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++) {
		struct cv_err err = { 0 };
		struct cv_buf notes;
		char text[512];

		snprintf(text, sizeof(text),
			"version: 1\nnetwork_policies:\n  a: {endpoints: [{%s}], binaries: [{path: "
			"/usr/bin/curl}]}\n",
			rows[i].endpoint);
		const rule_t *rule = policy(text, &arena)->network_policies[0]->value;
		const cv_code code = cv_draft_refuse(rule, &err);
		if (rows[i].refused) {
			if (code != CV_DENIED || !strstr(err.msg, rows[i].refused))
				fail_msg("%s: '%s'", rows[i].endpoint, err.msg);
			continue;
		}
		assert_int_equal(code, CV_OK);
		cv_buf_init(&notes, 4096);
		cv_draft_notes(rule, &notes);
		cv_buf_put_byte(&notes, 0);
		if (rows[i].notes[0] ? !strstr(cv_buf_str(&notes).p, rows[i].notes)
				     : cv_buf_len(&notes) != 1)
			fail_msg("%s: '%s'", rows[i].endpoint, cv_buf_str(&notes).p);
		cv_buf_fini(&notes);
	}
	cv_arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(layers_are_laid_over, start, stop),
		cmocka_unit_test_setup_teardown(checked_with_the_layer, start, stop),
		cmocka_unit_test_setup_teardown(revisions_follow_each_other, start, stop),
		cmocka_unit_test(notes_and_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
