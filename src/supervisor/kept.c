/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kept.c - commands that outlive their client, and the gateway that started them
 *
 *     pipes --read--> ring (ipc/kept.h) --memfd, eventfd--> whatever gateway is there
 *
 * Output is read here, as fast as it comes, whether anybody follows or not, and the ring lets go
 * what is oldest.  Only while somebody is there who wants all of it (KEPT_PACE) are pipes not read
 * further ahead of him than half a ring: then the command waits, as it would for the reader of a
 * pipe.  It is over when it has exited and its pipes have ended, or when nothing more came for a
 * moment: what it left in the background may hold them for ever.  Its timeout is ours, since no
 * gateway need be there to keep it.
 *
 * A terminal is one stream, both ways; the end that is written (and that of a stdin that stays open) is
 * ours as well as the gateway's, so that the command lives on when the gateway that had it is gone, and
 * the next one gets it again.  What is typed never passes here.
 */
#include "supervisor/supervisor.h"

#include "ipc/kept.h"
#include "supervisor/limits.h"
#include "sys/clock.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define TIMEOUT_STATUS  124 /* as of timeout(1) */
#define LAST_READS_MAX  64  /* of a pipe whose writers are gone: more than one holds */
#define EVENTS_TURN_MAX 64

struct kept_end {
	struct kept *of;
	int fd; /* -1: it has ended */
};

struct kept {
	struct kept *next;
	uint32_t id;
	struct cv_kept map;       /* none once it is over */
	int memory, event, epoll; /* epoll is the supervisor's */
	uint32_t flags;           /* CV_GATEWAY_KEPT_* */
	int input;                /* of a terminal or an open stdin; -1: none, or ended */
	struct kept_end end[2];   /* CV_KEPT_STDOUT, CV_KEPT_STDERR */
	int64_t deadline_ms;      /* its timeout, then of what follows; 0: none */
	int64_t tail_ms;          /* 0: none */
	uint64_t pace;            /* KEPT_PACE; UINT64_MAX: none */
	bool is_paused;           /* its pipes are not watched */
	bool is_timed_out, is_killed, has_exited, is_over;
	bool had_input; /* so what has none now will have none any more */
	uint32_t status;
};

cv_code kept_init(struct supervisor *s, struct cv_err *err)
{
	s->service.kept_epoll = epoll_create1(EPOLL_CLOEXEC);
	return s->service.kept_epoll < 0 ? cv_fail_errno(err, "epoll") : CV_OK;
}

struct kept *kept_new(struct supervisor *s, uint32_t id, uint32_t seconds, uint32_t flags,
	struct cv_str about, struct cv_err *err)
{
	struct kept *k = calloc(1, sizeof(*k));

	if (!k) {
		cv_fail(err, CV_LIMIT, "no memory");
		return NULL;
	}
	k->id = id;
	k->memory = k->input = -1;
	k->epoll = s->service.kept_epoll;
	k->flags = flags;
	k->pace = flags & CV_GATEWAY_KEPT_PACED ? 0 : UINT64_MAX;
	k->end[0] = k->end[1] = (struct kept_end){ k, -1 };
	k->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	k->next = s->service.kept;
	s->service.kept = k;
	if (k->event < 0)
		cv_fail_errno(err, "eventfd");
	if (k->event < 0 || cv_kept_create(about, &k->map, &k->memory, err) != CV_OK) {
		kept_free(s, k);
		return NULL;
	}
	if (seconds)
		k->deadline_ms = cv_clock_ms() + (int64_t)seconds * 1000;
	return k;
}

static void end_close(struct kept_end *e)
{
	if (e->fd < 0)
		return;
	/* Of a terminal others have copies: epoll would not forget it.  Not watched: fine. */
	(void)epoll_ctl(e->of->epoll, EPOLL_CTL_DEL, e->fd, NULL);
	close(e->fd);
	e->fd = -1;
}

static void input_close(struct kept *k)
{
	cv_fd_cleanup(&k->input);
	k->input = -1;
}

void kept_free(struct supervisor *s, struct kept *k)
{
	for (struct kept **i = k ? &s->service.kept : NULL; i && *i; i = &(*i)->next)
		if (*i == k) {
			*i = k->next;
			break;
		}
	if (!k)
		return;
	end_close(&k->end[0]);
	end_close(&k->end[1]);
	input_close(k);
	cv_fd_cleanup(&k->memory);
	cv_fd_cleanup(&k->event);
	cv_kept_close(&k->map);
	free(k);
}

static bool end_watch(struct kept *k, int which, int fd)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = &k->end[which] };

	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	if (epoll_ctl(k->epoll, EPOLL_CTL_ADD, fd, &e) < 0)
		return false;
	k->end[which].fd = fd;
	return true;
}

cv_code kept_pipes(struct kept *k, const int ends[2], struct cv_err *err)
{
	for (int i = 0; i < 2; i++)
		if (!end_watch(k, i, ends[i])) {
			const cv_code code = cv_fail_errno(err, "watch a pipe");

			if (i) { /* the caller closes both */
				(void)epoll_ctl(k->epoll, EPOLL_CTL_DEL, ends[0], NULL);
				k->end[0].fd = -1;
			}
			return code;
		}
	return CV_OK;
}

/* ---- input ---- */

static void input_tell(struct supervisor *s, const struct kept *k)
{
	const bool has_any = k->flags & (CV_GATEWAY_KEPT_TTY | CV_GATEWAY_KEPT_STDIN);
	/* Who comes back has to know that it ended. */
	CV_AUTO_FD int null =
		has_any && k->input < 0 ? open("/dev/null", O_WRONLY | O_CLOEXEC) : -1;
	const int fd = k->input < 0 ? null : k->input;
	struct cv_buf b;

	if (!has_any || fd < 0)
		return;
	cv_buf_init(&b, 4);
	cv_ipc_put_u32(&b, k->id);
	service_tell(s, CV_GATEWAY_REPLY_KEPT_INPUT, cv_buf_str(&b), &fd, 1);
	cv_buf_fini(&b);
}

void kept_input(struct supervisor *s, struct kept *k, int fd)
{
	input_close(k);
	k->input = fd;
	k->had_input = true;
	input_tell(s, k);
}

void kept_terminal(struct supervisor *s, struct kept *k, int outer)
{
	CV_AUTO_FD int copy = -1;

	if (k->is_over || k->input >= 0 || (copy = fcntl(outer, F_DUPFD_CLOEXEC, 0)) < 0 ||
		!end_watch(k, 0, copy)) {
		close(outer); /* kept_has_input() says so, and the command fails */
		return;
	}
	(void)cv_take_fd(copy);
	kept_input(s, k, outer);
}

bool kept_has_input(const struct kept *k)
{
	return k->input >= 0;
}

void kept_input_end(struct kept *k)
{
	if (!(k->flags & CV_GATEWAY_KEPT_TTY))
		input_close(k);
}

void kept_tell(struct supervisor *s, const struct kept *k)
{
	const int fds[] = { k->memory, k->event };
	struct cv_buf b;

	cv_buf_init(&b, 4);
	cv_ipc_put_u32(&b, k->id);
	service_tell(s, CV_GATEWAY_REPLY_KEPT, cv_buf_str(&b), fds, CV_ARRAY_LEN(fds));
	cv_buf_fini(&b);
	if (k->had_input) /* else it is told when it is there */
		input_tell(s, k);
}

/* ---- output ---- */

static void raise_event(const struct kept *k)
{
	/* A counter that is full is raised already. */
	(void)eventfd_write(k->event, 1);
}

static bool is_ahead(const struct kept *k)
{
	return k->pace != UINT64_MAX && !k->is_over &&
	       cv_kept_place(&k->map) >= k->pace + SUP_KEPT_AHEAD_BYTES;
}

/* A pipe that has ended would be told for ever, whatever it is watched for: so it is not at all. */
static void watch(struct supervisor *s, struct kept *k)
{
	const bool is_paused = is_ahead(k);

	for (int i = 0; i < 2 && is_paused != k->is_paused; i++) {
		struct epoll_event e = { .events = EPOLLIN, .data.ptr = &k->end[i] };

		if (k->end[i].fd >= 0)
			epoll_ctl(s->service.kept_epoll, is_paused ? EPOLL_CTL_DEL : EPOLL_CTL_ADD,
				k->end[i].fd, &e);
	}
	k->is_paused = is_paused;
}

static bool pump(struct kept *k, int which, int reads_max)
{
	static char buf[CV_KEPT_PIECE_MAX];
	bool has_come = false;

	for (int i = 0; i < reads_max && k->end[which].fd >= 0 && !is_ahead(k); i++) {
		const ssize_t n = read(k->end[which].fd, buf, sizeof(buf));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0) {
			end_close(&k->end[which]);
			break;
		}
		cv_kept_put(&k->map, (enum cv_kept_stream)which, (struct cv_str){ buf, (size_t)n });
		has_come = true;
	}
	return has_come;
}

/* ---- the end ---- */

static void finish(struct kept *k, int code, enum cv_kept_reason reason)
{
	end_close(&k->end[0]);
	end_close(&k->end[1]);
	input_close(k); /* what a terminal's command left behind is hung up on */
	k->deadline_ms = k->tail_ms = 0;
	k->is_over = true;
	cv_kept_end(&k->map, code, reason, cv_clock_unix_ms());
	cv_kept_close(&k->map);
	raise_event(k);
}

static void finish_exit(struct kept *k)
{
	const int status = (int)k->status;

	if (k->is_timed_out)
		finish(k, TIMEOUT_STATUS, CV_KEPT_TIMED_OUT);
	else
		finish(k, WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status),
			CV_KEPT_EXITED);
}

/* After anything that may have been the last. */
static void advance(struct kept *k)
{
	if (k->is_over || !k->has_exited || is_ahead(k))
		return;
	if ((k->end[0].fd < 0 && k->end[1].fd < 0) || (k->tail_ms && cv_clock_ms() >= k->tail_ms))
		finish_exit(k);
	else if (!k->tail_ms)
		k->tail_ms = cv_clock_ms() + SUP_KEPT_TAIL_MS;
}

void kept_serve(struct supervisor *s)
{
	struct epoll_event e[EVENTS_TURN_MAX];
	const int n = epoll_wait(s->service.kept_epoll, e, CV_ARRAY_LEN(e), 0);

	for (int i = 0; i < n; i++) {
		struct kept_end *end = e[i].data.ptr;
		struct kept *k = end->of;

		if (end->fd < 0)
			continue; /* it ended in this turn */
		if (pump(k, (int)(end - k->end), SUP_KEPT_TURN_MAX)) {
			raise_event(k);
			if (k->tail_ms)
				k->tail_ms = cv_clock_ms() + SUP_KEPT_TAIL_MS;
		}
		watch(s, k);
		advance(k);
	}
}

static void pace_set(struct supervisor *s, struct kept *k, uint64_t place)
{
	k->pace = place;
	if (k->is_over)
		return;
	if (k->tail_ms) /* it was not silent, we did not listen */
		k->tail_ms = cv_clock_ms() + SUP_KEPT_TAIL_MS;
	watch(s, k);
	advance(k);
}

void kept_pace(struct supervisor *s, uint32_t id, uint64_t place)
{
	for (struct kept *k = s->service.kept; k; k = k->next)
		if (k->id == id)
			pace_set(s, k, place);
}

void kept_pace_none(struct supervisor *s)
{
	for (struct kept *k = s->service.kept; k; k = k->next)
		pace_set(s, k, UINT64_MAX);
}

void kept_exited(struct kept *k, uint32_t status)
{
	if (k->is_over)
		return;
	k->has_exited = true;
	k->status = status;
	k->deadline_ms = 0;
	const bool has_out = pump(k, CV_KEPT_STDOUT, SUP_KEPT_TURN_MAX);
	if (pump(k, CV_KEPT_STDERR, SUP_KEPT_TURN_MAX) || has_out)
		raise_event(k);
	advance(k);
}

void kept_failed(struct kept *k, uint32_t error, struct cv_str why)
{
	if (k->is_over)
		return;
	cv_kept_put(&k->map, CV_KEPT_STDERR, CV_STR("cove: "));
	cv_kept_put(&k->map, CV_KEPT_STDERR, why);
	cv_kept_put(&k->map, CV_KEPT_STDERR, CV_STR("\n"));
	finish(k, error == ENOENT ? 127 : 126, CV_KEPT_NOT_STARTED); /* as a shell says it */
}

void kept_lost(struct kept *k)
{
	if (k->is_over)
		return;
	k->pace = UINT64_MAX;
	(void)pump(k, CV_KEPT_STDOUT, LAST_READS_MAX);
	(void)pump(k, CV_KEPT_STDERR, LAST_READS_MAX);
	if (k->has_exited)
		finish_exit(k);
	else
		finish(k, 128 + SIGKILL, CV_KEPT_LOST);
}

bool kept_is_over(const struct kept *k)
{
	return k->is_over;
}

/* ---- times ---- */

int64_t kept_due_ms(const struct supervisor *s)
{
	int64_t first = 0;

	for (const struct kept *k = s->service.kept; k; k = k->next) {
		if (k->deadline_ms && (!first || k->deadline_ms < first))
			first = k->deadline_ms;
		if (k->tail_ms && (!first || k->tail_ms < first))
			first = k->tail_ms;
	}
	return first;
}

static void late(struct supervisor *s, struct kept *k)
{
	if (!k->is_timed_out) {
		k->is_timed_out = true;
		k->deadline_ms = cv_clock_ms() + SUP_KEPT_TERM_MS;
		inside_signal_to(s, k->id, SIGTERM);
	} else if (!k->is_killed) {
		k->is_killed = true;
		k->deadline_ms = cv_clock_ms() + SUP_KEPT_DEAD_MS;
		inside_signal_to(s, k->id, SIGKILL);
	} else {
		finish(k, TIMEOUT_STATUS, CV_KEPT_TIMED_OUT); /* it can't be killed now */
	}
}

void kept_due(struct supervisor *s)
{
	for (struct kept *k = s->service.kept; k; k = k->next) {
		if (k->deadline_ms && cv_clock_ms() >= k->deadline_ms)
			late(s, k);
		if (k->tail_ms && cv_clock_ms() >= k->tail_ms && is_ahead(k))
			k->tail_ms = cv_clock_ms() + SUP_KEPT_TAIL_MS;
		else if (k->tail_ms && cv_clock_ms() >= k->tail_ms)
			advance(k);
	}
}
