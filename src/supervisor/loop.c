/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop.c - what a supervisor waits for; all reactions of the program are on these screens
 *
 * The set of descriptors is made anew for each turn from the state: interest can't drift from it,
 * and there are never more than two dozen.
 *
 * The listeners are watched only while no proxy runs: the first connection, or DNS query, of a run
 * without network starts one, so that what is denied is also recorded and explained; and of a
 * gateway's sandbox, most of which never have one.  The connection waits in the listener's backlog
 * meanwhile.
 */
#include "supervisor/supervisor.h"

#include "supervisor/limits.h"
#include "sys/clock.h"
#include "sys/fd.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* clang-format off */
#define WATCHES(X) X(INSIDE) X(SIGNALS) X(KEEPER) X(COURIER) X(BROKER) X(CALL) X(PROXY) X(POLICY) X(NOTIFY) X(GATEWAY) X(DIALS) X(KEPT) X(LOG0) X(LOG1) X(STDIN) X(TERMINAL)        \
	X(APPROVERS) X(ASKED) X(APPROVER0) X(APPROVER1) X(APPROVER2) X(APPROVER3)                  \
	X(APPROVER4) X(APPROVER5) X(APPROVER6) X(APPROVER7)                                        \
	X(TCP4) X(TCP6) X(UDP4) X(UDP6) X(MORE)
/* clang-format on */
#define WATCH_ENUM(name) WATCH_##name,
enum watch { WATCHES(WATCH_ENUM) WATCH_COUNT };
_Static_assert(WATCH_TCP4 - WATCH_APPROVER0 == SUP_APPROVERS_MAX, "a watch for each");

static void interest(const struct supervisor *s, struct pollfd w[WATCH_COUNT])
{
	const bool wants_proxy = s->is_built && s->proxy.pid == 0 && !keeper_is_away(s);

	w[WATCH_INSIDE] = (struct pollfd){ s->sandbox.link,
		(short)(POLLIN | (cv_ipc_outbox_is_empty(&s->inside_out) ? 0 : POLLOUT)), 0 };
	w[WATCH_SIGNALS] = (struct pollfd){ s->signals, POLLIN, 0 };
	w[WATCH_KEEPER] = (struct pollfd){ s->keeper.link, POLLIN, 0 };
	w[WATCH_COURIER] = (struct pollfd){ s->courier.link, POLLIN, 0 };
	w[WATCH_BROKER] = (struct pollfd){ s->broker.link, POLLIN, 0 };
	w[WATCH_CALL] = (struct pollfd){ s->broker_call, POLLIN, 0 };
	w[WATCH_PROXY] = (struct pollfd){ s->proxy.link,
		(short)(POLLIN | (s->notify_waiting >= 0 ? POLLOUT : 0)), 0 };
	w[WATCH_NOTIFY] = (struct pollfd){ s->notify_waiting >= 0 ? -1 : s->notify, POLLIN, 0 };
	w[WATCH_GATEWAY] = (struct pollfd){ s->service.link, service_interest(s), 0 };
	w[WATCH_DIALS] = (struct pollfd){ s->service.dial_epoll, POLLIN, 0 };
	w[WATCH_KEPT] = (struct pollfd){ s->service.kept_epoll, POLLIN, 0 };
	for (int i = 0; i < SERVICE_LOGS; i++)
		w[WATCH_LOG0 + i] = (struct pollfd){ s->service.log[i].fd, POLLIN, 0 };
	w[WATCH_POLICY] = (struct pollfd){ s->watch, POLLIN, 0 };
	w[WATCH_STDIN] = (struct pollfd){ 0, terminal_stdin_interest(&s->terminal), 0 };
	w[WATCH_TERMINAL] =
		(struct pollfd){ s->terminal.outer, terminal_outer_interest(&s->terminal), 0 };
	w[WATCH_APPROVERS] = (struct pollfd){ s->approvals.listener, POLLIN, 0 };
	w[WATCH_ASKED] = (struct pollfd){ s->approvals.on_tty ? s->approvals.tty : -1, POLLIN, 0 };
	for (size_t i = 0; i < SUP_APPROVERS_MAX; i++)
		w[WATCH_APPROVER0 + i] =
			(struct pollfd){ s->approvals.approver[i].fd, approve_interest(s, i), 0 };
	/* poll() reports a hang-up even to those who did not ask: no interest, no descriptor. */
	for (int i = WATCH_STDIN; i <= WATCH_TERMINAL; i++)
		if (!w[i].events)
			w[i].fd = -1;
	for (int i = 0; i < 4; i++)
		w[WATCH_TCP4 + i] = (struct pollfd){ wants_proxy ? s->built[CV_BUILT_TCP4 + i] : -1,
			POLLIN, 0 };
	w[WATCH_MORE] = (struct pollfd){ wants_proxy ? s->more_watch : -1, POLLIN, 0 };
}

/* Ctrl-Z in a shell: the command stops, then we do; CONT wakes both. */
static void stop(struct supervisor *s)
{
	inside_signal(s, SIGSTOP);
	raise(SIGSTOP);
	inside_signal(s, SIGCONT);
}

static void on_signals(struct supervisor *s)
{
	struct signalfd_siginfo info;

	if (read(s->signals, &info, sizeof(info)) != sizeof(info))
		return;
	if (s->service.is_on) { /* no terminal and nobody's job control */
		if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
			service_stop(s, SUP_STOP_MS);
		return;
	}
	switch (info.ssi_signo) {
	case SIGWINCH: terminal_resize(&s->terminal); break;
	case SIGTSTP: stop(s); break;
	case SIGHUP:
		/* The custom of daemons, where there is something to read anew. */
		if (s->plan.policy_file.n)
			reload_event(s, true);
		else
			inside_signal(s, SIGHUP);
		break;
	default: inside_signal(s, (int)info.ssi_signo); break;
	}
}

static void on_network(struct supervisor *s)
{
	struct cv_err err;

	if (proxy_start(s, &err) != CV_OK)
		run_fail(s, &err);
}

static void on_deadline(struct supervisor *s)
{
	if (!s->is_timed_out && !s->service.is_stopping) {
		s->is_timed_out = true;
		s->deadline_ms = cv_clock_ms() + SUP_KILL_GRACE_MS;
		inside_signal(s, SIGTERM);
		return;
	}
	s->outcome = OUTCOME_STATUS; /* the end kills what is left */
	s->status = s->service.is_stopping ? 137 : 124;
}

static void dispatch(struct supervisor *s, enum watch which, short events)
{
	switch (which) {
	case WATCH_INSIDE:
		if (events & POLLOUT)
			inside_flush(s);
		if (events & ~POLLOUT)
			inside_read(s);
		break;
	case WATCH_GATEWAY: service_serve(s, events); break;
	case WATCH_DIALS: dial_serve(s); break;
	case WATCH_KEPT: kept_serve(s); break;
	case WATCH_LOG0: events_read(s, 0); break;
	case WATCH_LOG1: events_read(s, 1); break;
	case WATCH_SIGNALS: on_signals(s); break;
	case WATCH_KEEPER: keeper_read(s); break;
	case WATCH_COURIER: courier_read(s); break;
	case WATCH_BROKER: broker_read(s); break;
	case WATCH_CALL: broker_called(s); break;
	case WATCH_PROXY:
		if (events & POLLOUT)
			identity_resume(s);
		if (events & ~POLLOUT)
			proxy_read(s);
		break;
	case WATCH_NOTIFY: identity_serve(s); break;
	case WATCH_POLICY: reload_event(s, false); break;
	case WATCH_STDIN: terminal_stdin_read(&s->terminal); break;
	case WATCH_TERMINAL: terminal_outer_serve(&s->terminal, events); break;
	case WATCH_APPROVERS: approve_accept(s); break;
	case WATCH_ASKED: approve_tty_read(s); break;
	case WATCH_APPROVER0:
	case WATCH_APPROVER1:
	case WATCH_APPROVER2:
	case WATCH_APPROVER3:
	case WATCH_APPROVER4:
	case WATCH_APPROVER5:
	case WATCH_APPROVER6:
	case WATCH_APPROVER7: approve_serve(s, (size_t)(which - WATCH_APPROVER0), events); break;
	case WATCH_TCP4:
	case WATCH_TCP6:
	case WATCH_UDP4:
	case WATCH_UDP6:
	case WATCH_MORE: on_network(s); break;
	case WATCH_COUNT: break;
	}
}

/* Until the first of these times; -1: none. */
static int wait_ms(const struct supervisor *s)
{
	const int64_t times[] = { s->deadline_ms, s->look_ms, service_due_ms(s), approve_due_ms(s),
		s->broker_again_ms };
	int64_t until = 0;

	for (size_t i = 0; i < CV_ARRAY_LEN(times); i++)
		if (times[i] && (!until || times[i] < until))
			until = times[i];
	return until ? (int)CV_MIN(CV_MAX(until - cv_clock_ms(), 0), (int64_t)60000) : -1;
}

void loop_run(struct supervisor *s)
{
	struct pollfd w[WATCH_COUNT];
	struct cv_err err;

	while (s->outcome == OUTCOME_NONE) {
		interest(s, w);
		const int n = poll(w, WATCH_COUNT, wait_ms(s));
		if (n < 0 && errno != EINTR) {
			cv_fail_errno(&err, "poll");
			run_fail(s, &err);
		}
		if (s->deadline_ms && cv_clock_ms() >= s->deadline_ms)
			on_deadline(s);
		if (s->look_ms && cv_clock_ms() >= s->look_ms)
			reload_look(s);
		approve_due(s);
		service_due(s);
		broker_due(s);
		/* What one reaction closes, a later one of the same turn must not read. */
		for (int i = 0; n > 0 && i < WATCH_COUNT && s->outcome == OUTCOME_NONE; i++)
			if (w[i].fd >= 0 && w[i].revents) {
				dispatch(s, (enum watch)i, w[i].revents);
				if (i >= WATCH_TCP4)
					break;
			}
	}
}
