/* SPDX-License-Identifier: Apache-2.0 */
/*
 * build_files.c - a build's files: out of the sandbox, into it, and what buildah left
 *
 * The four functions at the top run in a process of their own. The sandbox's user is this process's
 * user, but who runs cove as root has capabilities that the sandbox does not: they are given up
 * first, so that a file that the sandbox can't read or write is one that these can't either.
 */
#include "broker/build_int.h"

#include "base/glob.h"
#include "sys/caps.h"
#include "sys/copy.h"
#include "sys/fd.h"
#include "sys/openat2.h"
#include "wire/json.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- in a process of their own ---- */

static int say(const char *what, const struct cv_err *err)
{
	fprintf(stderr, "%s: %s\n", what, err->msg);
	return 1;
}

/* CV_STR's text as C has it; it is in an arena, which puts a NUL behind. */
static const char *text(struct cv_str s)
{
	return s.p ? s.p : "";
}

static int dir_open(const struct build_run *r, const char *name)
{
	char path[PATH_MAX + 32];

	snprintf(path, sizeof(path), "%s/%s", r->dir, name);
	return open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

int build_context_run(const void *run)
{
	const struct build_run *r = run;
	const struct cv_copy_limits limits = { r->tool->context_bytes_max,
		r->tool->context_files_max };
	struct cv_copy_count count;
	struct cv_err err;
	CV_AUTO_FD int to = dir_open(r, "context");

	if (to < 0) {
		cv_fail_errno(&err, "open it");
		return say("context", &err);
	}
	if (cv_caps_drop_own(&err) != CV_OK ||
		cv_copy_in(SPAWN_KEEP_FD, text(r->context_dir), to, &limits, &count, &err) != CV_OK)
		return say("context", &err);
	fprintf(stderr, "context: %u files, %llu bytes\n", count.files,
		(unsigned long long)count.bytes);
	return 0;
}

/* buildah made it, in a sandbox with strangers: it may be anything. */
static int archive_open(const struct build_run *r, struct stat *st, struct cv_err *err)
{
	CV_AUTO_FD int out = dir_open(r, "out");
	CV_AUTO_FD int fd =
		out < 0 ? -1
			: cv_openat2(out, "image.tar", O_RDONLY | O_NONBLOCK | O_NOCTTY,
				  RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);

	if (fd < 0 || fstat(fd, st) < 0) {
		cv_fail_errno(err, "the archive");
		return -1;
	}
	if (!S_ISREG(st->st_mode) || (uint64_t)st->st_size > r->tool->image_bytes_max) {
		cv_fail(err, CV_LIMIT, "the archive is larger than %llu bytes",
			(unsigned long long)r->tool->image_bytes_max);
		return -1;
	}
	return cv_take_fd(fd);
}

int build_deliver_run(const void *run)
{
	const struct build_run *r = run;
	struct cv_copy_count count;
	struct cv_err err;
	struct stat st;
	CV_AUTO_FD int from = archive_open(r, &st, &err);

	if (from < 0 || cv_caps_drop_own(&err) != CV_OK ||
		cv_copy_out(from, SPAWN_KEEP_FD, text(r->dest), r->tool->image_bytes_max, &count,
			&err) != CV_OK)
		return say("dest", &err);
	return 0;
}

int build_look(const char *store_path, const char *own_path, uint64_t max, uint64_t extra)
{
	for (;;) {
		CV_AUTO_FD int store = open(store_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		CV_AUTO_FD int own = open(own_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		const uint64_t n = (store < 0 ? 0 : cv_copy_usage(store, max + 1)) +
				   (own < 0 ? 0 : cv_copy_usage(own, UINT64_MAX / 2));

		if (n > max + extra)
			return BUILD_LOOK_TOO_MUCH;
		poll(NULL, 0, BUILD_LOOK_MS);
	}
}

/* The context has a limit of its own, and stands in the call's directory. */
int build_look_run(const void *run)
{
	const struct build_run *r = run;

	return build_look(r->store, r->dir, r->tool->image_bytes_max, r->tool->context_bytes_max);
}

int build_clean_run(const void *run)
{
	(void)run;
	return 0; /* the shepherd removes the directory when we have ended */
}

/* ---- the Containerfile ---- */

static cv_code file_open(
	const struct build_run *r, struct cv_str name, int *ret, struct cv_err *err)
{
	struct stat st;
	CV_AUTO_FD int dir = dir_open(r, "context");
	CV_AUTO_FD int fd = dir < 0 ? -1
				    : cv_openat2(dir, text(name), O_RDONLY | O_NONBLOCK,
					      RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return cv_fail(err, CV_NOT_FOUND, "there is no %s in the context", text(name));
	if (fd < 0 || fstat(fd, &st) < 0)
		return cv_fail_errno(err, "%s", text(name));
	if (!S_ISREG(st.st_mode))
		return cv_fail(err, CV_INVALID, "%s is not a file", text(name));
	*ret = cv_take_fd(fd);
	return CV_OK;
}

static cv_code file_find(struct build_run *r, int *ret, struct cv_err *err)
{
	static const struct cv_str usual[] = { CV_STR("Containerfile"), CV_STR("Dockerfile") };
	cv_code code = CV_NOT_FOUND;

	if (r->dockerfile.n) {
		r->file = r->dockerfile;
		return file_open(r, r->file, ret, err);
	}
	for (size_t i = 0; i < CV_ARRAY_LEN(usual) && code == CV_NOT_FOUND; i++) {
		r->file = usual[i];
		code = file_open(r, r->file, ret, err);
	}
	if (code == CV_NOT_FOUND)
		return cv_fail(err, CV_NOT_FOUND,
			"there is neither Containerfile nor Dockerfile in the context");
	return code;
}

static cv_code file_text(int fd, struct cv_buf *out, struct cv_err *err)
{
	for (;;) {
		char *at = cv_buf_reserve(out, 65536);
		const ssize_t n = at ? read(fd, at, 65536) : -1;

		if (!at)
			return cv_fail(err, CV_LIMIT, "it is too large");
		if (n < 0)
			return cv_fail_errno(err, "read");
		if (n == 0)
			return CV_OK;
		cv_buf_commit(out, (size_t)n);
	}
}

static bool is_allowed(
	struct build_run *r, const struct cv_str *globs, size_t n, const struct cv_image_ref *ref)
{
	const struct cv_str name = cv_image_ref_name(ref, &r->arena),
			    whole = cv_image_ref_whole(ref, &r->arena);

	for (size_t i = 0; i < n; i++) {
		const struct cv_glob *g;
		struct cv_err err;

		if (cv_glob_compile(globs[i], CV_GLOB_PATH, &r->arena, &g, &err) == CV_OK &&
			(cv_glob_match(g, name) || cv_glob_match(g, whole)))
			return true;
	}
	return false;
}

bool build_push_is_allowed(struct build_run *r, const struct cv_image_ref *ref)
{
	return is_allowed(r, r->tool->push_allow, r->tool->push_allow_count, ref);
}

/* One of the sandbox's own images, or one that the catalog lets in. */
static cv_code base_take(struct build_run *r, struct cv_str name, uint32_t line, struct cv_err *err)
{
	struct cv_image_ref ref;

	if (!cv_image_ref_parse(name, &ref))
		return cv_fail(err, CV_INVALID, "line %u: '%.*s' is no image's name", line,
			(int)CV_MIN(name.n, (size_t)100), name.p);
	if (cv_str_eq(ref.registry, CV_STR("localhost"))) {
		if (!cv_str_has_prefix(name, r->space))
			return cv_fail(err, CV_DENIED, "line %u: %.*s is not an image of this run",
				line, CV_STR_ARG(name));
		return CV_OK;
	}
	if (!is_allowed(r, r->tool->base_allow, r->tool->base_allow_count, &ref))
		return cv_fail(err, CV_DENIED,
			"line %u: %.*s is not among the base images that the catalog allows", line,
			(int)CV_MIN(name.n, (size_t)120), name.p);
	if (r->tool->needs_digest && !ref.digest.n)
		return cv_fail(err, CV_DENIED, "line %u: %.*s has to name a digest (@sha256:...)",
			line, (int)CV_MIN(name.n, (size_t)120), name.p);
	r->pull[r->pull_count++] = cv_image_ref_whole(&ref, &r->arena);
	return CV_OK;
}

/* Said before anything is fetched, with what there is. */
static cv_code target_check(
	const struct build_run *r, const struct cv_containerfile *c, struct cv_err *err)
{
	struct cv_buf names;

	if (!r->target.n || cv_containerfile_has_stage(c, r->target))
		return CV_OK;
	cv_buf_init(&names, 65536);
	for (size_t i = 0; i < c->stage_count; i++)
		if (c->stage[i].n)
			cv_buf_printf(&names, "%s%.*s", cv_buf_len(&names) ? ", " : "; there are ",
				CV_STR_ARG(c->stage[i]));
	const struct cv_str all = cv_buf_str(&names);
	const cv_code code = cv_fail(err, CV_INVALID, "there is no stage '%.*s'%.*s",
		CV_STR_ARG(r->target), (int)CV_MIN(all.n, (size_t)200), all.n ? all.p : "");
	cv_buf_fini(&names);
	return code;
}

cv_code build_bases_read(struct build_run *r, struct cv_err *err)
{
	struct cv_containerfile_arg arg[64];
	struct cv_containerfile c;
	struct cv_buf text_buf;
	size_t n = 0;
	CV_AUTO_FD int fd = -1;
	cv_code code = file_find(r, &fd, err);

	if (code != CV_OK)
		return code;
	for (uint32_t i = 0; r->build_args && i < r->build_args->n && n < CV_ARRAY_LEN(arg); i++)
		arg[n++] = (struct cv_containerfile_arg){ r->build_args->key[i],
			r->build_args->v[i].s };
	cv_buf_init(&text_buf, CV_CONTAINERFILE_BYTES_MAX + 65536);
	code = file_text(fd, &text_buf, err);
	r->text = cv_arena_str(&r->arena, cv_buf_str(&text_buf));
	if (code == CV_OK)
		code = cv_containerfile_read(r->text, arg, n, &r->arena, &c, err);
	cv_buf_fini(&text_buf);
	if (code == CV_OK)
		code = target_check(r, &c, err);
	for (size_t i = 0; code == CV_OK && i < c.image_count; i++)
		code = base_take(r, c.image[i], c.line[i], err);
	return code == CV_OK ? CV_OK : cv_wrap(err, "%s", text(r->file));
}

/* ---- what the steps' proxies decided ---- */

static void decision_tell(struct broker *b, const struct job *j, struct cv_str line, uint64_t *n)
{
	struct cv_json_value v[] = { { .path = "message" }, { .path = "action_id" } };
	struct cv_buf message;

	if (cv_json_find(line, v, CV_ARRAY_LEN(v)) != CV_JSON_PROBLEM_NONE ||
		v[0].token.type != CV_JSON_STRING || v[1].token.type != CV_JSON_NUMBER ||
		++*n > BUILD_EVENTS_MAX)
		return;
	cv_buf_init(&message, 1024);
	(void)!cv_json_decode(&v[0].token, &message);
	audit_note(b, cv_str_eq(v[1].token.raw, CV_STR("2")), "build %s: %.*s", j->id,
		CV_STR_ARG(cv_buf_str(&message)));
	cv_buf_fini(&message);
}

void build_audit_tell(struct broker *b, const struct job *j, const struct build_run *r)
{
	char path[PATH_MAX + 32];
	struct cv_err err;
	struct cv_buf all;
	uint64_t n = 0;

	snprintf(path, sizeof(path), "%s/audit.jsonl", r->dir);
	CV_AUTO_FD int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return; /* no step had a proxy */
	cv_buf_init(&all, BUILD_AUDIT_BYTES_MAX);
	const bool is_whole = file_text(fd, &all, &err) == CV_OK;
	struct cv_str rest = cv_buf_str(&all);
	while (rest.n)
		decision_tell(b, j, cv_str_cut(&rest, '\n'), &n);
	if (n > BUILD_EVENTS_MAX || !is_whole)
		audit_note(b, true, "build %s: more decisions than are told one by one", j->id);
	cv_buf_fini(&all);
}

/* ---- what buildah left ---- */

cv_code build_digest_read(
	const struct build_run *r, const char *name, char ret[80], struct cv_err *err)
{
	char got[128];
	CV_AUTO_FD int out = dir_open(r, "out");
	CV_AUTO_FD int fd = out < 0 ? -1
				    : cv_openat2(out, name, O_RDONLY | O_NONBLOCK,
					      RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
	const ssize_t n = fd < 0 ? -1 : read(fd, got, sizeof(got) - 1);
	const struct cv_str s = cv_str_trim((struct cv_str){ got, n > 0 ? (size_t)n : 0 });

	if (!cv_image_digest_is_good(s) || !cv_str_to_cstr(s, ret, 80))
		return cv_fail(err, CV_PROTO, "the builder gave no digest");
	return CV_OK;
}

cv_code build_size_read(struct build_run *r, struct cv_err *err)
{
	struct stat st;
	CV_AUTO_FD int fd = archive_open(r, &st, err);

	if (fd < 0)
		return err->code;
	r->size = (uint64_t)st.st_size;
	return CV_OK;
}
