/* SPDX-License-Identifier: Apache-2.0 */
/*
 * files.c - the backend `files`: a copy of a file or directory between a directory of the host and the
 * sandbox
 *
 * Which directory is the catalog's to say, and which way; the arguments name what is below it, and
 * the policy may narrow them.  A path of the host is relative, so that nobody takes it for one of the
 * whole host; a path of the sandbox is absolute.  Neither may have parts that mean something else
 * than a name: the kernel is asked to stay beneath the root in any case (files_work.c).
 */
#include "broker/files_int.h"

#include "broker/broker.h"
#include "broker/worker.h"

#include <stdlib.h>

struct files_job {
	struct worker own; /* first: it is the job's run */
	struct files_work work;
};

/* ---- arguments ---- */

static const char *names_wrong(struct cv_str rest)
{
	while (rest.p) {
		const struct cv_str part = cv_str_cut(&rest, '/');

		if (!part.n || cv_str_eq(part, CV_STR(".")) || cv_str_eq(part, CV_STR("..")))
			return "a path without '.', '..' and empty parts";
	}
	return NULL;
}

static const char *path_wrong(struct cv_str s, bool is_sandbox)
{
	if (!s.n || s.n > FILES_PATH_BYTES_MAX || (s.p[0] == '/') != is_sandbox)
		return is_sandbox
			       ? "write an absolute path in the sandbox"
			       : "write a path below the tool's directory, without a '/' before it";
	if (cv_str_has_control(s))
		return "a path without control characters";
	return names_wrong(is_sandbox ? cv_str_slice(s, 1, s.n) : s);
}

static cv_code files_check(struct broker *b, const struct cv_tool *t,
	const struct cv_value *arguments, struct cv_arena *arena, struct cv_str *ret_pointer,
	struct cv_err *err)
{
	static const char *const pointer[] = { "/path", "/dest" };

	(void)b;
	(void)arena;
	for (size_t i = 0; i < CV_ARRAY_LEN(pointer); i++) {
		const bool is_dest = i == 1, is_fetch = t->files->operation == CV_TOOL_FILES_FETCH;
		const char *wrong =
			path_wrong(cv_value_get_str(arguments, cv_str_of(pointer[i] + 1)),
				is_dest == is_fetch);

		*ret_pointer = cv_str_of(pointer[i]);
		if (wrong)
			return cv_fail(err, CV_INVALID, "%s", wrong);
	}
	return CV_OK;
}

/* ---- its start ---- */

static void run_free(struct worker *own)
{
	free(own); /* it is the first member */
}

static cv_code start(struct broker *b, struct job *j, struct files_job *run, struct cv_err *err)
{
	static char *no_env[] = { NULL };
	const struct sandbox *box = pool_get(&b->sandboxes, j->sandbox);
	const struct spawn_plan plan = {
		.env = no_env,
		.workdir = "/",
		.run = files_run,
		.arg = &run->work,
		.keep = box ? box->root : -1,
	};

	if (plan.keep < 0)
		return cv_fail(err, CV_UNAVAILABLE, "the sandbox's files can't be reached");
	return worker_spawn(&run->own, &plan, err);
}

static bool files_start(struct broker *b, struct job *j, struct cv_err *err)
{
	struct files_job *run = calloc(1, sizeof(*run));

	if (!run)
		return cv_fail(err, CV_LIMIT, "no memory"), false;
	worker_init(
		&run->own, FILES_RESULT_BYTES_MAX, "the copy ended before it was done", run_free);
	run->work = (struct files_work){
		.tool = j->tool->files,
		.path = cv_value_get_str(j->arguments, CV_STR("path")),
		.dest = cv_value_get_str(j->arguments, CV_STR("dest")),
	};
	if (start(b, j, run, err) != CV_OK) {
		worker_free(&run->own);
		return false;
	}
	return worker_watch(b, j, &run->own, err);
}

const struct backend files_backend = {
	.name = "files",
	.check = files_check,
	.start = files_start,
	.event = worker_event,
	.stop = worker_stop,
	.due = worker_due,
	.drop = worker_drop,
};
