/* SPDX-License-Identifier: Apache-2.0 */
/*
 * join.c - see join.h
 */
#include "gateway/join.h"

#include "base/assert.h"

#include <errno.h>
#include <sys/socket.h>

#define BUF_MAX   (2u << 20)  /* two messages: the client is held behind the first */
#define HOLD      (64u << 10) /* that wait for the socket, then the client waits */
#define READS_MAX 16          /* chunks, before others get their turn */

void cv_gw_join_init(struct cv_gw_join *j, struct cv_rpc_call *c, size_t chunk,
	bool (*send)(struct cv_rpc_call *c, struct cv_str bytes))
{
	cv_assert(chunk <= CV_GW_JOIN_CHUNK_MAX);
	*j = (struct cv_gw_join){ .call = c, .fd = -1, .chunk = chunk, .send = send };
	cv_buf_init(&j->in, BUF_MAX);
}

void cv_gw_join_fini(struct cv_gw_join *j)
{
	cv_buf_fini(&j->in);
}

void cv_gw_join_put(struct cv_gw_join *j, struct cv_str bytes)
{
	cv_buf_put(&j->in, bytes);
	cv_gw_join_write(j);
}

void cv_gw_join_write(struct cv_gw_join *j)
{
	while (j->fd >= 0 && cv_buf_len(&j->in)) {
		const struct cv_str rest = cv_buf_str(&j->in);
		const ssize_t n = send(j->fd, rest.p, rest.n, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		/* Nobody reads any more: as with any socket, what comes is lost. */
		cv_buf_skip(&j->in, n < 0 ? cv_buf_len(&j->in) : (size_t)n);
	}
	if (j->fd >= 0 && j->has_ended && !cv_buf_len(&j->in))
		(void)shutdown(j->fd, SHUT_WR);
	const bool is_held = cv_buf_len(&j->in) > HOLD;
	if (!j->is_finished && is_held != j->is_held) {
		j->is_held = is_held;
		cv_rpc_hold(j->call, is_held);
	}
}

enum cv_gw_join_rc cv_gw_join_read(struct cv_gw_join *j)
{
	static char buf[CV_GW_JOIN_CHUNK_MAX];

	for (int i = 0; j->fd >= 0 && !j->is_blocked && !j->is_finished; i++) {
		if (i == READS_MAX)
			return CV_GW_JOIN_MORE;
		const ssize_t n = recv(j->fd, buf, j->chunk, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0)
			return CV_GW_JOIN_END;
		if (!j->send(j->call, (struct cv_str){ buf, (size_t)n }))
			j->is_blocked = true;
	}
	return CV_GW_JOIN_IDLE;
}
