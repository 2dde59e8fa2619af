/* SPDX-License-Identifier: Apache-2.0 */
/*
 * build_end.c - how a call of `build` ends: why a step failed, and the answer
 *
 * The first reason is the one that is told.  One with a code of its own is an answer of its own;
 * the others are those of every tool (call_end.c).
 */
#include "broker/build_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static const char *const step_word[BUILD_STEP_COUNT] = {
	[BUILD_CONTEXT] = "context",
	[BUILD_PULL] = "pull",
	[BUILD_BUILD] = "build",
	[BUILD_EXPORT] = "export",
	[BUILD_DELIVER] = "deliver",
	[BUILD_PUSH] = "push",
	[BUILD_LIST] = "list",
	[BUILD_CLEAN] = "clean",
};

const char *build_step_word(enum build_step step)
{
	return step_word[step];
}

/* ---- why ---- */

void build_refuse(struct build_run *r, enum call_outcome outcome, int status, const char *code,
	const char *fmt, ...)
{
	va_list ap;

	r->outcome = outcome;
	r->status = status;
	r->code = code;
	va_start(ap, fmt);
	vsnprintf(r->detail, sizeof(r->detail), fmt, ap);
	va_end(ap);
}

/* What the proxy says of a server that answers a TLS hello with something else. */
static bool is_without_tls(struct cv_str said)
{
	static const char *const words[] = { "SSL routines::wrong version number",
		"SSL routines::http request", "SSL routines::packet length too long" };

	for (size_t i = 0; said.n && i < CV_ARRAY_LEN(words); i++)
		if (memmem(said.p, said.n, words[i], strlen(words[i])))
			return true;
	return false;
}

/* A step that speaks to a registry. */
static void registry_failure_tell(struct build_run *r, int exit)
{
	const struct cv_str registry = build_registry(r);
	char fix[2 * CV_IMAGE_REF_BYTES_MAX] = "";

	if (is_without_tls(cv_buf_str(&r->last)))
		snprintf(fix, sizeof(fix),
			"; %.*s answers without TLS, which it may if the catalog's build says "
			"plain_http: [\"%.*s\"]",
			CV_STR_ARG(registry), CV_STR_ARG(registry));
	if (r->step == BUILD_PULL)
		build_refuse(r, CALL_FAILED, 502, "base_image_failed", "%.*s can't be fetched%s",
			(int)CV_MIN(r->pull[r->pull_at].n, (size_t)200), r->pull[r->pull_at].p,
			fix);
	else
		build_refuse(r, CALL_FAILED, 0, NULL, "%s: ended with exit code %d%s",
			step_word[r->step], exit, fix);
}

/* Why a step failed, as one sentence: ours say it themselves. */
void build_failure_tell(struct build_run *r, const struct spawn_report *report)
{
	struct cv_str said = cv_buf_str(&r->last);
	const struct cv_str line = cv_str_cut(&said, '\n');
	const bool is_ours = r->step == BUILD_CONTEXT || r->step == BUILD_DELIVER;
	const int exit = report && WIFEXITED(report->value) ? WEXITSTATUS(report->value) : -1;

	if (r->outcome != CALL_OK)
		return; /* it was said why */
	if (!report || r->start_errno)
		build_refuse(r, CALL_BROKEN, 0, NULL, "%s: %s", step_word[r->step],
			report ? strerror(r->start_errno) : "the process was lost");
	else if (r->is_flooding)
		build_refuse(r, CALL_FAILED, 0, NULL, "it wrote more than it may, and was ended");
	else if (r->is_too_large)
		build_refuse(r, CALL_FAILED, 413, "image_too_large",
			"the images of this run take more than %llu bytes",
			(unsigned long long)r->tool->image_bytes_max);
	else if (is_ours)
		build_refuse(r, CALL_FAILED, 400,
			r->step == BUILD_CONTEXT ? "bad_context" : "bad_dest", "%.*s",
			(int)CV_MIN(line.n, (size_t)300), line.n ? line.p : "");
	else if (r->step == BUILD_PULL || r->step == BUILD_PUSH)
		registry_failure_tell(r, exit);
	else
		build_refuse(r, CALL_FAILED, 0, NULL, "%s: ended with exit code %d",
			step_word[r->step], exit);
}

/* ---- the answer ---- */

static void output_put(const struct build_run *r, struct cv_buf *b)
{
	if (r->tool->operation == CV_TOOL_BUILD_LIST) {
		cv_buf_put(b, cv_buf_len(&r->said) ? cv_buf_str(&r->said) : CV_STR("[]"));
		return;
	}
	cv_buf_printf(b, "{\"status\":\"success\"");
	put_member_str(b, "tag", r->image);
	if (r->digest[0]) {
		put_member_str(b, "digest", cv_str_of(r->digest));
		cv_buf_printf(b, ",\"size\":%llu", (unsigned long long)r->size);
	}
	if (r->dest.n)
		put_member_str(b, "dest", r->dest);
	if (r->pushed[0]) {
		struct cv_str name = cv_str_slice(r->push, 0, cv_str_rfind_byte(r->push, ':'));

		cv_buf_printf(b, ",\"pushed\":\"%.*s@%s\"", CV_STR_ARG(name), r->pushed);
		put_member_str(b, "pushed_tag", r->push);
	}
	cv_buf_put_byte(b, '}');
}

void build_run_free(struct build_run *r)
{
	spawn_close(&r->p);
	spawn_close(&r->look);
	build_logins_drop(r);
	cv_buf_fini(&r->said);
	cv_buf_fini(&r->last);
	cv_arena_fini(&r->arena);
	free(r);
}

/* An error with a code of its own. */
static void end_refused(struct broker *b, struct job *j, const struct build_run *r)
{
	const struct cv_str tail = job_log_tail(j);
	struct cv_buf body;

	cv_buf_init(&body, 8 * BROKER_STDERR_BYTES_MAX + 65536);
	error_begin(&body, r->code, "%s", r->detail);
	if (tail.n)
		put_member_str(&body, "stderr", tail);
	error_end(&body);
	job_end(b, j, JOB_FAILED, r->status, r->code, &body);
}

void build_finish(struct broker *b, struct job *j)
{
	struct build_run *r = j->run;
	struct cv_buf output;

	j->run = NULL; /* it is no more, whoever asks */
	call_log_end(b, j);
	if (j->is_stopping && j->stop_state == JOB_CANCELLED)
		r->outcome = CALL_CANCELLED;
	if (j->is_stopping && j->stop_state == JOB_TIMED_OUT)
		r->outcome = CALL_TIMEOUT;
	if (r->outcome == CALL_FAILED && r->code) {
		end_refused(b, j, r);
		build_run_free(r);
		return;
	}
	cv_buf_init(&output, 2 * BUILD_SAID_BYTES_MAX);
	if (r->outcome == CALL_OK)
		output_put(r, &output);
	call_end(b, j,
		&(struct call_end){
			.outcome = r->outcome,
			.detail = r->detail[0] ? r->detail : NULL,
			.output = cv_buf_str(&output),
			.bytes = cv_buf_len(&output),
			.stderr_tail = job_log_tail(j),
		});
	cv_buf_fini(&output);
	build_run_free(r);
}
