/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sections.c - a policy's static sections into the spec
 */
#include "driver/host.h"

#include "policy/policy.h"

static cv_code paths_add(struct cv_run_spec *s, const struct cv_policy_texts *texts,
	bool is_writable, struct cv_spec_path *v, struct cv_arena *arena, struct cv_err *err)
{
	for (size_t i = 0; i < texts->n; i++) {
		const struct cv_str path = cv_arena_str(arena, texts->v[i].s);

		if (!path.p)
			return cv_fail(err, CV_LIMIT, "no memory for the policy's paths");
		v[s->path_count++] = (struct cv_spec_path){ .path = path,
			.kind = cv_driver_path_kind(path.p),
			.is_writable = is_writable };
	}
	return CV_OK;
}

cv_code cv_driver_sections_take(struct cv_run_spec *s, const struct cv_policy_doc *doc,
	struct cv_arena *arena, struct cv_err *err)
{
	struct cv_spec_path *v =
		cv_arena_array(arena, doc->read_only.n + doc->read_write.n + 1, sizeof(*v));

	if (!v)
		return cv_fail(err, CV_LIMIT, "no memory for the policy's paths");
	uint32_t *ports = cv_arena_array(arena, CV_PLAN_PORTS_MAX + 1, sizeof(*ports));
	if (!ports)
		return cv_fail(err, CV_LIMIT, "no memory for the policy's ports");
	s->ports = ports;
	s->port_count = (uint32_t)CV_MIN(
		cv_policy_ports(doc, ports, CV_PLAN_PORTS_MAX + 1), (size_t)CV_PLAN_PORTS_MAX + 1);
	s->paths = v;
	s->landlock = doc->landlock;
	s->include_workdir = doc->include_workdir || !doc->has_filesystem;
	if (!s->user.n)
		s->user = cv_arena_str(arena, doc->run_as_user.s);
	s->group = cv_arena_str(arena, doc->run_as_group.s);
	const cv_code code = paths_add(s, &doc->read_only, false, v, arena, err);
	return code == CV_OK ? paths_add(s, &doc->read_write, true, v, arena, err) : code;
}
