/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catalog_build.c - `build:` of a tool: what images may be built on, where they may go, how much it
 * may cost
 *
 * Hosts and networks go into policies that the broker writes (broker/build_plan.c), so they are
 * held to a grammar that needs no quoting there.
 */
#include "tools/catalog_int.h"
#include "tools/image_ref.h"

/* 2 or 0.5, in thousandths. */
static uint32_t cpus_read(struct cv_catalog_check *c, const struct cv_policy_text *t)
{
	const size_t dot = cv_str_find_byte(t->s, '.');
	const struct cv_str digits = cv_str_slice(t->s, dot + 1, t->s.n);
	uint64_t whole, part = 0;

	if (!t->is_present)
		return CV_TOOL_BUILD_CPU_MILLI_DEFAULT;
	bool is_good = cv_str_to_u64(cv_str_slice(t->s, 0, dot), CV_TOOL_BUILD_CPU_MAX, &whole);
	if (dot < t->s.n)
		is_good = is_good && digits.n <= 3 && cv_str_to_u64(digits, 999, &part);
	for (size_t i = digits.n; is_good && i < 3; i++)
		part *= 10;
	if (is_good && whole * 1000 + part > 0)
		return (uint32_t)(whole * 1000 + part);
	cv_catalog_report(c, t->pos, "build.cpus", "write one such as 2 or 0.5",
		"'%.*s' is no number of CPUs", CV_POLICY_QUOTE(t->s));
	return CV_TOOL_BUILD_CPU_MILLI_DEFAULT;
}

/* HOST or HOST:PORT, which go into a policy of our own making. */
static struct cv_str *hosts_read(struct cv_catalog_check *c, const struct cv_policy_texts *t,
	const char *field, size_t *ret_n)
{
	for (size_t i = 0; i < t->n; i++) {
		struct cv_str rest = t->v[i].s;
		const struct cv_str host = cv_str_cut(&rest, ':');
		bool is_good = host.n > 0;
		uint64_t port;

		for (size_t k = 0; k < host.n; k++)
			is_good = is_good && (strchr("-.*", host.p[k]) || host.p[k] == '_' ||
						     (host.p[k] >= '0' && host.p[k] <= '9') ||
						     (cv_ascii_lower(host.p[k]) >= 'a' &&
							     cv_ascii_lower(host.p[k]) <= 'z'));
		if (!is_good || (rest.p && (!cv_str_to_u64(rest, 65535, &port) || !port)))
			cv_catalog_report(c, t->v[i].pos, field, "write HOST or HOST:PORT",
				"'%.*s' is no host", CV_POLICY_QUOTE(t->v[i].s));
	}
	return cv_catalog_strs(c, t, field, CV_TOOL_GLOBS_MAX, CV_CATALOG_NO_GLOB, ret_n);
}

static struct cv_str *networks_read(
	struct cv_catalog_check *c, const struct cv_policy_texts *t, size_t *ret_n)
{
	struct cv_cidr cidr;

	for (size_t i = 0; i < t->n; i++)
		if (!cv_cidr_parse(t->v[i].s, &cidr))
			cv_catalog_report(c, t->v[i].pos, "build.allowed_ips",
				"write one such as 10.0.0.0/8", "'%.*s' is no network",
				CV_POLICY_QUOTE(t->v[i].s));
	return cv_catalog_strs(
		c, t, "build.allowed_ips", CV_TOOL_GLOBS_MAX, CV_CATALOG_NO_GLOB, ret_n);
}

/* ---- registries ---- */

/* The proxy of a step goes to no loopback address, whatever a policy says, and a sandbox's own
 * loopback has no registry; so such a name can only be a mistake. */
static bool is_loopback(struct cv_str registry)
{
	const struct cv_str host = cv_str_cut(&registry, ':');

	return cv_ip_text_is_loopback(host) || cv_str_has_suffix(host, CV_STR(".localhost"));
}

static void check_registry(
	struct cv_catalog_check *c, const struct cv_policy_text *t, const char *field)
{
	if (!cv_image_registry_is_good(t->s))
		cv_catalog_report(c, t->pos, field,
			"write it as references have it, such as registry.example:5000",
			"'%.*s' names no registry", CV_POLICY_QUOTE(t->s));
	else if (is_loopback(t->s))
		cv_catalog_report(c, t->pos, field,
			"write a name of an address that is not loopback, and allowed_ips",
			"'%.*s' is in each sandbox its own loopback", CV_POLICY_QUOTE(t->s));
}

static struct cv_str *plain_http_read(
	struct cv_catalog_check *c, const struct cv_policy_texts *t, size_t *ret_n)
{
	for (size_t i = 0; i < t->n; i++)
		check_registry(c, &t->v[i], "build.plain_http");
	return cv_catalog_strs(
		c, t, "build.plain_http", CV_TOOL_GLOBS_MAX, CV_CATALOG_NO_GLOB, ret_n);
}

static bool is_user(struct cv_str s)
{
	return s.n > 0 && s.n <= CV_TOOL_BUILD_USER_BYTES_MAX && !cv_str_has_byte(s, ':') &&
	       !cv_str_has_control(s);
}

static void check_credential(struct cv_catalog_check *c, const struct cv_policy_text *t)
{
	const struct cv_catalog *k = c->catalog;

	for (size_t i = 0; i < k->credential_count; i++)
		if (cv_str_eq(k->credentials[i].name, t->s)) {
			cv_catalog_uses(c, t->s);
			return;
		}
	cv_catalog_report(c, t->pos, "build.logins",
		"declare it in credentials:", "there is no credential '%.*s'",
		CV_POLICY_QUOTE(t->s));
}

static void login_read(struct cv_catalog_check *c, const struct cv_doc_login *d,
	const struct cv_tool_build *b, struct cv_tool_login *out)
{
	out->registry = d->registry.s;
	out->user = d->user.s;
	out->credential = d->credential.s;
	check_registry(c, &d->registry, "build.logins");
	out->hosts = hosts_read(c, &d->hosts, "build.logins", &out->host_count);
	for (size_t i = 0; i < out->host_count; i++)
		if (cv_str_has_byte(out->hosts[i], '*'))
			cv_catalog_report(c, d->hosts.v[i].pos, "build.logins", "name each host",
				"a credential goes to no pattern of hosts");
	for (size_t i = 0; i < b->plain_http_count; i++)
		if (cv_str_eq(b->plain_http[i], out->registry))
			cv_catalog_report(c, d->pos, "build.logins",
				"give it TLS and remove it from plain_http, or remove the login",
				"credentials are not sent without TLS, which '%.*s' does not have",
				CV_POLICY_QUOTE(out->registry));
	if (!is_user(out->user))
		cv_catalog_report(c, d->user.pos, "build.logins", NULL,
			"user: 1 to %d printable characters without a colon",
			CV_TOOL_BUILD_USER_BYTES_MAX);
	check_credential(c, &d->credential);
}

static void logins_read(
	struct cv_catalog_check *c, const struct cv_doc_build *d, struct cv_tool_build *out)
{
	if (!d->login_count)
		return;
	if (d->login_count > CV_TOOL_BUILD_LOGINS_MAX) {
		cv_catalog_report(c, d->logins[0].pos, "build.logins", "split the tool",
			"%zu logins; at most %d", d->login_count, CV_TOOL_BUILD_LOGINS_MAX);
		return;
	}
	out->logins = cv_arena_array(c->arena, d->login_count, sizeof(*out->logins));
	for (size_t i = 0; out->logins && i < d->login_count; i++) {
		login_read(c, &d->logins[i], out, &out->logins[i]);
		out->login_count = i + 1;
	}
}

/* ---- all of it ---- */

void cv_catalog_build(struct cv_catalog_check *c, const struct cv_doc_tool *d, struct cv_tool *t)
{
	struct cv_tool_build *out = cv_arena_new(c->arena, struct cv_tool_build);
	const struct cv_doc_build *b = &d->build;

	if (!out)
		return;
	out->operation = b->operation;
	out->engine = b->engine;
	out->needs_digest = b->needs_digest;
	out->base_allow = cv_catalog_strs(c, &b->base_images, "build.base_images",
		CV_TOOL_GLOBS_MAX, CV_GLOB_PATH, &out->base_allow_count);
	out->push_allow = cv_catalog_strs(
		c, &b->push, "build.push", CV_TOOL_GLOBS_MAX, CV_GLOB_PATH, &out->push_allow_count);
	out->hosts = hosts_read(c, &b->hosts, "build.hosts", &out->host_count);
	out->allowed_ips = networks_read(c, &b->allowed_ips, &out->allowed_ip_count);
	out->plain_http = plain_http_read(c, &b->plain_http, &out->plain_http_count);
	logins_read(c, b, out);
	out->context_bytes_max = cv_catalog_bytes(c, &b->context_bytes, "build.context_bytes",
		CV_TOOL_BUILD_BYTES_MAX, CV_TOOL_BUILD_CONTEXT_BYTES_DEFAULT);
	out->context_files_max = (uint32_t)cv_catalog_number(c, &b->context_files,
		"build.context_files", 1, 10000000, CV_TOOL_BUILD_CONTEXT_FILES_DEFAULT);
	out->image_bytes_max = cv_catalog_bytes(c, &b->image_bytes, "build.image_bytes",
		CV_TOOL_BUILD_BYTES_MAX, CV_TOOL_BUILD_IMAGE_BYTES_DEFAULT);
	out->memory_bytes = cv_catalog_bytes(c, &b->memory, "build.memory", CV_TOOL_BUILD_BYTES_MAX,
		CV_TOOL_BUILD_MEMORY_DEFAULT);
	out->cpu_milli = cpus_read(c, &b->cpus);
	out->seconds = (uint32_t)cv_catalog_number(c, &b->seconds, "build.seconds", 1,
		CV_TOOL_SECONDS_MAX, CV_TOOL_BUILD_SECONDS_DEFAULT);
	if (!cv_str_eq(b->cache.s, CV_STR("run")))
		out->cache = b->cache.s;
	if (out->cache.n && !cv_tool_name_is_good(out->cache))
		cv_catalog_report(c, b->cache.pos, "build.cache",
			"write run, or a name of small letters, digits, _ and .",
			"'%.*s' is no name of a cache", CV_POLICY_QUOTE(out->cache));
	if (out->operation == CV_TOOL_BUILD_PUSH && !out->push_allow_count)
		cv_catalog_report(c, d->pos, "build", "add push: [registry.example/team/*]",
			"nothing may be pushed to");
	t->build = out;
}
