/* SPDX-License-Identifier: Apache-2.0 */
/*
 * named.c - see named.h
 *
 * What is bound into the sandbox is bound in the order of plan/build.c, and a later one covers an
 * earlier one; so a file is seen through a binding if no later one lies over the place.
 */
#include "plan/named.h"

#include "plan/judge.h"

struct binding {
	struct cv_str src, dst;
	bool is_writable;
};

struct places {
	struct cv_arena *arena;
	struct cv_named_place *v;
	size_t n, cap;
	bool is_full;
};

bool cv_plan_is_made_here(const struct cv_run_spec *s, struct cv_str path)
{
	static const char *const trees[] = { "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64",
		"/libx32", "/proc", "/var/log" };
	static const char *const exact[] = { "/", "/etc", "/dev", "/dev/pts", "/dev/shm", "/tmp",
		"/run", "/sandbox", "/var", "/dev/null", "/dev/zero", "/dev/full", "/dev/random",
		"/dev/urandom", "/dev/tty" };

	if (s->rootfs == CV_ROOTFS_DIR)
		return true; /* its files are the image's, never the host's */
	for (size_t i = 0; i < CV_ARRAY_LEN(trees); i++)
		if (cv_plan_path_is_beneath(path, cv_str_of(trees[i])))
			return true;
	for (size_t i = 0; i < CV_ARRAY_LEN(exact); i++)
		if (cv_str_eq(path, cv_str_of(exact[i])))
			return true;
	return false;
}

static size_t bindings_list(const struct cv_run_spec *s, struct binding *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < s->path_count; i++)
		if (s->paths[i].kind != CV_PATH_ABSENT &&
			!cv_plan_is_made_here(s, s->paths[i].path))
			ret[n++] = (struct binding){ s->paths[i].path, s->paths[i].path,
				s->paths[i].is_writable };
	if (s->include_workdir)
		ret[n++] = (struct binding){ s->workdir, s->workdir, true };
	for (size_t i = 0; i < s->mount_count; i++)
		ret[n++] = (struct binding){ s->mounts[i].src, s->mounts[i].dst,
			!s->mounts[i].is_readonly };
	return n;
}

static void place_add(struct places *p, struct cv_str path, enum cv_named_step step, bool is_policy)
{
	for (size_t i = 0; i < p->n; i++)
		if (cv_str_eq(p->v[i].path, path) && p->v[i].step == step) {
			p->v[i].is_policy |= is_policy;
			return;
		}
	if (p->n == p->cap) {
		struct cv_named_place *more =
			cv_arena_array(p->arena, 2 * p->cap + 16, sizeof(*more));

		p->is_full |= !more;
		if (!more)
			return;
		if (p->n)
			memcpy(more, p->v, p->n * sizeof(*more));
		p->v = more;
		p->cap = 2 * p->cap + 16;
	}
	p->v[p->n++] = (struct cv_named_place){ path, step, is_policy };
}

static bool is_covered(const struct binding *later, size_t n, struct cv_str path)
{
	for (size_t i = 0; i < n; i++)
		if (cv_plan_path_is_beneath(path, later[i].dst))
			return true;
	return false;
}

static void place_find(struct places *p, const struct binding *b, size_t later_count,
	const struct cv_spec_named *named)
{
	const bool is_secret = named->kind == CV_NAMED_SECRET;

	if ((!b->is_writable && !is_secret) || !cv_plan_path_is_beneath(named->path, b->src))
		return;
	const struct cv_str rest = cv_str_slice(
		named->path, cv_str_eq(b->src, CV_STR("/")) ? 0 : b->src.n, named->path.n);
	const struct cv_str path =
		cv_arena_printf(p->arena, "%.*s%.*s", CV_STR_ARG(b->dst), CV_STR_ARG(rest));

	p->is_full |= !path.p;
	if (!path.p || is_covered(b + 1, later_count, path))
		return;
	for (size_t i = b->dst.n + 1; b->is_writable && i < path.n; i++)
		if (path.p[i] == '/')
			place_add(p, cv_arena_str(p->arena, cv_str_slice(path, 0, i)), CV_NAMED_PIN,
				false);
	place_add(p, path, is_secret ? CV_NAMED_HIDE : CV_NAMED_GUARD,
		named->kind == CV_NAMED_POLICY);
}

bool cv_plan_named_places(const struct cv_run_spec *s, struct cv_arena *arena,
	struct cv_named_place **ret, size_t *ret_n)
{
	struct places p = { .arena = arena };
	struct binding *b = cv_arena_array(arena, s->path_count + s->mount_count + 1, sizeof(*b));
	const size_t n = b ? bindings_list(s, b) : 0;

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < s->named_count; k++)
			place_find(&p, &b[i], n - i - 1, &s->named[k]);
	*ret = p.v;
	*ret_n = p.n;
	return b && !p.is_full;
}
