/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec_kept.c - a command that outlives us: started, followed, and found again
 *
 *     StartExec (with a key) --> id --> FollowExec from 0 --lost--> wait, connect, from where we were
 *
 * While we are there the command waits for us, as for the reader of a pipe; nothing that it prints is
 * missing.  What is lost between asking and hearing the answer is asked again with the same key, so
 * it is never started twice.  While the gateway is away the command goes on, and what it prints is
 * kept.
 *
 * Who interrupts us means the command: SIGINT or SIGTERM is sent on to it, then what is harder to miss,
 * and we end by it when the command has; a second one kills both at once.  Any other way to lose us
 * (a hang-up, SIGKILL, the machine) leaves it running.  A reader of ours who goes ends it, as in a
 * shell's pipe.
 *
 * Stdin is sent whole with the command, so this is for commands whose stdin is nothing or a file; a
 * pipe that is still open needs a stream (exec.c, or exec_attach.c to one that is there already).
 */
#include "client/sandbox.h"
#include "client/terminal.h"

#include "cove.pb-c.h"
#include "sys/clock.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#define METHOD(rpc)     "/cove.v1.Cove/" #rpc
#define STDIN_BYTES_MAX (256u << 10) /* a message has a megabyte, arguments their part of it */
#define BACKOFF_MS      100          /* until we connect again; doubled each time */
#define BACKOFF_MS_MAX  5000
#define AWAY_MS_MAX     600000 /* a gateway is upgraded in less; the command goes on after that */
#define START_MS_MAX    60000  /* nothing is known to have been started yet: a person waits */
#define TURN_MS         500    /* a signal that comes between looking and waiting */
#define KEY_BYTES       16

struct following {
	struct cl *c;
	const struct cl_kept *k;
	struct cl_stream st;
	uint64_t offset; /* what comes next */
	bool has_end, is_unread;
	int exit_code;
	int64_t away_ms; /* since when it is; 0: it is not */
	int64_t backoff_ms;
	int sent_signal; /* that we passed on; 0: none */
	int64_t sent_ms; /* when */
	size_t harder;   /* that were sent since */
	bool passes_signals;
};

static volatile sig_atomic_t came_signal, signal_count;

static void on_signal(int sig)
{
	came_signal = sig;
	signal_count++;
}

static void signals_catch(void)
{
	/* no SA_RESTART: poll() has to return */
	const struct sigaction a = { .sa_handler = on_signal };

	sigaction(SIGINT, &a, NULL);
	sigaction(SIGTERM, &a, NULL);
}

static CV_NORETURN void die_by(int sig)
{
	signal(sig, SIG_DFL);
	raise(sig);
	exit(128 + sig);
}

static const char *how_to_attach(struct cl *c, const struct cl_kept *k, uint64_t offset)
{
	return cl_print(c, "%s exec attach %s %s --from %llu", c->program, cl_shown(c, k->sandbox),
		cl_shown(c, k->id), (unsigned long long)offset);
}

/* ---- connecting again ---- */

static void pause_for(int64_t ms)
{
	const struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

bool cl_reconnect(struct cl *c, int64_t *backoff_ms)
{
	struct cv_err err;

	pause_for(*backoff_ms);
	*backoff_ms = CV_MIN(2 * *backoff_ms, (int64_t)BACKOFF_MS_MAX);
	cv_rpc_client_close(c->rpc);
	c->rpc = NULL;
	return cl_gateway_open(c, &err) == CV_OK;
}

/* ---- starting ---- */

/* What stdin has, where that is known at once; a command that nobody waits for gets nothing else. */
static bool stdin_take(struct cl *c, bool is_detached, struct cv_str *ret)
{
	struct pollfd p = { STDIN_FILENO, POLLIN, 0 };
	struct stat st;
	int waiting = 0;

	*ret = CV_STR_NONE;
	if (fstat(STDIN_FILENO, &st) < 0)
		return true; /* closed */
	if (S_ISREG(st.st_mode)) {
		const off_t at = lseek(STDIN_FILENO, 0, SEEK_CUR);

		if (at >= 0 && st.st_size - at <= (off_t)STDIN_BYTES_MAX) {
			*ret = cl_file_read(c, "-", STDIN_BYTES_MAX);
			return true;
		}
		if (is_detached)
			cl_die(c, "stdin is larger than what can be sent with a command (%u bytes)",
				STDIN_BYTES_MAX);
		return false;
	}
	if (is_detached)
		return true;
	if (S_ISCHR(st.st_mode))
		return st.st_rdev == makedev(1, 3); /* /dev/null */
	/* A pipe that nobody writes any more, and that is empty. */
	return poll(&p, 1, 0) > 0 && (p.revents & POLLHUP) &&
	       ioctl(STDIN_FILENO, FIONREAD, &waiting) == 0 && waiting == 0;
}

static char *key_make(struct cl *c)
{
	unsigned char bytes[KEY_BYTES];
	struct cv_buf b;

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		cl_die(c, "getrandom: %s", strerror(errno));
	cv_buf_init(&b, 4 * KEY_BYTES);
	for (size_t i = 0; i < sizeof(bytes); i++)
		cv_buf_printf(&b, "%02x", bytes[i]);
	char *key = cl_print(c, "%.*s", CV_STR_ARG(cv_buf_str(&b)));
	cv_buf_fini(&b);
	return key;
}

static void request_make(struct cl *c, const struct cl_exec *e, struct cv_str in,
	Openshell__V1__ExecSandboxRequest *r)
{
	openshell__v1__exec_sandbox_request__init(r);
	r->sandbox_id = cl_dup(c, e->id);
	r->command = cl_alloc(c, (e->argc + 1) * sizeof(char *));
	r->n_command = e->argc;
	for (size_t i = 0; i < e->argc; i++)
		r->command[i] = cl_dup(c, e->argv[i]);
	r->workdir = cl_dup(c, e->workdir);
	r->environment = e->env;
	r->n_environment = e->env_count;
	r->timeout_seconds = e->timeout_s;
	r->tty = e->has_tty;
	if (e->has_tty)
		cl_terminal_size(&r->cols, &r->rows);
	r->stdin = (ProtobufCBinaryData){ in.n, (uint8_t *)(uintptr_t)in.p }; /* read */
}

/* NULL: the gateway has no such commands. */
static const Cove__V1__Exec *started(
	struct cl *c, const struct cl_exec *e, struct cv_str in, bool is_detached)
{
	const int64_t until = cv_clock_ms() + START_MS_MAX;
	Openshell__V1__ExecSandboxRequest r;
	Cove__V1__StartExecRequest q;
	const Cove__V1__StartExecResponse *m;
	int64_t backoff_ms = BACKOFF_MS;
	enum cv_rpc_status s;
	struct cv_err err;

	request_make(c, e, in, &r);
	cove__v1__start_exec_request__init(&q);
	q.exec = &r;
	q.idempotency_key = key_make(c);
	q.hold = !is_detached;
	q.keep_stdin = e->keeps_stdin;
	for (;;) {
		m = (const Cove__V1__StartExecResponse *)cl_ask(c, METHOD(StartExec), &q.base,
			&cove__v1__start_exec_response__descriptor, &s, &err);
		if (s == CV_RPC_UNIMPLEMENTED)
			return NULL;
		if (s != CV_RPC_UNAVAILABLE && s != CV_RPC_ABORTED)
			break;
		while (!cl_reconnect(c, &backoff_ms) && cv_clock_ms() < until)
			;
		if (cv_clock_ms() >= until || !c->rpc)
			break;
	}
	if (s != CV_RPC_OK)
		cl_die_status(c, s, err.msg);
	if (!m->exec)
		cl_die(c, "the gateway answered without a command");
	return m->exec;
}

/* ---- following ---- */

static void unread(struct following *f)
{
	f->is_unread = true;
}

static void output(struct following *f, const Cove__V1__ExecOutput *o)
{
	const bool is_err = o->data_case == COVE__V1__EXEC_OUTPUT__DATA_STDERR;
	const ProtobufCBinaryData d = is_err ? o->stderr : o->stdout;

	/* What was there before a connection was lost comes once. */
	if (o->data_case == COVE__V1__EXEC_OUTPUT__DATA__NOT_SET || o->offset != f->offset)
		cl_die(f->c, "the gateway answered with output of another place");
	f->offset += d.len;
	if (!f->is_unread && !cl_fd_write(f->c, is_err ? STDERR_FILENO : STDOUT_FILENO,
				     (struct cv_str){ (const char *)d.data, d.len }))
		unread(f);
}

static void saw(struct cl_stream *st, ProtobufCMessage *m)
{
	const Cove__V1__FollowExecEvent *e = (const Cove__V1__FollowExecEvent *)m;
	struct following *f = st->arg;

	f->away_ms = 0;
	f->backoff_ms = BACKOFF_MS;
	if (e->event_case == COVE__V1__FOLLOW_EXEC_EVENT__EVENT_OUTPUT) {
		output(f, e->output);
	} else if (e->event_case == COVE__V1__FOLLOW_EXEC_EVENT__EVENT_GAP) {
		cl_note(f->c, "%s: %llu bytes of output are not kept any more", f->c->program,
			(unsigned long long)e->gap->bytes);
		f->offset = e->gap->offset + e->gap->bytes;
	} else if (e->event_case == COVE__V1__FOLLOW_EXEC_EVENT__EVENT_END) {
		f->has_end = true;
		f->exit_code = e->end->exit_code;
	}
}

static void kill_ask(struct following *f, int sig)
{
	Cove__V1__KillExecRequest q;
	enum cv_rpc_status s;
	struct cv_err err;

	cove__v1__kill_exec_request__init(&q);
	q.sandbox_id = cl_dup(f->c, f->k->sandbox_id);
	q.exec_id = cl_dup(f->c, f->k->id);
	q.signal = (uint32_t)sig;
	(void)cl_ask(f->c, METHOD(KillExec), &q.base, &cove__v1__kill_exec_response__descriptor, &s,
		&err);
}

/* Of ours, when one has come; f may end by it. */
static void signals_pass(struct following *f)
{
	/* A shell that was about to start something loses an interrupt; so does who ignores it. */
	static const struct {
		int64_t after_ms;
		int sig;
	} harder[] = { { 3000, SIGTERM }, { 6000, SIGKILL } };

	if (!f->passes_signals || !came_signal)
		return;
	if (f->away_ms) {
		cl_note(f->c, "%s: the command goes on; end it with: %s exec kill %s %s",
			f->c->program, f->c->program, cl_shown(f->c, f->k->sandbox),
			cl_shown(f->c, f->k->id));
		die_by(came_signal);
	}
	if (signal_count > 1) {
		kill_ask(f, SIGKILL);
		die_by(came_signal);
	}
	if (!f->sent_signal) {
		f->sent_signal = came_signal;
		f->sent_ms = cv_clock_ms();
		kill_ask(f, came_signal);
	} else if (f->harder < CV_ARRAY_LEN(harder) &&
		   cv_clock_ms() >= f->sent_ms + harder[f->harder].after_ms) {
		kill_ask(f, harder[f->harder++].sig);
	}
}

/* False: the connection, or the gateway, is gone. */
static bool follow_once(struct following *f)
{
	Cove__V1__FollowExecRequest q;
	struct cv_err err = { 0 };
	cv_code code = CV_OK;

	f->st = (struct cl_stream){ .on_message = saw, .arg = f };
	cl_stream_open(f->c, &f->st, METHOD(FollowExec), &cove__v1__follow_exec_event__descriptor);
	cove__v1__follow_exec_request__init(&q);
	q.sandbox_id = cl_dup(f->c, f->k->sandbox_id);
	q.exec_id = cl_dup(f->c, f->k->id);
	q.from_offset = f->offset;
	q.hold = true; /* all of it, however slow our reader is */
	cl_stream_send(&f->st, &q.base);
	if (f->st.s)
		cv_rpc_stream_half_close(f->st.s);
	while (!f->st.is_ended && code == CV_OK) {
		code = cl_turn_try(f->c, NULL, 0, TURN_MS, &err);
		if (code == CV_OK && f->is_unread) {
			kill_ask(f, SIGPIPE);
			exit(CL_EXIT_FAILED);
		}
		if (code == CV_OK && !f->has_end)
			signals_pass(f);
	}
	if (f->has_end)
		return true;
	if (code == CV_DENIED)
		cl_die(f->c, "%s", cl_shown(f->c, err.msg));
	if (code == CV_OK && f->st.status != CV_RPC_UNAVAILABLE)
		cl_die_status(f->c, f->st.status,
			f->st.status == CV_RPC_OK ? "the command ended without an exit status"
						  : f->st.message);
	return false;
}

static void wait_for_gateway(struct following *f)
{
	if (!f->away_ms) {
		f->away_ms = cv_clock_ms();
		cl_note(f->c,
			"%s: the connection to the gateway was lost; the command goes on, and so do "
			"we when it is back",
			f->c->program);
	}
	do {
		signals_pass(f);
		if (cv_clock_ms() - f->away_ms > AWAY_MS_MAX)
			cl_die(f->c, "the gateway did not come back; go on with: %s",
				how_to_attach(f->c, f->k, f->offset));
	} while (!cl_reconnect(f->c, &f->backoff_ms));
}

static int follow(struct cl *c, const struct cl_kept *k, uint64_t offset, bool passes_signals)
{
	struct following f = { .c = c,
		.k = k,
		.offset = offset,
		.backoff_ms = BACKOFF_MS,
		.passes_signals = passes_signals };

	fflush(stdout);
	while (!follow_once(&f))
		wait_for_gateway(&f);
	if (f.sent_signal)
		die_by(f.sent_signal);
	return f.exit_code;
}

int cl_exec_follow(struct cl *c, const struct cl_kept *k, uint64_t offset)
{
	return follow(c, k, offset, false);
}

bool cl_exec_kept(
	struct cl *c, const struct cl_exec *e, const char *sandbox, bool is_detached, int *ret)
{
	struct cv_str in;

	if (!stdin_take(c, is_detached, &in))
		return false;
	if (!is_detached)
		signals_catch(); /* from here on it may run */
	const Cove__V1__Exec *x = started(c, e, in, is_detached);
	if (!x) {
		signal(SIGINT, SIG_DFL);
		signal(SIGTERM, SIG_DFL);
		if (in.n)
			(void)lseek(STDIN_FILENO, -(off_t)in.n, SEEK_CUR); /* they were read */
		return false;
	}
	const struct cl_kept k = { x->sandbox_id, sandbox, x->id };
	if (is_detached) {
		printf("%s\n", cl_shown(c, x->id));
		*ret = 0;
	} else {
		*ret = follow(c, &k, 0, true);
	}
	return true;
}
