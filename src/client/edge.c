/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edge.c - see edge.h
 *
 *     here: a listener on 127.0.0.1, and a code ──► browser: https://GATEWAY/auth/connect, behind the
 *     edge, which asks who the person is ──► the page shows the code ──► POST to the listener
 *
 * The code is for the person's eyes: a page that another terminal, or somebody else, had opened shows
 * another one.  It comes back with the token, and the token from the gateway's own page alone.
 */
#include "client/edge.h"

#include "client/browser.h"
#include "client/edge_text.h"
#include "client/redirect.h"
#include "sys/clock.h"
#include "sys/fd.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define LOGIN_MS 300000 /* for a person to log in */
#define PROBE_MS 5000

bool cl_edge_is_there(struct cl *c, const char *url, const char *ca_path)
{
	bool is_refused = false;
	const struct cv_rpc_endpoint e = {
		.url = cv_str_of(url),
		.ca_path = ca_path,
		.tunnel_token = "",
		.ret_is_refused = &is_refused,
		.is_insecure = cl_is_insecure(c),
	};
	struct cv_rpc_client *rpc = NULL;
	struct cv_err err;

	if (cv_rpc_client_open(&e, PROBE_MS, &rpc, &err) == CV_OK)
		cv_rpc_client_close(rpc);
	return is_refused || rpc;
}

/* ---- the token ---- */

/* The log-in is whole when the gateway says who it is; without an answer the token is kept. */
static void name_say(struct cl *c, const struct cl_gateway *g)
{
	Openshell__V1__GetCurrentUserRequest in;
	const Openshell__V1__GetCurrentUserResponse *m = NULL;
	enum cv_rpc_status status;
	struct cv_err err;

	c->gateway = *g;
	openshell__v1__get_current_user_request__init(&in);
	if (cl_gateway_open(c, &err) == CV_OK)
		m = CL_TRY(c, GetCurrentUser, in, GetCurrentUserResponse, get_current_user_response,
			&status, &err);
	if (m)
		cl_mark(c, 'v', "Logged in to gateway '%s' as %s", cl_shown(c, g->name),
			cl_shown(c, *m->display_name ? m->display_name : m->subject));
	else
		cl_die(c, "the token is kept, and gateway '%s' does not take it: %s",
			cl_shown(c, g->name), cl_shown(c, err.msg));
}

void cl_edge_store(struct cl *c, const struct cl_gateway *g, struct cv_str token)
{
	cl_file_write(
		c, cl_edge_token_path(c, g), cv_str_of(cl_print(c, "%.*s\n", CV_STR_ARG(token))));
	name_say(c, g);
}

/* ---- the browser ---- */

struct wait {
	struct cl *c;
	struct cv_str origin, code;
	struct cl_edge_call call;
	bool is_warned;
};

static enum cl_visit call_take(struct cv_str sent, struct cv_buf *answer, void *arg)
{
	struct wait *w = arg;
	const enum cl_edge_kind kind =
		cl_edge_call_read(sent, w->origin, w->code, &w->c->arena, &w->call);

	if (kind == CL_EDGE_PART)
		return CL_VISIT_PART;
	cl_edge_answer_put(answer, kind, &w->call, w->origin);
	if ((kind == CL_EDGE_FORBIDDEN || kind == CL_EDGE_WRONG) && !w->is_warned)
		cl_note(w->c,
			"warning: somebody else tried to answer this log-in, and was refused");
	w->is_warned |= kind == CL_EDGE_FORBIDDEN || kind == CL_EDGE_WRONG;
	return kind == CL_EDGE_TOKEN ? CL_VISIT_DONE : CL_VISIT_OTHER;
}

void cl_edge_login(struct cl *c, const struct cl_gateway *g)
{
	struct cv_str base = cv_str_of(g->edge_auth_url ? g->edge_auth_url : g->url);
	unsigned char random[CL_EDGE_RANDOM_BYTES];
	char code[CL_EDGE_CODE_BYTES + 1], origin[CL_EDGE_ORIGIN_BYTES];
	struct wait w = { .c = c };
	unsigned port;
	CV_AUTO_FD int listener = cl_redirect_listen(c, &port);

	while (cv_str_has_suffix(base, CV_STR("/")))
		base.n--;
	if (!cl_edge_origin_of(base, origin))
		cl_die(c, "the address of gateway '%s' is no address", cl_shown(c, g->name));
	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		cl_die(c, "no random numbers");
	cl_edge_code_make(random, code);
	w.origin = cv_str_of(origin);
	w.code = cv_str_of(code);
	const char *url = cl_print(
		c, "%.*s/auth/connect?callback_port=%u&code=%s", CV_STR_ARG(base), port, code);
	cl_note(c,
		"Log in with your browser, on this machine. If it does not open, go to:\n\n  %s\n\n"
		"Confirmation code: %s\n"
		"Log in only if the page shows the same code.",
		cl_shown(c, url), code);
	cl_browser_open(c, url);
	if (!cl_visit_wait(listener, CL_EDGE_BYTES_MAX, cv_clock_ms() + LOGIN_MS, call_take, &w))
		cl_die(c,
			"nobody logged in within %d minutes\nhint: with a token that came by other "
			"means: %s gateway login --token-file FILE",
			LOGIN_MS / 60000, c->program);
	cl_edge_store(c, g, w.call.token);
}
