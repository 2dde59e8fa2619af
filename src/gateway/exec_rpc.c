/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec_rpc.c - what clients ask of commands: ExecSandbox, ExecSandboxInteractive
 */
#include "gateway/exec_int.h"

#include "gateway/deliver.h"
#include "gateway/pb.h"
#include "plan/exec.h"

#define EXEC_ARGS_MAX    1024 /* openshell-api 7 */
#define EXEC_ARG_MAX     (32u << 10)
#define EXEC_WORKDIR_MAX 4096
#define EXECS_BOX_MAX    256 /* of one sandbox at a time */

/* ---- requests ---- */

static enum cv_rpc_status refuse(struct cv_err *err, const char *what)
{
	cv_fail(err, CV_INVALID, "%s", what);
	return CV_RPC_INVALID_ARGUMENT;
}

enum cv_rpc_status exec_request_check(
	const Openshell__V1__ExecSandboxRequest *r, struct cv_err *err)
{
	if (!*r->sandbox_id)
		return refuse(err, "sandbox_id is required");
	if (!r->n_command || !*r->command[0])
		return refuse(err, "command is required");
	if (r->n_command > EXEC_ARGS_MAX)
		return cv_fail(err, CV_INVALID, "command exceeds maximum arguments (%zu > %d)",
			       r->n_command, EXEC_ARGS_MAX),
		       CV_RPC_INVALID_ARGUMENT;
	for (size_t i = 0; i < r->n_command; i++)
		if (strlen(r->command[i]) > EXEC_ARG_MAX)
			return cv_fail(err, CV_INVALID,
				       "command argument %zu exceeds maximum length (%zu > %u)", i,
				       strlen(r->command[i]), EXEC_ARG_MAX),
			       CV_RPC_INVALID_ARGUMENT;
	if (strlen(r->workdir) > EXEC_WORKDIR_MAX)
		return cv_fail(err, CV_INVALID, "workdir exceeds maximum length (%zu > %d)",
			       strlen(r->workdir), EXEC_WORKDIR_MAX),
		       CV_RPC_INVALID_ARGUMENT;
	if (strpbrk(r->workdir, "\r\n"))
		return refuse(err, "workdir must not contain newlines or carriage returns");
	if (r->cols > UINT16_MAX || r->rows > UINT16_MAX)
		return refuse(err, "cols and rows must be at most 65535");
	return environment_check("environment", r->environment, r->n_environment, EXEC_ARG_MAX,
		"OPENSHELL_PYFUNC_B64", err);
}

/* As `cd` would take it where commands begin; "": there. */
static struct cv_str workdir_of(const Openshell__V1__ExecSandboxRequest *r, struct cv_arena *arena)
{
	if (!*r->workdir || r->workdir[0] == '/')
		return cv_str_of(r->workdir);
	return cv_arena_printf(arena, "/sandbox/%s", r->workdir);
}

/* The bytes of a command, for the supervisor; false: they do not fit. */
bool exec_request_put(
	const Openshell__V1__ExecSandboxRequest *r, const struct cv_gw_box *b, struct cv_buf *out)
{
	size_t given;
	const struct cv_str *env = cv_gw_env_of(b, &given);
	struct cv_arena arena;
	struct cv_plan_exec e = { 0 };
	bool has_term = false;

	cv_arena_init(&arena, CV_PLAN_EXEC_BYTES_MAX + (1u << 20));
	e.cwd = workdir_of(r, &arena);
	e.argv = cv_arena_array(&arena, r->n_command, sizeof(*e.argv));
	e.env = cv_arena_array(&arena, given + r->n_environment + 1, sizeof(*e.env));
	for (size_t i = 0; e.argv && i < r->n_command; i++)
		e.argv[e.argc++] = cv_str_of(r->command[i]);
	for (size_t i = 0; e.env && i < given; i++)
		e.env[e.envc++] = env[i];
	for (size_t i = 0; e.env && i < r->n_environment; i++) {
		has_term |= strcmp(r->environment[i]->key, "TERM") == 0;
		e.env[e.envc++] = cv_arena_printf(
			&arena, "%s=%s", r->environment[i]->key, r->environment[i]->value);
	}
	if (e.env && r->tty && !has_term)
		e.env[e.envc++] = CV_STR("TERM=xterm-256color");
	const bool is_put = !arena.is_overflown && cv_plan_exec_put(out, &e);
	cv_arena_wipe(&arena);
	return is_put;
}

bool exec_parts_send(struct cv_gw_box *b, struct cv_str bytes)
{
	while (bytes.n) {
		const size_t n = CV_MIN(bytes.n, (size_t)CV_IPC_BODY_BYTES_MAX);

		if (!cv_gw_box_send(b, CV_GATEWAY_REQ_PART, cv_str_slice(bytes, 0, n), NULL, 0))
			return false;
		bytes = cv_str_slice(bytes, n, bytes.n);
	}
	return true;
}

bool exec_bytes_send(
	struct cv_gw_box *b, uint32_t id, uint32_t flags, uint32_t size, struct cv_str bytes)
{
	const uint32_t v[] = { id, flags, size };

	return exec_parts_send(b, bytes) &&
	       cv_gw_box_send_u32s(b, CV_GATEWAY_REQ_EXEC, v, CV_ARRAY_LEN(v));
}

static void request_drop(struct cv_gw_exec *x)
{
	cv_pb_free((void *)(uintptr_t)x->request);
	x->request = NULL;
}

static void exec_send_ours(struct cv_gw_exec *x, struct cv_gw_box *b)
{
	const Openshell__V1__ExecSandboxRequest *r = x->request;
	const uint32_t rows = r->rows ? r->rows : 24, cols = r->cols ? r->cols : 80;
	const uint32_t stdin_none = CV_GATEWAY_EXEC_NO_STDIN;
	struct cv_buf bytes;

	const uint32_t flags =
		(r->tty ? (uint32_t)CV_GATEWAY_EXEC_TTY : 0) | (x->is_stdin_none ? stdin_none : 0);

	cv_buf_init(&bytes, CV_PLAN_EXEC_BYTES_MAX);
	const bool is_put = exec_request_put(r, b, &bytes);
	const bool is_sent =
		is_put && exec_bytes_send(b, x->id, flags, rows << 16 | cols, cv_buf_str(&bytes));
	cv_buf_wipe(&bytes);
	if (!is_put)
		exec_finish_fail(
			x, CV_RPC_INVALID_ARGUMENT, "command and environment are too large");
	else if (!is_sent)
		exec_finish_fail(
			x, CV_RPC_UNAVAILABLE, "supervisor relay failed: the link is broken");
}

void exec_send(struct cv_gw_exec *x, struct cv_gw_box *b)
{
	const Openshell__V1__ExecSandboxRequest *r = x->request;
	struct cv_gateway *g = x->g;
	const struct cv_ref ref = x->ref;

	x->is_stdin_none = !r->tty && !cv_buf_len(&x->in) && x->has_stdin_ended;
	x->is_tty = r->tty;
	exec_deadline(x, &x->deadline_ms, (int64_t)r->timeout_seconds * 1000);
	x->state = EXEC_SENT;
	if (b->external)
		exec_ssh_send(x, b);
	else
		exec_send_ours(x, b);
	x = cv_slots_get(&g->execs->all, ref);
	if (x)
		request_drop(x);
}

uint32_t exec_id_next(const struct cv_gw_box *b)
{
	struct cv_gw_execs *all = b->g->execs;

	do
		all->next_id++;
	while (all->next_id <= MAIN_ID || exec_find(b, all->next_id) ||
		kept_has_number(b, all->next_id));
	return all->next_id;
}

enum cv_rpc_status exec_box_check(
	const struct cv_gw_box *b, bool *ret_is_waiting, struct cv_err *err)
{
	/* A supervisor that will dial again, or credentials that are on their way. */
	*ret_is_waiting =
		b->state == CV_GW_LOST || (b->state == CV_GW_UP && cv_gw_env_is_pending(b));
	if ((b->state != CV_GW_UP && !*ret_is_waiting) || cv_gw_box_want(b) != CV_GW_RUN)
		return cv_fail(err, CV_UNAVAILABLE, "sandbox is not ready"),
		       CV_RPC_FAILED_PRECONDITION;
	return CV_RPC_OK;
}

/* Judges the request and sends it, or lets it wait for a supervisor that is about to dial. */
static enum cv_rpc_status exec_start(struct cv_rpc_call *c,
	const Openshell__V1__ExecSandboxRequest *r, bool has_more, struct cv_err *err)
{
	struct cv_gw_box *b;
	struct cv_gw_exec *x;
	size_t count = 0;
	bool is_waiting;
	enum cv_rpc_status s = exec_request_check(r, err);

	if (s == CV_RPC_OK)
		s = cv_gw_box_open(
			c, "sandbox_id", cv_str_of(r->sandbox_id), CV_STR_NONE, true, &b, err);
	if (s != CV_RPC_OK)
		return s;
	s = exec_box_check(b, &is_waiting, err);
	if (s != CV_RPC_OK)
		return s;
	for (x = b->execs; x; x = x->next)
		count++;
	x = count < EXECS_BOX_MAX ? exec_new(b, exec_id_next(b)) : NULL;
	if (!x)
		return cv_fail(err, CV_LIMIT, "too many commands run in this sandbox"),
		       CV_RPC_RESOURCE_EXHAUSTED;
	x->call = c;
	cv_gw_exec_began(c);
	x->request = cv_pb_copy(r);
	cv_buf_put(&x->in, (struct cv_str){ (const char *)r->stdin.data, r->stdin.len });
	x->has_stdin_ended = !has_more;
	cv_rpc_call_set_state(c, x);
	if (is_waiting)
		exec_deadline(x, &x->deadline_ms, EXEC_WAIT_MS);
	else
		exec_send(x, b);
	return CV_RPC_OK;
}

static void on_exec(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	struct cv_err err;
	const enum cv_rpc_status s =
		exec_start(c, (const Openshell__V1__ExecSandboxRequest *)m, false, &err);

	if (s != CV_RPC_OK)
		cv_gw_fail(c, s, &err);
}

static void resize(struct cv_gw_exec *x, const Openshell__V1__ExecSandboxWindowResize *r)
{
	x->size = (struct winsize){ .ws_row = (unsigned short)CV_MIN(r->rows, (uint32_t)UINT16_MAX),
		.ws_col = (unsigned short)CV_MIN(r->cols, (uint32_t)UINT16_MAX) };
	x->has_size = true;
	if (x->ssh)
		exec_ssh_resize(x->ssh, x->size.ws_row, x->size.ws_col);
	else
		exec_size_tell(x);
}

static void on_interactive(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const Openshell__V1__ExecSandboxInput *in = (const Openshell__V1__ExecSandboxInput *)m;
	struct cv_gw_exec *x = cv_rpc_call_state(c);
	struct cv_err err;
	enum cv_rpc_status s = CV_RPC_OK;

	if (x && x->is_finished)
		return;
	if (!x && in->payload_case == OPENSHELL__V1__EXEC_SANDBOX_INPUT__PAYLOAD_START)
		s = exec_start(c, in->start, true, &err);
	else if (!x)
		s = refuse(&err, "first message must be start");
	else if (in->payload_case == OPENSHELL__V1__EXEC_SANDBOX_INPUT__PAYLOAD_STDIN) {
		cv_buf_put(&x->in, (struct cv_str){ (const char *)in->stdin.data, in->stdin.len });
		exec_in_write(x);
	} else if (in->payload_case == OPENSHELL__V1__EXEC_SANDBOX_INPUT__PAYLOAD_RESIZE)
		resize(x, in->resize);
	else if (in->payload_case == OPENSHELL__V1__EXEC_SANDBOX_INPUT__PAYLOAD_START)
		s = refuse(&err, "start was sent twice");
	if (s == CV_RPC_OK)
		return;
	if (x)
		x->is_finished = true;
	cv_gw_fail(c, s, &err);
}

static void on_half_closed(struct cv_rpc_call *c)
{
	struct cv_gw_exec *x = cv_rpc_call_state(c);

	if (!x) {
		cv_rpc_finish(c, CV_RPC_INVALID_ARGUMENT, "first message must be start");
		return;
	}
	x->has_stdin_ended = true;
	exec_in_write(x);
}

static void on_writable(struct cv_rpc_call *c)
{
	struct cv_gw_exec *x = cv_rpc_call_state(c);

	if (!x || !x->is_blocked)
		return;
	x->is_blocked = false;
	exec_advance(x);
}

static void on_closed(struct cv_rpc_call *c)
{
	struct cv_gw_exec *x = cv_rpc_call_state(c);

	if (!x)
		return;
	x->call = NULL;
	exec_abandon(x);
}

const struct cv_gw_method exec_methods[EXEC_METHODS] = {
	{ "ExecSandbox", { .message = on_exec, .writable = on_writable, .closed = on_closed } },
	{ "ExecSandboxInteractive", { .message = on_interactive,
					    .half_closed = on_half_closed,
					    .writable = on_writable,
					    .closed = on_closed } },
};
