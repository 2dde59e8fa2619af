/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link.c - what the supervisor says
 *
 * Until GO messages are awaited one after the other; afterwards the link is drained whenever it
 * can be read, and before each look-up of an identity: the record of a connection is in the
 * socket's buffer before the connection can be accepted, so after a drain it is here.
 * The supervisor is trusted; a message that can't be right ends the proxy, which is a bug found.
 */
#include "base/assert.h"
#include "proxy/advice.h"
#include "proxy/approve.h"
#include "proxy/local.h"
#include "proxy/routes.h"
#include "proxy/tools.h"
#include "sys/fd.h"

#include <stdlib.h>

void cv_link_say(struct cv_proxy *p, uint32_t reply, struct cv_str text)
{
	struct cv_buf b;

	cv_buf_init(&b, CV_IPC_BODY_BYTES_MAX);
	if (reply != CV_PROXY_REPLY_READY)
		cv_ipc_put_str(
			&b, cv_str_slice(text, 0, reply == CV_PROXY_REPLY_FATAL ? 4000 : 65000));
	/* a supervisor that does not read has more to worry about than this message */
	(void)!cv_ipc_send(p->link, reply, cv_buf_str(&b), NULL, 0, NULL);
	cv_buf_fini(&b);
}

static struct cv_str fd_text(struct cv_proxy *p, int fd, size_t max)
{
	struct cv_err err;
	size_t n;
	char *text;

	if (cv_ipc_fd_read_all(fd, max, &text, &n, &err) != CV_OK)
		cv_proxy_die(p, err.msg);
	return (struct cv_str){ text, n };
}

static bool roots_take(struct cv_proxy *p, struct cv_ipc_msg *m)
{
	if (p->roots_count == CV_PROXY_ROOTS_FILES_MAX)
		return false;
	p->roots_fd[p->roots_count++] = cv_take_fd(m->fds[0]);
	return true;
}

static bool more_take(struct cv_proxy *p, struct cv_ipc_msg *m)
{
	if (p->tcp_count + 2 > CV_ARRAY_LEN(p->tcp))
		return false;
	p->tcp[p->tcp_count++] = cv_take_fd(m->fds[0]);
	p->tcp[p->tcp_count++] = cv_take_fd(m->fds[1]);
	return true;
}

static bool listeners_take(struct cv_proxy *p, struct cv_ipc_msg *m)
{
	struct cv_ipc_reader r = { .rest = m->body };
	const uint32_t how = cv_ipc_get_u32(&r);

	if (!cv_ipc_reader_is_done(&r) || how == CV_INTERCEPTION_AUTO ||
		how >= CV_INTERCEPTION_COUNT || !more_take(p, m))
		return false;
	p->interception = (enum cv_interception)how;
	p->udp[0] = cv_take_fd(m->fds[2]);
	p->udp[1] = cv_take_fd(m->fds[3]);
	p->diag = cv_take_fd(m->fds[4]);
	return true;
}

/* Without a text there are no providers. */
static void layer_take(struct cv_proxy *p, int fd)
{
	free((char *)(uintptr_t)p->policy_layer.p);
	p->policy_layer = fd_text(p, fd, CV_PROXY_POLICY_BYTES_MAX);
	if (p->policy_layer.n)
		return;
	free((char *)(uintptr_t)p->policy_layer.p);
	p->policy_layer = CV_STR_NONE;
}

static bool pin_take(struct cv_proxy *p, struct cv_str body)
{
	struct cv_ipc_reader r = { .rest = body };
	struct cv_resolver *to = &p->resolver;
	const struct cv_str host = cv_ipc_get_str(&r);
	const uint32_t port = cv_ipc_get_u32(&r);
	const struct cv_str addr = cv_ipc_get_str(&r);

	if (!cv_ipc_reader_is_done(&r) || to->pin_count == CV_PLAN_PINS_MAX || port > UINT16_MAX)
		return false;
	struct cv_pin *pin = &to->pin[to->pin_count];
	if (cv_host_parse_bare(host, &pin->host) != CV_HOST_OK || !cv_ip_parse(addr, &pin->ip))
		return false;
	pin->port = (uint16_t)port;
	to->pin_count++;
	return true;
}

static bool sink_take(struct cv_proxy *p, struct cv_ipc_msg *m)
{
	struct cv_ipc_reader r = { .rest = m->body };
	const uint32_t form = cv_ipc_get_u32(&r);
	const uint32_t is_required = cv_ipc_get_u32(&r);

	if (!cv_ipc_reader_is_done(&r) || form >= CV_AUDIT_FORM_COUNT)
		return false;
	return cv_sinks_add(
		&p->sinks, cv_take_fd(m->fds[0]), (enum cv_audit_form)form, is_required != 0);
}

/* None, or less, is what the supervisor may give; more than we can account for is its mistake. */
static bool spool_take(struct cv_proxy *p, struct cv_ipc_msg *m)
{
	struct cv_ipc_reader r = { .rest = m->body };
	const uint64_t body_max = cv_ipc_get_u64(&r);
	const uint64_t sum_max = cv_ipc_get_u64(&r);

	if (!cv_ipc_reader_is_done(&r) || body_max > sum_max || sum_max > CV_PROXY_SPOOL_BYTES_MAX)
		return false;
	cv_spool_take(&p->spool, cv_take_fd(m->fds[0]), body_max, sum_max);
	return true;
}

static bool budget_take(struct cv_proxy *p, struct cv_str body)
{
	struct cv_ipc_reader r = { .rest = body };
	const struct cv_str text = cv_ipc_get_str(&r);
	struct cv_budget_rule rule;

	return cv_ipc_reader_is_done(&r) && cv_budget_parse(text, &rule, NULL) == CV_OK &&
	       cv_budgets_put(&p->budgets, &rule);
}

static bool routes_take(struct cv_proxy *p, int fd)
{
	const struct cv_str text = fd_text(p, fd, CV_ROUTES_FILE_BYTES_MAX + 1);
	const bool is_good = cv_call_routes_take(p, text);

	free((char *)(uintptr_t)text.p);
	return is_good;
}

static bool tools_take(struct cv_proxy *p, int fd)
{
	const struct cv_str text = fd_text(p, fd, CV_TOOLMAP_BYTES_MAX + 1);
	const bool is_good = cv_tools_map_take(p, text);

	free((char *)(uintptr_t)text.p);
	return is_good;
}

static bool policy_take(struct cv_proxy *p, struct cv_ipc_msg *m)
{
	struct cv_ipc_reader r = { .rest = m->body };
	const struct cv_str file = cv_ipc_get_str(&r);

	if (!cv_ipc_reader_is_done(&r))
		return false;
	cv_reload_policy(p, file, m->fds[0]);
	return true;
}

static bool identity_take(struct cv_proxy *p, struct cv_str body)
{
	struct cv_proxy_identity id;

	if (!cv_proxy_identity_get(body, &id))
		return false;
	cv_identities_put(&p->ids, &id, p->loop.now_ms); /* none kept: the caller is unknown */
	return true;
}

static void report(struct cv_proxy *p)
{
	struct cv_buf b;

	cv_buf_init(&b, CV_SUMMARY_BYTES_MAX);
	(void)!cv_summary_text(&p->sinks.summary, &b); /* what is there is said */
	cv_advice_put(p, &b);
	cv_link_say(p, CV_PROXY_REPLY_REPORT_TEXT, cv_buf_str(&b));
	cv_buf_fini(&b);
}

static bool facts_take(struct cv_proxy *p, struct cv_str body)
{
	struct cv_ipc_reader r = { .rest = body };

	p->facts_text = malloc(body.n + 1);
	cv_assert(p->facts_text);
	memcpy(p->facts_text, body.p, body.n);
	r.rest.p = p->facts_text;
	for (size_t i = 0; i < CV_PROXY_FACT_COUNT; i++)
		p->facts[i] = cv_ipc_get_str(&r);
	return cv_ipc_reader_is_done(&r);
}

static bool advice_take(struct cv_proxy *p, struct cv_str body)
{
	struct cv_ipc_reader r = { .rest = body };

	p->may_propose = cv_ipc_get_u32(&r) != 0;
	return cv_ipc_reader_is_done(&r);
}

/* False when the message makes no sense. */
static bool message_take(struct cv_proxy *p, struct cv_ipc_msg *m)
{
	switch ((enum cv_proxy_req)m->type) {
	case CV_PROXY_REQ_LISTENERS: return listeners_take(p, m);
	case CV_PROXY_REQ_MORE: return more_take(p, m);
	case CV_PROXY_REQ_KEEPER: cv_keeper_take(p, cv_take_fd(m->fds[0])); return true;
	case CV_PROXY_REQ_ROOTS: return roots_take(p, m);
	case CV_PROXY_REQ_RESOLVER: cv_resolvconf_parse(m->body, &p->resolver.conf); return true;
	case CV_PROXY_REQ_HOSTS:
		p->hosts = fd_text(p, m->fds[0], CV_PROXY_HOSTS_BYTES_MAX);
		p->resolver.hosts = p->hosts;
		return true;
	case CV_PROXY_REQ_PIN: return pin_take(p, m->body);
	case CV_PROXY_REQ_AUDIT_SINK: return sink_take(p, m);
	case CV_PROXY_REQ_CREDENTIALS:
		/* Of a proxy that has just started the former catalog may still be there to read. */
		cv_keeper_drain(p);
		p->creds.is_changing = true;
		return true;
	case CV_PROXY_REQ_DENIALS: cv_sinks_denials(&p->sinks, p->link); return true;
	case CV_PROXY_REQ_BUDGET: return budget_take(p, m->body);
	case CV_PROXY_REQ_ROUTES: return routes_take(p, m->fds[0]);
	case CV_PROXY_REQ_LAYER: layer_take(p, m->fds[0]); return true;
	case CV_PROXY_REQ_POLICY: return policy_take(p, m);
	case CV_PROXY_REQ_GO:
		p->is_ready = true;
		p->link_in.state = CV_PROXY_READY;
		return true;
	case CV_PROXY_REQ_IDENTITY: return identity_take(p, m->body);
	case CV_PROXY_REQ_RESOLVED: cv_reload_aliases(p, m->body); return true;
	case CV_PROXY_REQ_REPORT: report(p); return true;
	case CV_PROXY_REQ_FORWARD: return cv_forward_take(p, m->body);
	case CV_PROXY_REQ_METADATA: return facts_take(p, m->body);
	case CV_PROXY_REQ_TOOLS: return tools_take(p, m->fds[0]);
	case CV_PROXY_REQ_BROKER: cv_tools_broker_take(p, cv_take_fd(m->fds[0])); return true;
	case CV_PROXY_REQ_SPOOL: return spool_take(p, m);
	case CV_PROXY_REQ_ANSWER: return cv_approve_answer(p, m->body);
	case CV_PROXY_REQ_PROPOSED: return cv_local_proposed(p, m->body);
	case CV_PROXY_REQ_ADVICE: return advice_take(p, m->body);
	case CV_PROXY_REQ_COUNT: break;
	}
	cv_unreachable(); /* the link's table knows no other */
}

/* One message; false when there is none, or no more will come. */
static bool link_read(struct cv_proxy *p)
{
	struct cv_ipc_msg m;
	struct cv_err err;

	switch (cv_ipc_recv(p->link, &p->link_in, p->message, &m, &err)) {
	case CV_OK: break;
	case CV_UNAVAILABLE: return false;
	case CV_NOT_FOUND: p->is_done = true; return false;
	case CV_INVALID:
	case CV_DENIED:
	case CV_LIMIT:
	case CV_PROTO:
	case CV_SYSTEM:
	case CV_CODE_COUNT: cv_proxy_die(p, err.msg);
	}
	const bool is_good = message_take(p, &m);
	cv_ipc_msg_fini(&m);
	if (!is_good)
		cv_proxy_die(p, "a message of the supervisor makes no sense");
	return true;
}

void cv_link_drain(struct cv_proxy *p)
{
	while (link_read(p))
		;
}

void cv_link_start(struct cv_proxy *p)
{
	p->link_in = (struct cv_ipc_link){
		.rules = cv_proxy_req_rule,
		.rule_count = CV_PROXY_REQ_COUNT,
		.state = CV_PROXY_NEW,
	};
	p->message = malloc(CV_IPC_BODY_BYTES_MAX + 8);
	cv_assert(p->message);
	while (!p->is_ready)
		if (!link_read(p)) {
			if (p->is_done)
				_exit(0); /* the supervisor changed its mind */
			cv_proxy_die(p, "the link ended before GO");
		}
	if (!p->tcp_count)
		cv_proxy_die(p, "GO came before the listeners");
	cv_reload_default(p);
}
