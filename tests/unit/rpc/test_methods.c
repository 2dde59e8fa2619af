/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_methods.c - methods.h says of every rpc what the protos say: messages, streams, and who may
 * call (option 50000 of the method)
 */
#include "unit/test.h"

#include "rpc/reflection.c"

#include "cove.pb-c.h"
#include "inference.pb-c.h"
#include "openshell.pb-c.h"
#include "options.pb-c.h"
#include "rpc/methods.h"

#define AUTHORIZATION 50000

struct row {
	const char *service, *name;
	const ProtobufCMessageDescriptor *in, *out;
	enum cv_rpc_kind kind;
	struct cv_rpc_rule rule;
};

#undef ROW
#define ROW(package, service, rpc, request, response, kind, auth, scope, role)              \
	{ service, #rpc, &package##request##__descriptor, &package##response##__descriptor, \
		CV_RPC_##kind, { CV_RPC_AUTH_##auth, scope, CV_RPC_ROLE_##role } },
#define SHELL_ROW(...) ROW(openshell__, "openshell.v1.OpenShell", __VA_ARGS__)
#define INFER_ROW(...) ROW(openshell__, "openshell.inference.v1.Inference", __VA_ARGS__)
#define COVE_ROW(...)  ROW(cove__, "cove.v1.Cove", __VA_ARGS__)
static const struct row rows[] = { CV_RPC_OPENSHELL_METHODS(SHELL_ROW)
		CV_RPC_INFERENCE_METHODS(INFER_ROW) CV_RPC_COVE_METHODS(COVE_ROW) };

static const struct row *row_of(const char *service, const char *name)
{
	const struct row *found = NULL;

	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++) {
		if (strcmp(rows[i].service, service) != 0 || strcmp(rows[i].name, name) != 0)
			continue;
		assert_null(found); /* one row for each */
		found = &rows[i];
	}
	return found;
}

/* The bytes of an unknown field begin with their length. */
static Openshell__Options__V1__AuthorizationRule *authorization(
	const Google__Protobuf__MethodOptions *o)
{
	assert_non_null(o);
	for (unsigned i = 0; i < o->base.n_unknown_fields; i++) {
		const ProtobufCMessageUnknownField *f = &o->base.unknown_fields[i];

		if (f->tag != AUTHORIZATION)
			continue;
		assert_true(f->len >= 1 && f->data[0] == f->len - 1);
		return openshell__options__v1__authorization_rule__unpack(
			NULL, f->len - 1, f->data + 1);
	}
	return NULL;
}

static const char *auth_of(enum cv_rpc_auth a)
{
	switch (a) {
	case CV_RPC_AUTH_UNAUTHENTICATED: return "unauthenticated";
	case CV_RPC_AUTH_BEARER: return "bearer";
	case CV_RPC_AUTH_SANDBOX: return "sandbox";
	case CV_RPC_AUTH_DUAL: return "dual";
	}
	return "?";
}

static enum cv_rpc_role role_of(const Openshell__Options__V1__AuthorizationRule *a)
{
	if (strcmp(a->global_role, "platform_admin") == 0)
		return CV_RPC_ROLE_ADMIN;
	assert_string_equal(a->global_role, "");
	if (strcmp(a->workspace_role, "admin") == 0)
		return CV_RPC_ROLE_MANAGER;
	if (strcmp(a->workspace_role, "user") == 0)
		return CV_RPC_ROLE_MEMBER;
	assert_string_equal(a->workspace_role, "");
	return CV_RPC_ROLE_NONE;
}

static enum cv_rpc_kind kind_of(const Google__Protobuf__MethodDescriptorProto *m)
{
	if (m->client_streaming)
		return m->server_streaming ? CV_RPC_BIDI : CV_RPC_CLIENT_STREAM;
	return m->server_streaming ? CV_RPC_SERVER_STREAM : CV_RPC_UNARY;
}

static void method_compare(const char *service, const Google__Protobuf__MethodDescriptorProto *m)
{
	const struct row *r = row_of(service, m->name);
	Openshell__Options__V1__AuthorizationRule *a = authorization(m->options);

	if (!r || !a)
		fail_msg("%s has no row, or no authorization", m->name);
	if (strcmp(m->input_type + 1, r->in->name) != 0 ||
		strcmp(m->output_type + 1, r->out->name) != 0 || kind_of(m) != r->kind)
		fail_msg("%s: messages or streams", m->name);
	if (strcmp(a->auth_mode, auth_of(r->rule.auth)) != 0 ||
		strcmp(a->scope, r->rule.scope) != 0 || role_of(a) != r->rule.role)
		fail_msg("%s: who may call", m->name);
	openshell__options__v1__authorization_rule__free_unpacked(a, NULL);
}

static size_t service_compare(const char *file, const char *service)
{
	const struct cv_str bytes = cv_rpc_reflection_file(cv_str_of(file));
	size_t n = 0;

	assert_non_null(bytes.p);
	file_type *f = google__protobuf__file_descriptor_proto__unpack(
		NULL, bytes.n, (const uint8_t *)bytes.p);
	assert_non_null(f);
	assert_int_equal(f->n_service, 1);
	for (size_t i = 0; i < f->service[0]->n_method; i++, n++)
		method_compare(service, f->service[0]->method[i]);
	google__protobuf__file_descriptor_proto__free_unpacked(f, NULL);
	return n;
}

static void rows_say_what_the_protos_say(void **state)
{
	(void)state;
	const size_t n = service_compare("openshell.proto", "openshell.v1.OpenShell") +
			 service_compare("inference.proto", "openshell.inference.v1.Inference") +
			 service_compare("cove.proto", "cove.v1.Cove");

	assert_int_equal(n, CV_ARRAY_LEN(rows)); /* and no row of an rpc that is not there */
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(rows_say_what_the_protos_say) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
