/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp_client_call.c - the backend `mcp`: a tool of an MCP server
 *
 * Arguments were judged by the server's schema, or the catalog's.  A result's structuredContent is
 * the result; else its texts are, when it has nothing but texts; else its content as JSON.  What the
 * server says of a call that goes on is the job's progress.
 */
#include "broker/mcp_client.h"

#include "broker/call_end.h"
#include "wire/json_value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct mcp_run {
	struct mcp_request *request;
	struct mcp_server *server;
};

static bool mcp_start(struct broker *b, struct job *j, struct cv_err *err)
{
	struct mcp_server *m = &b->mcps[j->tool->mcp];
	struct mcp_run *run;
	struct cv_buf params;

	if (m->state != MCP_READY)
		return cv_fail(err, CV_UNAVAILABLE, "MCP server %.*s is down: %s",
			       CV_STR_ARG(m->its->name), m->why),
		       false;
	if (!mcp_list_find(m->list, j->tool->mcp_tool))
		return cv_fail(err, CV_NOT_FOUND, "MCP server %.*s has this tool no more",
			       CV_STR_ARG(m->its->name)),
		       false;
	run = calloc(1, sizeof(*run));
	if (!run)
		return cv_fail(err, CV_LIMIT, "no memory"), false;
	cv_buf_init(&params, MCP_OUT_BYTES_MAX);
	cv_buf_put(&params, CV_STR("{\"name\":"));
	cv_buf_put_json_str(&params, j->tool->mcp_tool);
	cv_buf_put(&params, CV_STR(",\"arguments\":"));
	cv_buf_put(&params, cv_buf_str(&j->canonical));
	cv_buf_printf(&params, ",\"_meta\":{\"progressToken\":%llu}}",
		(unsigned long long)m->next_id + 1);
	run->server = m;
	run->request = params.is_overflown
			       ? (cv_fail(err, CV_LIMIT, "the arguments are too large"), NULL)
			       : mcp_send(b, m, MCP_CALL, CV_MCP_METHOD_TOOLS_CALL,
					 cv_buf_str(&params), err);
	cv_buf_fini(&params);
	if (!run->request) {
		free(run);
		return false;
	}
	run->request->job = j->ref;
	j->run = run;
	return true;
}

/* ---- its result ---- */

static bool is_all_text(const struct cv_value *content)
{
	for (uint32_t i = 0; i < content->n; i++)
		if (!cv_str_eq(cv_value_get_str(&content->v[i], CV_STR("type")), CV_STR("text")) ||
			!cv_value_get_str(&content->v[i], CV_STR("text")).p)
			return false;
	return true;
}

static bool output_make(const struct cv_value *result, struct cv_buf *out, bool *ret_is_json)
{
	const struct cv_value *content = cv_value_get(result, CV_STR("content"));
	const struct cv_value *structured = cv_value_get(result, CV_STR("structuredContent"));

	*ret_is_json = true;
	if (structured && structured->type == CV_VALUE_OBJECT)
		return cv_json_value_write(out, structured);
	if (!content || content->type != CV_VALUE_ARRAY)
		return false;
	if (!is_all_text(content))
		return cv_json_value_write(out, content);
	*ret_is_json = false;
	for (uint32_t i = 0; i < content->n; i++) {
		if (i)
			cv_buf_put_byte(out, '\n');
		cv_buf_put(out, cv_value_get_str(&content->v[i], CV_STR("text")));
	}
	return true;
}

static void end(struct broker *b, struct job *j, struct call_end *e)
{
	if (j->is_stopping)
		e->outcome = j->stop_state == JOB_TIMED_OUT ? CALL_TIMEOUT : CALL_CANCELLED;
	free(j->run);
	j->run = NULL;
	call_end(b, j, e);
}

static void result_take(struct broker *b, struct job *j, const struct cv_value *result)
{
	const struct cv_value *failed = cv_value_get(result, CV_STR("isError"));
	struct call_end e = { .outcome = CALL_OK };
	struct cv_buf out;

	cv_buf_init(&out, 2 * MCP_MESSAGE_BYTES_MAX);
	if (!output_make(result, &out, &e.is_json)) {
		e.outcome = CALL_BROKEN;
		e.detail = "the server's result is none";
		e.is_json = false;
		cv_buf_reset(&out);
	} else if (failed && failed->type == CV_VALUE_TRUE) {
		e.outcome = CALL_FAILED;
		e.detail = "the tool says that it failed";
	}
	e.output = cv_buf_str(&out);
	e.bytes = e.output.n;
	e.is_truncated = e.bytes > j->bytes_max;
	e.output.n = (size_t)CV_MIN(e.bytes, j->bytes_max);
	end(b, j, &e);
	cv_buf_fini(&out);
}

void mcp_call_answer(
	struct broker *b, struct mcp_request *r, const struct cv_mcp_message *a, const char *failed)
{
	struct job *j = pool_get(&b->jobs, r->job);
	struct call_end e = { .outcome = CALL_BROKEN };
	char detail[300];

	r->job = (struct cv_ref){ UINT32_MAX, 0 };
	if (!j || j->backend != &mcp_backend || !j->run)
		return;
	if (a && a->result) {
		result_take(b, j, a->result);
		return;
	}
	if (failed) {
		snprintf(detail, sizeof(detail), "MCP server %.*s: %s",
			CV_STR_ARG(r->server->its->name), failed);
	} else {
		struct cv_str said = cv_value_get_str(a ? a->error : NULL, CV_STR("message"));

		said.n = CV_MIN(said.n, (size_t)200);
		snprintf(detail, sizeof(detail), "the server answered with an error: %.*s",
			CV_STR_ARG(said));
	}
	e.detail = detail;
	end(b, j, &e);
}

void mcp_call_progress(struct broker *b, struct mcp_server *m, const struct cv_value *params)
{
	const struct cv_value *token = cv_value_get(params, CV_STR("progressToken"));
	struct cv_buf text;
	uint64_t id;

	if (!token || token->type != CV_VALUE_NUMBER || !cv_str_to_u64(token->s, UINT64_MAX, &id))
		return;
	for (struct mcp_request *r = m->requests; r; r = r->next) {
		struct job *j =
			r->kind == MCP_CALL && r->id == id ? pool_get(&b->jobs, r->job) : NULL;
		static const char *const key[] = { "progress", "total", "message" };
		bool is_first = true;

		if (!j || j->backend != &mcp_backend)
			continue;
		cv_buf_init(&text, 3000);
		cv_buf_put_byte(&text, '{');
		for (size_t i = 0; i < CV_ARRAY_LEN(key); i++) {
			const struct cv_value *v = cv_value_get(params, cv_str_of(key[i]));

			if (!v || v->type != (i == 2 ? CV_VALUE_STRING : CV_VALUE_NUMBER))
				continue;
			cv_buf_printf(&text, "%s\"%s\":", is_first ? "" : ",", key[i]);
			(void)!cv_json_value_write(&text, v);
			is_first = false;
		}
		cv_buf_put_byte(&text, '}');
		if (!text.is_overflown)
			job_progress(b, j, cv_buf_str(&text));
		cv_buf_fini(&text);
		return;
	}
}

/* ---- its end ---- */

/* The server is told, and nobody waits for what it says of it. */
static void give_up(struct broker *b, struct mcp_run *run)
{
	struct mcp_request *r = run->request;
	char params[64];
	struct cv_err err;
	const int n =
		snprintf(params, sizeof(params), "{\"requestId\":%llu}", (unsigned long long)r->id);

	r->job = (struct cv_ref){ UINT32_MAX, 0 };
	mcp_request_free(r);
	if (run->server->state == MCP_READY)
		(void)!mcp_send(b, run->server, MCP_NOTE, CV_MCP_METHOD_CANCELLED,
			(struct cv_str){ params, (size_t)n }, &err);
}

static void mcp_stop(struct broker *b, struct job *j)
{
	struct call_end e = { .outcome = CALL_CANCELLED };

	give_up(b, j->run);
	end(b, j, &e);
}

static void mcp_drop(struct broker *b, struct job *j)
{
	if (!j->run)
		return;
	give_up(b, j->run);
	free(j->run);
	j->run = NULL;
}

static void mcp_job_event(struct broker *b, struct job *j, enum watch what, uint32_t events)
{
	(void)b;
	(void)j;
	(void)what;
	(void)events;
}

const struct backend mcp_backend = {
	.name = "mcp",
	.start = mcp_start,
	.event = mcp_job_event,
	.stop = mcp_stop,
	.due = mcp_stop,
	.drop = mcp_drop,
};
