/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keeper.c - what comes from the keeper; and leaves: kept here, asked of it
 *
 * One question for one name at a time, whoever waits for it; flows that wait look again when an
 * answer came.
 *
 * A keeper may die, and is started anew, with another CA and the same credentials:
 *
 *     KEEPER at the start --> here --its link ends--> away --KEEPER once more--> here
 *
 * While it is away, leaves that are kept are shown, and whoever needs another waits for the next
 * keeper as for an answer.  Releases: see cred.h.  The catalog of the next one must be the one that
 * is known, because the sandbox has the placeholders of that one, and requests under way its numbers.
 */
#include "proxy/mint.h"
#include "proxy/proxy.h"
#include "sys/clock.h"
#include "sys/fd.h"

#include <string.h>

static struct cv_leaf_wait *wait_find(struct cv_proxy *p, const struct cv_host *host)
{
	for (size_t i = 0; i < CV_PROXY_LEAF_WAITS_MAX; i++)
		if (p->leaf_wait[i].tag && cv_host_eq(&p->leaf_wait[i].host, host))
			return &p->leaf_wait[i];
	return NULL;
}

/* False: it could not be put into words. */
static bool question_put(struct cv_proxy *p, const struct cv_host *host, struct cv_buf *b)
{
	struct cv_buf spki;

	cv_buf_init(&spki, 1024);
	const bool is_put = cv_tls_server_spki(p->tls_server, &spki, NULL) == CV_OK &&
			    cv_ipc_put_u32(b, p->leaf_tag) &&
			    cv_ipc_put_str(b, cv_host_str(host)) &&
			    cv_ipc_put_str(b, cv_buf_str(&spki));
	cv_buf_fini(&spki);
	return is_put;
}

/* True: f is to wait, for the answer, for room to ask, or for a keeper. */
static bool leaf_ask(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_leaf_wait *w = NULL;
	struct cv_buf b;

	if (f->is_leaf_asked || p->keeper < 0)
		return !f->is_leaf_asked && p->has_keeper;
	for (size_t i = 0; i < CV_PROXY_LEAF_WAITS_MAX && !w; i++)
		if (!p->leaf_wait[i].tag)
			w = &p->leaf_wait[i];
	if (!w)
		return true;
	cv_buf_init(&b, 2048);
	if (++p->leaf_tag == 0)
		p->leaf_tag = 1;
	const bool is_put = question_put(p, &f->host, &b);
	/* Not sent: it is gone, or full of questions, whose answers make us look again. */
	f->is_leaf_asked = is_put && cv_ipc_send(p->keeper, CV_KEEPER_REQ_LEAF, cv_buf_str(&b),
					     NULL, 0, NULL) == CV_OK;
	if (f->is_leaf_asked)
		*w = (struct cv_leaf_wait){ .host = f->host, .tag = p->leaf_tag };
	cv_buf_fini(&b);
	return is_put;
}

X509 *cv_keeper_leaf(struct cv_proxy *p, struct cv_flow *f, bool *ret_waits)
{
	X509 *leaf = cv_leaves_find(p->leaves, cv_host_str(&f->host), cv_clock_unix_s());

	*ret_waits = false;
	if (leaf)
		return leaf;
	if (wait_find(p, &f->host))
		*ret_waits = f->is_leaf_asked = true;
	else
		*ret_waits = leaf_ask(p, f);
	return NULL;
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
	for (uint32_t i = 0; i < p->flows.high; i++)
		if (p->flows.v[i].state == CV_FLOW_LEAF)
			p->flows.v[i].is_leaf_asked = false;
	cv_creds_keeper_lost(p);
	cv_forward_keeper_lost(p);
}

void cv_keeper_take(struct cv_proxy *p, int link)
{
	cv_keeper_drain(p); /* what the former one still said */
	if (p->keeper >= 0)
		keeper_lost(p);
	p->keeper = link;
	p->keeper_in = (struct cv_ipc_link){
		.rules = cv_keeper_reply_rule,
		.rule_count = CV_KEEPER_REPLY_COUNT,
		.state = CV_KEEPER_READY,
	};
	p->has_keeper = true;
	if (!p->is_ready)
		return; /* watched with everything else */
	cv_proxy_watch(p, link, CV_WATCH_KEEPER, 0);
	cv_leaves_ca_next(p->leaves, CV_KEEPER_FORMER_CAS_MAX);
	cv_bonds_end(p);
	cv_scrubs_fini(&p->scrubs); /* the next one counts its epochs from the beginning */
	cv_keeper_drain(p);         /* the catalog */
	cv_creds_keeper_back(p);
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

static bool answers_take(struct cv_proxy *p, struct cv_str body)
{
	struct cv_ipc_reader r = { .rest = body };
	bool is_good = true;

	while (is_good && r.rest.n) {
		const uint32_t type = cv_ipc_get_u32(&r);
		const struct cv_str one = cv_ipc_get_str(&r);

		is_good = !r.is_bad && (type == CV_KEEPER_REPLY_RELEASED
						       ? cv_creds_released_take(p, one)
						       : type == CV_KEEPER_REPLY_REFUSED &&
								 cv_creds_refused_take(p, one));
	}
	return is_good;
}

static bool reply_take(struct cv_proxy *p, const struct cv_ipc_msg *m)
{
	if (!(p->keeper_in.seen & 1u << CV_KEEPER_REPLY_CATALOG))
		return false; /* it comes first: whose numbers are these? */
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
	case CV_KEEPER_REPLY_CHANGED: return cv_creds_changed_take(p, m->body);
	case CV_KEEPER_REPLY_MINTED: return cv_mint_take(p, m->body);
	case CV_KEEPER_REPLY_UPSTREAM_VALUE: {
		const bool is_good = cv_forward_value_take(p, m->body);

		explicit_bzero(p->message, m->body.n + 8);
		return is_good;
	}
	case CV_KEEPER_REPLY_ANSWERS: {
		const bool is_good = answers_take(p, m->body);

		explicit_bzero(p->message, m->body.n + 8);
		return is_good;
	}
	case CV_KEEPER_REPLY_RENEWAL:
		cv_bonds_end(p); /* another value, or none */
		return cv_renewal_record(p, m->body);
	case CV_KEEPER_REPLY_COUNT: break;
	}
	return false;
}

void cv_keeper_drain(struct cv_proxy *p)
{
	struct cv_ipc_msg m;
	cv_code code;

	if (p->keeper < 0)
		return;
	while ((code = cv_ipc_recv(p->keeper, &p->keeper_in, p->message, &m, NULL)) == CV_OK) {
		const bool is_good = reply_take(p, &m);

		cv_ipc_msg_fini(&m);
		if (!is_good)
			break;
	}
	if (code == CV_NOT_FOUND || code == CV_SYSTEM)
		keeper_lost(p);
	else if (code != CV_UNAVAILABLE) /* one of ours: a bug is found, and nobody would mend it */
		cv_proxy_die(p, "a message of the keeper makes no sense");
	waiters_queue(p);
}
