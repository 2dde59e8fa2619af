/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catalog_build.c - `build:` of a tool: what images may be built on, where they may go, how much it
 * may cost
 *
 * Hosts and networks go into policies that the broker writes (broker/build_plan.c), so they are
 * held to a grammar that needs no quoting there.
 */
#include "tools/catalog_int.h"

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
static struct cv_str *hosts_read(
	struct cv_catalog_check *c, const struct cv_policy_texts *t, size_t *ret_n)
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
			cv_catalog_report(c, t->v[i].pos, "build.hosts", "write HOST or HOST:PORT",
				"'%.*s' is no host", CV_POLICY_QUOTE(t->v[i].s));
	}
	return cv_catalog_strs(c, t, "build.hosts", CV_TOOL_GLOBS_MAX, CV_CATALOG_NO_GLOB, ret_n);
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
	out->hosts = hosts_read(c, &b->hosts, &out->host_count);
	out->allowed_ips = networks_read(c, &b->allowed_ips, &out->allowed_ip_count);
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
