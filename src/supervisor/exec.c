/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec.c - commands by number, in the service of a gateway
 *
 *     EXEC --merge with the plan's command--> RUN --STARTED--> ends to the gateway --EXITED--> kept
 *                                              |
 *                                              +--FAILED--> kept
 *
 * Pipes are made here and a terminal inside; the outer ends are kept here as well as handed out, so
 * that a command lives on when the gateway that had them is gone.  A record is given up when the
 * gateway has settled its end; one whose end came while nobody was there is told then.
 *
 * Nothing is sent before the sandbox stands: what is asked for earlier is refused.
 */
#include "supervisor/supervisor.h"

#include "plan/exec.h"
#include "supervisor/limits.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>

#define TEXT_BYTES_MAX 4000 /* of FAILED, whose body is 4096 */

enum exec_state { EXEC_FREE, EXEC_SENT, EXEC_RUNNING, EXEC_FAILED, EXEC_EXITED };

struct exec {
	uint32_t id;
	enum exec_state state;
	bool is_tty, is_mute; /* mute: a main command whose ends nobody gets */
	int end[3];           /* stdin, stdout, stderr; or the terminal; -1 */
	uint32_t pid, status;
	uint32_t stage, error; /* of FAILED */
	char *why;
	struct kept *kept; /* NULL: its ends are given away */
};

static struct exec *find(struct supervisor *s, uint32_t id)
{
	for (size_t i = 0; i <= SUP_EXECS_MAX; i++)
		if (s->service.execs[i].state != EXEC_FREE && s->service.execs[i].id == id)
			return &s->service.execs[i];
	return NULL;
}

static void ends_close(struct exec *x)
{
	for (int i = 0; i < 3; i++) {
		cv_fd_cleanup(&x->end[i]);
		x->end[i] = -1;
	}
}

static void give_up(struct supervisor *s, struct exec *x)
{
	ends_close(x);
	free(x->why);
	kept_free(s, x->kept);
	*x = (struct exec){ 0 };
	s->service.exec_count--;
}

static struct exec *record_new(struct supervisor *s, uint32_t id)
{
	const bool is_main = id == SERVICE_MAIN_ID;

	/* One place is the main command's. */
	if (!is_main && s->service.exec_count >= SUP_EXECS_MAX)
		return NULL;
	for (size_t i = 0; i <= SUP_EXECS_MAX; i++) {
		struct exec *x = &s->service.execs[i];

		if (x->state != EXEC_FREE)
			continue;
		*x = (struct exec){ .id = id, .state = EXEC_SENT, .end = { -1, -1, -1 } };
		s->service.exec_count++;
		return x;
	}
	return NULL;
}

/* ---- what the gateway is told ---- */

static void failed_tell(
	struct supervisor *s, uint32_t id, uint32_t stage, uint32_t error, const char *why)
{
	struct cv_buf b;

	cv_buf_init(&b, 4096);
	cv_ipc_put_u32(&b, id);
	cv_ipc_put_u32(&b, stage);
	cv_ipc_put_u32(&b, error);
	cv_ipc_put_str(&b, cv_str_slice(cv_str_of(why), 0, TEXT_BYTES_MAX));
	service_tell(s, CV_GATEWAY_REPLY_FAILED, cv_buf_str(&b), NULL, 0);
	cv_buf_fini(&b);
}

static void numbers_tell(struct supervisor *s, uint32_t type, uint32_t a, uint32_t second,
	const int *fds, size_t fd_count)
{
	struct cv_buf b;

	cv_buf_init(&b, 8);
	cv_ipc_put_u32(&b, a);
	cv_ipc_put_u32(&b, second);
	service_tell(s, type, cv_buf_str(&b), fds, fd_count);
	cv_buf_fini(&b);
}

static void started_tell(struct supervisor *s, struct exec *x)
{
	int fds[3] = { x->end[0], x->end[1], x->end[2] };

	if (x->is_mute)
		return;
	if (x->is_tty) {
		numbers_tell(s, CV_GATEWAY_REPLY_STARTED_TTY, x->id, x->pid, fds, 1);
		return;
	}
	/* After STDIN_END there is none to be had, and the message brings three. */
	CV_AUTO_FD int null = fds[0] < 0 ? open("/dev/null", O_WRONLY | O_CLOEXEC) : -1;
	if (fds[0] < 0)
		fds[0] = null;
	numbers_tell(s, CV_GATEWAY_REPLY_STARTED, x->id, x->pid, fds, 3);
}

static void tell(struct supervisor *s, struct exec *x)
{
	if (x->kept)
		return; /* all that becomes of it is in its ring */
	switch (x->state) {
	case EXEC_RUNNING: started_tell(s, x); break;
	case EXEC_FAILED: failed_tell(s, x->id, x->stage, x->error, x->why ? x->why : ""); break;
	case EXEC_EXITED:
		numbers_tell(s, CV_GATEWAY_REPLY_EXITED, x->id, x->status, NULL, 0);
		break;
	case EXEC_FREE:
	case EXEC_SENT: break;
	}
}

/* What it printed may not have been read by anybody yet: so its ends come first. */
void exec_retell(struct supervisor *s)
{
	for (size_t i = 0; i <= SUP_EXECS_MAX; i++) {
		struct exec *x = &s->service.execs[i];

		if (x->state != EXEC_FREE && x->kept)
			kept_tell(s, x->kept);
		if (x->state == EXEC_EXITED && x->end[x->is_tty ? 0 : 1] >= 0)
			started_tell(s, x);
		tell(s, x);
	}
}

void exec_settled(struct supervisor *s, uint32_t id)
{
	struct exec *x = find(s, id);

	if (!x || (x->kept && !kept_is_over(x->kept)))
		return;
	if (x->state == EXEC_FAILED || x->state == EXEC_EXITED) {
		give_up(s, x);
	} else if (x->kept) { /* one that could not be killed: its exit is told when it comes */
		kept_free(s, x->kept);
		x->kept = NULL;
	}
}

/* ---- a command is started ---- */

struct stdio {
	int inner[3], outer[3];
};

static void stdio_close(struct stdio *io)
{
	for (int i = 0; i < 3; i++) {
		cv_fd_cleanup(&io->inner[i]);
		cv_fd_cleanup(&io->outer[i]);
	}
}

static bool stdio_make(struct stdio *io, bool has_stdin)
{
	*io = (struct stdio){ { -1, -1, -1 }, { -1, -1, -1 } };
	for (int i = 0; i < 3; i++) {
		int pair[2] = { -1, -1 };

		if (i == 0 && !has_stdin) {
			io->inner[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
			if (io->inner[0] < 0)
				return false;
			continue;
		}
		if (pipe2(pair, O_CLOEXEC) < 0)
			return false;
		io->inner[i] = pair[i == 0 ? 0 : 1];
		io->outer[i] = pair[i == 0 ? 1 : 0];
	}
	return true;
}

static cv_code run_send(struct supervisor *s, struct exec *x, struct cv_str command, uint32_t flags,
	uint32_t size, struct cv_err *err)
{
	struct stdio io;
	cv_code code = inside_parts(s, command, err);

	x->is_tty = flags & CV_GATEWAY_EXEC_TTY;
	if (code == CV_OK && x->is_tty)
		return inside_run(s, x->id, size, NULL, err);
	if (code == CV_OK && !stdio_make(&io, !(flags & CV_GATEWAY_EXEC_NO_STDIN)))
		code = cv_fail_errno(err, "make pipes");
	else if (code == CV_OK)
		code = inside_run(s, x->id, 0, io.inner, err);
	else
		return code;
	for (int i = 0; code == CV_OK && i < 3; i++)
		x->end[i] = cv_take_fd(io.outer[i]);
	stdio_close(&io);
	return code;
}

/* The bytes of EXEC as a command of this sandbox, for cove-init. */
static cv_code merge(struct supervisor *s, struct cv_buf *out, struct cv_err *err)
{
	struct cv_plan_command command;
	struct cv_plan_exec exec;
	struct cv_arena arena;

	if (s->service.parts.is_overflown)
		return cv_fail(err, CV_LIMIT, "arguments and variables exceed %u bytes",
			SUP_PARTS_BYTES_MAX);
	cv_arena_init(&arena, SUP_EXEC_ARENA_MAX);
	cv_code code = cv_plan_exec_get(cv_buf_str(&s->service.parts), &arena, &exec, err);
	if (code == CV_OK)
		code = cv_plan_exec_command(&exec, &s->plan.command, &arena, &command, err);
	if (code == CV_OK && !cv_plan_command_put(out, &command))
		code = cv_fail(err, CV_LIMIT, "arguments and variables are too long");
	cv_arena_fini(&arena);
	return code;
}

static uint32_t errno_of(cv_code code, const struct cv_err *err)
{
	return err->sys ? (uint32_t)err->sys : code == CV_LIMIT ? E2BIG : EINVAL;
}

void exec_part(struct supervisor *s, struct cv_str bytes)
{
	cv_buf_put(&s->service.parts, bytes);
}

static void start(struct supervisor *s, struct exec *x, uint32_t flags, uint32_t size)
{
	struct cv_err err = { 0 };
	struct cv_buf command;

	cv_buf_init(&command, CV_PLAN_BYTES_MAX);
	cv_code code = merge(s, &command, &err);
	if (code == CV_OK)
		code = run_send(s, x, cv_buf_str(&command), flags, size, &err);
	cv_buf_wipe(&command);
	if (code != CV_OK)
		exec_failed(
			s, x->id, CV_INIT_STAGE_BUILD, errno_of(code, &err), cv_str_of(err.msg));
}

static const char *stands_not(const struct supervisor *s)
{
	return s->service.is_ended ? "the sandbox has ended" : "the sandbox does not stand yet";
}

void exec_run(struct supervisor *s, struct cv_str body)
{
	struct cv_ipc_reader r = { .rest = body };
	const uint32_t id = cv_ipc_get_u32(&r), flags = cv_ipc_get_u32(&r),
		       size = cv_ipc_get_u32(&r);
	struct exec *x = NULL;

	if (r.is_bad || id <= SERVICE_MAIN_ID || find(s, id))
		say("the gateway's command %u has a number that is not free", id);
	else if (!s->service.is_ready)
		failed_tell(s, id, CV_INIT_STAGE_BUILD, EAGAIN, stands_not(s));
	else if (!(x = record_new(s, id)))
		failed_tell(
			s, id, CV_INIT_STAGE_BUILD, EAGAIN, "too many commands in this sandbox");
	else
		start(s, x, flags, size);
	cv_buf_wipe(&s->service.parts);
	cv_buf_init(&s->service.parts, SUP_PARTS_BYTES_MAX);
}

/* Its pipes are read here.  in: its stdin, if that is no pipe of ours. */
static cv_code kept_run(struct supervisor *s, struct exec *x, struct cv_str command, uint32_t flags,
	int *in, struct cv_err *err)
{
	const bool has_stdin = flags & CV_GATEWAY_KEPT_STDIN;
	struct stdio io;
	cv_code code = inside_parts(s, command, err);

	if (code != CV_OK)
		return code;
	if (!stdio_make(&io, has_stdin))
		code = cv_fail_errno(err, "make pipes");
	if (code == CV_OK && !has_stdin) {
		cv_fd_cleanup(&io.inner[0]);
		io.inner[0] = cv_take_fd(*in);
	}
	if (code == CV_OK)
		code = inside_run(s, x->id, 0, io.inner, err);
	if (code == CV_OK)
		code = kept_pipes(x->kept, io.outer + 1, err);
	if (code == CV_OK) {
		io.outer[1] = io.outer[2] = -1; /* taken */
		if (has_stdin)
			kept_input(s, x->kept, cv_take_fd(io.outer[0]));
	}
	stdio_close(&io);
	return code;
}

static cv_code kept_run_tty(struct supervisor *s, struct exec *x, struct cv_str command,
	uint32_t size, struct cv_err *err)
{
	const cv_code code = inside_parts(s, command, err);

	x->is_tty = true;
	return code == CV_OK ? inside_run(s, x->id, size, NULL, err) : code;
}

static void kept_start(struct supervisor *s, struct exec *x, uint32_t flags, uint32_t size, int *in)
{
	struct cv_err err = { 0 };
	struct cv_buf command;

	cv_buf_init(&command, CV_PLAN_BYTES_MAX);
	cv_code code = merge(s, &command, &err);
	if (code == CV_OK)
		code = flags & CV_GATEWAY_KEPT_TTY
			       ? kept_run_tty(s, x, cv_buf_str(&command), size, &err)
			       : kept_run(s, x, cv_buf_str(&command), flags, in, &err);
	cv_buf_wipe(&command);
	if (code != CV_OK)
		exec_failed(
			s, x->id, CV_INIT_STAGE_BUILD, errno_of(code, &err), cv_str_of(err.msg));
}

void exec_kept(struct supervisor *s, struct cv_str body, int in)
{
	struct cv_ipc_reader r = { .rest = body };
	const uint32_t id = cv_ipc_get_u32(&r), seconds = cv_ipc_get_u32(&r);
	const uint32_t flags = cv_ipc_get_u32(&r);
	const struct cv_str about = cv_ipc_get_str(&r);
	const uint32_t size = r.rest.n ? cv_ipc_get_u32(&r) : 0; /* gateways before had none */
	CV_AUTO_FD int stdin_fd = in;
	struct cv_err err = { 0 };
	struct exec *x = NULL;

	if (r.is_bad || id <= SERVICE_MAIN_ID || find(s, id))
		failed_tell(s, id, CV_INIT_STAGE_BUILD, EEXIST, "the command's number is not free");
	else if (!s->service.is_ready)
		failed_tell(s, id, CV_INIT_STAGE_BUILD, EAGAIN, stands_not(s));
	else if (!(x = record_new(s, id)))
		failed_tell(
			s, id, CV_INIT_STAGE_BUILD, EAGAIN, "too many commands in this sandbox");
	else if (!(x->kept = kept_new(s, id, seconds, flags, about, &err))) {
		failed_tell(s, id, CV_INIT_STAGE_BUILD, EAGAIN, err.msg);
		give_up(s, x);
	} else {
		kept_tell(s, x->kept);
		kept_start(s, x, flags, size, &stdin_fd);
	}
	cv_buf_wipe(&s->service.parts);
	cv_buf_init(&s->service.parts, SUP_PARTS_BYTES_MAX);
}

cv_code exec_main(struct supervisor *s, struct cv_err *err)
{
	const bool has_ends = s->plan.gateway.flags & CV_PLAN_GATEWAY_MAIN_ENDS;
	struct exec *x = record_new(s, SERVICE_MAIN_ID);
	static const int own[3] = { 0, 1, 2 };

	if (!x)
		return cv_fail(err, CV_LIMIT, "no room for the main command");
	x->is_mute = !has_ends;
	if (has_ends)
		return run_send(s, x, s->plan.command_bytes,
			s->plan.flags & CV_PLAN_TTY ? CV_GATEWAY_EXEC_TTY : 0, 0, err);
	const cv_code code = inside_parts(s, s->plan.command_bytes, err);
	return code == CV_OK ? inside_run(s, x->id, 0, own, err) : code;
}

/* ---- what becomes of it ---- */

void exec_tty(struct supervisor *s, uint32_t id, int outer)
{
	struct exec *x = find(s, id);

	if (x && x->is_tty && x->kept)
		kept_terminal(s, x->kept, outer);
	else if (x && x->is_tty && x->end[0] < 0)
		x->end[0] = outer;
	else
		close(outer);
}

void exec_started(struct supervisor *s, uint32_t id, uint32_t pid)
{
	struct exec *x = find(s, id);

	if (!x || x->state != EXEC_SENT)
		return; /* FAILED came before, from what would have become it */
	if (x->is_tty && (x->kept ? !kept_has_input(x->kept) : x->end[0] < 0)) {
		exec_failed(s, id, CV_INIT_STAGE_BUILD, EIO, CV_STR("the terminal is missing"));
		return;
	}
	x->state = EXEC_RUNNING;
	x->pid = pid;
	tell(s, x);
}

void exec_failed(
	struct supervisor *s, uint32_t id, uint32_t stage, uint32_t error, struct cv_str why)
{
	struct exec *x = find(s, id);

	if (!x || x->state != EXEC_SENT)
		return;
	if (x->kept) {
		x->state = EXEC_EXITED;
		kept_failed(x->kept, error, why);
		return;
	}
	x->state = EXEC_FAILED;
	x->stage = stage;
	x->error = error;
	x->why = cv_str_dup(why);
	ends_close(x);
	tell(s, x);
}

void exec_exited(struct supervisor *s, uint32_t id, uint32_t status)
{
	struct exec *x = find(s, id);

	if (!x || (x->state != EXEC_RUNNING && x->state != EXEC_SENT))
		return;
	x->state = EXEC_EXITED;
	x->status = status;
	if (x->kept)
		kept_exited(x->kept, status);
	exec_stdin_end(s, id); /* nobody reads it; a terminal still has what was printed */
	tell(s, x);
}

void exec_stdin_end(struct supervisor *s, uint32_t id)
{
	struct exec *x = find(s, id);

	if (x && x->kept && !x->is_tty)
		kept_input_end(x->kept);
	if (!x || x->is_tty || x->end[0] < 0)
		return;
	close(x->end[0]);
	x->end[0] = -1;
}

void exec_signal(struct supervisor *s, uint32_t id, uint32_t number)
{
	const struct exec *x = find(s, id);

	if (x && (x->state == EXEC_RUNNING || x->state == EXEC_SENT) && number < NSIG)
		inside_signal_to(s, id, (int)number);
}

void exec_stop_all(struct supervisor *s)
{
	for (size_t i = 0; i <= SUP_EXECS_MAX; i++) {
		const struct exec *x = &s->service.execs[i];

		if (x->state != EXEC_FREE)
			exec_signal(s, x->id, SIGTERM);
		if (x->state != EXEC_FREE && x->is_tty)
			exec_signal(s, x->id, SIGHUP);
	}
}

unsigned exec_running(const struct supervisor *s)
{
	unsigned n = 0;

	for (size_t i = 0; i <= SUP_EXECS_MAX; i++)
		n += s->service.execs[i].state == EXEC_RUNNING ||
		     s->service.execs[i].state == EXEC_SENT;
	return n;
}

static void kept_end_now(struct exec *x)
{
	x->state = EXEC_EXITED;
	kept_lost(x->kept);
}

/* The sandbox is gone, and with it whatever ran. */
void exec_end_all(struct supervisor *s)
{
	for (size_t i = 0; i <= SUP_EXECS_MAX; i++) {
		struct exec *x = &s->service.execs[i];

		if (x->state == EXEC_FREE)
			continue;
		if (x->id == SERVICE_MAIN_ID)
			give_up(s, x); /* ENDED tells of it */
		else if (x->kept)
			kept_end_now(x);
		else
			exec_exited(s, x->id, SIGKILL);
	}
}

cv_code exec_init(struct supervisor *s, struct cv_err *err)
{
	cv_buf_init(&s->service.parts, SUP_PARTS_BYTES_MAX);
	s->service.execs = calloc(SUP_EXECS_MAX + 1, sizeof(s->service.execs[0]));
	return s->service.execs ? CV_OK : cv_fail(err, CV_LIMIT, "no memory for commands");
}
