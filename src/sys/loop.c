/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop.c - see loop.h
 *
 * A watch travels in the 64 bits that epoll keeps for us: kind, index and generation.
 */
#include "sys/loop.h"

#include "base/assert.h"
#include "sys/clock.h"
#include "sys/fd.h"

static uint64_t watch_pack(struct cv_watch w)
{
	cv_assert(w.ref.index <= CV_LOOP_INDEX_MAX);
	return (uint64_t)w.kind << 56 | (uint64_t)w.ref.index << 32 | w.ref.gen;
}

static struct cv_watch watch_unpack(uint64_t v)
{
	return (struct cv_watch){
		.kind = (uint8_t)(v >> 56),
		.ref = { .index = (uint32_t)(v >> 32) & CV_LOOP_INDEX_MAX, .gen = (uint32_t)v },
	};
}

cv_code cv_loop_init(struct cv_loop *l, struct cv_err *err)
{
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll < 0)
		return cv_fail_errno(err, "epoll_create1");
	l->now_ms = cv_clock_ms();
	return CV_OK;
}

void cv_loop_fini(struct cv_loop *l)
{
	cv_fd_cleanup(&l->epoll);
	l->epoll = -1;
}

cv_code cv_loop_add(
	struct cv_loop *l, int fd, uint32_t events, struct cv_watch w, struct cv_err *err)
{
	struct epoll_event e = { .events = events, .data.u64 = watch_pack(w) };

	if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &e) < 0)
		return cv_fail_errno(err, "epoll_ctl");
	return CV_OK;
}

cv_code cv_loop_change(struct cv_loop *l, int fd, uint32_t events, struct cv_watch w)
{
	struct epoll_event e = { .events = events, .data.u64 = watch_pack(w) };

	return epoll_ctl(l->epoll, EPOLL_CTL_MOD, fd, &e) < 0 ? CV_SYSTEM : CV_OK;
}

void cv_loop_remove(struct cv_loop *l, int fd)
{
	epoll_ctl(l->epoll, EPOLL_CTL_DEL, fd, NULL); /* not there any more is fine too */
}

size_t cv_loop_wait(struct cv_loop *l, int timeout_ms, struct cv_loop_event ret[CV_LOOP_EVENTS_MAX])
{
	struct epoll_event e[CV_LOOP_EVENTS_MAX];
	int n = epoll_wait(l->epoll, e, CV_LOOP_EVENTS_MAX, timeout_ms);

	if (n < 0) {
		cv_assert(errno == EINTR); /* anything else is a bug of ours */
		n = 0;
	}
	l->now_ms = cv_clock_ms();
	for (int i = 0; i < n; i++)
		ret[i] = (struct cv_loop_event){
			.watch = watch_unpack(e[i].data.u64),
			.events = e[i].events,
		};
	return (size_t)n;
}
