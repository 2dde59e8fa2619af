/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_pod.c - what a sandbox takes of a pod, what it is told that it has not, and pods that are none
 */
#include "unit/test.h"

#include "gateway/pb.c"
#include "gateway/pod.c"
#include "gateway/structs.c"

#include "rpc/json.h"

#define CONTAINERS(text) "{\"spec\":{\"containers\":[" text "]}}"

/* A spec in arena, of the JSON of its template and of a pod. */
static Openshell__V1__SandboxSpec *spec_of_json(
	struct cv_arena *arena, const char *fields, const char *pod)
{
	const struct cv_str text = cv_arena_printf(
		arena, "{\"template\":{%s\"driverConfig\":{\"pod_template\":%s}}}", fields, pod);
	ProtobufCMessage *m;
	struct cv_err err;

	assert_int_equal(
		cv_rpc_json_read(&openshell__v1__sandbox_spec__descriptor, text, arena, &m, &err),
		CV_OK);
	return cv_pb_copy(m); /* fields that pod_take() may free */
}

static const char *env_of(const Openshell__V1__SandboxSpec *spec, const char *key)
{
	return cv_pb_map_get(
		spec->template_->environment, spec->template_->n_environment, cv_str_of(key))
		.p;
}

static const char POD[] = "{\"metadata\":{\"creationTimestamp\":null},\"spec\":{\"containers\":[{"
			  "\"name\":\"sandbox\",\"image\":\"adk\",\"resources\":{},"
			  "\"command\":[\"kagent-adk\"],\"args\":[\"run\",\"--port\",\"9999\"],"
			  "\"env\":[{\"name\":\"A\",\"value\":\"1\"},{\"name\":\"B\"},"
			  "{\"name\":\"C\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"x\"}}}],"
			  "\"securityContext\":{\"runAsUser\":0},\"tty\":false},"
			  "{\"name\":\"sidecar\"}],\"hostNetwork\":true,\"volumes\":[]}}";

static void a_silent_request_is_completed(void **state)
{
	struct cv_arena arena;
	struct cv_err err;

	(void)state;
	cv_arena_init(&arena, 1 << 16);
	Openshell__V1__SandboxSpec *spec = spec_of_json(&arena, "", POD);
	assert_int_equal(pod_check(spec->template_, &err), CV_OK);
	pod_take(spec);
	assert_string_equal(spec->template_->image, "adk");
	assert_int_equal(spec->n_command, 4);
	assert_string_equal(spec->command[0], "kagent-adk");
	assert_string_equal(spec->command[3], "9999");
	assert_string_equal(env_of(spec, "A"), "1");
	assert_string_equal(env_of(spec, "B"), "");
	assert_null(env_of(spec, "C"));
	assert_string_equal(pod_left_out(spec->template_, &arena).p,
		"spec.containers[0].securityContext, spec.containers[0].env C, spec.hostNetwork, "
		"further containers");
	cv_pb_free(spec);
	cv_arena_fini(&arena);
}

static void what_is_said_stays(void **state)
{
	struct cv_arena arena;

	(void)state;
	cv_arena_init(&arena, 1 << 16);
	Openshell__V1__SandboxSpec *spec =
		spec_of_json(&arena, "\"image\":\"mine\",\"environment\":{\"A\":\"mine\"},", POD);
	cv_pb_append_str(&spec->command, &spec->n_command, CV_STR("true"));
	pod_take(spec);
	assert_string_equal(spec->template_->image, "mine");
	assert_string_equal(env_of(spec, "A"), "mine");
	assert_int_equal(spec->n_command, 1);
	cv_pb_free(spec);
	cv_arena_fini(&arena);
}

static void nothing_is_left_out_of_a_plain_pod(void **state)
{
	static const char *const plain[] = { "null", "{}", "{\"spec\":null}",
		"{\"spec\":{\"containers\":[]}}",
		CONTAINERS("{\"name\":\"x\",\"image\":\"\",\"env\":null,\"args\":null}") };
	struct cv_arena arena;
	struct cv_err err;

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(plain); i++) {
		cv_arena_init(&arena, 1 << 16);
		Openshell__V1__SandboxSpec *spec = spec_of_json(&arena, "", plain[i]);
		assert_int_equal(pod_check(spec->template_, &err), CV_OK);
		pod_take(spec);
		assert_int_equal(spec->n_command, 0);
		assert_null(pod_left_out(spec->template_, &arena).p);
		cv_pb_free(spec);
		cv_arena_fini(&arena);
	}
	assert_false(pod_is_there(NULL));
	assert_int_equal(pod_check(NULL, &err), CV_OK);
}

static void what_is_no_pod_is_told_by_its_field(void **state)
{
	static const struct {
		const char *pod, *says;
	} bad[] = {
		{ "1", "template.pod_template must be an object" },
		{ "{\"spec\":[]}", "template.pod_template.spec must be an object" },
		{ "{\"spec\":{\"containers\":{}}}", ".spec.containers must be a list" },
		{ CONTAINERS("null"), ".spec.containers[0] must be an object" },
		{ CONTAINERS("{\"image\":1}"), ".spec.containers[0].image must be a string" },
		{ CONTAINERS("{\"command\":\"sh\"}"), "[0].command must be a list of strings" },
		{ CONTAINERS("{\"args\":[\"a\",1]}"), "[0].args must be a list of strings" },
		{ CONTAINERS("{\"env\":{}}"), "[0].env must be a list" },
		{ CONTAINERS("{\"env\":[{\"name\":\"A\"},{}]}"), "[0].env[1] must be an object" },
		{ CONTAINERS("{\"env\":[{\"name\":\"A\",\"value\":1}]}"), "[0].env[0] must be" },
	};
	struct cv_arena arena;
	struct cv_err err;

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(bad); i++) {
		cv_arena_init(&arena, 1 << 16);
		Openshell__V1__SandboxSpec *spec = spec_of_json(&arena, "", bad[i].pod);
		assert_int_equal(pod_check(spec->template_, &err), CV_INVALID);
		assert_non_null(strstr(err.msg, bad[i].says));
		cv_pb_free(spec);
		cv_arena_fini(&arena);
	}
}

static void a_long_list_is_cut(void **state)
{
	struct cv_arena arena;

	(void)state;
	cv_arena_init(&arena, 1 << 16);
	struct cv_str fields = CV_STR("\"a\":1");
	for (int i = 0; i < 60; i++)
		fields = cv_arena_printf(&arena, "%.*s,\"field_%d\":1", CV_STR_ARG(fields), i);
	const struct cv_str pod = cv_arena_printf(&arena, CONTAINERS("{%.*s}"), CV_STR_ARG(fields));
	Openshell__V1__SandboxSpec *spec = spec_of_json(&arena, "", pod.p);
	const struct cv_str left = pod_left_out(spec->template_, &arena);
	assert_true(left.n < LEFT_BYTES_MAX + 16 && strstr(left.p, ", and more"));
	cv_pb_free(spec);
	cv_arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_silent_request_is_completed),
		cmocka_unit_test(what_is_said_stays),
		cmocka_unit_test(nothing_is_left_out_of_a_plain_pod),
		cmocka_unit_test(what_is_no_pod_is_told_by_its_field),
		cmocka_unit_test(a_long_list_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
