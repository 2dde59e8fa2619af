/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_json.c - messages as JSON and back; the whole of it is compared with Python's in
 * tests/rpc/test_json.py
 */
#include "unit/test.h"

#include "rpc/json.c"

#include "inference.pb-c.h"
#include "openshell.pb-c.h"

static void names(void **state)
{
	(void)state;
	char text[CV_RPC_JSON_NAME_BYTES];

	assert_str(cv_rpc_json_name("sandbox_id", text), "sandboxId");
	assert_str(cv_rpc_json_name("expires_at_ms", text), "expiresAtMs");
	assert_str(cv_rpc_json_name("x_1", text), "x1");
	assert_str(cv_rpc_json_name("name", text), "name");
}

static void maps_are_known_by_their_entries(void **state)
{
	(void)state;
	const ProtobufCMessageDescriptor *m = &openshell__v1__exec_sandbox_request__descriptor;

	assert_true(cv_rpc_json_is_map(m, cv_rpc_json_field(m, CV_STR("environment"))));
	assert_false(cv_rpc_json_is_map(m, cv_rpc_json_field(m, CV_STR("command"))));
	m = &openshell__datamodel__v1__provider__descriptor;
	assert_true(cv_rpc_json_is_map(m, cv_rpc_json_field(m, CV_STR("credentialExpiresAtMs"))));
}

/* proto3 `optional`: there, though it is at its default. */
static void presence_is_kept(void **state)
{
	(void)state;
	Openshell__Inference__V1__ResolvedRoute m;
	static char empty[] = "";
	struct cv_buf b;
	struct cv_arena a;
	struct cv_err err;
	ProtobufCMessage *read;

	openshell__inference__v1__resolved_route__init(&m);
	cv_buf_init(&b, 1000);
	assert_true(cv_rpc_json_write(&b, &m.base));
	assert_str(cv_buf_str(&b), "{}");
	m._request_path_override_case =
		OPENSHELL__INFERENCE__V1__RESOLVED_ROUTE___REQUEST_PATH_OVERRIDE_REQUEST_PATH_OVERRIDE;
	m.request_path_override = empty;
	cv_buf_reset(&b);
	assert_true(cv_rpc_json_write(&b, &m.base));
	assert_str(cv_buf_str(&b), "{\"requestPathOverride\":\"\"}");
	cv_arena_init(&a, 10000);
	assert_int_equal(
		cv_rpc_json_read(m.base.descriptor, cv_buf_str(&b), &a, &read, &err), CV_OK);
	assert_int_equal(
		((Openshell__Inference__V1__ResolvedRoute *)read)->_request_path_override_case,
		m._request_path_override_case);
	cv_arena_fini(&a);
	cv_buf_fini(&b);
}

static void memory_is_the_arenas(void **state)
{
	(void)state;
	struct cv_arena a;
	struct cv_err err;
	ProtobufCMessage *m;
	struct cv_buf b;

	cv_buf_init(&b, 1 << 20);
	cv_buf_put(&b, CV_STR("{\"command\":[\"x\""));
	for (int i = 0; i < 10000; i++)
		cv_buf_put(&b, CV_STR(",\"x\""));
	cv_buf_put(&b, CV_STR("]}"));
	cv_arena_init(&a, 100000);
	assert_int_equal(cv_rpc_json_read(&openshell__v1__exec_sandbox_request__descriptor,
				 cv_buf_str(&b), &a, &m, &err),
		CV_LIMIT);
	cv_arena_fini(&a);
	cv_buf_fini(&b);
}

static void what_does_not_fit_is_said(void **state)
{
	(void)state;
	Openshell__V1__HealthResponse m;
	static char version[] = "0123456789";
	struct cv_buf b;

	openshell__v1__health_response__init(&m);
	m.version = version;
	cv_buf_init(&b, 20);
	assert_false(cv_rpc_json_write(&b, &m.base));
	cv_buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(maps_are_known_by_their_entries),
		cmocka_unit_test(presence_is_kept),
		cmocka_unit_test(memory_is_the_arenas),
		cmocka_unit_test(what_does_not_fit_is_said),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
