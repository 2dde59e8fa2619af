/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec_ssh.c - commands in sandboxes whose supervisors take them over SSH only (external.h)
 *
 *     EXEC ──► relay_open(ssh) ──DIALLED──► cove-ssh-exec ──STARTED, bytes, EXITED──► exec.c
 *
 * A process for each command (ipc/ssh_exec_link.h) speaks SSH; for exec.c it is what a supervisor of
 * ours would be, since what it says is passed on as such a supervisor's words, with the ends of pipes
 * that were made here.  A terminal is one stream socket, whose size is told to the process.
 *
 *     DIALLING ──connection──► STARTING ──STARTED──► RUNNING ──EXITED──► over, when it has ended
 *
 * Of a command that outlives its client (kept.c) the process writes the ring itself, and KEPT is
 * what it says; it lasts as long as the gateway, through which the connection goes.
 *
 * A command that is dropped closes the link and kills the process; the slot stays until it was
 * waited for.
 */
#include "gateway/exec_int.h"

#include "driver/host.h"
#include "driver/spawn.h"
#include "gateway/exec_line.h"
#include "gateway/external.h"
#include "gateway/kept_int.h"
#include "gateway/log.h"
#include "ipc/ssh_exec_link.h"
#include "sys/child.h"
#include "sys/fd.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define PROCESSES_MAX 512 /* of all sandboxes: each is a process of some megabytes */
#define CUT_SHORT     "exec relay closed before the command reported an exit status"

enum { WATCH_EXEC_LINK, WATCH_EXEC_PROCESS };
enum ssh_state { SSH_DIALLING, SSH_STARTING, SSH_RUNNING, SSH_DROPPED };

struct cv_gw_exec_ssh {
	struct cv_gateway *g;
	struct cv_ref ref, box;
	struct cv_gw_exec *exec; /* whose it is, or: */
	struct cv_gw_kept *kept; /* both NULL: dropped */
	uint32_t number;         /* of either */
	enum ssh_state state;
	uint32_t channel;       /* while it is dialled */
	bool is_tty, is_reaped; /* reaped: its number may be another's */
	uint32_t size;          /* rows << 16 | columns */
	int ends[ENDS];         /* that the command gets when it runs; -1 */
	int inner[ENDS];        /* the process' */
	struct cv_buf line, term;
	struct cv_buf keep; /* KEEP, of kept */
	pid_t pid;
	int pidfd, link;
	struct cv_ipc_link rules;
	struct cv_ipc_outbox out;
	int64_t deadline_ms; /* until it runs; 0: none */
};

struct cv_gw_exec_sshs {
	struct cv_slots all;
	struct cv_arena arena;
	struct cv_str exe;
	char *recv_buf;
	int64_t deadline_ms;
};

typedef struct cv_gw_exec_ssh run;

/* ---- the table ---- */

static void deadline_set(run *y, int64_t ms)
{
	y->deadline_ms = y->g->loop.now_ms + ms;
	y->g->exec_sshs->deadline_ms = CV_MIN(y->g->exec_sshs->deadline_ms, y->deadline_ms);
}

static void ends_close(int fd[ENDS])
{
	for (int i = 0; i < ENDS; i++)
		if (fd[i] >= 0)
			close(cv_take_fd(fd[i]));
}

static void link_close(run *y)
{
	if (y->link >= 0) {
		cv_loop_remove(&y->g->loop, y->link);
		close(y->link);
	}
	y->link = -1;
}

static void owner_forget(run *y)
{
	if (y->exec)
		y->exec->ssh = NULL;
	if (y->kept)
		y->kept->ssh = NULL;
	y->exec = NULL;
	y->kept = NULL;
}

static void run_free(run *y)
{
	owner_forget(y);
	ends_close(y->ends);
	ends_close(y->inner);
	link_close(y);
	if (y->pidfd >= 0) {
		cv_loop_remove(&y->g->loop, y->pidfd);
		close(y->pidfd);
	}
	cv_ipc_outbox_clear(&y->out);
	cv_buf_wipe(&y->line);
	cv_buf_fini(&y->term);
	cv_buf_fini(&y->keep);
	cv_slots_remove(&y->g->exec_sshs->all, y->ref);
	free(y);
}

void exec_ssh_drop(struct cv_gw_exec_ssh *y)
{
	if (!y)
		return;
	owner_forget(y);
	y->state = SSH_DROPPED;
	y->deadline_ms = 0;
	if (y->pid <= 0)
		run_free(y);
	else if (!y->is_reaped)
		(void)kill(y->pid, SIGKILL);
}

static bool pipe_make(int *ret_read, int *ret_write)
{
	int p[2];

	if (pipe2(p, O_CLOEXEC | O_NONBLOCK) < 0)
		return false;
	*ret_read = p[0];
	*ret_write = p[1];
	return true;
}

static bool terminal_make(run *y)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return false;
	y->ends[OUT] = pair[0];
	y->inner[OUT] = pair[1];
	return true;
}

static bool ends_make(run *y)
{
	if (y->is_tty)
		return terminal_make(y);
	if (y->inner[IN] < 0 && !pipe_make(&y->inner[IN], &y->ends[IN]))
		return false;
	return y->kept || (pipe_make(&y->ends[OUT], &y->inner[OUT]) &&
				  pipe_make(&y->ends[ERR], &y->inner[ERR]));
}

static run *run_new(struct cv_gw_box *b, uint32_t number)
{
	struct cv_gw_exec_sshs *all = b->g->exec_sshs;
	run *y = all->all.count < PROCESSES_MAX ? calloc(1, sizeof(*y)) : NULL;

	if (!y || !cv_slots_add(&all->all, y, &y->ref)) {
		free(y);
		return NULL;
	}
	y->g = b->g;
	y->box = b->ref;
	y->number = number;
	y->link = y->pidfd = -1;
	for (int i = 0; i < ENDS; i++)
		y->ends[i] = y->inner[i] = -1;
	y->rules = (struct cv_ipc_link){ cv_ssh_exec_reply_rule, CV_SSH_EXEC_REPLY_COUNT,
		CV_SSH_EXEC_LINK_OPEN, 0 };
	cv_buf_init(&y->line, CV_GW_EXEC_LINE_MAX + 1024);
	cv_buf_init(&y->term, CV_SSH_EXEC_TERM_MAX);
	cv_buf_init(&y->keep, CV_KEPT_ABOUT_MAX + 64);
	return y;
}

/* ---- to the process ---- */

static void link_watch(run *y)
{
	const uint32_t events = EPOLLIN | (cv_ipc_outbox_is_empty(&y->out) ? 0 : EPOLLOUT);

	if (cv_loop_change(&y->g->loop, y->link, events,
		    (struct cv_watch){
			    CV_GW_WATCH(CV_GW_PART_EXEC_SSH, WATCH_EXEC_LINK), y->ref }) != CV_OK)
		(void)kill(y->pid, SIGKILL);
}

static void process_send(run *y, uint32_t type, struct cv_str body)
{
	const bool was_empty = cv_ipc_outbox_is_empty(&y->out);
	struct cv_err err;

	/* One that does not read, or is gone, is seen by the end of its process. */
	if (y->link < 0 || cv_ipc_outbox_put(&y->out, y->link, type, body, NULL, 0, &err) != CV_OK)
		return;
	if (was_empty && !cv_ipc_outbox_is_empty(&y->out))
		link_watch(y);
}

static void process_send_u32(run *y, uint32_t type, uint32_t v)
{
	struct cv_buf b;

	cv_buf_init(&b, 4);
	cv_ipc_put_u32(&b, v);
	process_send(y, type, cv_buf_str(&b));
	cv_buf_fini(&b);
}

static void process_tell(run *y)
{
	struct cv_buf b;

	for (struct cv_str rest = cv_buf_str(&y->line); rest.n;) {
		const size_t n = CV_MIN(rest.n, (size_t)CV_IPC_BODY_BYTES_MAX);

		process_send(y, CV_SSH_EXEC_REQ_PART, cv_str_slice(rest, 0, n));
		rest = cv_str_slice(rest, n, rest.n);
	}
	cv_buf_wipe(&y->line);
	if (y->kept)
		process_send(y, CV_SSH_EXEC_REQ_KEEP, cv_buf_str(&y->keep));
	cv_buf_init(&b, 128);
	cv_ipc_put_u32(&b, y->is_tty);
	cv_ipc_put_u32(&b, y->size);
	cv_ipc_put_str(&b, cv_buf_str(&y->term));
	process_send(y, CV_SSH_EXEC_REQ_START, cv_buf_str(&b));
	cv_buf_fini(&b);
}

static cv_code process_spawn(run *y, int relay, struct cv_err *err)
{
	int pair[2];
	cv_code code = cv_ipc_pair(pair, err);

	if (code != CV_OK)
		return code;
	const int fds[CV_SSH_EXEC_FDS] = { [0] = -1,
		[1] = -1,
		[2] = 2,
		[CV_SSH_EXEC_LINK_FD] = pair[1],
		[CV_SSH_EXEC_RELAY_FD] = relay,
		[CV_SSH_EXEC_IN_FD] = y->inner[IN],
		[CV_SSH_EXEC_OUT_FD] = y->inner[OUT],
		[CV_SSH_EXEC_ERR_FD] = y->inner[ERR] };
	code = cv_driver_spawn(
		y->g->exec_sshs->exe.p, fds, CV_SSH_EXEC_FDS, &y->pid, &y->pidfd, err);
	close(pair[1]);
	ends_close(y->inner);
	y->link = pair[0];
	(void)fcntl(y->link, F_SETFL, fcntl(y->link, F_GETFL) | O_NONBLOCK);
	return code;
}

static cv_code process_watch(run *y, struct cv_err *err)
{
	const cv_code code = cv_loop_add(&y->g->loop, y->pidfd, EPOLLIN,
		(struct cv_watch){ CV_GW_WATCH(CV_GW_PART_EXEC_SSH, WATCH_EXEC_PROCESS), y->ref },
		err);

	return code != CV_OK ? code
			     : cv_loop_add(&y->g->loop, y->link, EPOLLIN,
				       (struct cv_watch){
					       CV_GW_WATCH(CV_GW_PART_EXEC_SSH, WATCH_EXEC_LINK),
					       y->ref },
				       err);
}

/* ---- what exec.c and kept.c ask ---- */

/* Before it ran; y is dropped. */
static void run_fail(run *y, enum cv_rpc_status s, const char *why)
{
	if (y->exec)
		exec_finish_fail(y->exec, s, why);
	else if (y->kept)
		kept_fail(y->kept, s, why);
}

static void relay_fail(run *y, const char *why)
{
	char text[640];

	(void)snprintf(text, sizeof(text), "supervisor relay failed: %s", why);
	run_fail(y, CV_RPC_UNAVAILABLE, text);
}

static void terminal_of(run *y, const Openshell__V1__ExecSandboxRequest *r)
{
	struct cv_str term = CV_STR("xterm-256color");

	for (size_t i = 0; i < r->n_environment; i++)
		if (!strcmp(r->environment[i]->key, "TERM"))
			term = cv_str_of(r->environment[i]->value);
	cv_buf_put(&y->term, term.n <= CV_SSH_EXEC_TERM_MAX ? term : CV_STR("dumb"));
	y->size = (r->rows ? r->rows : 24) << 16 | (r->cols ? r->cols : 80);
}

/* May be the end of y. */
static void run_start(run *y, struct cv_gw_box *b, const Openshell__V1__ExecSandboxRequest *r)
{
	struct cv_err err;

	y->is_tty = r->tty;
	if (!cv_gw_exec_line_put(r, &y->line)) {
		run_fail(y, CV_RPC_INVALID_ARGUMENT,
			"command and environment are too large: as one string for a shell they "
			"may have 256 KiB");
		return;
	}
	terminal_of(y, r);
	if (!ends_make(y)) {
		run_fail(y, CV_RPC_RESOURCE_EXHAUSTED, "no descriptors");
		return;
	}
	y->channel = forward_channel(b->g);
	const enum cv_rpc_status s = box_dial(b, y->channel, DIAL_SSH, &err);
	if (s != CV_RPC_OK)
		run_fail(y, s, err.msg);
}

#define TOO_MANY "too many commands run over SSH in this gateway"

void exec_ssh_send(struct cv_gw_exec *x, struct cv_gw_box *b)
{
	run *y = run_new(b, x->id);

	if (!y) {
		exec_finish_fail(x, CV_RPC_RESOURCE_EXHAUSTED, TOO_MANY);
		return;
	}
	y->exec = x;
	x->ssh = y;
	run_start(y, b, x->request);
}

void exec_ssh_keep(struct cv_gw_kept *k, struct cv_gw_box *b, int in)
{
	run *y = run_new(b, k->number);

	if (!y) {
		kept_fail(k, CV_RPC_RESOURCE_EXHAUSTED, TOO_MANY);
		return;
	}
	y->kept = k;
	k->ssh = y;
	if (!kept_takes_input(k))
		y->inner[IN] = fcntl(in, F_DUPFD_CLOEXEC, 0);
	cv_ipc_put_u32(&y->keep, k->request->timeout_seconds);
	cv_ipc_put_u32(&y->keep, k->is_start_held);
	cv_ipc_put_str(&y->keep, cv_buf_str(&k->about_bytes));
	run_start(y, b, k->request);
}

void exec_ssh_signal(struct cv_gw_exec_ssh *y, int number)
{
	if (y && y->state == SSH_RUNNING)
		process_send_u32(y, CV_SSH_EXEC_REQ_SIGNAL, (uint32_t)number);
}

void exec_ssh_resize(struct cv_gw_exec_ssh *y, uint32_t rows, uint32_t cols)
{
	if (!y)
		return;
	y->size = rows << 16 | cols;
	if (y->state != SSH_DIALLING)
		process_send_u32(y, CV_SSH_EXEC_REQ_RESIZE, y->size);
}

void exec_ssh_pace(struct cv_gw_exec_ssh *y, uint64_t place)
{
	struct cv_buf b;

	cv_buf_init(&b, 8);
	cv_ipc_put_u64(&b, place);
	process_send(y, CV_SSH_EXEC_REQ_PACE, cv_buf_str(&b));
	cv_buf_fini(&b);
}

/* ---- the connection ---- */

static run *run_find(const struct cv_gw_box *b, uint32_t channel)
{
	const struct cv_slots *all = &b->g->exec_sshs->all;

	for (size_t i = 0; i < all->n; i++) {
		run *y = all->v[i].thing;

		if (y && y->state == SSH_DIALLING && y->channel == channel &&
			y->box.index == b->ref.index && y->box.gen == b->ref.gen)
			return y;
	}
	return NULL;
}

bool exec_ssh_dial_message(struct cv_gw_box *b, uint32_t channel, struct cv_ipc_msg *m)
{
	run *y = run_find(b, channel);
	struct cv_err err;

	if (!y)
		return false;
	if (m->type != CV_GATEWAY_REPLY_DIALLED) {
		relay_fail(y, "it does not connect to its SSH server");
		return true;
	}
	CV_AUTO_FD int relay = cv_take_fd(m->fds[0]);
	cv_code code = process_spawn(y, relay, &err);
	if (code == CV_OK && (code = process_watch(y, &err)) != CV_OK) {
		cv_child_kill(y->pid); /* nobody would hear of its end */
		y->pid = 0;
	}
	if (code != CV_OK) {
		cv_log(CV_LOG_ERROR, "exec", CV_LOG_NONE, "%s", err.msg);
		relay_fail(y, err.msg);
		return true;
	}
	y->state = SSH_STARTING;
	deadline_set(y, EXEC_WAIT_MS);
	process_tell(y);
	return true;
}

/* ---- what the process says ---- */

static void pass_on(run *y, struct cv_ipc_msg *m, const uint32_t *v, size_t n)
{
	struct cv_gw_box *b = cv_gw_box_get(y->g, y->box);
	struct cv_buf body;

	cv_buf_init(&body, 16);
	cv_ipc_put_u32(&body, y->number);
	for (size_t i = 0; i < n; i++)
		cv_ipc_put_u32(&body, v[i]);
	m->body = cv_buf_str(&body);
	if (b && y->exec)
		exec_message(b, m);
	else if (b)
		(void)kept_message(b, m);
	cv_ipc_msg_fini(m);
	cv_buf_fini(&body);
}

static void on_started(run *y)
{
	struct cv_ipc_msg m = { .type = y->is_tty ? CV_GATEWAY_REPLY_STARTED_TTY
						  : CV_GATEWAY_REPLY_STARTED };

	if (y->state != SSH_STARTING)
		return;
	y->state = SSH_RUNNING;
	y->deadline_ms = 0;
	if (y->kept)
		return; /* KEPT follows */
	for (int i = 0; i < ENDS; i++)
		if (y->ends[i] >= 0)
			m.fds[m.fd_count++] = cv_take_fd(y->ends[i]);
	pass_on(y, &m, NULL, 0);
}

/* Its ring; then where input goes. */
static void on_kept(run *y, struct cv_ipc_msg *said)
{
	struct cv_ipc_msg m = { .type = CV_GATEWAY_REPLY_KEPT, .fd_count = said->fd_count };
	struct cv_ipc_msg input = { .type = CV_GATEWAY_REPLY_KEPT_INPUT, .fd_count = 1 };
	const struct cv_ref ref = y->ref;
	struct cv_gateway *g = y->g;
	int *in = y->is_tty ? &y->ends[OUT] : &y->ends[IN];

	if (!y->kept || y->state != SSH_RUNNING)
		return;
	for (size_t i = 0; i < said->fd_count; i++)
		m.fds[i] = cv_take_fd(said->fds[i]);
	pass_on(y, &m, NULL, 0);
	y = cv_slots_get(&g->exec_sshs->all, ref);
	if (!y || !y->kept || *in < 0)
		return;
	input.fds[0] = cv_take_fd(*in);
	pass_on(y, &input, NULL, 0);
}

static void on_failed(run *y, struct cv_str why)
{
	char text[512];

	if (y->state == SSH_RUNNING) {
		if (y->exec)
			exec_cut(y->exec);
		return;
	}
	if (!cv_str_to_cstr(why, text, sizeof(text)))
		text[0] = '\0';
	relay_fail(y, text);
}

static void on_message(run *y, struct cv_ipc_msg *m)
{
	struct cv_ipc_reader r = { .rest = m->body };
	struct cv_ipc_msg exited = { .type = CV_GATEWAY_REPLY_EXITED };
	uint32_t status;

	if (!y->exec && !y->kept)
		return;
	switch ((enum cv_ssh_exec_reply)m->type) {
	case CV_SSH_EXEC_REPLY_STARTED: on_started(y); break;
	case CV_SSH_EXEC_REPLY_EXITED:
		status = cv_ipc_get_u32(&r);
		if (y->state == SSH_RUNNING && y->exec)
			pass_on(y, &exited, &status, 1);
		break;
	case CV_SSH_EXEC_REPLY_FAILED: on_failed(y, cv_ipc_get_str(&r)); break;
	case CV_SSH_EXEC_REPLY_KEPT: on_kept(y, m); break;
	case CV_SSH_EXEC_REPLY_COUNT: break;
	}
}

static void link_read(run *y)
{
	struct cv_err err;

	while (y->link >= 0) {
		struct cv_ipc_msg m = { 0 };
		const cv_code code =
			cv_ipc_recv(y->link, &y->rules, y->g->exec_sshs->recv_buf, &m, &err);

		if (code == CV_UNAVAILABLE)
			return;
		if (code != CV_OK) {
			if (code != CV_NOT_FOUND)
				cv_log(CV_LOG_WARN, "exec", CV_LOG_NONE, "a command over SSH: %s",
					err.msg);
			link_close(y);
			return;
		}
		on_message(y, &m);
		cv_ipc_msg_fini(&m);
	}
}

static void on_process(run *y)
{
	int status = 0;

	if (waitpid(y->pid, &status, WNOHANG) != y->pid)
		return;
	y->is_reaped = true;
	link_read(y); /* what it said last may still be there */
	if (WIFSIGNALED(status) && (y->exec || y->kept))
		cv_log(CV_LOG_WARN, "exec", CV_LOG_NONE,
			"the process of a command over SSH ended by signal %d", WTERMSIG(status));
	struct cv_gw_exec *x = y->exec;
	struct cv_gw_kept *k = y->kept;
	const bool was_running = y->state == SSH_RUNNING;
	run_free(y);
	if (k)
		kept_lose(k, CUT_SHORT);
	if (x && was_running)
		exec_cut(x);
	else if (x)
		exec_finish_fail(x, CV_RPC_UNAVAILABLE, CUT_SHORT);
}

/* ---- the part ---- */

static void part_event(struct cv_gateway *g, const struct cv_loop_event *e)
{
	run *y = cv_slots_get(&g->exec_sshs->all, e->watch.ref);
	struct cv_err err;

	if (!y)
		return;
	if (CV_GW_WATCH_SUB(e->watch.kind) == WATCH_EXEC_PROCESS) {
		on_process(y);
		return;
	}
	if ((e->events & EPOLLOUT) && cv_ipc_outbox_flush(&y->out, y->link, &err) != CV_OK) {
		link_close(y);
		return;
	}
	if (e->events & EPOLLOUT)
		link_watch(y);
	link_read(y);
}

static int64_t part_turn(struct cv_gateway *g)
{
	struct cv_gw_exec_sshs *s = g->exec_sshs;
	int64_t next = INT64_MAX;

	if (g->loop.now_ms < s->deadline_ms)
		return s->deadline_ms;
	for (size_t i = 0; i < s->all.n; i++) {
		run *y = s->all.v[i].thing;

		if (!y || !y->deadline_ms)
			continue;
		if (g->loop.now_ms < y->deadline_ms)
			next = CV_MIN(next, y->deadline_ms);
		else
			relay_fail(y, "its SSH server does not answer");
	}
	s->deadline_ms = next;
	return next;
}

static cv_code part_start(struct cv_gateway *g, struct cv_err *err)
{
	g->exec_sshs = calloc(1, sizeof(*g->exec_sshs));
	if (!g->exec_sshs || !(g->exec_sshs->recv_buf = malloc(CV_IPC_BODY_BYTES_MAX + 8)))
		return cv_fail(err, CV_LIMIT, "no memory");
	g->exec_sshs->deadline_ms = INT64_MAX;
	cv_arena_init(&g->exec_sshs->arena, 64 << 10);
	return cv_driver_program_path(
		"ssh", "cove-ssh-exec", &g->exec_sshs->arena, &g->exec_sshs->exe, err);
}

static void part_stop(struct cv_gateway *g)
{
	struct cv_gw_exec_sshs *s = g->exec_sshs;

	if (!s)
		return;
	for (size_t i = 0; i < s->all.n; i++) {
		run *y = s->all.v[i].thing;

		if (y && y->pid > 0 && !y->is_reaped)
			(void)kill(y->pid, SIGKILL);
		if (y)
			run_free(y);
	}
	cv_slots_fini(&s->all);
	cv_arena_fini(&s->arena);
	free(s->recv_buf);
	free(s);
	g->exec_sshs = NULL;
}

const struct cv_gw_part cv_gw_part_exec_ssh = {
	.name = "exec_ssh",
	.start = part_start,
	.stop = part_stop,
	.event = part_event,
	.turn = part_turn,
};
