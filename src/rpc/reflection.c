/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reflection.c - the protos that a client without stubs asks for; see reflection.h
 *
 * The descriptors are bytes of the program.  Each question walks them: it is asked some times by a
 * person's tool, and an index would have to live somewhere.  A file is answered without those it
 * imports, which the client asks for by their names.
 */
#include "rpc/reflection.h"

#include "google/protobuf/descriptor.pb-c.h"
#include "reflection.pb-c.h"
#include "rpc/descriptors.h"
#include "rpc/server_int.h"

#define EXTENSIONS_MAX 64 /* of one type; ours has one */
#define SERVICES_MAX   16

typedef Google__Protobuf__FileDescriptorProto file_type;

/* ---- walking ---- */

/* The next file of the set: field 1, each with its length. */
static bool file_next(struct cv_str *rest, struct cv_str *ret)
{
	uint64_t n = 0;
	size_t at = 1;

	if (rest->n < 2 || rest->p[0] != 0x0a)
		return false;
	for (unsigned shift = 0; at < rest->n && shift < 35; shift += 7) {
		const uint8_t b = (uint8_t)rest->p[at++];

		n |= (uint64_t)(b & 127) << shift;
		if (!(b & 128))
			break;
	}
	*ret = cv_str_slice(*rest, at, at + n);
	*rest = cv_str_slice(*rest, at + n, rest->n);
	return true;
}

typedef bool file_fits(const file_type *f, const void *arg);

static struct cv_str file_find(file_fits *fits, const void *arg)
{
	struct cv_str rest = { cv_rpc_descriptors[0].bytes, cv_rpc_descriptors[0].n }, bytes;
	bool is_found = false;

	while (!is_found && file_next(&rest, &bytes)) {
		file_type *f = google__protobuf__file_descriptor_proto__unpack(
			NULL, bytes.n, (const uint8_t *)bytes.p);

		is_found = f && fits(f, arg);
		if (f)
			google__protobuf__file_descriptor_proto__free_unpacked(f, NULL);
	}
	return is_found ? bytes : CV_STR_NONE;
}

static bool has_name(const file_type *f, const void *arg)
{
	const struct cv_str *name = arg;

	return cv_str_eq(cv_str_of(f->name), *name);
}

/* What is left of a name behind "part."; the same when it is part itself (then empty). */
static bool step(struct cv_str name, const char *part, struct cv_str *ret_rest)
{
	const struct cv_str p = cv_str_of(part);

	if (!cv_str_has_prefix(name, p))
		return false;
	*ret_rest = cv_str_slice(name, p.n, name.n);
	if (!ret_rest->n)
		return true;
	if (ret_rest->p[0] != '.')
		return false;
	*ret_rest = cv_str_slice(*ret_rest, 1, ret_rest->n);
	return true;
}

static bool enum_has(const Google__Protobuf__EnumDescriptorProto *e, struct cv_str name)
{
	struct cv_str rest;

	for (size_t i = 0; i < e->n_value; i++) /* siblings of their enum, as in C++ */
		if (cv_str_eq(name, cv_str_of(e->value[i]->name)))
			return true;
	return step(name, e->name, &rest) && !rest.n;
}

static bool fields_have(
	Google__Protobuf__FieldDescriptorProto *const *fields, size_t n, struct cv_str name)
{
	for (size_t i = 0; i < n; i++)
		if (cv_str_eq(name, cv_str_of(fields[i]->name)))
			return true;
	return false;
}

/* Our messages are nested a few deep: compiled in, not a stranger's. */
static bool message_has(const Google__Protobuf__DescriptorProto *m, struct cv_str name)
{
	struct cv_str rest;

	if (!step(name, m->name, &rest))
		return false;
	if (!rest.n || fields_have(m->field, m->n_field, rest))
		return true;
	for (size_t i = 0; i < m->n_nested_type; i++)
		if (message_has(m->nested_type[i], rest))
			return true;
	for (size_t i = 0; i < m->n_enum_type; i++)
		if (enum_has(m->enum_type[i], rest))
			return true;
	return false;
}

static bool service_has(const Google__Protobuf__ServiceDescriptorProto *s, struct cv_str name)
{
	struct cv_str rest;

	if (!step(name, s->name, &rest))
		return false;
	for (size_t i = 0; rest.n && i < s->n_method; i++)
		if (cv_str_eq(rest, cv_str_of(s->method[i]->name)))
			return true;
	return !rest.n;
}

static bool has_symbol(const file_type *f, const void *arg)
{
	const struct cv_str *name = arg;
	struct cv_str rest;

	if (!step(*name, f->package ? f->package : "", &rest) || !rest.n)
		return false;
	for (size_t i = 0; i < f->n_message_type; i++)
		if (message_has(f->message_type[i], rest))
			return true;
	for (size_t i = 0; i < f->n_enum_type; i++)
		if (enum_has(f->enum_type[i], rest))
			return true;
	for (size_t i = 0; i < f->n_service; i++)
		if (service_has(f->service[i], rest))
			return true;
	return fields_have(f->extension, f->n_extension, rest);
}

/* An extension's type is written with a dot before it. */
static bool extends(const Google__Protobuf__FieldDescriptorProto *x, struct cv_str type)
{
	const struct cv_str extended = cv_str_of(x->extendee);

	return extended.n == type.n + 1 && extended.p[0] == '.' &&
	       cv_str_has_suffix(extended, type);
}

struct extension {
	struct cv_str type;
	int32_t number;
};

static bool has_extension(const file_type *f, const void *arg)
{
	const struct extension *want = arg;

	for (size_t i = 0; i < f->n_extension; i++)
		if (f->extension[i]->number == want->number && extends(f->extension[i], want->type))
			return true;
	return false;
}

struct numbers {
	struct cv_str type;
	int32_t *number;
	size_t *n;
};

/* Fits no file, so that all are seen. */
static bool numbers_take(const file_type *f, const void *arg)
{
	const struct numbers *to = arg;

	for (size_t i = 0; i < f->n_extension && *to->n < EXTENSIONS_MAX; i++)
		if (extends(f->extension[i], to->type))
			to->number[(*to->n)++] = f->extension[i]->number;
	return false;
}

struct cv_str cv_rpc_reflection_file(struct cv_str name)
{
	return file_find(has_name, &name);
}

struct cv_str cv_rpc_reflection_symbol(struct cv_str name)
{
	return file_find(has_symbol, &name);
}

/* ---- answers ---- */

typedef Grpc__Reflection__V1__ServerReflectionRequest request_type;
typedef Grpc__Reflection__V1__ServerReflectionResponse response_type;

static bool answer_send(struct cv_rpc_call *c, const request_type *q, response_type *r)
{
	r->valid_host = q->host;
	r->original_request = (request_type *)(uintptr_t)q;
	return cv_rpc_send(c, &r->base);
}

static bool error_send(
	struct cv_rpc_call *c, const request_type *q, enum cv_rpc_status s, const char *text)
{
	Grpc__Reflection__V1__ErrorResponse e;
	response_type r;

	grpc__reflection__v1__server_reflection_response__init(&r);
	grpc__reflection__v1__error_response__init(&e);
	e.error_code = (int32_t)s;
	e.error_message = (char *)(uintptr_t)text;
	r.message_response_case =
		GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE;
	r.error_response = &e;
	return answer_send(c, q, &r);
}

static bool file_send(struct cv_rpc_call *c, const request_type *q, struct cv_str file)
{
	Grpc__Reflection__V1__FileDescriptorResponse f;
	ProtobufCBinaryData bytes = { file.n, (uint8_t *)(uintptr_t)file.p };
	response_type r;

	if (!file.p)
		return error_send(c, q, CV_RPC_NOT_FOUND, "there is no such file or symbol");
	grpc__reflection__v1__server_reflection_response__init(&r);
	grpc__reflection__v1__file_descriptor_response__init(&f);
	f.n_file_descriptor_proto = 1;
	f.file_descriptor_proto = &bytes;
	r.message_response_case =
		GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE;
	r.file_descriptor_response = &f;
	return answer_send(c, q, &r);
}

static bool numbers_send(struct cv_rpc_call *c, const request_type *q, const char *type)
{
	Grpc__Reflection__V1__ExtensionNumberResponse e;
	int32_t number[EXTENSIONS_MAX];
	size_t n = 0;
	const struct numbers to = { cv_str_of(type), number, &n };
	const struct cv_str name = cv_str_of(type);
	response_type r;

	(void)file_find(numbers_take, &to);
	if (!n && !file_find(has_symbol, &name).p)
		return error_send(c, q, CV_RPC_NOT_FOUND, "there is no such type");
	grpc__reflection__v1__server_reflection_response__init(&r);
	grpc__reflection__v1__extension_number_response__init(&e);
	e.base_type_name = (char *)(uintptr_t)type;
	e.n_extension_number = n;
	e.extension_number = number;
	r.message_response_case =
		GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ALL_EXTENSION_NUMBERS_RESPONSE;
	r.all_extension_numbers_response = &e;
	return answer_send(c, q, &r);
}

/* What this server has methods of. */
static bool services_send(struct cv_rpc_call *c, const request_type *q)
{
	const struct cv_rpc_server_config *config = &c->server->config;
	Grpc__Reflection__V1__ServiceResponse one[SERVICES_MAX], *all[SERVICES_MAX];
	Grpc__Reflection__V1__ListServiceResponse l;
	response_type r;
	size_t n = 0;

	for (size_t i = 0; i < config->method_count && n < SERVICES_MAX; i++) {
		const char *name = config->methods[i].service;
		bool is_known = false;

		for (size_t k = 0; k < n && !is_known; k++)
			is_known = strcmp(one[k].name, name) == 0;
		if (is_known)
			continue;
		grpc__reflection__v1__service_response__init(&one[n]);
		one[n].name = (char *)(uintptr_t)name;
		all[n] = &one[n];
		n++;
	}
	grpc__reflection__v1__server_reflection_response__init(&r);
	grpc__reflection__v1__list_service_response__init(&l);
	l.n_service = n;
	l.service = all;
	r.message_response_case =
		GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE;
	r.list_services_response = &l;
	return answer_send(c, q, &r);
}

static bool answer(struct cv_rpc_call *c, const request_type *q)
{
	switch ((int)q->message_request_case) { /* not of its size marker, too */
	case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME:
		return file_send(c, q, cv_rpc_reflection_file(cv_str_of(q->file_by_filename)));
	case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL:
		return file_send(
			c, q, cv_rpc_reflection_symbol(cv_str_of(q->file_containing_symbol)));
	case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_EXTENSION: {
		const struct extension want = {
			cv_str_of(q->file_containing_extension->containing_type),
			q->file_containing_extension->extension_number,
		};
		return file_send(c, q, file_find(has_extension, &want));
	}
	case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_ALL_EXTENSION_NUMBERS_OF_TYPE:
		return numbers_send(c, q, q->all_extension_numbers_of_type);
	case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES:
		return services_send(c, q);
	case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST__NOT_SET:
	default: return error_send(c, q, CV_RPC_UNIMPLEMENTED, "nothing is asked for");
	}
}

static void message(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	if (!answer(c, (const request_type *)m))
		cv_rpc_hold(c, true);
}

static void half_closed(struct cv_rpc_call *c)
{
	cv_rpc_finish(c, CV_RPC_OK, NULL);
}

static void writable(struct cv_rpc_call *c)
{
	cv_rpc_hold(c, false);
}

#define ROW(service)                                                                        \
	{                                                                                   \
		service, "ServerReflectionInfo",                                            \
			&grpc__reflection__v1__server_reflection_request__descriptor,       \
			&grpc__reflection__v1__server_reflection_response__descriptor,      \
			CV_RPC_BIDI, { CV_RPC_AUTH_UNAUTHENTICATED, "", CV_RPC_ROLE_NONE }, \
			{ message, half_closed, writable, NULL }, NULL                      \
	}
const struct cv_rpc_method cv_rpc_reflection_methods[] = {
	ROW("grpc.reflection.v1.ServerReflection"),
	ROW("grpc.reflection.v1alpha.ServerReflection"),
};
const size_t cv_rpc_reflection_method_count = CV_ARRAY_LEN(cv_rpc_reflection_methods);
