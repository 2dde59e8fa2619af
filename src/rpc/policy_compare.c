/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_compare.c - see policy_compare.h
 */
#include "rpc/policy_compare.h"

#include <stdlib.h>

bool cv_pb_is_same(const void *a, const void *b)
{
	bool is_same = false;

	if (!a || !b)
		return a == b;
	const size_t n = protobuf_c_message_get_packed_size(a);
	if (n != protobuf_c_message_get_packed_size(b))
		return false;
	uint8_t *bytes = malloc(2 * n + 1);
	if (bytes) {
		protobuf_c_message_pack(a, bytes);
		protobuf_c_message_pack(b, bytes + n);
		is_same = memcmp(bytes, bytes + n, n) == 0;
	}
	free(bytes);
	return is_same;
}

bool cv_pb_has(void *const *v, size_t n, const void *item)
{
	for (size_t i = 0; i < n; i++)
		if (cv_pb_is_same(v[i], item))
			return true;
	return false;
}

bool cv_texts_have(char *const *v, size_t n, const char *item)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(v[i], item) == 0)
			return true;
	return false;
}

bool cv_endpoint_has_port(const cv_endpoint_pb *e, uint32_t port)
{
	for (size_t i = 0; i < e->n_ports; i++)
		if (e->ports[i] == port)
			return true;
	return false;
}

bool cv_endpoint_ports_cover(const cv_endpoint_pb *a, const cv_endpoint_pb *b)
{
	for (size_t i = 0; i < b->n_ports; i++)
		if (!cv_endpoint_has_port(a, b->ports[i]))
			return false;
	return true;
}

bool cv_endpoint_ports_meet(const cv_endpoint_pb *a, const cv_endpoint_pb *b)
{
	for (size_t i = 0; i < b->n_ports; i++)
		if (cv_endpoint_has_port(a, b->ports[i]))
			return true;
	return false;
}

bool cv_endpoint_is_host(const cv_endpoint_pb *e, const char *host)
{
	return cv_str_eq_nocase(cv_str_of(e->host), cv_str_of(host));
}

bool cv_endpoint_is_same_place(const cv_endpoint_pb *a, const cv_endpoint_pb *b)
{
	return cv_endpoint_is_host(a, b->host) && strcmp(a->path, b->path) == 0;
}

bool cv_rule_has_binary(const cv_rule_pb *r, const char *path)
{
	for (size_t i = 0; i < r->n_binaries; i++)
		if (strcmp(r->binaries[i]->path, path) == 0)
			return true;
	return false;
}

bool cv_rule_binaries_cover(const cv_rule_pb *a, const cv_rule_pb *b)
{
	if (!a->n_binaries != !b->n_binaries)
		return false;
	for (size_t i = 0; i < b->n_binaries; i++)
		if (!cv_rule_has_binary(a, b->binaries[i]->path))
			return false;
	return true;
}

bool cv_endpoint_has_same_settings(const cv_endpoint_pb *a, const cv_endpoint_pb *b)
{
	cv_endpoint_pb x = *a, y = *b;

	x.n_rules = x.n_deny_rules = x.n_allowed_ips = x.n_ports = 0;
	y.n_rules = y.n_deny_rules = y.n_allowed_ips = y.n_ports = 0;
	x.port = y.port = 0;
	x.allow_uninspected_credentials = y.allow_uninspected_credentials = false;
	x.host = y.host; /* compared without case */
	return cv_pb_is_same(&x.base, &y.base);
}

bool cv_endpoint_rules_cover(const cv_endpoint_pb *a, const cv_endpoint_pb *b)
{
	for (size_t i = 0; i < b->n_rules; i++)
		if (!cv_pb_has((void *const *)a->rules, a->n_rules, b->rules[i]))
			return false;
	for (size_t i = 0; i < b->n_allowed_ips; i++)
		if (!cv_texts_have(a->allowed_ips, a->n_allowed_ips, b->allowed_ips[i]))
			return false;
	return a->allow_uninspected_credentials || !b->allow_uninspected_credentials;
}

/* Everything that b allows, some endpoint of r allows too. */
static bool covers_endpoint(const cv_rule_pb *r, const cv_endpoint_pb *b)
{
	for (size_t i = 0; i < r->n_endpoints; i++) {
		const cv_endpoint_pb *a = r->endpoints[i];

		if (cv_endpoint_is_same_place(a, b) && cv_endpoint_has_same_settings(a, b) &&
			cv_endpoint_ports_cover(a, b) && cv_endpoint_rules_cover(a, b))
			return true;
	}
	return false;
}

bool cv_rule_covers(const cv_rule_pb *a, const cv_rule_pb *b)
{
	for (size_t i = 0; i < b->n_endpoints; i++)
		if (!covers_endpoint(a, b->endpoints[i]))
			return false;
	return true;
}

bool cv_rule_meets(const cv_rule_pb *a, const cv_rule_pb *b)
{
	for (size_t i = 0; i < a->n_endpoints; i++)
		for (size_t k = 0; k < b->n_endpoints; k++)
			if (cv_endpoint_is_same_place(a->endpoints[i], b->endpoints[k]) &&
				cv_endpoint_ports_meet(a->endpoints[i], b->endpoints[k]))
				return true;
	return false;
}
