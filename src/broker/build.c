/* SPDX-License-Identifier: Apache-2.0 */
/*
 * build.c - the backend `build`: container images of what a sandbox has, for the sandbox
 *
 *     build   CONTEXT -> PULL (each base image) -> BUILD -> EXPORT -> [DELIVER] -> [PUSH] -> CLEAN
 *     push    PUSH -> CLEAN
 *     list    LIST -> CLEAN
 *
 * Each step is a process under a shepherd and what it says on stderr is the job's log; the first that
 * fails is the last but CLEAN, and so is one that was cancelled. Between steps the broker itself
 * only reads small files: a Containerfile, a digest.
 *
 * Images are named localhost/SANDBOX/..., in a storage that is the sandbox's alone, so there is no
 * name of another's that could be taken, and no program of a build that could reach one.
 */
#include "broker/build_int.h"
#include "broker/build_ids.h"

#include "base/sha256.h"
#include "sys/clock.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* ---- arguments ---- */

static struct cv_str argument(const struct cv_value *arguments, const char *name)
{
	return cv_value_get_str(arguments, cv_str_of(name));
}

static cv_code build_check(struct broker *b, const struct cv_tool *t,
	const struct cv_value *arguments, struct cv_arena *arena, struct cv_str *ret_pointer,
	struct cv_err *err)
{
	(void)b;
	return build_arguments_check(t, arguments, arena, ret_pointer, err);
}

/* ---- where it works ---- */

static cv_code dir_make(const char *path, struct cv_err *err)
{
	return mkdir(path, 0700) == 0 || errno == EEXIST ? CV_OK
							 : cv_fail_errno(err, "mkdir %s", path);
}

/* STATE/builds/DIGEST: what is the sandbox's, with a directory for each call in it. */
static bool own_path(const struct broker *b, const struct sandbox *box, char *ret, size_t size)
{
	unsigned char d[CV_SHA256_BYTES];
	struct cv_sha256 sha;

	cv_sha256_init(&sha);
	cv_sha256_update(&sha, box->name, strlen(box->name));
	cv_sha256_final(&sha, d);
	const int n = snprintf(ret, size, "%s/builds/%02x%02x%02x%02x%02x%02x%02x%02x",
		b->state_path, d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7]);
	return n > 0 && (size_t)n < size;
}

void build_sandbox_end(const struct broker *b, const struct sandbox *s)
{
	char path[PATH_MAX - 64], gone[PATH_MAX];

	if (!own_path(b, s, path, sizeof(path)))
		return;
	/* Another sandbox of this name may come while it is being removed. */
	snprintf(gone, sizeof(gone), "%s.%lld", path, (long long)cv_clock_us());
	if (rename(path, gone) == 0)
		spawn_remove(gone);
}

static cv_code dirs_make(struct broker *b, const struct sandbox *box, const char *id,
	struct build_run *r, struct cv_err *err)
{
	static const char *const part[] = { "", "/context", "/conf", "/out", "/out/tmp" };
	char own[PATH_MAX - 128], path[PATH_MAX + 32];

	snprintf(path, sizeof(path), "%s/builds", b->state_path);
	if (!own_path(b, box, own, sizeof(own)))
		return cv_fail(err, CV_LIMIT, "the broker's directory has too long a name");
	if (dir_make(path, err) != CV_OK)
		return err->code;
	snprintf(r->store, sizeof(r->store), "%s/store", own);
	snprintf(r->dir, sizeof(r->dir), "%s/%s", own, id);
	if (dir_make(own, err) != CV_OK || dir_make(r->store, err) != CV_OK ||
		build_bases_find(b, r, own, err) != CV_OK)
		return err->code;
	for (size_t i = 0; i < CV_ARRAY_LEN(part); i++) {
		snprintf(path, sizeof(path), "%s%s", r->dir, part[i]);
		if (dir_make(path, err) != CV_OK)
			return err->code;
	}
	return CV_OK;
}

static const char *about(const struct sandbox *box, enum cv_broker_about key)
{
	for (size_t i = 0; i < box->about_count; i++)
		if (box->about[i].key == key)
			return box->about[i].value;
	return NULL;
}

/* Absolute, by the sandbox's working directory. */
static struct cv_str path_of(const struct sandbox *box, struct build_run *r, struct cv_str s)
{
	const char *workdir = about(box, CV_BROKER_ABOUT_WORKDIR);

	if (s.n && s.p[0] == '/')
		return cv_arena_str(&r->arena, s);
	return cv_arena_printf(&r->arena, "%s/%.*s", workdir ? workdir : "", CV_STR_ARG(s));
}

/* ---- the run ---- */

static void step_run(struct broker *b, struct job *j, enum build_step step);

static void push_read(struct build_run *r, struct cv_str s)
{
	struct cv_image_ref ref;

	if (!s.n || !cv_image_ref_parse(s, &ref))
		return;
	r->push = cv_image_ref_whole(&ref, &r->arena);
	if (!build_push_is_allowed(r, &ref))
		build_refuse(r, CALL_FAILED, 403, "push_denied", "%.*s may not be pushed to",
			(int)CV_MIN(r->push.n, (size_t)200), r->push.p);
}

/* What the arguments mean in this sandbox. */
static void arguments_read(const struct sandbox *box, const struct job *j, struct build_run *r)
{
	const struct cv_value *a = j->arguments;
	const struct cv_str tag = argument(a, "tag"), dest = argument(a, "dest"),
			    context = argument(a, "context_dir");

	r->space = cv_image_ref_space(cv_str_of(box->name), &r->arena);
	if (r->tool->operation == CV_TOOL_BUILD_LIST)
		return;
	r->image = cv_image_ref_own(tag, r->space, &r->arena);
	if (!r->image.n) {
		build_refuse(r, CALL_FAILED, 403, "foreign_tag",
			"'%.*s' is not a name of this run; its images are %.*s...",
			(int)CV_MIN(tag.n, (size_t)100), tag.n ? tag.p : "", CV_STR_ARG(r->space));
		return;
	}
	r->context_dir = path_of(box, r, context.n ? context : CV_STR("."));
	r->dockerfile = cv_arena_str(&r->arena, argument(a, "dockerfile"));
	r->target = cv_arena_str(&r->arena, argument(a, "target"));
	r->dest = dest.n ? path_of(box, r, dest) : CV_STR_NONE;
	r->build_args = cv_value_get(a, CV_STR("build_args"));
	r->labels = cv_value_get(a, CV_STR("labels"));
	push_read(r, r->tool->operation == CV_TOOL_BUILD_PUSH ? argument(a, "destination")
							      : argument(a, "push"));
	if (r->outcome == CALL_OK && box->root < 0 && r->tool->operation == CV_TOOL_BUILD_BUILD)
		build_refuse(r, CALL_BROKEN, 0, NULL, "the sandbox's files can't be reached");
}

static const enum build_step first_step[] = {
	[CV_TOOL_BUILD_BUILD] = BUILD_CONTEXT,
	[CV_TOOL_BUILD_PUSH] = BUILD_PUSH,
	[CV_TOOL_BUILD_LIST] = BUILD_LIST,
};

static const struct spawned nothing = { .control = -1, .in = -1, .out = -1, .err = -1 };

/* Once in a log, at its beginning. */
static void one_id_tell(struct broker *b, struct job *j, const struct cv_err *why)
{
	char text[CV_ERR_MSG_BYTES_MAX + 128];
	const int n = snprintf(text, sizeof(text),
		"ids: all files of the image have one owner, and USER and chown to others fail: %s\n",
		why->msg);

	call_log(b, j, (struct cv_str){ text, CV_MIN((size_t)CV_MAX(n, 0), sizeof(text) - 1) });
}

static bool build_start(struct broker *b, struct job *j, struct cv_err *err)
{
	struct sandbox *box = pool_get(&b->sandboxes, j->sandbox);
	struct build_run *r = calloc(1, sizeof(*r));
	struct cv_err none;

	if (!r)
		return cv_fail(err, CV_LIMIT, "no memory"), false;
	cv_arena_init(&r->arena, 4 * CV_CONTAINERFILE_BYTES_MAX);
	cv_buf_init(&r->said, BUILD_SAID_BYTES_MAX);
	cv_buf_init(&r->last, 2 * BROKER_STDERR_BYTES_MAX);
	r->p = r->look = nothing;
	for (size_t i = 0; i < CV_ARRAY_LEN(r->login); i++)
		r->login[i] = -1;
	r->tool = j->tool->build;
	r->outcome = CALL_OK;
	r->has_ids = build_ids_find(&none) == CV_OK;
	if (!r->has_ids && r->tool->operation == CV_TOOL_BUILD_BUILD)
		one_id_tell(b, j, &none);
	if (build_logins_take(r, j->keys, err) != CV_OK ||
		dirs_make(b, box, j->id, r, err) != CV_OK) {
		build_run_free(r);
		return false;
	}
	j->run = r;
	arguments_read(box, j, r);
	if (r->arena.is_overflown && r->outcome == CALL_OK)
		build_refuse(r, CALL_BROKEN, 0, NULL, "no memory");
	step_run(b, j, r->outcome == CALL_OK ? first_step[r->tool->operation] : BUILD_CLEAN);
	return true;
}

/* ---- steps ---- */

static bool watch(struct broker *b, struct job *j, int fd, enum watch kind)
{
	struct cv_err err;

	return fd < 0 || cv_loop_add(&b->loop, fd, EPOLLIN,
				 (struct cv_watch){ (uint8_t)kind, j->ref }, &err) == CV_OK;
}

static void progress_tell(struct broker *b, struct job *j, const struct build_run *r)
{
	char text[CV_IMAGE_REF_BYTES_MAX + 128];

	if (r->step == BUILD_CLEAN)
		return;
	if (r->step == BUILD_PULL)
		snprintf(text, sizeof(text), "{\"step\":\"pull\",\"image\":\"%.*s\"}",
			CV_STR_ARG(r->pull[r->pull_at]));
	else
		snprintf(text, sizeof(text), "{\"step\":\"%s\"}", build_step_word(r->step));
	job_progress(b, j, cv_str_of(text));
}

static void word_put(struct build_words *w, const char *text)
{
	w->v[w->n++] = (char *)(uintptr_t)text;
	w->v[w->n] = NULL;
}

/* What the step runs: work of ours, or buildah. */
static cv_code plan_make(struct broker *b, const struct job *j, struct build_run *r,
	struct spawn_plan *plan, struct build_words *w, struct cv_err *err)
{
	static int (*const work[BUILD_STEP_COUNT])(const void *) = {
		[BUILD_CONTEXT] = build_context_run,
		[BUILD_DELIVER] = build_deliver_run,
		[BUILD_CLEAN] = build_clean_run,
	};
	static char *no_env[] = { NULL };
	static char *env[BROKER_ENV_MAX + 1];
	const struct sandbox *box = pool_get(&b->sandboxes, j->sandbox);

	*plan = (struct spawn_plan){ .env = no_env, .workdir = b->state_path, .cleans_up = true };
	plan->run = work[r->step];
	plan->arg = r;
	if (r->step == BUILD_CLEAN)
		plan->remove = r->dir;
	if (r->step == BUILD_CLEAN && r->has_ids) { /* what of it is not ours goes first */
		plan->run = NULL;
		word_put(w, SPAWN_SELF);
		word_put(w, "remove");
		word_put(w, r->dir);
		plan->argv = w->v;
		return CV_OK;
	}
	if (r->step == BUILD_CONTEXT || r->step == BUILD_DELIVER) {
		if (box->root < 0)
			return cv_fail(err, CV_UNAVAILABLE, "the sandbox's files can't be reached");
		plan->keep = box->root;
	}
	if (plan->run)
		return CV_OK;
	for (size_t i = 0; i < b->env_count; i++)
		env[i] = b->env[i];
	env[b->env_count] = NULL;
	plan->env = env;
	cv_code code = build_plan_make(b, box, r, w, err);
	plan->argv = w->v;
	if (code == CV_OK)
		code = build_login_open(r, &plan->pass, err);
	return code;
}

/* Looks at the disk while strangers' programs or registries fill it. */
static void look_start(struct broker *b, struct job *j, struct build_run *r)
{
	static char *no_env[] = { NULL };
	char max[24], extra[24];
	char *argv[] = { (char *)(uintptr_t)SPAWN_SELF, (char *)(uintptr_t) "look", max, extra,
		r->store, r->dir, NULL };
	struct spawn_plan plan = { .env = no_env, .workdir = b->state_path, .arg = r };
	struct cv_err err;

	snprintf(max, sizeof(max), "%llu", (unsigned long long)r->tool->image_bytes_max);
	snprintf(extra, sizeof(extra), "%llu", (unsigned long long)r->tool->context_bytes_max);
	if (r->has_ids)
		plan.argv = argv;
	else
		plan.run = build_look_run;

	if (r->step != BUILD_BUILD && r->step != BUILD_EXPORT)
		return;
	if (spawn(&plan, &r->look, &err) != CV_OK || !watch(b, j, r->look.control, WATCH_RUN_IN))
		build_refuse(r, CALL_BROKEN, 0, NULL, "nothing can look at the disk");
}

static void step_run(struct broker *b, struct job *j, enum build_step step)
{
	struct build_run *r = j->run;
	static struct build_words words; /* large; used up here */
	struct spawn_plan plan;
	struct cv_err err;

	if (step == BUILD_CLEAN)
		build_audit_tell(b, j, r);
	r->step = step;
	r->has_policy = false;
	r->is_killed = false;
	r->start_errno = 0;
	cv_buf_reset(&r->last);
	if (step != BUILD_CLEAN)
		cv_buf_reset(&r->said);
	progress_tell(b, j, r);
	const bool is_spawned = plan_make(b, j, r, &plan, &words, &err) == CV_OK &&
				spawn(&plan, &r->p, &err) == CV_OK;
	if (plan.pass > 0)
		close(plan.pass);
	if (is_spawned) {
		if (watch(b, j, r->p.control, WATCH_RUN) && watch(b, j, r->p.out, WATCH_RUN_OUT) &&
			watch(b, j, r->p.err, WATCH_RUN_ERR)) {
			look_start(b, j, r);
			return;
		}
		spawn_close(&r->p);
		cv_fail(&err, CV_SYSTEM, "it can't be watched");
	}
	if (step == BUILD_CLEAN) { /* what is left goes with the broker's directory */
		build_finish(b, j);
		return;
	}
	build_refuse(r, CALL_BROKEN, 0, NULL, "%s: %s", build_step_word(step), err.msg);
	step_run(b, j, BUILD_CLEAN);
}

/* The Containerfile is there: which images it needs. */
static enum build_step context_ended(struct build_run *r)
{
	struct cv_err err;

	if (build_bases_read(r, &err) == CV_OK)
		return r->pull_count ? BUILD_PULL : BUILD_BUILD;
	build_refuse(r, CALL_FAILED, err.code == CV_DENIED ? 403 : 400,
		err.code == CV_DENIED ? "base_image_denied" : "bad_containerfile", "%s", err.msg);
	return BUILD_CLEAN;
}

static enum build_step export_ended(struct build_run *r)
{
	struct cv_err err;

	if (build_digest_read(r, "digest", r->digest, &err) != CV_OK ||
		build_size_read(r, &err) != CV_OK) {
		build_refuse(r, CALL_FAILED, 0, NULL, "%s", err.msg);
		return BUILD_CLEAN;
	}
	return r->dest.n ? BUILD_DELIVER : r->push.n ? BUILD_PUSH : BUILD_CLEAN;
}

static enum build_step step_next(struct build_run *r)
{
	struct cv_err err;

	switch (r->step) {
	case BUILD_CONTEXT: return context_ended(r);
	case BUILD_PULL: return ++r->pull_at < r->pull_count ? BUILD_PULL : BUILD_BUILD;
	case BUILD_BUILD: return BUILD_EXPORT;
	case BUILD_EXPORT: return export_ended(r);
	case BUILD_DELIVER: return r->push.n ? BUILD_PUSH : BUILD_CLEAN;
	case BUILD_PUSH:
		if (build_digest_read(r, "pushed", r->pushed, &err) != CV_OK)
			build_refuse(r, CALL_FAILED, 0, NULL, "%s", err.msg);
		return BUILD_CLEAN;
	case BUILD_LIST:
	case BUILD_CLEAN:
	case BUILD_STEP_COUNT: break;
	}
	return BUILD_CLEAN;
}

static void step_ended(struct broker *b, struct job *j, const struct spawn_report *report)
{
	struct build_run *r = j->run;
	const bool is_good = report && !r->start_errno && WIFEXITED(report->value) &&
			     WEXITSTATUS(report->value) == 0;

	spawn_close(&r->p);
	spawn_close(&r->look); /* its shepherd sees that */
	if (r->step == BUILD_CLEAN) {
		build_finish(b, j);
		return;
	}
	if (!is_good || r->outcome != CALL_OK)
		build_failure_tell(r, report);
	step_run(b, j,
		r->outcome != CALL_OK || j->is_stopping || !is_good ? BUILD_CLEAN : step_next(r));
}

/* ---- while a step runs ---- */

#define READS_MAX  16
#define READ_BYTES 32768

/* All of it to the log; the beginning is kept, where we read it. */
static void pipe_read(struct broker *b, struct job *j, int *fd, struct cv_buf *keep)
{
	struct build_run *r = j->run;
	char piece[READ_BYTES];
	ssize_t n = -1;

	for (int i = 0; i < READS_MAX && *fd >= 0; i++) {
		n = read(*fd, piece, sizeof(piece));
		if (n <= 0)
			break;
		r->log_bytes += (uint64_t)n;
		const size_t room = keep->max - cv_buf_len(keep);
		cv_buf_put(keep, (struct cv_str){ piece, CV_MIN((size_t)n, room) });
		if (r->step != BUILD_LIST || fd != &r->p.out)
			call_log(b, j, (struct cv_str){ piece, (size_t)n });
	}
	if (n == 0 && *fd >= 0) {
		close(*fd);
		*fd = -1;
	}
	if (r->log_bytes > BROKER_DRAIN_BYTES_MAX && !r->is_flooding) {
		r->is_flooding = true;
		spawn_tell(&r->p, SPAWN_KILL);
	}
}

static void control_read(struct broker *b, struct job *j)
{
	struct build_run *r = j->run;
	struct spawn_report report;
	const ssize_t n = recv(r->p.control, &report, sizeof(report), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == sizeof(report) && report.kind == SPAWN_REPORT_FAILED) {
		r->start_errno = report.value ? report.value : EIO;
		return;
	}
	for (int i = 0; i < 64 && r->p.out >= 0; i++)
		pipe_read(b, j, &r->p.out, &r->said);
	for (int i = 0; i < 64 && r->p.err >= 0; i++)
		pipe_read(b, j, &r->p.err, &r->last);
	if (n != sizeof(report)) {
		b->orphans_until_ms = b->loop.now_ms + 1000;
		due_at(b, b->loop.now_ms);
	}
	step_ended(b, j, n == sizeof(report) ? &report : NULL);
}

/* It looks until it sees too much, so its end says that. */
static void look_read(struct job *j)
{
	struct build_run *r = j->run;
	struct spawn_report report;
	const ssize_t n = recv(r->look.control, &report, sizeof(report), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	spawn_close(&r->look);
	r->is_too_large = n == sizeof(report) && WIFEXITED(report.value) &&
			  WEXITSTATUS(report.value) == BUILD_LOOK_TOO_MUCH;
	if (!r->is_too_large)
		build_refuse(r, CALL_BROKEN, 0, NULL, "nobody looks at the disk any more");
	spawn_tell(&r->p, SPAWN_KILL);
}

static void build_event(struct broker *b, struct job *j, enum watch what, uint32_t events)
{
	struct build_run *r = j->run;

	(void)events;
	switch ((int)what) {
	case WATCH_RUN_OUT: pipe_read(b, j, &r->p.out, &r->said); break;
	case WATCH_RUN_ERR: pipe_read(b, j, &r->p.err, &r->last); break;
	case WATCH_RUN_IN: look_read(j); break;
	default: control_read(b, j); break;
	}
}

/* Builds that run are under the new policy as well, by the file that their proxy watches.  One that
 * can't be told ends.  A step that began without a network stays so. */
void build_policy_changed(struct broker *b, const struct sandbox *s)
{
	struct cv_err err;

	for (uint32_t i = 0; i < b->jobs.top; i++) {
		struct job *j = pool_at(&b->jobs, i);
		struct build_run *r = j && j->backend == &build_backend ? j->run : NULL;

		if (!r || r->step != BUILD_BUILD || !r->has_policy ||
			pool_get(&b->sandboxes, j->sandbox) != s ||
			build_policy_again(s, r, &err) == CV_OK)
			continue;
		build_refuse(r, CALL_BROKEN, 0, NULL, "its policy changed: %s", err.msg);
		spawn_tell(&r->p, SPAWN_KILL);
	}
}

static void build_stop(struct broker *b, struct job *j)
{
	struct build_run *r = j->run;

	if (r->step != BUILD_CLEAN)
		spawn_tell(&r->p, SPAWN_TERM);
	j->due_ms = b->loop.now_ms + BROKER_GRACE_MS;
	due_at(b, j->due_ms);
}

static void build_due(struct broker *b, struct job *j)
{
	struct build_run *r = j->run;

	(void)b;
	if (!r->is_killed && r->step != BUILD_CLEAN)
		spawn_tell(&r->p, SPAWN_KILL);
	r->is_killed = true;
}

static void build_drop(struct broker *b, struct job *j)
{
	struct build_run *r = j->run;

	(void)b;
	if (!r)
		return;
	j->run = NULL;
	build_run_free(r);
}

const struct backend build_backend = {
	.name = "build",
	.check = build_check,
	.start = build_start,
	.event = build_event,
	.stop = build_stop,
	.due = build_due,
	.drop = build_drop,
};
