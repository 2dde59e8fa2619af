/* SPDX-License-Identifier: Apache-2.0 */
/*
 * profile_doc.c - provider profiles as documents and as messages
 *
 * A document's members have the names of the message's fields, so that a walk over descriptors does
 * most of it.  Three things differ: enum values are short and in lower case, endpoints and binaries are
 * in the words of a policy (they are read as the rule of one), and unknown members are errors.
 */
#include "client/profile_doc.h"

#include "policy/yaml_json.h"
#include "rpc/policy_pb.h"
#include "wire/json_value.h"

#include <ctype.h>
#include <string.h>

#define DEPTH_MAX 8 /* of messages in one another */

struct reading {
	struct cl *c;
	const char *path;
};

/* "PROVIDER_PROFILE_CATEGORY_SOURCE_CONTROL" -> "source_control": what all names of the enum share
 * goes.  With it, the shared part's length is that up to _UNSPECIFIED. */
static size_t enum_prefix(const ProtobufCEnumDescriptor *d)
{
	const char *first = d->values[0].name;
	const char *tail = strstr(first, "UNSPECIFIED");

	return tail ? (size_t)(tail - first) : 0;
}

static char *enum_text(struct cl *c, const ProtobufCEnumDescriptor *d, int value)
{
	const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(d, value);
	char *s = cl_dup(c, v ? v->name + enum_prefix(d) : "unspecified");

	for (char *p = s; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return s;
}

static int enum_read(const struct reading *r, const ProtobufCFieldDescriptor *f, struct cv_str s)
{
	const ProtobufCEnumDescriptor *d = f->descriptor;

	for (unsigned i = 0; i < d->n_values; i++)
		if (cv_str_eq(s, cv_str_of(enum_text(r->c, d, d->values[i].value))))
			return d->values[i].value;
	const char *words = "";
	for (unsigned i = 0; i < d->n_values; i++)
		if (d->values[i].value) /* 0 is "nothing was said" */
			words = cl_print(r->c, "%s%s%s", words, *words ? ", " : "",
				enum_text(r->c, d, d->values[i].value));
	cl_die(r->c, "%s: %s: '%s' is not one of %s", r->path, f->name,
		cl_shown(r->c, cl_print(r->c, "%.*s", CV_STR_ARG(s))), words);
}

static void message_read(
	const struct reading *r, const struct cv_value *v, ProtobufCMessage *m, int depth);

static CV_NORETURN void die_type(
	const struct reading *r, const ProtobufCFieldDescriptor *f, const char *want)
{
	cl_die(r->c, "%s: %s: expected %s", r->path, f->name, want);
}

static void scalar_read(const struct reading *r, const struct cv_value *v,
	const ProtobufCFieldDescriptor *f, void *at, int depth)
{
	int64_t n = 0;

	switch ((int)f->type) {
	case PROTOBUF_C_TYPE_STRING:
		if (v->type != CV_VALUE_STRING)
			die_type(r, f, "text");
		*(char **)at = cl_print(r->c, "%.*s", CV_STR_ARG(v->s));
		return;
	case PROTOBUF_C_TYPE_BOOL:
		if (v->type != CV_VALUE_TRUE && v->type != CV_VALUE_FALSE)
			die_type(r, f, "true or false");
		*(protobuf_c_boolean *)at = v->type == CV_VALUE_TRUE;
		return;
	case PROTOBUF_C_TYPE_ENUM:
		if (v->type != CV_VALUE_STRING)
			die_type(r, f, "a word");
		*(int *)at = enum_read(r, f, v->s);
		return;
	case PROTOBUF_C_TYPE_UINT32:
		if (!cv_value_to_i64(v, &n) || n < 0 || n > UINT32_MAX)
			die_type(r, f, "a number");
		*(uint32_t *)at = (uint32_t)n;
		return;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_UINT64:
		if (!cv_value_to_i64(v, &n) || n < 0)
			die_type(r, f, "a number");
		*(int64_t *)at = n;
		return;
	case PROTOBUF_C_TYPE_MESSAGE: {
		const ProtobufCMessageDescriptor *d = f->descriptor;
		ProtobufCMessage *m = cl_alloc(r->c, d->sizeof_message);

		d->message_init(m);
		message_read(r, v, m, depth + 1);
		*(ProtobufCMessage **)at = m;
		return;
	}
	default: die_type(r, f, "something else");
	}
}

static size_t type_bytes(ProtobufCType type)
{
	switch ((int)type) {
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE: return sizeof(void *);
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_UINT64: return sizeof(uint64_t);
	default: return sizeof(uint32_t);
	}
}

static bool is_map(const ProtobufCFieldDescriptor *f)
{
	const ProtobufCMessageDescriptor *d = f->descriptor;

	return f->type == PROTOBUF_C_TYPE_MESSAGE && f->label == PROTOBUF_C_LABEL_REPEATED &&
	       strstr(d->name, "Entry") && d->n_fields == 2;
}

static void repeated_read(const struct reading *r, const struct cv_value *v,
	const ProtobufCFieldDescriptor *f, ProtobufCMessage *m, int depth)
{
	char *base = (char *)m;
	const size_t each = type_bytes(f->type);

	if (is_map(f)) {
		size_t n = 0;
		void *entries = NULL;

		if (v->type != CV_VALUE_OBJECT)
			die_type(r, f, "a mapping");
		for (uint32_t i = 0; i < v->n; i++)
			entries = cl_map_add(r->c, entries, &n, f->descriptor,
				cl_print(r->c, "%.*s", CV_STR_ARG(v->key[i])),
				cl_print(r->c, "%.*s", CV_STR_ARG(v->v[i].s)));
		*(size_t *)(void *)(base + f->quantifier_offset) = n;
		*(void **)(void *)(base + f->offset) = entries;
		return;
	}
	if (v->type != CV_VALUE_ARRAY)
		die_type(r, f, "a list");
	char *items = cl_alloc(r->c, (v->n + 1) * each);
	for (uint32_t i = 0; i < v->n; i++)
		scalar_read(r, &v->v[i], f, items + i * each, depth);
	*(size_t *)(void *)(base + f->quantifier_offset) = v->n;
	*(void **)(void *)(base + f->offset) = items;
}

static void message_read(
	const struct reading *r, const struct cv_value *v, ProtobufCMessage *m, int depth)
{
	if (v->type != CV_VALUE_OBJECT || depth > DEPTH_MAX)
		cl_die(r->c, "%s: expected a mapping", r->path);
	for (uint32_t i = 0; i < v->n; i++) {
		const char *key = cl_print(r->c, "%.*s", CV_STR_ARG(v->key[i]));
		const ProtobufCFieldDescriptor *f =
			protobuf_c_message_descriptor_get_field_by_name(m->descriptor, key);

		if (!f)
			cl_die(r->c, "%s: unknown member '%s'", r->path, cl_shown(r->c, key));
		if (v->v[i].type == CV_VALUE_NULL)
			continue;
		if (f->label == PROTOBUF_C_LABEL_REPEATED)
			repeated_read(r, &v->v[i], f, m, depth);
		else
			scalar_read(r, &v->v[i], f, (char *)m + f->offset, depth);
	}
}

/* ---- endpoints and binaries: the rule of a policy ---- */

static void rule_read(const struct reading *r, const struct cv_value *endpoints,
	const struct cv_value *binaries, Openshell__V1__ProviderProfile *p)
{
	struct cl_out o;
	struct cv_err err;
	cv_policy_pb *m;

	if (!endpoints && !binaries)
		return;
	cl_out_init(&o, CL_FORM_JSON);
	cl_out_object(&o, NULL);
	cl_out_int(&o, "version", 1);
	cl_out_object(&o, "network_policies");
	cl_out_object(&o, "profile");
	if (endpoints)
		cl_out_value(&o, "endpoints", endpoints);
	if (binaries)
		cl_out_value(&o, "binaries", binaries);
	cl_out_end(&o);
	cl_out_end(&o);
	cl_out_end(&o);
	if (cv_policy_pb_from_text(cv_str_of(r->path), cv_buf_str(&o.b), &r->c->arena, &m, &err) !=
			CV_OK ||
		m->n_network_policies != 1)
		cl_die(r->c, "%s: %s", r->path, cl_shown(r->c, err.msg));
	p->endpoints = m->network_policies[0]->value->endpoints;
	p->n_endpoints = m->network_policies[0]->value->n_endpoints;
	p->binaries = m->network_policies[0]->value->binaries;
	p->n_binaries = m->network_policies[0]->value->n_binaries;
	cl_out_fini(&o);
}

Openshell__V1__ProviderProfile *cl_profile_read(struct cl *c, const char *path)
{
	const struct cv_str text = cl_file_read(c, path, CL_FILE_BYTES_MAX);
	Openshell__V1__ProviderProfile *p = cl_alloc(c, sizeof(*p));
	const struct reading r = { c, cl_shown(c, path) };
	const struct cv_value *v;
	struct cv_value rest;
	struct cv_buf json;
	size_t at;

	cv_buf_init(&json, CL_OUT_BYTES_MAX);
	if (!cv_policy_yaml_to_json(text, &json) ||
		cv_json_value_read(cv_arena_str(&c->arena, cv_buf_str(&json)), &c->arena, &v,
			&at) != CV_JSON_PROBLEM_NONE ||
		v->type != CV_VALUE_OBJECT)
		cl_die(c, "failed to parse provider profile %s: not one YAML or JSON document",
			r.path);
	cv_buf_fini(&json);
	openshell__v1__provider_profile__init(p);
	/* all but what is read as a policy */
	struct cv_value *members = cl_alloc(c, (v->n + 1) * sizeof(*members));
	struct cv_str *keys = cl_alloc(c, (v->n + 1) * sizeof(*keys));
	rest = *v;
	rest.n = 0;
	for (uint32_t i = 0; i < v->n; i++) {
		if (cv_str_eq(v->key[i], CV_STR("endpoints")) ||
			cv_str_eq(v->key[i], CV_STR("binaries")))
			continue;
		members[rest.n] = v->v[i];
		keys[rest.n++] = v->key[i];
	}
	rest.v = members;
	rest.key = keys;
	message_read(&r, &rest, &p->base, 0);
	rule_read(&r, cv_value_get(v, CV_STR("endpoints")), cv_value_get(v, CV_STR("binaries")), p);
	if (!*p->id)
		cl_die(c, "%s: id is missing", r.path);
	return p;
}

/* ---- out ---- */

static void message_out(struct cl *c, struct cl_out *o, const ProtobufCMessage *m);

static void item_out(struct cl *c, struct cl_out *o, const char *key,
	const ProtobufCFieldDescriptor *f, const void *at)
{
	switch ((int)f->type) {
	case PROTOBUF_C_TYPE_STRING: cl_out_str(o, key, *(char *const *)at); return;
	case PROTOBUF_C_TYPE_BOOL: cl_out_bool(o, key, *(const protobuf_c_boolean *)at); return;
	case PROTOBUF_C_TYPE_ENUM:
		cl_out_str(o, key, enum_text(c, f->descriptor, *(const int *)at));
		return;
	case PROTOBUF_C_TYPE_UINT32: cl_out_u64(o, key, *(const uint32_t *)at); return;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_UINT64: cl_out_int(o, key, *(const int64_t *)at); return;
	case PROTOBUF_C_TYPE_MESSAGE:
		cl_out_object(o, key);
		message_out(c, o, *(ProtobufCMessage *const *)at);
		cl_out_end(o);
		return;
	default: return;
	}
}

static bool is_empty(const ProtobufCFieldDescriptor *f, const void *at)
{
	switch ((int)f->type) {
	case PROTOBUF_C_TYPE_STRING: return !*(char *const *)at || !**(char *const *)at;
	case PROTOBUF_C_TYPE_MESSAGE: return !*(void *const *)at;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_UINT64: return *(const int64_t *)at == 0;
	default: return *(const uint32_t *)at == 0;
	}
}

static void message_out(struct cl *c, struct cl_out *o, const ProtobufCMessage *m)
{
	for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
		const char *at = (const char *)m + f->offset;

		if (f->label != PROTOBUF_C_LABEL_REPEATED) {
			if (!is_empty(f, at))
				item_out(c, o, f->name, f, at);
			continue;
		}
		const size_t n =
			*(const size_t *)(const void *)((const char *)m + f->quantifier_offset);
		const char *items = *(char *const *)(const void *)at;
		if (!n || strcmp(f->name, "endpoints") == 0 || strcmp(f->name, "binaries") == 0)
			continue;
		if (is_map(f)) {
			cl_map_out(c, o, f->name, *(void *const *)(const void *)at, n);
			continue;
		}
		cl_out_array(o, f->name);
		for (size_t k = 0; k < n; k++)
			item_out(c, o, NULL, f, items + k * type_bytes(f->type));
		cl_out_end(o);
	}
}

/* The rule's text, as a policy says it, cut out of one. */
static void rule_out(struct cl *c, struct cl_out *o, const Openshell__V1__ProviderProfile *p)
{
	Openshell__Sandbox__V1__SandboxPolicy__NetworkPoliciesEntry entry, *entries = &entry;
	Openshell__Sandbox__V1__NetworkPolicyRule rule;
	const struct cv_value *v = NULL;
	struct cv_buf yaml, json;
	struct cv_err err;
	cv_policy_pb m;
	size_t at;

	if (!p->n_endpoints && !p->n_binaries)
		return;
	openshell__sandbox__v1__sandbox_policy__init(&m);
	openshell__sandbox__v1__sandbox_policy__network_policies_entry__init(&entry);
	openshell__sandbox__v1__network_policy_rule__init(&rule);
	rule.name = entry.key = cl_dup(c, "profile");
	rule.endpoints = p->endpoints;
	rule.n_endpoints = p->n_endpoints;
	rule.binaries = p->binaries;
	rule.n_binaries = p->n_binaries;
	entry.value = &rule;
	m.version = 1;
	m.network_policies = &entries;
	m.n_network_policies = 1;
	cv_buf_init(&yaml, CV_POLICY_PB_TEXT_BYTES_MAX);
	cv_buf_init(&json, CL_OUT_BYTES_MAX);
	if (cv_policy_pb_text(&m, &yaml, &err) != CV_OK ||
		!cv_policy_yaml_to_json(cv_buf_str(&yaml), &json) ||
		cv_json_value_read(cv_arena_str(&c->arena, cv_buf_str(&json)), &c->arena, &v,
			&at) != CV_JSON_PROBLEM_NONE)
		cl_die(c, "the gateway's profile cannot be shown");
	const struct cv_value *r = cv_value_at(v, CV_STR("/network_policies/profile"));
	const struct cv_value *endpoints = cv_value_get(r, CV_STR("endpoints"));
	const struct cv_value *binaries = cv_value_get(r, CV_STR("binaries"));
	if (endpoints)
		cl_out_value(o, "endpoints", endpoints);
	if (binaries)
		cl_out_value(o, "binaries", binaries);
	cv_buf_fini(&json);
	cv_buf_fini(&yaml);
}

void cl_profile_out(struct cl *c, struct cl_out *o, const Openshell__V1__ProviderProfile *p)
{
	cl_out_object(o, NULL);
	message_out(c, o, &p->base);
	rule_out(c, o, p);
	cl_out_end(o);
}

const char *cl_profile_category(const Openshell__V1__ProviderProfile *p)
{
	static const char *const names[] = { "-", "other", "inference", "agent", "source_control",
		"messaging", "data", "knowledge" };

	return (size_t)p->category < CV_ARRAY_LEN(names) ? names[p->category] : "-";
}
