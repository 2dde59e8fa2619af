/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mint.c - see mint.h
 */
#include "proxy/mint.h"

#include "cred/decode.h"
#include "cred/response.h"
#include "cred/token_answer.h"
#include "proxy/cred_int.h"
#include "proxy/denial.h"
#include "proxy/hold.h"
#include "proxy/scrub.h"
#include "wire/h1_write.h"

#include <stdlib.h>

#define MINT_BYTES_MAX    49152       /* as the link takes it */
#define READ_ARENA_BYTES  (80u << 10) /* eight tokens of 8 KiB, at most */
#define WRITTEN_BYTES_MAX CV_PROXY_IO_BYTES
#define DECODED_BYTES_MAX (CV_TOKEN_ANSWER_BYTES_MAX + CV_DECODE_CALL_BYTES_MAX)

enum phase {
	READING,
	ASKED,   /* MINT is under way */
	MINTED,  /* its answer came */
	REFUSED, /* no, or there is no keeper */
	LEARNING /* what to scrub */
};

struct cv_mint {
	enum phase phase;
	uint32_t tag;
	struct cv_hold hold;
	struct cv_buf text; /* decoded; then with placeholders */
	struct cv_arena arena;
	struct cv_token_answer answer;
	uint32_t creds[CV_KEEPER_TOKENS_MAX]; /* of each token */
};

static const struct cv_policy_endpoint *endpoint_of(const struct cv_flow *f)
{
	return f->verdict.obligations & CV_OBLIGE_INSPECT
		       ? cv_policy_endpoint_of(f->policy, &f->http.verdict)
		       : NULL;
}

void cv_mint_expect(struct cv_flow *f)
{
	const struct cv_policy_endpoint *e = endpoint_of(f);

	if (e && e->token_endpoint && f->server.ssl)
		SSL_set_options(f->server.ssl, SSL_OP_CLEANSE_PLAINTEXT);
}

bool cv_mint_is_due(const struct cv_flow *f, const struct cv_h1_response *r)
{
	const struct cv_policy_endpoint *e = endpoint_of(f);

	return e && e->token_endpoint && !f->http.is_minted && r->status >= 200 &&
	       r->status < 300 && r->body != CV_H1_BODY_NONE &&
	       (r->body != CV_H1_BODY_LENGTH || r->length);
}

void cv_mint_end(struct cv_flow *f)
{
	struct cv_mint *m = f->mint;

	if (!m)
		return;
	cv_hold_wipe(&m->hold);
	cv_buf_wipe(&m->text);
	cv_arena_wipe(&m->arena);
	free(m);
	f->mint = NULL;
}

static bool refuse(struct cv_proxy *p, struct cv_flow *f, const char *why)
{
	const struct cv_denial_text t = { .why = cv_str_of(why) };
	const struct cv_fact fact = {
		.action = CV_AUDIT_ACTION_DENY,
		.activity = CV_ACTIVITY_REFUSE,
		.engine = "credentials",
		.reason_code = cv_denial_code(CV_DENIAL_CREDENTIAL_TOKENS),
		.reason = t.why,
		.status = 502,
	};

	cv_mint_end(f);
	cv_decide_record(p, f, &fact);
	cv_deny(p, f, CV_DENIAL_CREDENTIAL_TOKENS, &t);
	return true;
}

bool cv_mint_begin(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_response *r)
{
	struct cv_mint *m = f->mint = calloc(1, sizeof(*m));

	if (!m)
		return refuse(p, f, "there is no memory for it");
	cv_buf_init(&m->text, DECODED_BYTES_MAX);
	cv_arena_init(&m->arena, READ_ARENA_BYTES);
	if (!cv_hold_start(&m->hold, &f->server, r->head_bytes, r->body, r->length,
		    CV_TOKEN_ANSWER_BYTES_MAX))
		return refuse(p, f, "there is no memory for it");
	return true;
}

/* ---- reading ---- */

static bool codings_of(const struct cv_h1_response *r, enum cv_coding *codings, size_t *ret_n)
{
	const struct cv_h1_header *h;

	*ret_n = 0;
	for (size_t at = 0; (h = cv_h1_header_next_named(r->header, r->header_count,
				     CV_STR("content-encoding"), &at));) {
		enum cv_coding more[CV_DECODE_CODINGS_MAX];
		size_t n = 0;

		if (cv_codings_parse(h->value, more, &n) != CV_DECODE_OK ||
			*ret_n + n > CV_DECODE_CODINGS_MAX)
			return false;
		for (size_t i = 0; i < n; i++)
			codings[(*ret_n)++] = more[i];
	}
	return true;
}

static bool head_parse(struct cv_proxy *p, const struct cv_flow *f, const struct cv_mint *m)
{
	size_t scanned = 0;

	return cv_h1_response_parse(cv_buf_str(&m->hold.head), CV_PROXY_HEAD_BYTES_MAX, &scanned,
		       f->http.asked, &p->response) == CV_H1_OK;
}

/* The body without its codings, into text.  NULL, or why not. */
static const char *decode(struct cv_proxy *p, struct cv_flow *f, struct cv_mint *m)
{
	enum cv_coding codings[CV_DECODE_CODINGS_MAX];
	struct cv_str in = cv_buf_str(&m->hold.body);
	struct cv_decode *d = NULL;
	enum cv_decode_rc rc;
	size_t n;

	if (!head_parse(p, f, m) || !codings_of(&p->response, codings, &n))
		return "it has a content coding that is not known";
	if (p->response.status == 206)
		return "it is a part of an answer";
	rc = cv_decode_new(codings, n, &d);
	while (rc == CV_DECODE_OK || rc == CV_DECODE_MORE) {
		rc = cv_decode_feed(d, &in, &m->text);
		if (cv_buf_len(&m->text) > CV_TOKEN_ANSWER_BYTES_MAX)
			rc = CV_DECODE_RATIO;
		if (rc == CV_DECODE_OK)
			break;
	}
	if (rc == CV_DECODE_OK)
		rc = cv_decode_end(d);
	cv_decode_free(d);
	return rc == CV_DECODE_OK ? NULL : "it can't be decoded, or is too long";
}

static struct cv_keeper_release request_of(const struct cv_flow *f)
{
	return (struct cv_keeper_release){
		.host = cv_host_str(&f->host),
		.host_is_ip = f->host.is_ip,
		.port = f->port,
		.method = f->http.method,
		.path = f->http.path,
	};
}

static bool ask(struct cv_proxy *p, struct cv_flow *f, struct cv_mint *m)
{
	struct cv_keeper_mint ask = { .request = request_of(f), .count = m->answer.n };
	struct cv_buf b;

	for (size_t i = 0; i < m->answer.n; i++) {
		ask.token[i].kind = m->answer.v[i].kind;
		ask.token[i].lives_s = m->answer.v[i].lives_s;
		ask.token[i].value = m->answer.v[i].value;
	}
	if (++p->cred_tag == 0)
		p->cred_tag = 1;
	ask.request.tag = m->tag = p->cred_tag;
	cv_buf_init(&b, MINT_BYTES_MAX);
	const bool is_sent =
		f->http.path.n && p->keeper >= 0 && cv_buf_reserve(&b, MINT_BYTES_MAX) &&
		cv_keeper_mint_put(&b, &ask) &&
		cv_ipc_send(p->keeper, CV_KEEPER_REQ_MINT, cv_buf_str(&b), NULL, 0, NULL) == CV_OK;
	cv_buf_wipe(&b);
	m->phase = ASKED;
	return is_sent;
}

/* ---- the answer, written anew ---- */

/* Into the server's buffer, from which it is read as if it had come so. */
static bool put_back(struct cv_proxy *p, struct cv_flow *f, struct cv_mint *m)
{
	static const struct cv_response_plan decoded = { .action = CV_RESPONSE_DECODE };
	const struct cv_str text = cv_buf_str(&m->text);
	struct cv_leg *s = &f->server;
	struct cv_h1_edit e;

	cv_arena_reset(&p->creds.scratch);
	if (!head_parse(p, f, m) || !cv_response_fields_drop(&decoded, &p->creds.scratch,
					    p->response.header, &p->response.header_count))
		return refuse(p, f, "its head can't be written");
	cv_h1_edit_of_response(&e, &p->response);
	e.body = CV_H1_BODY_LENGTH;
	e.length = text.n;
	/* what stands behind it was not asked for */
	e.is_keep_alive = p->response.is_keep_alive && !cv_leg_text(s).n;
	cv_leg_take(s, cv_leg_text(s).n);
	cv_buf_reset(&p->head);
	if (!cv_h1_write_response(&p->head, &p->response, &e) || !cv_buf_put(&p->head, text) ||
		!cv_iob_put(s->pool, s->ssl ? &s->plain : &s->in, cv_buf_str(&p->head)))
		return refuse(p, f, "it is too long");
	cv_mint_end(f);
	f->http.is_minted = true;
	return true;
}

/* What the keeper knows to be scrubbed from this server now. */
static bool learn(struct cv_proxy *p, struct cv_flow *f, struct cv_mint *m)
{
	static const struct cv_rewrite_plan none; /* zero: nothing is asked for */
	const struct cv_h1_request r = { .method = f->http.method, .form = CV_H1_FORM_ORIGIN };

	m->phase = LEARNING;
	return cred_flow_make(f) && cred_release_ask(p, f, &r, f->http.path, &none, NULL);
}

static void record(struct cv_proxy *p, struct cv_flow *f, const struct cv_mint *m)
{
	const struct cv_str provider = p->creds.providers[m->creds[0]];
	struct cv_str keys = p->creds.entries[m->creds[0]].key;

	for (size_t i = 1; i < m->answer.n; i++)
		keys = cv_arena_printf(&p->arena, "%.*s,%.*s", CV_STR_ARG(keys),
			CV_STR_ARG(p->creds.entries[m->creds[i]].key));
	const struct cv_audit_pair extra[] = { { "provider", provider }, { "credential", keys },
		{ "cause", CV_STR("minted") } };
	struct cv_audit_event e = {
		.kind = CV_AUDIT_CONFIG,
		.activity = CV_ACTIVITY_LOADED,
		.severity = CV_SEVERITY_INFO,
		.message = CV_STR("Tokens of an answer taken in, placeholders handed on"),
		.host = cv_host_str(&f->host),
		.port = f->port,
		.extra = extra,
		.extra_count = CV_ARRAY_LEN(extra),
	};

	cv_sinks_event(&p->sinks, &e);
}

static bool rewrite(struct cv_proxy *p, struct cv_flow *f, struct cv_mint *m)
{
	struct cv_str words[CV_KEEPER_TOKENS_MAX];
	struct cv_buf b;

	for (size_t i = 0; i < m->answer.n; i++)
		words[i] = p->creds.entries[m->creds[i]].text;
	cv_buf_init(&b, WRITTEN_BYTES_MAX);
	const bool is_written = cv_token_answer_write(cv_buf_str(&m->text), &m->answer, words, &b);
	cv_buf_wipe(&m->text);
	m->text = b;
	if (!is_written)
		return refuse(p, f, "it is too long");
	record(p, f, m);
	if (!learn(p, f, m))
		return refuse(p, f, "what to scrub of it is not known");
	return true;
}

/* ---- steps ---- */

static bool read_step(struct cv_proxy *p, struct cv_flow *f, struct cv_mint *m)
{
	const size_t before = cv_buf_len(&m->hold.body);
	const char *fault;

	switch (cv_hold_take(&m->hold, &f->server)) {
	case CV_HOLD_MORE: return cv_buf_len(&m->hold.body) != before;
	case CV_HOLD_LONG: return refuse(p, f, "it is too long");
	case CV_HOLD_BAD: return refuse(p, f, "its body is malformed");
	case CV_HOLD_CUT: return refuse(p, f, "the upstream closed before its end");
	case CV_HOLD_DONE:
	case CV_HOLD_FOUND:
	case CV_HOLD_FULL: break; /* the last two of holds with a spool */
	}
	fault = decode(p, f, m);
	if (!fault && cv_str_trim(cv_buf_str(&m->text)).n) /* nothing holds no token */
		fault = cv_token_answer_read(cv_buf_str(&m->text), &m->arena, &m->answer);
	if (fault)
		return refuse(p, f, fault);
	if (!m->answer.n)
		return put_back(p, f, m);
	if (!ask(p, f, m))
		return refuse(p, f, "its tokens can't be kept now");
	return true;
}

static bool learned_step(struct cv_proxy *p, struct cv_flow *f, struct cv_mint *m)
{
	switch (f->cred->state) {
	case CV_CRED_ASKED: return false;
	case CV_CRED_RELEASED:
		cred_secrets_wipe(f->cred);
		f->cred->state = CV_CRED_IDLE;
		return put_back(p, f, m);
	case CV_CRED_AWAY: /* and with the keeper the tokens */
	case CV_CRED_ANEW:
	case CV_CRED_IDLE:
	case CV_CRED_REFUSED: break;
	}
	f->cred->state = CV_CRED_IDLE;
	return refuse(p, f, "what to scrub of it is not known");
}

bool cv_mint_step(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_mint *m = f->mint;

	switch (m->phase) {
	case READING: return read_step(p, f, m);
	case ASKED: return false;
	case MINTED: return rewrite(p, f, m);
	case REFUSED: return refuse(p, f, "its tokens can't be kept");
	case LEARNING: return learned_step(p, f, m);
	}
	return false;
}

/* ---- the keeper's answer ---- */

static struct cv_flow *asker(struct cv_proxy *p, uint32_t tag)
{
	for (uint32_t i = 0; i < p->flows.high; i++) {
		struct cv_flow *f = &p->flows.v[i];

		if (f->state != CV_FLOW_FREE && f->mint && f->mint->phase == ASKED &&
			f->mint->tag == tag)
			return f;
	}
	return NULL;
}

bool cv_mint_take(struct cv_proxy *p, struct cv_str body)
{
	struct cv_ipc_reader r = { .rest = body };
	const uint32_t tag = cv_ipc_get_u32(&r), n = cv_ipc_get_u32(&r);
	uint32_t creds[CV_KEEPER_TOKENS_MAX];

	if (n > CV_KEEPER_TOKENS_MAX)
		return false;
	for (uint32_t i = 0; i < n; i++)
		creds[i] = cv_ipc_get_u32(&r);
	if (!cv_creds_minted_add(p, &r))
		return false;
	for (uint32_t i = 0; i < n; i++)
		if (creds[i] >= p->creds.count)
			return false;
	struct cv_flow *f = tag ? asker(p, tag) : NULL;
	if (!f)
		return true; /* it ended meanwhile, or nobody asked */
	if (n && n != f->mint->answer.n)
		return false;
	f->mint->phase = n ? MINTED : REFUSED;
	memcpy(f->mint->creds, creds, n * sizeof(creds[0]));
	cv_proxy_queue(p, f);
	return true;
}

void cv_mint_keeper_lost(struct cv_proxy *p, struct cv_flow *f)
{
	if (f->mint->phase != ASKED)
		return;
	f->mint->phase = REFUSED;
	cv_proxy_queue(p, f);
}
