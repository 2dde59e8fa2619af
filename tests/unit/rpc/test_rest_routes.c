/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_rest_routes.c - paths as calls; that each reaches its handler is tests/rpc/test_rest.py's
 */
#include "unit/test.h"

#include "rpc/rest_routes.c"

#include "rpc/json.h"
#include "rpc/methods.h"

static const char *rpc_of(const char *method, const char *path)
{
	struct cv_rpc_route_match m;
	bool has_path;

	if (!cv_rpc_route_find(cv_str_of(method), cv_str_of(path), &m, &has_path))
		return has_path ? "method" : "path";
	return m.route->rpc;
}

static void paths(void **state)
{
	(void)state;
	assert_string_equal(rpc_of("GET", "/v1/sandboxes"), "ListSandboxes");
	assert_string_equal(rpc_of("HEAD", "/v1/sandboxes/a"), "GetSandbox");
	assert_string_equal(rpc_of("POST", "/v1/sandboxes/a:stop"), "StopSandbox");
	assert_string_equal(rpc_of("POST", "/v1/sandboxes/a:halt"), "path");
	assert_string_equal(rpc_of("POST", "/v1/sandboxes/a"), "method");
	assert_string_equal(rpc_of("GET", "/v1/sandboxes/"), "path");
	assert_string_equal(rpc_of("GET", "/v1/sandboxes//watch"), "path");
	assert_string_equal(rpc_of("GET", "/v1/sandboxes/a/"), "path");
	assert_string_equal(rpc_of("GET", "/v1/sandboxes/a/b"), "path");
	assert_string_equal(rpc_of("GET", "/v1"), "path");
	assert_string_equal(rpc_of("GET", ""), "path");
}

static void parts_are_raw(void **state)
{
	(void)state;
	struct cv_rpc_route_match m;
	bool has_path;

	assert_true(cv_rpc_route_find(
		CV_STR("DELETE"), CV_STR("/v1/sandboxes/b%2Fx/providers/g"), &m, &has_path));
	assert_int_equal(m.param_count, 2);
	assert_str(m.param[0].name, "sandbox_name");
	assert_str(m.param[0].raw, "b%2Fx");
	assert_str(m.param[1].raw, "g");
}

/* Every row's messages and kind are those of its rpc, and its parts are fields. */
static void rows_are_true(void **state)
{
	(void)state;
#define ROW_OF(package, rpc, in, out, kind, ...) \
	{ #rpc, &package##in##__descriptor, &package##out##__descriptor, #kind },
#define ROW(...)      ROW_OF(openshell__, __VA_ARGS__)
#define COVE_ROW(...) ROW_OF(cove__, __VA_ARGS__)
	static const struct {
		const char *rpc;
		const ProtobufCMessageDescriptor *in, *out;
		const char *kind;
	} rpcs[] = { CV_RPC_OPENSHELL_METHODS(ROW) CV_RPC_INFERENCE_METHODS(ROW)
			CV_RPC_COVE_METHODS(COVE_ROW) };
#undef ROW
	for (size_t i = 0; i < cv_rpc_route_count; i++) {
		const struct cv_rpc_route *r = &cv_rpc_routes[i];
		struct cv_rpc_route_match m;
		bool is_found = false, has_path;

		for (size_t k = 0; k < CV_ARRAY_LEN(rpcs); k++) {
			if (strcmp(rpcs[k].rpc, r->rpc) != 0)
				continue;
			is_found = true;
			assert_ptr_equal(rpcs[k].in, r->in);
			assert_ptr_equal(rpcs[k].out, r->out);
			assert_string_equal(rpcs[k].kind, r->is_stream ? "SERVER_STREAM" : "UNARY");
		}
		assert_true(is_found);
		/* it is found by its own path, and by no row before it */
		assert_true(
			cv_rpc_route_find(cv_str_of(r->method), cv_str_of(r->path), &m, &has_path));
		assert_ptr_equal(m.route, r);
		for (size_t p = 0; p < m.param_count; p++)
			assert_true(cv_str_has_byte(m.param[p].name, '.') ||
				    cv_rpc_json_field(r->in, m.param[p].name));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths),
		cmocka_unit_test(parts_are_raw),
		cmocka_unit_test(rows_are_true),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
