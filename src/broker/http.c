/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http.c - the backends `http` and `server`: a request to a server for each call
 *
 * Method, path, query, headers and body are the catalog's, with arguments only in the places that
 * it has for them (template.h).  What comes back is the result: as JSON when the server says that it
 * is, else as the catalog reads it.  A status of 400 or more, and a redirect, which is not followed,
 * is a failure with status and body.  Headers of the answer go nowhere.
 *
 * What is read past the call's limit is not: the connection is closed and the result says that it
 * is cut.
 */
#include "broker/broker.h"

#include "broker/call_end.h"
#include "broker/fetch.h"
#include "broker/server.h"
#include "tools/template.h"
#include "wire/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct http_run {
	struct cv_ref job;
	struct broker *broker;
	struct fetch *fetch;
	struct cv_buf out;
	uint64_t bytes;
	bool is_json; /* says the server */
};

/* ---- the request ---- */

struct request_text { /* what the templates became; wiped */
	struct cv_buf url, body;
	struct cv_buf header[CV_TOOL_HEADERS_MAX];
	struct fetch_header line[CV_TOOL_HEADERS_MAX + 2];
	size_t header_count, line_count;
	struct cv_str wrong;
};

static struct request_text text; /* large; used up within one call */

static void text_wipe(struct request_text *r)
{
	cv_buf_wipe(&r->url);
	cv_buf_wipe(&r->body);
	for (size_t i = 0; i < r->header_count; i++)
		cv_buf_wipe(&r->header[i]);
	r->header_count = r->line_count = 0;
}

/* Values end up here, and must not be left behind where the buffer was before it grew. */
static void buf_make(struct cv_buf *b, size_t max, bool is_secret)
{
	cv_buf_init(b, max);
	if (is_secret)
		(void)!cv_buf_reserve(b, CV_MIN(max, (size_t)BROKER_URL_BYTES_MAX));
}

static cv_code place_fill(struct request_text *r, const struct cv_template *t,
	const struct cv_template_values *values, struct cv_buf *to, struct cv_err *err)
{
	struct cv_template_failure f;
	const enum cv_template_rc rc = cv_template_text(t, values, to, &f);

	if (rc == CV_TEMPLATE_OK && !to->is_overflown)
		return CV_OK;
	if (rc == CV_TEMPLATE_OK)
		return cv_fail(err, CV_INVALID, "the arguments make the request too large");
	r->wrong = f.name;
	return cv_fail(err, CV_INVALID, "%s", cv_template_rc_text(rc));
}

static cv_code url_fill(struct request_text *r, const struct cv_tool_http *h, struct cv_str base,
	const struct cv_template_values *values, struct cv_err *err)
{
	cv_code code = CV_OK;

	cv_buf_put(&r->url, base);
	if (h->path)
		code = place_fill(r, h->path, values, &r->url, err);
	else
		cv_buf_put_byte(&r->url, '/');
	if (code == CV_OK && h->query && cv_template_is_there(h->query, values)) {
		cv_buf_put_byte(&r->url, '?');
		code = place_fill(r, h->query, values, &r->url, err);
	}
	return code;
}

static bool has_body(const struct cv_tool_http *h)
{
	return !cv_str_eq(h->method, CV_STR("GET")) && !cv_str_eq(h->method, CV_STR("HEAD"));
}

static cv_code headers_fill(struct request_text *r, const struct cv_tool_http *h,
	const struct cv_template_values *values, bool is_secret, struct cv_err *err)
{
	for (size_t i = 0; i < h->header_count; i++) {
		struct cv_buf *to = &r->header[r->header_count];

		if (!cv_template_is_there(h->headers[i].value, values))
			continue;
		buf_make(to, BROKER_HEAD_OUT_MAX, is_secret);
		r->header_count++;
		if (place_fill(r, h->headers[i].value, values, to, err) != CV_OK)
			return err->code;
		r->line[r->line_count++] =
			(struct fetch_header){ h->headers[i].name, cv_buf_str(to) };
	}
	return CV_OK;
}

static cv_code text_make(struct request_text *r, const struct cv_tool *t, struct cv_str base,
	const struct cv_value *arguments, struct keys *keys, struct cv_err *err)
{
	const struct cv_template_values values = {
		.arguments = arguments,
		.credential = keys ? keys_get : keys_get_empty,
		.arg = keys,
	};
	const struct cv_tool_http *h = t->http;

	r->header_count = r->line_count = 0;
	r->wrong = CV_STR("");
	buf_make(&r->url, BROKER_URL_BYTES_MAX, keys != NULL);
	buf_make(&r->body, BROKER_BODY_OUT_MAX, keys != NULL);
	if (url_fill(r, h, base, &values, err) != CV_OK ||
		headers_fill(r, h, &values, keys != NULL, err) != CV_OK)
		return err->code;
	return h->body ? place_fill(r, h->body, &values, &r->body, err) : CV_OK;
}

static struct cv_str base_of(struct broker *b, const struct cv_tool *t, char ret[SERVER_BASE_BYTES])
{
	if (t->backend == CV_TOOL_SERVER)
		return server_base(b, t->server, ret);
	return t->http->socket.n ? CV_STR("http://localhost") : t->http->base;
}

static cv_code http_check(struct broker *b, const struct cv_tool *t,
	const struct cv_value *arguments, struct cv_arena *arena, struct cv_str *ret_pointer,
	struct cv_err *err)
{
	char base[SERVER_BASE_BYTES];
	const cv_code code = text_make(&text, t, base_of(b, t, base), arguments, NULL, err);

	if (code != CV_OK && text.wrong.n)
		*ret_pointer = cv_arena_printf(arena, "/%.*s", CV_STR_ARG(text.wrong));
	text_wipe(&text);
	return code;
}

/* ---- the answer ---- */

static void run_free(struct http_run *run)
{
	fetch_drop(run->fetch);
	cv_buf_fini(&run->out);
	free(run);
}

static void head_take(void *arg, struct cv_str name, struct cv_str value)
{
	struct http_run *run = arg;

	if (!cv_str_eq_nocase(name, CV_STR("content-type")))
		return;
	const struct cv_str type = cv_str_trim(cv_str_cut(&value, ';'));
	run->is_json = cv_str_eq_nocase(type, CV_STR("application/json")) ||
		       (type.n > 5 && cv_str_eq_nocase(cv_str_slice(type, type.n - 5, type.n),
					      CV_STR("+json")));
}

static bool data_take(void *arg, struct cv_str piece)
{
	struct http_run *run = arg;
	struct job *j = pool_get(&run->broker->jobs, run->job);

	if (!j)
		return false;
	run->bytes += piece.n;
	call_out(j, piece, &run->out);
	return run->bytes <= j->bytes_max;
}

static void finish(struct broker *b, struct job *j, const struct fetch_end *f)
{
	struct http_run *run = j->run;
	char detail[256];

	call_out_end(j, &run->out);
	struct call_end e = {
		.outcome = CALL_OK,
		.output = cv_buf_str(&run->out),
		.is_truncated = run->bytes > cv_buf_len(&run->out),
		.bytes = run->bytes,
		.status = f && (f->status < 200 || f->status >= 300) ? f->status : 0,
		.is_json = run->is_json,
	};

	if (f && f->failure) {
		e.outcome = CALL_BROKEN;
		e.detail = f->failure;
	} else if (f && (f->status < 200 || f->status >= 300)) {
		e.outcome = CALL_BROKEN;
		snprintf(detail, sizeof(detail), "the server answered %d%s", f->status,
			f->status < 400 ? ", and redirects are not followed" : "");
		e.detail = detail;
	}
	if (j->is_stopping)
		e.outcome = j->stop_state == JOB_TIMED_OUT ? CALL_TIMEOUT : CALL_CANCELLED;
	j->run = NULL;
	call_end(b, j, &e);
	run_free(run);
}

static void end_take(struct broker *b, void *arg, const struct fetch_end *e)
{
	struct http_run *run = arg;
	struct job *j = pool_get(&b->jobs, run->job);

	if (j && j->run == run)
		finish(b, j, e);
}

static bool send_request(struct broker *b, struct job *j, struct http_run *run, struct cv_err *err)
{
	const struct cv_tool_http *h = j->tool->http;
	char base[SERVER_BASE_BYTES], bearer[SERVER_BEARER_BYTES];
	struct request_text *r = &text;
	cv_code code = text_make(r, j->tool, base_of(b, j->tool, base), j->arguments, j->keys, err);

	if (j->tool->backend == CV_TOOL_SERVER)
		r->line[r->line_count++] = (struct fetch_header){ CV_STR("Authorization"),
			server_bearer(b, j->tool->server, bearer) };
	const struct fetch_plan plan = {
		.method = h->method,
		.url = cv_buf_str(&r->url),
		.socket = j->tool->backend == CV_TOOL_SERVER ? server_socket(b, j->tool->server)
							     : h->socket,
		.header = r->line,
		.header_count = r->line_count,
		.has_body = has_body(h),
		.body = h->body ? cv_buf_str(&r->body) : cv_buf_str(&j->canonical),
		.head = head_take,
		.data = data_take,
		.end = end_take,
		.arg = run,
	};
	if (code == CV_OK)
		code = fetch_start(b, &plan, &run->fetch, err);
	explicit_bzero(bearer, sizeof(bearer));
	text_wipe(r);
	return code == CV_OK;
}

static bool http_start(struct broker *b, struct job *j, struct cv_err *err)
{
	const bool is_server = j->tool->backend == CV_TOOL_SERVER;
	struct http_run *run;

	if (is_server && !call_scrub_start(j, server_keys(b, j->tool->server), err))
		return false;
	run = calloc(1, sizeof(*run));
	if (!run)
		return cv_fail(err, CV_LIMIT, "no memory"), false;
	run->broker = b;
	run->job = j->ref;
	cv_buf_init(&run->out, (size_t)CV_MAX(j->bytes_max, (uint64_t)1));
	if (!send_request(b, j, run, err)) {
		run_free(run);
		return false;
	}
	j->run = run;
	return true;
}

static void http_event(struct broker *b, struct job *j, enum watch what, uint32_t events)
{
	(void)b;
	(void)j;
	(void)what;
	(void)events;
}

/* The connection is closed, which is all that HTTP has to say of it. */
static void http_stop(struct broker *b, struct job *j)
{
	finish(b, j, NULL);
}

static void http_drop(struct broker *b, struct job *j)
{
	struct http_run *run = j->run;

	(void)b;
	j->run = NULL;
	if (run)
		run_free(run);
}

const struct backend http_backend = {
	.name = "http",
	.check = http_check,
	.start = http_start,
	.event = http_event,
	.stop = http_stop,
	.due = http_stop,
	.drop = http_drop,
};
