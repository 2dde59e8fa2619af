/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keeper.c - what comes from the keeper; and leaves: kept here, asked of it
 *
 * One question for one name at a time, whoever waits for it; flows that wait look again when an
 * answer came.  A keeper that is gone is not waited for: the flow is told at once.
 */
#include "proxy/mint.h"
#include "proxy/proxy.h"
#include "sys/fd.h"

#include <string.h>
#include <time.h>

static int64_t wall_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec;
}

static struct cv_leaf_wait *wait_find(struct cv_proxy *p, const struct cv_host *host)
{
	for (size_t i = 0; i < CV_PROXY_LEAF_WAITS_MAX; i++)
		if (p->leaf_wait[i].tag && cv_host_eq(&p->leaf_wait[i].host, host))
			return &p->leaf_wait[i];
	return NULL;
}

static bool leaf_ask(struct cv_proxy *p, const struct cv_host *host)
{
	struct cv_leaf_wait *w = NULL;
	struct cv_buf spki, b;
	bool is_sent;

	for (size_t i = 0; i < CV_PROXY_LEAF_WAITS_MAX && !w; i++)
		if (!p->leaf_wait[i].tag)
			w = &p->leaf_wait[i];
	if (!w || p->keeper < 0)
		return false;
	cv_buf_init(&spki, 1024);
	cv_buf_init(&b, 2048);
	if (++p->leaf_tag == 0)
		p->leaf_tag = 1;
	is_sent =
		cv_tls_server_spki(p->tls_server, &spki, NULL) == CV_OK &&
		cv_ipc_put_u32(&b, p->leaf_tag) && cv_ipc_put_str(&b, cv_host_str(host)) &&
		cv_ipc_put_str(&b, cv_buf_str(&spki)) &&
		cv_ipc_send(p->keeper, CV_KEEPER_REQ_LEAF, cv_buf_str(&b), NULL, 0, NULL) == CV_OK;
	if (is_sent)
		*w = (struct cv_leaf_wait){ .host = *host, .tag = p->leaf_tag };
	cv_buf_fini(&spki);
	cv_buf_fini(&b);
	return is_sent;
}

X509 *cv_keeper_leaf(struct cv_proxy *p, const struct cv_host *host, bool may_ask, bool *ret_waits)
{
	X509 *leaf = cv_leaves_find(p->leaves, cv_host_str(host), wall_s());

	*ret_waits = false;
	if (!leaf)
		*ret_waits = wait_find(p, host) != NULL || (may_ask && leaf_ask(p, host));
	return leaf;
}

/* Whoever waits for a leaf looks again. */
static void waiters_queue(struct cv_proxy *p)
{
	for (uint32_t i = 0; i < p->flows.high; i++)
		if (p->flows.v[i].state == CV_FLOW_LEAF)
			cv_proxy_queue(p, &p->flows.v[i]);
}

static void keeper_lost(struct cv_proxy *p)
{
	cv_loop_remove(&p->loop, p->keeper);
	cv_fd_cleanup(&p->keeper);
	p->keeper = -1;
	for (size_t i = 0; i < CV_PROXY_LEAF_WAITS_MAX; i++)
		p->leaf_wait[i].tag = 0;
	cv_creds_keeper_lost(p);
	cv_forward_keeper_lost(p);
}

static bool leaf_take(struct cv_proxy *p, const struct cv_ipc_msg *m)
{
	struct cv_ipc_reader r = { .rest = m->body };
	const uint32_t tag = cv_ipc_get_u32(&r);
	const struct cv_str text = cv_ipc_get_str(&r); /* the leaf, or why not */
	const uint64_t not_after_s = m->type == CV_KEEPER_REPLY_LEAF_CERT ? cv_ipc_get_u64(&r) : 0;

	if (!cv_ipc_reader_is_done(&r) || tag == 0)
		return false;
	for (size_t i = 0; i < CV_PROXY_LEAF_WAITS_MAX; i++) {
		struct cv_leaf_wait *w = &p->leaf_wait[i];

		if (w->tag != tag)
			continue;
		w->tag = 0;
		return m->type != CV_KEEPER_REPLY_LEAF_CERT ||
		       cv_leaves_put(p->leaves, cv_host_str(&w->host), text, (int64_t)not_after_s,
			       NULL) == CV_OK;
	}
	return false;
}

static bool reply_take(struct cv_proxy *p, const struct cv_ipc_msg *m)
{
	switch ((enum cv_keeper_reply)m->type) {
	case CV_KEEPER_REPLY_LEAF_CERT:
	case CV_KEEPER_REPLY_LEAF_REFUSED: return leaf_take(p, m);
	case CV_KEEPER_REPLY_CATALOG: return cv_creds_catalog_take(p, m->body);
	case CV_KEEPER_REPLY_RELEASED: {
		const bool is_good = cv_creds_released_take(p, m->body);

		explicit_bzero(p->message, m->body.n + 8);
		return is_good;
	}
	case CV_KEEPER_REPLY_REFUSED: return cv_creds_refused_take(p, m->body);
	case CV_KEEPER_REPLY_MINTED: return cv_mint_take(p, m->body);
	case CV_KEEPER_REPLY_UPSTREAM_VALUE: {
		const bool is_good = cv_forward_value_take(p, m->body);

		explicit_bzero(p->message, m->body.n + 8);
		return is_good;
	}
	case CV_KEEPER_REPLY_RENEWAL: return cv_renewal_record(p, m->body);
	case CV_KEEPER_REPLY_COUNT: break;
	}
	return false;
}

void cv_keeper_drain(struct cv_proxy *p)
{
	struct cv_ipc_msg m;
	bool is_good = true;

	if (p->keeper < 0)
		return;
	if (!p->keeper_in.rules)
		p->keeper_in = (struct cv_ipc_link){
			.rules = cv_keeper_reply_rule,
			.rule_count = CV_KEEPER_REPLY_COUNT,
			.state = CV_KEEPER_READY,
		};
	while (is_good) {
		const cv_code code = cv_ipc_recv(p->keeper, &p->keeper_in, p->message, &m, NULL);

		if (code == CV_UNAVAILABLE)
			break;
		is_good = code == CV_OK && reply_take(p, &m);
		if (code == CV_OK)
			cv_ipc_msg_fini(&m);
	}
	if (!is_good)
		keeper_lost(p);
	waiters_queue(p);
}
