/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_diff.c - what differs between two policies: for people, and against changes of what was
 * fixed at a sandbox's start
 */
#include "rpc/policy_merge.h"

#include "rpc/policy_compare.h"

#define PB(name)   Openshell__Sandbox__V1__##name

#define AT_STARTUP "cannot be changed on a live sandbox (applied at startup)"

/* ---- what is static ---- */

static const char *compatibility(const cv_policy_pb *m)
{
	return m->landlock && m->landlock->compatibility[0] ? m->landlock->compatibility
							    : "best_effort";
}

static bool includes_workdir(const cv_policy_pb *m)
{
	return !m->filesystem || m->filesystem->include_workdir; /* model.h says why */
}

static cv_code paths_check(const char *what, char *const *was, size_t was_n, char *const *is,
	size_t is_n, struct cv_err *err)
{
	for (size_t i = 0; i < was_n; i++)
		if (!cv_texts_have(is, is_n, was[i]))
			return cv_fail(err, CV_INVALID,
				"filesystem %s path '%.200s' cannot be removed on a live sandbox "
				"(applied at startup)",
				what, was[i]);
	return CV_OK;
}

/* Who nobody is said to run as is `sandbox`. */
static const char *identity(const char *said)
{
	return said && said[0] ? said : "sandbox";
}

static bool same_process(const cv_policy_pb *a, const cv_policy_pb *b)
{
	const PB(ProcessPolicy) *x = a->process, *y = b->process;

	return strcmp(identity(x ? x->run_as_user : NULL), identity(y ? y->run_as_user : NULL)) ==
		       0 &&
	       strcmp(identity(x ? x->run_as_group : NULL), identity(y ? y->run_as_group : NULL)) ==
		       0;
}

cv_code cv_policy_static_check(const cv_policy_pb *was, const cv_policy_pb *is, struct cv_err *err)
{
	PB(FilesystemPolicy) none;
	const PB(FilesystemPolicy) * a, *b;

	openshell__sandbox__v1__filesystem_policy__init(&none);
	a = was->filesystem ? was->filesystem : &none;
	b = is->filesystem ? is->filesystem : &none;
	if (strcmp(compatibility(was), compatibility(is)) != 0)
		return cv_fail(err, CV_INVALID, "landlock policy " AT_STARTUP);
	if (!same_process(was, is))
		return cv_fail(err, CV_INVALID, "process policy " AT_STARTUP);
	if (includes_workdir(was) != includes_workdir(is))
		return cv_fail(err, CV_INVALID, "filesystem include_workdir " AT_STARTUP);
	const cv_code code = paths_check(
		"read_only", a->read_only, a->n_read_only, b->read_only, b->n_read_only, err);
	if (code != CV_OK)
		return code;
	return paths_check(
		"read_write", a->read_write, a->n_read_write, b->read_write, b->n_read_write, err);
}

/* ---- for people ---- */

static void put_endpoint(
	struct cv_buf *out, const char *key, char sign, const PB(NetworkEndpoint) * e)
{
	cv_buf_printf(out, "~ rule '%s': %c %s", key, sign, e->host);
	for (size_t i = 0; i < e->n_ports; i++)
		cv_buf_printf(out, "%c%u", i ? ',' : ':', e->ports[i]);
	cv_buf_printf(out, "%s%s%s%s\n", e->path, e->protocol[0] ? " (" : "", e->protocol,
		e->protocol[0] ? ")" : "");
}

static bool has_endpoint(const PB(NetworkPolicyRule) * r, const PB(NetworkEndpoint) * e)
{
	for (size_t i = 0; i < r->n_endpoints; i++)
		if (cv_pb_is_same(r->endpoints[i], e))
			return true;
	return false;
}

/* What `is` has beyond `was`. */
static void put_beyond(struct cv_buf *out, const char *key, char sign,
	const PB(NetworkPolicyRule) * was, const PB(NetworkPolicyRule) * is)
{
	for (size_t i = 0; i < is->n_endpoints; i++)
		if (!has_endpoint(was, is->endpoints[i]))
			put_endpoint(out, key, sign, is->endpoints[i]);
	for (size_t i = 0; i < is->n_binaries; i++)
		if (!cv_rule_has_binary(was, is->binaries[i]->path))
			cv_buf_printf(out, "~ rule '%s': %c binary %s\n", key, sign,
				is->binaries[i]->path);
}

static void diff_rules(const cv_policy_pb *was, const cv_policy_pb *is, struct cv_buf *out)
{
	for (size_t i = 0; i < was->n_network_policies; i++)
		if (!cv_policy_pb_rule(is, was->network_policies[i]->key))
			cv_buf_printf(out, "- rule '%s'\n", was->network_policies[i]->key);
	for (size_t i = 0; i < is->n_network_policies; i++) {
		const char *key = is->network_policies[i]->key;
		const PB(NetworkPolicyRule) *a = cv_policy_pb_rule(was, key);
		const PB(NetworkPolicyRule) *b = is->network_policies[i]->value;

		if (!a) {
			cv_buf_printf(out, "+ rule '%s'\n", key);
		} else if (!cv_pb_is_same(a, b)) {
			const size_t before = cv_buf_len(out);

			put_beyond(out, key, '-', b, a);
			put_beyond(out, key, '+', a, b);
			if (cv_buf_len(out) == before)
				cv_buf_printf(out, "~ rule '%s'\n", key);
		}
	}
}

static const PB(NetworkMiddlewareConfig) * middleware(const cv_policy_pb *m, const char *key)
{
	for (size_t i = 0; i < m->n_network_middlewares; i++)
		if (strcmp(m->network_middlewares[i]->key, key) == 0)
			return m->network_middlewares[i]->value;
	return NULL;
}

static void diff_middlewares(const cv_policy_pb *was, const cv_policy_pb *is, struct cv_buf *out)
{
	for (size_t i = 0; i < was->n_network_middlewares; i++)
		if (!middleware(is, was->network_middlewares[i]->key))
			cv_buf_printf(out, "- middleware '%s'\n", was->network_middlewares[i]->key);
	for (size_t i = 0; i < is->n_network_middlewares; i++) {
		const char *key = is->network_middlewares[i]->key;
		const PB(NetworkMiddlewareConfig) *before = middleware(was, key);

		if (!cv_pb_is_same(before, is->network_middlewares[i]->value))
			cv_buf_printf(out, "%c middleware '%s'\n", before ? '~' : '+', key);
	}
}

void cv_policy_diff(const cv_policy_pb *was, const cv_policy_pb *is, struct cv_buf *out)
{
	if (!cv_pb_is_same(was->filesystem, is->filesystem))
		cv_buf_put(out, CV_STR("~ filesystem\n"));
	if (strcmp(compatibility(was), compatibility(is)) != 0)
		cv_buf_put(out, CV_STR("~ landlock\n"));
	if (!same_process(was, is))
		cv_buf_put(out, CV_STR("~ process\n"));
	diff_rules(was, is, out);
	diff_middlewares(was, is, out);
	if (strcmp(was->tools, is->tools) != 0)
		cv_buf_put(out, CV_STR("~ tools\n"));
}
