/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dnsd.c - the sandbox's name server
 *
 * A name that policy lists, on whatever port, gets synthetic addresses; nothing else is ever said
 * about it (no TXT, no HTTPS or SVCB records: so no keys for encrypted hellos, N6).  Any other name
 * is refused, with an event.  No question leaves the machine on account of a query: real addresses
 * are looked up when a connection to the name was allowed (N4).
 *
 * Over UDP, the answer leaves from the address that was asked; over TCP, each connection to port
 * 53 is a flow that stays here.
 */
#include "proxy/local.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static struct cv_str type_name(uint16_t type, char text[16])
{
	switch (type) {
	case CV_DNS_TYPE_A: return CV_STR("A");
	case CV_DNS_TYPE_AAAA: return CV_STR("AAAA");
	default: break;
	}
	return (struct cv_str){ text, (size_t)snprintf(text, 16, "TYPE%u", type) };
}

static void refusal_record(
	struct cv_proxy *p, const struct cv_dns_query *q, enum cv_dns_rcode rcode, const char *why)
{
	char text[16];
	struct cv_audit_event e = {
		.kind = CV_AUDIT_DNS,
		.activity = CV_ACTIVITY_QUERY,
		.action = CV_AUDIT_ACTION_DENY,
		.host = cv_name_str(&q->name),
		.port = 53,
		.protocol = CV_STR("dns"),
		.status = (uint16_t)(rcode + 1),
		.qtype = q->has_question ? type_name(q->type, text) : CV_STR_NONE,
		.engine = "opa",
		.reason_code = q->name.n ? "name_not_allowed" : "dns_query_refused",
		.reason = cv_str_of(why),
	};

	cv_sinks_event(&p->sinks, &e);
}

/* Appends the answer to out; false when there is none. */
static bool answer(struct cv_proxy *p, struct cv_str msg, bool is_tcp, struct cv_buf *out)
{
	static struct cv_dns_query q; /* scratch */
	const enum cv_dns_problem problem = cv_dns_query_parse(msg, &q);
	struct cv_dns_answer a = { .ttl_s = CV_PROXY_DNS_TTL_S };
	struct cv_ip ip[2];

	if (!cv_dns_is_answerable(problem))
		return false;
	if (problem != CV_DNS_PROBLEM_NONE) {
		a.rcode = cv_dns_problem_row(problem)->rcode;
		refusal_record(p, &q, a.rcode, cv_dns_problem_row(problem)->text);
	} else if (!cv_local_is_ours(p, cv_name_str(&q.name)) &&
		   !cv_policy_host_is_listed(p->policy, cv_name_str(&q.name))) {
		a.rcode = CV_DNS_REFUSED;
		refusal_record(p, &q, a.rcode, "the name is not allowed by any policy");
	} else if (q.type == CV_DNS_TYPE_A || q.type == CV_DNS_TYPE_AAAA) {
		if (cv_names_assign(p->names, cv_name_str(&q.name), p->loop.now_ms, &ip[0], &ip[1],
			    NULL) == CV_OK) {
			a.ip = &ip[q.type == CV_DNS_TYPE_AAAA];
			a.ip_count = 1;
		} else {
			a.rcode = CV_DNS_SERVFAIL;
			refusal_record(p, &q, a.rcode, "too many names are in use");
		}
	}
	return cv_dns_answer_write(&q, &a, is_tcp ? CV_DNS_TCP_BYTES_MAX : q.udp_bytes_max, out);
}

/* ---- UDP ---- */

/* Turns the control message that names the address asked into one that names it as the source. */
static void source_keep(struct msghdr *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			info.ipi_spec_dst = info.ipi_addr;
			info.ipi_ifindex = 0;
			memcpy(CMSG_DATA(c), &info, sizeof(info));
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			info.ipi6_ifindex = 0;
			memcpy(CMSG_DATA(c), &info, sizeof(info));
		}
	}
}

void cv_dnsd_read(struct cv_proxy *p, unsigned socket)
{
	for (int i = 0; i < CV_PROXY_DNS_TURN_MAX; i++) {
		char msg[CV_DNS_QUERY_BYTES_MAX + 1]; /* one more: too long is seen as such */
		struct sockaddr_storage from;
		union {
			struct cmsghdr align;
			char room[256];
		} control;
		struct iovec iov = { msg, sizeof(msg) };
		struct msghdr m = {
			.msg_name = &from,
			.msg_namelen = sizeof(from),
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = &control,
			.msg_controllen = sizeof(control),
		};
		const ssize_t n = recvmsg(p->udp[socket], &m, 0);

		if (n < 0)
			return; /* no more now */
		cv_buf_reset(&p->head);
		if (!answer(p, (struct cv_str){ msg, (size_t)n }, false, &p->head))
			continue;
		const struct cv_str s = cv_buf_str(&p->head);
		iov = (struct iovec){ (char *)(uintptr_t)s.p, s.n };
		m.msg_flags = 0;
		source_keep(&m);
		/* an answer that can't be sent is asked for again */
		(void)!sendmsg(p->udp[socket], &m, MSG_NOSIGNAL);
	}
}

/* ---- TCP ---- */

bool cv_dnsd_step(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_leg *c = &f->client;
	const bool has_moved = cv_leg_fill(c);
	const struct cv_str text = cv_leg_text(c);

	c->can_write = true;
	if (c->is_broken || (text.n < 2 && c->is_eof)) {
		cv_flow_end(p, f, false);
		return false;
	}
	if (text.n < 2)
		return has_moved;
	const size_t bytes = (size_t)(unsigned char)text.p[0] << 8 | (unsigned char)text.p[1];
	if (bytes > CV_DNS_QUERY_BYTES_MAX || (text.n < 2 + bytes && c->is_eof)) {
		cv_flow_end(p, f, true);
		return false;
	}
	if (text.n < 2 + bytes || cv_leg_room(c) < CV_DNS_QUERY_BYTES_MAX)
		return has_moved;
	struct cv_buf body;
	char head[2];
	cv_buf_init(&body, CV_DNS_TCP_BYTES_MAX);
	const bool is_answered = answer(p, cv_str_slice(text, 2, 2 + bytes), true, &body);
	const size_t n = cv_buf_len(&body);
	head[0] = (char)(n >> 8);
	head[1] = (char)n;
	const bool is_put = is_answered && cv_leg_put(c, (struct cv_str){ head, 2 }) == 2 &&
			    cv_leg_put(c, cv_buf_str(&body)) == n;
	cv_buf_fini(&body);
	cv_leg_take(c, 2 + bytes);
	if (!is_put) {
		cv_flow_end(p, f, true);
		return false;
	}
	f->deadline_ms = p->loop.now_ms + CV_PROXY_HEAD_MS;
	return true;
}
