/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rest_openapi.c - the REST API described to tools, in OpenAPI 3.1
 *
 * Made of the table of routes and the descriptors of their messages, so that it can't say anything
 * else than what is served.  Schemas are those of json.h's mapping; a message is described once, when
 * something that was described before it refers to it.
 */
#include "rpc/rest.h"

#include "base/assert.h"
#include "google/protobuf/struct.pb-c.h"
#include "rpc/json.h"

#define SCHEMAS_MAX 512 /* messages that are reachable; 190 are */

struct doc {
	struct cv_buf *b;
	const ProtobufCMessageDescriptor *types[SCHEMAS_MAX]; /* in the order that they were met */
	size_t count;
};

static void put(struct doc *d, const char *s)
{
	cv_buf_put(d->b, cv_str_of(s));
}

static void type_meet(struct doc *d, const ProtobufCMessageDescriptor *type)
{
	for (size_t i = 0; i < d->count; i++)
		if (d->types[i] == type)
			return;
	cv_assert(d->count < SCHEMAS_MAX);
	d->types[d->count++] = type;
}

static void ref_put(struct doc *d, const ProtobufCMessageDescriptor *type)
{
	if (type == &google__protobuf__struct__descriptor) {
		put(d, "{\"type\":\"object\"}");
	} else if (type == &google__protobuf__value__descriptor) {
		put(d, "{}");
	} else if (type == &google__protobuf__list_value__descriptor) {
		put(d, "{\"type\":\"array\"}");
	} else {
		type_meet(d, type);
		cv_buf_printf(d->b, "{\"$ref\":\"#/components/schemas/%s\"}", type->name);
	}
}

static void enum_put(struct doc *d, const ProtobufCEnumDescriptor *type)
{
	put(d, "{\"type\":\"string\",\"enum\":[");
	for (unsigned i = 0; i < type->n_values; i++)
		cv_buf_printf(d->b, "%s\"%s\"", i ? "," : "", type->values[i].name);
	put(d, "]}");
}

static void value_put(struct doc *d, const ProtobufCFieldDescriptor *f)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		put(d, "{\"type\":\"integer\",\"format\":\"int32\"}");
		return;
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		put(d, "{\"type\":\"integer\",\"minimum\":0,\"maximum\":4294967295}");
		return;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64: put(d, "{\"type\":\"string\",\"format\":\"int64\"}"); return;
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64: put(d, "{\"type\":\"string\",\"format\":\"uint64\"}"); return;
	case PROTOBUF_C_TYPE_FLOAT:
	case PROTOBUF_C_TYPE_DOUBLE: put(d, "{\"type\":\"number\"}"); return;
	case PROTOBUF_C_TYPE_BOOL: put(d, "{\"type\":\"boolean\"}"); return;
	case PROTOBUF_C_TYPE_STRING: put(d, "{\"type\":\"string\"}"); return;
	case PROTOBUF_C_TYPE_BYTES:
		put(d, "{\"type\":\"string\",\"contentEncoding\":\"base64\"}");
		return;
	case PROTOBUF_C_TYPE_ENUM: enum_put(d, f->descriptor); return;
	case PROTOBUF_C_TYPE_MESSAGE: ref_put(d, f->descriptor); return;
	}
	cv_unreachable();
}

static void field_put(
	struct doc *d, const ProtobufCMessageDescriptor *m, const ProtobufCFieldDescriptor *f)
{
	if (f->label != PROTOBUF_C_LABEL_REPEATED) {
		value_put(d, f);
	} else if (cv_rpc_json_is_map(m, f)) {
		const ProtobufCMessageDescriptor *entry = f->descriptor;

		put(d, "{\"type\":\"object\",\"additionalProperties\":");
		value_put(d, &entry->fields[1]);
		put(d, "}");
	} else {
		put(d, "{\"type\":\"array\",\"items\":");
		value_put(d, f);
		put(d, "}");
	}
}

static void schema_put(struct doc *d, const ProtobufCMessageDescriptor *m)
{
	char text[CV_RPC_JSON_NAME_BYTES];

	cv_buf_printf(d->b, "\"%s\":{\"type\":\"object\",\"properties\":{", m->name);
	for (unsigned i = 0; i < m->n_fields; i++) {
		cv_buf_printf(d->b, "%s\"%.*s\":", i ? "," : "",
			CV_STR_ARG(cv_rpc_json_name(m->fields[i].name, text)));
		field_put(d, m, &m->fields[i]);
	}
	put(d, "},\"additionalProperties\":false}");
}

/* ---- paths ---- */

static bool has_body(const struct cv_rpc_route *r)
{
	return r->method[0] == 'P'; /* POST, PUT, PATCH */
}

static void parameter_put(struct doc *d, bool is_first, struct cv_str name, bool has_path,
	const ProtobufCMessageDescriptor *m, const ProtobufCFieldDescriptor *f)
{
	cv_buf_printf(d->b, "%s{\"name\":\"%.*s\",\"in\":\"%s\",", is_first ? "" : ",",
		CV_STR_ARG(name), has_path ? "path" : "query");
	if (has_path)
		put(d, "\"required\":true,");
	put(d, "\"schema\":");
	if (f)
		field_put(d, m, f);
	else
		put(d, "{\"type\":\"string\"}");
	put(d, "}");
}

static bool is_in_path(const struct cv_rpc_route_match *m, const char *name)
{
	for (size_t i = 0; i < m->param_count; i++)
		if (cv_str_eq(m->param[i].name, cv_str_of(name)))
			return true;
	return false;
}

static void parameters_put(struct doc *d, const struct cv_rpc_route *r)
{
	struct cv_rpc_route_match m = { .route = r };
	char text[CV_RPC_JSON_NAME_BYTES];
	bool is_first = true, has_path;

	/* a path in braces fits itself */
	if (!cv_rpc_route_find(cv_str_of(r->method), cv_str_of(r->path), &m, &has_path))
		cv_unreachable();
	put(d, "\"parameters\":[");
	for (size_t i = 0; i < m.param_count; i++, is_first = false)
		parameter_put(d, is_first, m.param[i].name, true, r->in,
			cv_rpc_json_field(r->in, m.param[i].name));
	for (unsigned i = 0; !has_body(r) && i < r->in->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &r->in->fields[i];

		if (f->type == PROTOBUF_C_TYPE_MESSAGE || is_in_path(&m, f->name))
			continue;
		parameter_put(d, is_first, cv_rpc_json_name(f->name, text), false, r->in, f);
		is_first = false;
	}
	put(d, is_first ? "" : ",");
	put(d, "{\"$ref\":\"#/components/parameters/RequestTimeout\"}]");
}

static void operation_put(struct doc *d, const struct cv_rpc_route *r, bool is_again)
{
	char method[8] = "";

	for (size_t i = 0; r->method[i]; i++)
		method[i] = cv_ascii_lower(r->method[i]);
	cv_buf_printf(d->b, "\"%s\":{\"operationId\":\"%s%s\",\"summary\":\"%s\",", method, r->rpc,
		is_again ? "2" : "", r->summary);
	parameters_put(d, r);
	if (has_body(r)) {
		put(d, ",\"requestBody\":{\"content\":{\"application/json\":{\"schema\":");
		ref_put(d, r->in);
		put(d, "}}}");
	}
	cv_buf_printf(d->b,
		",\"responses\":{\"200\":{\"description\":\"%s\",\"content\":{\"%s\":{\"schema\":",
		r->is_stream
			? "events named message, each with this as its data; then end, or error"
			: "OK",
		r->is_stream ? "text/event-stream" : "application/json");
	ref_put(d, r->out);
	put(d, "}}},\"default\":{\"$ref\":\"#/components/responses/Error\"}}}");
}

static bool is_second(const struct cv_rpc_route *r)
{
	for (const struct cv_rpc_route *o = cv_rpc_routes; o < r; o++)
		if (cv_str_eq(cv_str_of(o->rpc), cv_str_of(r->rpc)))
			return true;
	return false;
}

static void path_put(struct doc *d, const struct cv_rpc_route *first)
{
	bool is_first = true;

	cv_buf_printf(d->b, "\"%s\":{", first->path);
	for (size_t i = 0; i < cv_rpc_route_count; i++) {
		const struct cv_rpc_route *r = &cv_rpc_routes[i];

		if (!cv_str_eq(cv_str_of(r->path), cv_str_of(first->path)))
			continue;
		if (!is_first)
			put(d, ",");
		operation_put(d, r, is_second(r));
		is_first = false;
	}
	put(d, "}");
}

static bool is_new_path(const struct cv_rpc_route *r)
{
	for (const struct cv_rpc_route *o = cv_rpc_routes; o < r; o++)
		if (cv_str_eq(cv_str_of(o->path), cv_str_of(r->path)))
			return false;
	return true;
}

#define TIMEOUT_PARAMETER                                                                            \
	"\"parameters\":{\"RequestTimeout\":{\"name\":\"Request-Timeout\",\"in\":\"header\","        \
	"\"description\":\"seconds after which the call ends with 504; grpc-timeout is read, too\"," \
	"\"schema\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":86400}}},"

#define ERROR_RESPONSE                                                                      \
	"\"responses\":{\"Error\":{\"description\":\"what is wrong\",\"content\":"          \
	"{\"application/json\":{\"schema\":{\"type\":\"object\",\"properties\":{\"error\":" \
	"{\"type\":\"object\",\"properties\":{\"code\":{\"type\":\"integer\"},"             \
	"\"status\":{\"type\":\"string\"},\"message\":{\"type\":\"string\"}}}}}}}}},"       \
	"\"securitySchemes\":{\"bearer\":{\"type\":\"http\",\"scheme\":\"bearer\"},"        \
	"\"certificate\":{\"type\":\"mutualTLS\"}}"

bool cv_rpc_rest_openapi(struct cv_buf *b)
{
	struct doc d = { .b = b };
	bool is_first = true;

	put(&d, "{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"cove gateway\",\"version\":\"" CV_VERSION
		"\"},\"security\":[{\"bearer\":[]},{\"certificate\":[]}],\"paths\":{");
	for (size_t i = 0; i < cv_rpc_route_count; i++) {
		if (!is_new_path(&cv_rpc_routes[i]))
			continue;
		if (!is_first)
			put(&d, ",");
		path_put(&d, &cv_rpc_routes[i]);
		is_first = false;
	}
	put(&d, "},\"components\":{" TIMEOUT_PARAMETER ERROR_RESPONSE ",\"schemas\":{");
	for (size_t i = 0; i < d.count; i++) { /* grows while it is written */
		if (i)
			put(&d, ",");
		schema_put(&d, d.types[i]);
	}
	put(&d, "}}}\n");
	return !b->is_overflown;
}
