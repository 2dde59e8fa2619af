/* SPDX-License-Identifier: Apache-2.0 */
/*
 * build_plan.c - what a step of a build runs, and what that may do
 *
 *     cove run --nested --from host ... -- unshare -Urm buildah ...
 *     cove run --nested --nested-ids --from host ... -- buildah ...     where the host gives us ids
 *
 * Every buildah, or podman, runs in a sandbox of its own: the host's /usr, and these of ours:
 *
 *     STORE            (its own path, writable) the sandbox's images and layers
 *     /build/bases     base images; written by PULL, read by the others
 *     /build/context   what was copied; read-only
 *     /build/conf      what buildah is told; read-only
 *     /build/out       results, and room for temporary files
 *
 * What differs is the network. PULL and PUSH reach registries that the catalog names, and run no
 * program of anybody's. BUILD has what the sandbox's policy has of the network, by a proxy and an
 * audit of its own, and runs strangers' programs; it can write nothing that another sandbox reads.
 * The rest has none.
 *
 * Nothing of a call becomes an option: what stands alone is behind "--" or was checked to begin
 * otherwise, everything else is the second part of a word that we begin.
 */
#include "broker/build_int.h"

#include "broker/self.h"
#include "plan/rootfs.h"
#include "sys/cgroup.h"
#include "sys/fd.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- engines ---- */

/* podman builds with the code of buildah, so one plan does for both.  docker and buildkit hand a build
 * to a daemon whose network is not ours to give (docs/concepts/builds.md). */
static const struct build_engine engines[] = {
	[CV_TOOL_ENGINE_BUILDAH] = { "/usr/bin/buildah",
		{ "--registries-conf=/build/conf/registries.conf", NULL }, "--json", true },
	/* No daemon of the host keeps its cgroups or hears of its events. */
	[CV_TOOL_ENGINE_PODMAN] = { "/usr/bin/podman",
		{ "--cgroup-manager=cgroupfs", "--events-backend=none", NULL }, "--format=json",
		false },
};

const struct build_engine *build_engine_of(enum cv_tool_build_engine engine)
{
	return (size_t)engine < CV_ARRAY_LEN(engines) ? &engines[engine] : NULL;
}

/* ---- words ---- */

CV_PRINTF(2, 3) static void word(struct build_words *w, const char *fmt, ...)
{
	char *text;
	va_list ap;

	va_start(ap, fmt);
	const int n = vasprintf(&text, fmt, ap);
	va_end(ap);
	const struct cv_str kept =
		n < 0 ? CV_STR_NONE : cv_arena_str(w->arena, (struct cv_str){ text, (size_t)n });
	if (n >= 0)
		free(text);
	if (!kept.p || w->n == BUILD_WORDS_MAX) {
		w->is_full = true;
		return;
	}
	w->v[w->n++] = (char *)(uintptr_t)kept.p;
	w->v[w->n] = NULL;
}

static void words(struct build_words *w, const char *const *v)
{
	for (; *v; v++)
		word(w, "%s", *v);
}

/* ---- the sandbox ---- */

/* What this host can enforce of the catalog's limits; by cgroup, since a limit on each process's
 * address space is one that programs in Go start with. */
static void limits_put(const struct build_run *r, struct build_words *w)
{
	static struct cv_cgroup_host host;
	static bool has_looked;
	struct cv_err err;

	if (!has_looked && cv_cgroup_host_look(&host, &err) != CV_OK)
		return;
	has_looked = true;
	if (host.means[CV_CGROUP_MEMORY] >= CV_CGROUP_V1)
		word(w, "--memory=%llu", (unsigned long long)r->tool->memory_bytes);
	if (host.means[CV_CGROUP_CPU] >= CV_CGROUP_V1)
		word(w, "--cpu=%u.%03u", r->tool->cpu_milli / 1000, r->tool->cpu_milli % 1000);
	if (host.means[CV_CGROUP_PIDS] >= CV_CGROUP_V1)
		word(w, "--pids=%d", BUILD_PIDS);
}

static void about_put(const struct sandbox *box, struct build_words *w)
{
	static const char *const option[CV_BROKER_ABOUT_COUNT] = {
		[CV_BROKER_ABOUT_CA] = "--ca",
		[CV_BROKER_ABOUT_RESOLVE] = "--resolve",
		[CV_BROKER_ABOUT_UPSTREAM] = "--upstream-proxy",
		[CV_BROKER_ABOUT_UPSTREAM_DIRECT] = "--no-upstream-proxy-for",
		[CV_BROKER_ABOUT_UPSTREAM_BY_NAME] = "--upstream-proxy-by-name",
	};

	for (size_t i = 0; i < box->about_count; i++) {
		const struct about *a = &box->about[i];

		if (option[a->key] && *a->value)
			word(w, "%s=%s", option[a->key], a->value);
		else if (option[a->key])
			word(w, "%s", option[a->key]);
	}
}

/* A place that nothing was fetched to yet is no image store. */
static bool bases_are_there(const struct build_run *r)
{
	char path[PATH_MAX + 32];

	snprintf(path, sizeof(path), "%s/vfs-images", r->bases);
	return access(path, R_OK) == 0;
}

static void sandbox_put(const struct sandbox *box, const struct build_run *r, struct build_words *w)
{
	static const char *const begin[] = { "run", "-q", "-v", "--nested", "--no-protect",
		"--no-tty", "--from=host", NULL };
	static const char *const env[] = { "HOME=/tmp", "TMPDIR=/build/out/tmp",
		"_CONTAINERS_USERNS_CONFIGURED=done", "BUILDAH_ISOLATION=chroot",
		"CONTAINERS_REGISTRIES_CONF=/build/conf/registries.conf",
		"CONTAINERS_STORAGE_CONF=/build/conf/storage.conf",
		"REGISTRY_AUTH_FILE=/build/conf/auth.json", NULL };
	const bool is_pull = r->step == BUILD_PULL;

	words(w, begin);
	if (r->has_ids)
		word(w, "--nested-ids");
	word(w, "--workdir=%s", is_pull ? r->bases : r->store);
	if (r->has_policy) {
		word(w, "--policy=%s/policy.json", r->dir);
		about_put(box, w);
	}
	if (build_login(r))
		word(w, "--provider=%s/provider.json", r->dir);
	word(w, "--audit=%s/audit.jsonl", r->dir);
	word(w, "--mount=%s/conf:/build/conf:ro", r->dir);
	/* Where podman looks, whatever its words say. */
	word(w, "--mount=%s/conf/trust.json:/etc/containers/policy.json:ro", r->dir);
	word(w, "--mount=%s/out:/build/out", r->dir);
	if (r->step == BUILD_BUILD)
		word(w, "--mount=%s/context:/build/context:ro", r->dir);
	if (!is_pull && bases_are_there(r))
		word(w, "--mount=%s:/build/bases:ro", r->bases);
	limits_put(r, w);
	for (size_t i = 0; env[i]; i++)
		word(w, "--env=%s", env[i]);
	word(w, "--");
}

static void engine_put(const struct build_run *r, struct build_words *w)
{
	static const char *const store[] = { "--runroot=/tmp/run", "--storage-driver=vfs", NULL };
	const struct build_engine *e = build_engine_of(r->tool->engine);

	if (!r->has_ids) {
		word(w, "/usr/bin/unshare");
		word(w, "-Urm");
	}
	word(w, "%s", e->path);
	words(w, e->options);
	words(w, store);
	if (!r->has_ids)
		word(w, "--storage-opt=vfs.ignore_chown_errors=true");
	word(w, "--root=%s", r->step == BUILD_PULL ? r->bases : r->store);
	if (r->step != BUILD_PULL && bases_are_there(r))
		word(w, "--storage-opt=vfs.imagestore=/build/bases");
}

/* ---- steps ---- */

static void pull_put(const struct build_run *r, struct build_words *w)
{
	word(w, "pull"); /* what a digest names can't change, what a tag names can */
	if (build_engine_of(r->tool->engine)->has_pull_policy)
		word(w, "--policy=%s",
			cv_str_has_byte(r->pull[r->pull_at], '@') ? "missing" : "always");
	word(w, "--signature-policy=/build/conf/trust.json");
	word(w, "--");
	word(w, "docker://%.*s", CV_STR_ARG(r->pull[r->pull_at]));
}

/* The proxy's certificate is there for RUN, under the names that programs know it by for who asks
 * with ARG: a variable that is not asked for must not become part of the image. */
static void roots_put(const struct build_run *r, struct build_words *w)
{
#define ROOT_TEXT(text) CV_STR(text),
	static const struct cv_str variables[] = { CV_ENV_CA_ROWS(ROOT_TEXT) };
#undef ROOT_TEXT

	word(w, "--volume=%s:%s:ro", CV_TLS_DIR, CV_TLS_DIR);
	for (size_t i = 0; i < CV_ARRAY_LEN(variables); i++) {
		const size_t n = cv_str_find_byte(variables[i], '=');

		if (r->text.n && memmem(r->text.p, r->text.n, variables[i].p, n))
			word(w, "--build-arg=%s", variables[i].p);
	}
}

static void build_put(const struct build_run *r, struct build_words *w)
{
	static const char *const options[] = { "build", "--isolation=chroot", "--network=host",
		"--security-opt=seccomp=unconfined", "--pull=never", "--layers", "--format=oci",
		"--signature-policy=/build/conf/trust.json", "--iidfile=/build/out/id", NULL };

	words(w, options);
	word(w, "--tag=%.*s", CV_STR_ARG(r->image));
	word(w, "--file=/build/context/%.*s", CV_STR_ARG(r->file));
	if (r->target.n)
		word(w, "--target=%.*s", CV_STR_ARG(r->target));
	if (r->has_policy)
		roots_put(r, w);
	for (uint32_t i = 0; r->build_args && i < r->build_args->n; i++)
		word(w, "--build-arg=%.*s=%.*s", CV_STR_ARG(r->build_args->key[i]),
			CV_STR_ARG(r->build_args->v[i].s));
	for (uint32_t i = 0; r->labels && i < r->labels->n; i++)
		word(w, "--label=%.*s=%.*s", CV_STR_ARG(r->labels->key[i]),
			CV_STR_ARG(r->labels->v[i].s));
	word(w, "--");
	word(w, "/build/context");
}

static void push_put(
	const struct build_run *r, const char *digest, struct build_words *w, struct cv_str target)
{
	word(w, "push");
	word(w, "--signature-policy=/build/conf/trust.json");
	word(w, "--digestfile=/build/out/%s", digest);
	word(w, "--format=oci");
	word(w, "--");
	word(w, "%.*s", CV_STR_ARG(r->image));
	word(w, "%.*s", CV_STR_ARG(target));
}

/* An archive's own name for its image has a smaller grammar than images have. */
static struct cv_str archive_name(struct build_run *r)
{
	const bool is_odd =
		memmem(r->image.p, r->image.n, "__", 2) || memmem(r->image.p, r->image.n, "---", 3);

	return cv_arena_printf(&r->arena, "oci-archive:/build/out/image.tar%s%.*s",
		is_odd ? "" : ":", is_odd ? 0 : (int)r->image.n, r->image.p);
}

cv_code build_plan_make(struct broker *b, const struct sandbox *box, struct build_run *r,
	struct build_words *ret, struct cv_err *err)
{
	char cove[PATH_MAX];

	(void)b;
	*ret = (struct build_words){ .arena = &r->arena };
	const struct build_engine *engine = build_engine_of(r->tool->engine);
	if (access(engine->path, X_OK) < 0 || (!r->has_ids && access("/usr/bin/unshare", X_OK) < 0))
		return cv_fail(err, CV_UNAVAILABLE, "%s is not installed on the host",
			cv_tool_build_engine_name(r->tool->engine));
	if (!self_find(cove, sizeof(cove)))
		return cv_fail(err, CV_UNAVAILABLE, "cove is not beside cove-broker");
	if (build_conf_write(r, err) != CV_OK ||
		build_policy_write(box, r, &r->has_policy, err) != CV_OK)
		return err->code;
	word(ret, "%s", cove);
	sandbox_put(box, r, ret);
	engine_put(r, ret);
	switch (r->step) {
	case BUILD_PULL: pull_put(r, ret); break;
	case BUILD_BUILD: build_put(r, ret); break;
	case BUILD_EXPORT: push_put(r, "digest", ret, archive_name(r)); break;
	case BUILD_PUSH:
		push_put(r, "pushed", ret,
			cv_arena_printf(&r->arena, "docker://%.*s", CV_STR_ARG(r->push)));
		break;
	case BUILD_LIST:
		word(ret, "images");
		word(ret, "%s", engine->list);
		break;
	case BUILD_CONTEXT:
	case BUILD_DELIVER:
	case BUILD_CLEAN:
	case BUILD_STEP_COUNT: break;
	}
	return ret->is_full ? cv_fail(err, CV_LIMIT, "the command line is too long") : CV_OK;
}

/* ---- where base images are ---- */

static bool dirs_make(char *path)
{
	for (char *p = path + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = 0;
		const bool is_there = mkdir(path, 0700) == 0 || errno == EEXIST;
		*p = '/';
		if (!is_there)
			return false;
	}
	return mkdir(path, 0700) == 0 || errno == EEXIST;
}

static const char *env_find(const struct broker *b, const char *name)
{
	const size_t n = strlen(name);

	for (size_t i = 0; i < b->env_count; i++)
		if (strncmp(b->env[i], name, n) == 0 && b->env[i][n] == '=' &&
			b->env[i][n + 1] == '/')
			return b->env[i] + n + 1;
	return NULL;
}

cv_code build_bases_find(struct broker *b, struct build_run *r, const char *own, struct cv_err *err)
{
	const char *cache = env_find(b, "XDG_CACHE_HOME"), *home = env_find(b, "HOME");
	struct stat st;

	if (!r->tool->cache.n)
		snprintf(r->bases, sizeof(r->bases), "%s/bases", own);
	else if (cache || home)
		/* Files have their own ids in the one, and the user's in the other. */
		snprintf(r->bases, sizeof(r->bases), "%s%s/cove/images/%.*s%s",
			cache ? cache : home, cache ? "" : "/.cache", CV_STR_ARG(r->tool->cache),
			r->has_ids ? "+ids" : "");
	else
		return cv_fail(err, CV_UNAVAILABLE,
			"build.cache: neither HOME nor XDG_CACHE_HOME says where");
	if (!dirs_make(r->bases) || lstat(r->bases, &st) < 0)
		return cv_fail_errno(err, "make %s", r->bases);
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022))
		return cv_fail(err, CV_DENIED, "%s is not a directory of our own", r->bases);
	return CV_OK;
}
