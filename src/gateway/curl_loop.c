/* SPDX-License-Identifier: Apache-2.0 */
/*
 * curl_loop.c - see curl_loop.h
 */
#include "gateway/curl_loop.h"

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
	struct cv_gw_curl *c = arg;
	struct cv_err err;
	uint32_t events = 0;

	(void)easy;
	if (known)
		cv_loop_remove(&c->g->loop, fd);
	if (what == CURL_POLL_REMOVE) {
		curl_multi_assign(c->multi, fd, NULL);
		return 0;
	}
	if (what & CURL_POLL_IN)
		events |= EPOLLIN;
	if (what & CURL_POLL_OUT)
		events |= EPOLLOUT;
	curl_multi_assign(c->multi, fd, c); /* anything but NULL: it is watched */
	return cv_loop_add(&c->g->loop, fd, events,
		       (struct cv_watch){ c->watch_kind, { (uint32_t)fd, 0 } }, &err) == CV_OK
		       ? 0
		       : -1;
}

static int on_timer(CURLM *multi, long ms, void *arg)
{
	struct cv_gw_curl *c = arg;

	(void)multi;
	c->due_ms = ms < 0 ? INT64_MAX : c->g->loop.now_ms + ms;
	return 0;
}

cv_code cv_gw_curl_init(
	struct cv_gw_curl *c, struct cv_gateway *g, uint8_t watch_kind, struct cv_err *err)
{
	*c = (struct cv_gw_curl){ .g = g, .watch_kind = watch_kind, .due_ms = INT64_MAX };
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !(c->multi = curl_multi_init()) ||
		curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, on_socket) != CURLM_OK ||
		curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c) != CURLM_OK ||
		curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, on_timer) != CURLM_OK ||
		curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c) != CURLM_OK)
		return cv_fail(err, CV_SYSTEM, "libcurl does not start");
	return CV_OK;
}

void cv_gw_curl_fini(struct cv_gw_curl *c)
{
	if (c->multi)
		curl_multi_cleanup(c->multi);
	c->multi = NULL;
}

void cv_gw_curl_event(struct cv_gw_curl *c, const struct cv_loop_event *e)
{
	const int what = (e->events & EPOLLIN ? CURL_CSELECT_IN : 0) |
			 (e->events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
			 (e->events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
	int running;

	curl_multi_socket_action(c->multi, (int)e->watch.ref.index, what, &running);
}

void cv_gw_curl_turn(struct cv_gw_curl *c)
{
	int running;

	if (c->due_ms > c->g->loop.now_ms)
		return;
	c->due_ms = INT64_MAX;
	curl_multi_socket_action(c->multi, CURL_SOCKET_TIMEOUT, 0, &running);
}

CURL *cv_gw_curl_done(struct cv_gw_curl *c, CURLcode *ret)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(c->multi, &left)))
		if (m->msg == CURLMSG_DONE) {
			*ret = m->data.result;
			return m->easy_handle;
		}
	return NULL;
}
