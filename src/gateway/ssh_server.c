/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ssh_server.c - a cove-ssh for each SSH connection, and what it asks for (ipc/ssh_link.h)
 *
 *     cove-ssh ──START, channel──► here ──EXEC, id──► supervisor
 *              ◄──STARTED, ends──       ◄──STARTED, ends──
 *
 * The process names channels, we name commands: it can mean nothing but what it asked for itself.
 * When it ends, however, its commands end as those of any client that went away (exec.c).
 */
#include "gateway/ssh_int.h"

#include "gateway/log.h"
#include "driver/spawn.h"
#include "plan/exec.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define MESSAGES_TURN_MAX 64
#define REPLAY_CHUNK      (32u << 10)

/* ---- to cove-ssh ---- */

static void link_close(struct cv_gw_ssh_server *s);

/* Not now: who calls may need s. */
static void link_break(struct cv_gw_ssh_server *s)
{
	s->deadline_ms = s->g->loop.now_ms;
	s->g->ssh->deadline_ms = CV_MIN(s->g->ssh->deadline_ms, s->deadline_ms);
}

/* Interest is whether something waits. */
static void link_watch(struct cv_gw_ssh_server *s)
{
	const uint32_t events = EPOLLIN | (cv_ipc_outbox_is_empty(&s->out) ? 0 : EPOLLOUT);

	if (cv_loop_change(&s->g->loop, s->link, events,
		    (struct cv_watch){ CV_GW_WATCH(CV_GW_PART_SSH, WATCH_SSH_LINK), s->ref }) !=
		CV_OK)
		link_break(s);
}

static void server_send(struct cv_gw_ssh_server *s, uint32_t type, struct cv_str body,
	const int *fds, size_t fd_count)
{
	const bool was_empty = cv_ipc_outbox_is_empty(&s->out);
	struct cv_err err;

	if (s->link < 0)
		return;
	if (cv_ipc_outbox_put(&s->out, s->link, type, body, fds, fd_count, &err) != CV_OK) {
		cv_log(CV_LOG_WARN, "ssh", CV_LOG_NONE, "a connection breaks: %s", err.msg);
		link_break(s);
	} else if (was_empty && !cv_ipc_outbox_is_empty(&s->out)) {
		link_watch(s);
	}
}

static void channel_send(struct cv_gw_ssh_server *s, uint32_t type, uint32_t channel,
	const uint32_t *value, const int *fds, size_t fd_count)
{
	struct cv_buf b;

	cv_buf_init(&b, 16);
	cv_ipc_put_u32(&b, channel);
	if (value)
		cv_ipc_put_u32(&b, *value);
	server_send(s, type, cv_buf_str(&b), fds, fd_count);
	cv_buf_fini(&b);
}

static void failed_send(
	struct cv_gw_ssh_server *s, uint32_t channel, uint32_t error, struct cv_str why)
{
	struct cv_buf b;

	cv_buf_init(&b, 4096);
	cv_ipc_put_u32(&b, channel);
	cv_ipc_put_u32(&b, error);
	cv_ipc_put_str(&b, cv_str_slice(why, 0, CV_MIN(why.n, (size_t)4000)));
	server_send(s, CV_SSH_REPLY_FAILED, cv_buf_str(&b), NULL, 0);
	cv_buf_fini(&b);
}

/* ---- commands ---- */

static struct ssh_command *command_of(struct cv_gw_ssh_server *s, uint32_t channel)
{
	for (size_t i = 0; i < SSH_SERVER_COMMANDS_MAX; i++)
		if (s->commands[i].kind != SSH_FREE && s->commands[i].channel == channel)
			return &s->commands[i];
	return NULL;
}

static struct ssh_command *command_new(
	struct cv_gw_ssh_server *s, enum ssh_command_kind kind, uint32_t channel, uint32_t id)
{
	for (size_t i = 0; i < SSH_SERVER_COMMANDS_MAX; i++)
		if (s->commands[i].kind == SSH_FREE) {
			s->commands[i] = (struct ssh_command){ kind, channel, id, false };
			return &s->commands[i];
		}
	return NULL;
}

/* A command or a connection of any cove-ssh of the box. */
static struct ssh_command *command_find(
	struct cv_gw_box *b, enum ssh_command_kind kind, uint32_t id, struct cv_gw_ssh_server **ret)
{
	const struct cv_slots *all = &b->g->ssh->all;

	for (size_t i = 0; i < all->n; i++) {
		struct cv_gw_ssh_server *s = all->v[i].thing;

		if (!s || s->box.index != b->ref.index || s->box.gen != b->ref.gen)
			continue;
		for (size_t k = 0; k < SSH_SERVER_COMMANDS_MAX; k++)
			if (s->commands[k].kind == kind && s->commands[k].id == id) {
				*ret = s;
				return &s->commands[k];
			}
	}
	return NULL;
}

/* The client wants it no more, or is gone. */
static void command_end(struct cv_gw_ssh_server *s, struct ssh_command *x)
{
	const struct ssh_command was = *x;
	struct cv_gw_box *b = cv_gw_box_get(s->g, s->box);

	x->kind = SSH_FREE;
	if (b && was.kind == SSH_ATTACHED)
		exec_main_return(b);
	else if (b && was.kind == SSH_EXEC)
		exec_orphan(b, was.id, was.is_running);
}

static void start(struct cv_gw_ssh_server *s, struct cv_gw_box *b, uint32_t channel,
	uint32_t ssh_flags, uint32_t size)
{
	const uint32_t flags = ssh_flags & CV_SSH_START_TTY ? (uint32_t)CV_GATEWAY_EXEC_TTY : 0;
	struct ssh_command *x = NULL;

	if (s->parts.is_overflown)
		failed_send(s, channel, E2BIG, CV_STR("command and environment are too large"));
	else if (!(x = command_new(s, SSH_EXEC, channel, exec_id_next(b))))
		failed_send(s, channel, EAGAIN, CV_STR("too many commands in this connection"));
	else if (!exec_bytes_send(b, x->id, flags, size, cv_buf_str(&s->parts))) {
		x->kind = SSH_FREE;
		failed_send(s, channel, EAGAIN, CV_STR("the sandbox cannot be reached now"));
	}
	cv_buf_wipe(&s->parts);
	cv_buf_init(&s->parts, CV_PLAN_EXEC_BYTES_MAX);
}

static void replay_send(struct cv_gw_ssh_server *s, uint32_t channel, struct cv_str bytes)
{
	struct cv_buf b;

	for (; bytes.n;
		bytes = cv_str_slice(bytes, CV_MIN(bytes.n, (size_t)REPLAY_CHUNK), bytes.n)) {
		cv_buf_init(&b, REPLAY_CHUNK + 16);
		cv_ipc_put_u32(&b, channel);
		cv_buf_put(&b, cv_str_slice(bytes, 0, CV_MIN(bytes.n, (size_t)REPLAY_CHUNK)));
		server_send(s, CV_SSH_REPLY_REPLAY, cv_buf_str(&b), NULL, 0);
		cv_buf_fini(&b);
	}
}

/* The ends of the main command are lent to one client at a time, which reads and writes them. */
static void attach(struct cv_gw_ssh_server *s, struct cv_gw_box *b, uint32_t channel)
{
	struct cv_gw_exec *x = exec_find(b, MAIN_ID);
	CV_AUTO_FD int null = -1;

	if (x && !x->is_lent) {
		exec_advance(x); /* what waits in its pipes belongs to the replay */
		x = exec_find(b, MAIN_ID);
	}
	if (!x || x->state != EXEC_RUNNING || x->fd[OUT] < 0) {
		failed_send(
			s, channel, EAGAIN, CV_STR("the main command has no terminal or pipes"));
		return;
	}
	if (x->is_lent) {
		failed_send(
			s, channel, EBUSY, CV_STR("somebody else is attached to the main command"));
		return;
	}
	if (!command_new(s, SSH_ATTACHED, channel, MAIN_ID)) {
		failed_send(s, channel, EAGAIN, CV_STR("too many commands in this connection"));
		return;
	}
	x->is_lent = true;
	replay_send(s, channel, cv_buf_str(&x->replay));
	if (x->is_tty) {
		channel_send(s, CV_SSH_REPLY_STARTED_TTY, channel, NULL, &x->fd[OUT], 1);
		return;
	}
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	const int fds[] = { x->fd[IN] < 0 ? null : x->fd[IN], x->fd[OUT],
		x->fd[ERR] < 0 ? null : x->fd[ERR] };
	channel_send(s, CV_SSH_REPLY_STARTED, channel, NULL, fds, 3);
}

static void dial(struct cv_gw_ssh_server *s, struct cv_gw_box *b, uint32_t channel, uint32_t port)
{
	const uint32_t refused = ECONNREFUSED;
	struct ssh_command *x = port && port <= UINT16_MAX ? command_new(s, SSH_DIALLING, channel,
								     forward_channel(s->g))
							   : NULL;
	struct cv_err err;

	if (x && box_dial(b, x->id, port, &err) == CV_RPC_OK)
		return;
	if (x)
		x->kind = SSH_FREE;
	channel_send(s, CV_SSH_REPLY_NOT_DIALLED, channel, &refused, NULL, 0);
}

static void signal_on(struct cv_gw_ssh_server *s, struct cv_gw_box *b, uint32_t channel, uint32_t n)
{
	const struct ssh_command *x = command_of(s, channel);
	const uint32_t v[] = { x ? x->id : 0, n };

	if (x && x->kind != SSH_DIALLING && n > 0 && n < NSIG)
		(void)cv_gw_box_send_u32s(b, CV_GATEWAY_REQ_SIGNAL, v, 2);
}

static void stdin_end(struct cv_gw_ssh_server *s, struct cv_gw_box *b, uint32_t channel)
{
	const struct ssh_command *x = command_of(s, channel);

	if (x && x->kind == SSH_EXEC)
		(void)cv_gw_box_send_u32s(b, CV_GATEWAY_REQ_STDIN_END, &x->id, 1);
}

static void on_message(struct cv_gw_ssh_server *s, struct cv_gw_box *b, const struct cv_ipc_msg *m)
{
	struct cv_ipc_reader r = { .rest = m->body };
	struct ssh_command *x;

	if (m->type == CV_SSH_REQ_PART) {
		cv_buf_put(&s->parts, m->body);
		return;
	}
	const uint32_t channel = cv_ipc_get_u32(&r);
	const uint32_t a = r.rest.n ? cv_ipc_get_u32(&r) : 0;
	const uint32_t size = r.rest.n ? cv_ipc_get_u32(&r) : 0;
	switch ((enum cv_ssh_req)m->type) {
	case CV_SSH_REQ_START: start(s, b, channel, a, size); break;
	case CV_SSH_REQ_ATTACH: attach(s, b, channel); break;
	case CV_SSH_REQ_SIGNAL: signal_on(s, b, channel, a); break;
	case CV_SSH_REQ_STDIN_END: stdin_end(s, b, channel); break;
	case CV_SSH_REQ_END:
		x = command_of(s, channel);
		if (x)
			command_end(s, x);
		break;
	case CV_SSH_REQ_DIAL: dial(s, b, channel, a); break;
	case CV_SSH_REQ_PART:
	case CV_SSH_REQ_COUNT: break;
	}
}

/* ---- what supervisors say ---- */

bool cv_gw_ssh_exec_message(struct cv_gw_box *b, uint32_t id, struct cv_ipc_msg *m)
{
	const uint32_t settled[] = { m->type, id };
	struct cv_ipc_reader r = { .rest = m->body };
	struct cv_gw_ssh_server *s;
	struct ssh_command *x = command_find(b, SSH_EXEC, id, &s);

	if (!x)
		return false;
	(void)cv_ipc_get_u32(&r); /* the id */
	const uint32_t second = cv_ipc_get_u32(&r);
	if (m->type == CV_GATEWAY_REPLY_STARTED || m->type == CV_GATEWAY_REPLY_STARTED_TTY) {
		if (!x->is_running) /* else told again: the ends are those that it has */
			channel_send(s,
				m->type == CV_GATEWAY_REPLY_STARTED ? CV_SSH_REPLY_STARTED
								    : CV_SSH_REPLY_STARTED_TTY,
				x->channel, NULL, m->fds, m->fd_count);
		x->is_running = true;
		return true;
	}
	(void)cv_gw_box_send_u32s(b, CV_GATEWAY_REQ_SETTLED, settled, 2);
	const uint32_t channel = x->channel;
	x->kind = SSH_FREE;
	if (m->type == CV_GATEWAY_REPLY_EXITED) {
		channel_send(s, CV_SSH_REPLY_EXITED, channel, &second, NULL, 0);
	} else { /* second was the stage */
		const uint32_t error = cv_ipc_get_u32(&r);

		failed_send(s, channel, error, cv_ipc_get_str(&r));
	}
	return true;
}

bool cv_gw_ssh_dial_message(struct cv_gw_box *b, uint32_t channel, struct cv_ipc_msg *m)
{
	struct cv_ipc_reader r = { .rest = m->body };
	struct cv_gw_ssh_server *s;
	struct ssh_command *x = command_find(b, SSH_DIALLING, channel, &s);

	if (!x)
		return false;
	x->kind = SSH_FREE;
	if (m->type == CV_GATEWAY_REPLY_DIALLED) {
		channel_send(s, CV_SSH_REPLY_DIALLED, x->channel, NULL, m->fds, m->fd_count);
		return true;
	}
	(void)cv_ipc_get_u32(&r);
	const uint32_t error = cv_ipc_get_u32(&r);
	channel_send(s, CV_SSH_REPLY_NOT_DIALLED, x->channel, &error, NULL, 0);
	return true;
}

void cv_gw_ssh_main_exited(struct cv_gw_box *b, uint32_t status)
{
	struct cv_gw_ssh_server *s;
	struct ssh_command *x = command_find(b, SSH_ATTACHED, MAIN_ID, &s);

	if (!x)
		return;
	x->kind = SSH_FREE;
	channel_send(s, CV_SSH_REPLY_EXITED, x->channel, &status, NULL, 0);
}

/* What was asked for and never confirmed may not have arrived. */
void cv_gw_ssh_link_lost(struct cv_gw_box *b)
{
	const struct cv_slots *all = &b->g->ssh->all;

	for (size_t i = 0; i < all->n; i++) {
		struct cv_gw_ssh_server *s = all->v[i].thing;

		if (!s || s->box.index != b->ref.index || s->box.gen != b->ref.gen)
			continue;
		for (size_t k = 0; k < SSH_SERVER_COMMANDS_MAX; k++) {
			struct ssh_command *x = &s->commands[k];
			const uint32_t lost = ECONNRESET;

			if (x->kind == SSH_EXEC && !x->is_running)
				failed_send(s, x->channel, EAGAIN,
					CV_STR("the sandbox cannot be reached now"));
			else if (x->kind == SSH_DIALLING)
				channel_send(
					s, CV_SSH_REPLY_NOT_DIALLED, x->channel, &lost, NULL, 0);
			else
				continue;
			x->kind = SSH_FREE;
		}
	}
}

void cv_gw_ssh_ended(struct cv_gw_box *b)
{
	const struct cv_slots *all = &b->g->ssh->all;

	for (size_t i = 0; i < all->n; i++) {
		struct cv_gw_ssh_server *s = all->v[i].thing;

		if (s && s->box.index == b->ref.index && s->box.gen == b->ref.gen) {
			for (size_t k = 0; k < SSH_SERVER_COMMANDS_MAX; k++)
				s->commands[k].kind = SSH_FREE;
			link_close(s);
		}
	}
}

/* ---- the process ---- */

/* It ends when its link does. */
static void link_close(struct cv_gw_ssh_server *s)
{
	if (s->link < 0)
		return;
	cv_loop_remove(&s->g->loop, s->link);
	close(s->link);
	s->link = -1;
	cv_ipc_outbox_clear(&s->out);
	for (size_t i = 0; i < SSH_SERVER_COMMANDS_MAX; i++)
		if (s->commands[i].kind != SSH_FREE)
			command_end(s, &s->commands[i]);
	s->deadline_ms = s->g->loop.now_ms + SSH_CLOSE_MS;
	s->g->ssh->deadline_ms = CV_MIN(s->g->ssh->deadline_ms, s->deadline_ms);
}

void ssh_server_free(struct cv_gw_ssh_server *s)
{
	struct cv_gw_ssh *all = s->g->ssh;

	link_close(s);
	if (s->pidfd >= 0) {
		cv_loop_remove(&s->g->loop, s->pidfd);
		close(s->pidfd);
	}
	cv_slots_remove(&all->all, s->ref);
	cv_buf_wipe(&s->parts);
	free(s);
}

static cv_code process_spawn(
	struct cv_gw_ssh_server *s, const char *sandbox, int client, struct cv_err *err)
{
	char fingerprint[SSH_FINGERPRINT_BYTES];
	CV_AUTO_FD int key = -1;
	struct cv_buf pem;
	int pair[2];

	cv_buf_init(&pem, 4096);
	cv_code code = ssh_key(s->g, sandbox, &pem, fingerprint, err);
	if (code == CV_OK)
		code = cv_ipc_memfd("host key", cv_buf_str(&pem), &key, err);
	cv_buf_wipe(&pem);
	if (code == CV_OK)
		code = cv_ipc_pair(pair, err);
	if (code != CV_OK)
		return code;
	const int fds[CV_SSH_FDS] = { [0] = -1,
		[1] = -1,
		[2] = 2,
		[CV_SSH_LINK_FD] = pair[1],
		[CV_SSH_CLIENT_FD] = client,
		[CV_SSH_KEY_FD] = key };
	code = cv_driver_spawn(s->g->ssh->exe.p, fds, CV_SSH_FDS, &s->pid, &s->pidfd, err);
	close(pair[1]);
	s->link = pair[0];
	return code;
}

static cv_code watch_all(struct cv_gw_ssh_server *s, struct cv_err *err)
{
	(void)fcntl(s->link, F_SETFL, fcntl(s->link, F_GETFL) | O_NONBLOCK);
	const cv_code code = cv_loop_add(&s->g->loop, s->pidfd, EPOLLIN,
		(struct cv_watch){ CV_GW_WATCH(CV_GW_PART_SSH, WATCH_SSH_PROCESS), s->ref }, err);

	return code != CV_OK
		       ? code
		       : cv_loop_add(&s->g->loop, s->link, EPOLLIN,
				 (struct cv_watch){
					 CV_GW_WATCH(CV_GW_PART_SSH, WATCH_SSH_LINK), s->ref },
				 err);
}

cv_code ssh_server_start(struct cv_gw_box *b, const char *token_hash, int *ret_fd,
	struct cv_ref *ret, struct cv_err *err)
{
	struct cv_gw_ssh_server *s = calloc(1, sizeof(*s));
	int ends[2];

	if (!s || !cv_slots_add(&b->g->ssh->all, s, &s->ref)) {
		free(s);
		return cv_fail(err, CV_LIMIT, "no memory");
	}
	s->g = b->g;
	s->box = b->ref;
	s->link = s->pidfd = -1;
	s->rules = (struct cv_ipc_link){ cv_ssh_req_rule, CV_SSH_REQ_COUNT, CV_SSH_LINK_OPEN, 0 };
	cv_buf_init(&s->parts, CV_PLAN_EXEC_BYTES_MAX);
	memcpy(s->token, token_hash, sizeof(s->token));
	cv_code code = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0
			       ? cv_fail_errno(err, "socketpair")
			       : CV_OK;
	if (code == CV_OK) {
		code = process_spawn(s, b->object->id, ends[1], err);
		close(ends[1]);
		if (code == CV_OK)
			code = watch_all(s, err);
		if (code != CV_OK)
			close(ends[0]);
	}
	if (code != CV_OK) {
		ssh_server_free(s);
		return code;
	}
	s->is_open = true;
	*ret = s->ref;
	*ret_fd = ends[0];
	return CV_OK;
}

/* ForwardTcp is over; it has closed its end, which ends the process. */
void cv_gw_ssh_close(struct cv_gateway *g, struct cv_ref ref)
{
	struct cv_gw_ssh_server *s = g->ssh ? cv_slots_get(&g->ssh->all, ref) : NULL;

	if (!s)
		return;
	s->is_open = false;
	link_close(s);
}

/* ---- events ---- */

static void on_process(struct cv_gw_ssh_server *s)
{
	int status = 0;

	if (waitpid(s->pid, &status, WNOHANG) != s->pid)
		return;
	if (WIFSIGNALED(status))
		cv_log(CV_LOG_WARN, "ssh", CV_LOG_NONE, "a connection's process ended by signal %d",
			WTERMSIG(status));
	ssh_server_free(s);
}

static void on_link(struct cv_gw_ssh_server *s, uint32_t events)
{
	struct cv_gw_box *b = cv_gw_box_get(s->g, s->box);
	struct cv_err err;

	if ((events & EPOLLOUT) && cv_ipc_outbox_flush(&s->out, s->link, &err) != CV_OK) {
		link_close(s);
		return;
	}
	if ((events & EPOLLOUT) && cv_ipc_outbox_is_empty(&s->out))
		link_watch(s);
	for (int i = 0; b && i < MESSAGES_TURN_MAX; i++) {
		struct cv_ipc_msg m = { 0 };
		const cv_code code = cv_ipc_recv(s->link, &s->rules, s->g->ssh->recv_buf, &m, &err);

		if (code == CV_UNAVAILABLE)
			return;
		if (code != CV_OK) {
			if (code != CV_NOT_FOUND)
				cv_log(CV_LOG_WARN, "ssh", CV_LOG_NONE,
					"a connection is closed: %s", err.msg);
			link_close(s);
			return;
		}
		on_message(s, b, &m);
		cv_ipc_msg_fini(&m);
	}
	if (!b)
		link_close(s);
}

void ssh_server_event(struct cv_gateway *g, const struct cv_loop_event *e)
{
	struct cv_gw_ssh_server *s = cv_slots_get(&g->ssh->all, e->watch.ref);

	if (!s)
		return;
	if (CV_GW_WATCH_SUB(e->watch.kind) == WATCH_SSH_PROCESS)
		on_process(s);
	else if (s->link >= 0)
		on_link(s, e->events);
}

/* Processes that do not end. */
int64_t ssh_server_turn(struct cv_gateway *g)
{
	struct cv_gw_ssh *all = g->ssh;
	int64_t next = INT64_MAX;

	if (g->loop.now_ms < all->deadline_ms)
		return all->deadline_ms;
	for (size_t i = 0; i < all->all.n; i++) {
		struct cv_gw_ssh_server *s = all->all.v[i].thing;

		if (!s || !s->deadline_ms)
			continue;
		if (g->loop.now_ms < s->deadline_ms) {
			next = CV_MIN(next, s->deadline_ms);
			continue;
		}
		s->deadline_ms = 0;
		(void)kill(s->pid, SIGKILL); /* not waited for yet: the number is its own */
	}
	all->deadline_ms = next;
	return next;
}
