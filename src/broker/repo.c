/* SPDX-License-Identifier: Apache-2.0 */
/*
 * repo.c - the backend `repo`: a repository of the host's choice, as a credential of the host may read
 * it, in the sandbox without that credential
 *
 * Which repositories there are is the catalog's to say (url, allow), and which of them a sandbox may
 * ask for its policy's, by the argument `repo`.  What is done is repo_work.c's, in a process whose
 * stdout is the answer and whose stderr is the job's log.
 */
#include "broker/repo_int.h"

#include "base/base64.h"
#include "broker/broker.h"
#include "broker/spawn.h"
#include "broker/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct repo_run {
	struct worker own; /* first: it is the job's run */
	struct repo_work work;
};

/* ---- arguments ---- */

static struct cv_str argument(const struct cv_value *arguments, const char *name)
{
	return cv_value_get_str(arguments, cv_str_of(name));
}

/* 1 without one; JSON has 1.0 and 1e0 for it too, which nobody means. */
static bool depth_read(const struct cv_value *arguments, uint32_t *ret)
{
	const struct cv_value *v = cv_value_get(arguments, CV_STR("depth"));
	uint64_t n = 1;

	if (v && (v->type != CV_VALUE_NUMBER || !cv_str_to_u64(v->s, INT32_MAX - 1, &n)))
		return false;
	*ret = (uint32_t)n;
	return true;
}

/* What else there would be. */
static cv_code fail_allowed(const struct cv_tool_repo *t, struct cv_err *err)
{
	struct cv_buf b;

	cv_buf_init(&b, 65536);
	for (size_t i = 0; i < t->allow_count; i++)
		cv_buf_printf(&b, "%s%.*s", i ? ", " : "", CV_STR_ARG(t->allow[i]));
	const struct cv_str all = cv_buf_str(&b);
	const cv_code code =
		cv_fail(err, CV_INVALID, "not among the repositories of this tool: %.*s",
			(int)CV_MIN(all.n, (size_t)150), all.p ? all.p : "");
	cv_buf_fini(&b);
	return code;
}

static cv_code repo_check(struct broker *b, const struct cv_tool *t,
	const struct cv_value *arguments, struct cv_arena *arena, struct cv_str *ret_pointer,
	struct cv_err *err)
{
	static const struct {
		const char *pointer;
		const char *(*wrong)(struct cv_str s);
	} row[] = {
		{ "/repo", cv_repo_name_wrong },
		{ "/ref", cv_repo_ref_wrong },
		{ "/dest", cv_repo_dest_wrong },
	};
	uint32_t depth;

	(void)b;
	(void)arena;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		const struct cv_str s = argument(arguments, row[i].pointer + 1);
		const char *wrong = s.n || i == 0 ? row[i].wrong(s) : NULL;

		*ret_pointer = cv_str_of(row[i].pointer);
		if (wrong)
			return cv_fail(err, CV_INVALID, "%s", wrong);
	}
	*ret_pointer = CV_STR("/depth");
	if (!depth_read(arguments, &depth))
		return cv_fail(err, CV_INVALID, "write a whole number, without a point");
	*ret_pointer = CV_STR("/repo");
	if (!cv_repo_is_allowed(t->repo->allow, t->repo->allow_count, argument(arguments, "repo")))
		return fail_allowed(t->repo, err);
	return CV_OK;
}

/* ---- its start ---- */

static cv_code header_make(struct repo_work *w, const struct job *j, struct cv_err *err)
{
	const struct cv_tool_repo *t = w->tool;
	struct cv_str value;
	struct cv_buf pair;

	if (!t->credential.n)
		return CV_OK;
	if (!j->keys || !keys_get(j->keys, t->credential, &value) || !value.n)
		return cv_fail(err, CV_UNAVAILABLE, "the tool's credential has no value");
	cv_buf_init(&pair, 65536);
	(void)!cv_buf_reserve(&pair, 65536); /* so that growing leaves no copies */
	(void)!cv_buf_reserve(&w->header, w->header.max);
	cv_buf_put(&pair, t->user);
	cv_buf_put_byte(&pair, ':');
	cv_buf_put(&pair, value);
	cv_buf_put(&w->header, CV_STR("Authorization: Basic "));
	cv_buf_put_base64(&w->header, cv_buf_str(&pair), CV_BASE64_STD);
	const bool is_whole = !pair.is_overflown && !w->header.is_overflown;
	cv_buf_wipe(&pair);
	return is_whole ? CV_OK : cv_fail(err, CV_LIMIT, "the tool's credential is too long");
}

static cv_code work_make(
	struct broker *b, const struct job *j, struct repo_work *w, struct cv_err *err)
{
	w->tool = j->tool->repo;
	w->repo = argument(j->arguments, "repo");
	w->ref = argument(j->arguments, "ref");
	w->dest = argument(j->arguments, "dest");
	w->roots = (struct cv_str){ b->roots, b->roots ? b->root_bytes : 0 };
	w->pins = b->pins;
	if (!depth_read(j->arguments, &w->depth))
		return cv_fail(err, CV_INVALID, "depth");
	cv_buf_init(&w->url, 4096);
	cv_buf_init(&w->header, 2 * 65536);
	cv_buf_printf(&w->url, "%.*s/%.*s.git", CV_STR_ARG(w->tool->base), CV_STR_ARG(w->repo));
	if (w->url.is_overflown)
		return cv_fail(err, CV_LIMIT, "the URL is too long");
	if (mkdirat(b->state_dir, "calls", 0711) < 0 && errno != EEXIST)
		return cv_fail_errno(err, "mkdir calls");
	if (snprintf(w->dir, sizeof(w->dir), "%s/calls/%s", b->state_path, j->id) >=
		(int)sizeof(w->dir) - 64)
		return cv_fail(err, CV_LIMIT, "the broker's directory has too long a name");
	if (mkdir(w->dir, 0700) < 0)
		return cv_fail_errno(err, "mkdir %s", w->dir);
	return header_make(w, j, err);
}

static void run_free(struct worker *own)
{
	struct repo_run *run = (struct repo_run *)own;

	cv_buf_fini(&run->work.url);
	cv_buf_wipe(&run->work.header);
	free(run);
}

static cv_code start(struct broker *b, struct job *j, struct repo_run *run, struct cv_err *err)
{
	static char *no_env[] = { NULL };
	const struct sandbox *box = pool_get(&b->sandboxes, j->sandbox);
	const struct spawn_plan plan = {
		.env = no_env,
		.workdir = run->work.dir,
		.remove = run->work.dir,
		.run = repo_run,
		.arg = &run->work,
		.keep = box ? box->root : -1,
	};

	if (run->work.dest.n && plan.keep < 0)
		return cv_fail(err, CV_UNAVAILABLE, "the sandbox's files can't be reached");
	const cv_code code = worker_spawn(&run->own, &plan, err);
	cv_buf_wipe(&run->work.header); /* the worker has its own */
	return code;
}

static bool repo_start(struct broker *b, struct job *j, struct cv_err *err)
{
	struct repo_run *run = calloc(1, sizeof(*run));

	if (!run)
		return cv_fail(err, CV_LIMIT, "no memory"), false;
	worker_init(
		&run->own, REPO_RESULT_BYTES_MAX, "the clone ended before it was done", run_free);
	const bool is_made = work_make(b, j, &run->work, err) == CV_OK;
	if (!is_made || start(b, j, run, err) != CV_OK) {
		if (run->work.dir[0])
			tree_remove(AT_FDCWD, run->work.dir);
		worker_free(&run->own);
		return false;
	}
	return worker_watch(b, j, &run->own, err);
}

const struct backend repo_backend = {
	.name = "repo",
	.check = repo_check,
	.start = repo_start,
	.event = worker_event,
	.stop = worker_stop,
	.due = worker_due,
	.drop = worker_drop,
};
