/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cred_keeper.c - questions to the keeper about credentials, and its answers
 *
 * A flow asks one question at a time and knows its answer by a tag; a question that was answered just
 * now may not have to be asked (answers.h).  Values borrow from a copy of the message they came in,
 * which is wiped when the request's head has been written.
 */
#include "proxy/cred_int.h"

#include "proxy/inside.h"
#include "proxy/mint.h"
#include "proxy/scrub.h"
#include "proxy/sign.h"
#include "proxy/websocket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* A head, a few times over, with its credentials, and a body. */
#define SCRATCH_BYTES_MAX (CV_REWRITE_ARENA_BYTES + CV_REWRITE_BODY_ARENA_BYTES)

#define RELEASE_BYTES_MAX 32768      /* what the link takes */
#define CATALOG_BYTES_MAX (4u << 20) /* the automaton of 192 placeholders */

/* A tag says which flow asks, and which question of all: a flow has one at a time, and what is answered
 * late is another's than the one of a million questions later. */
#define TAG_INDEX_BITS  12
#define TAG_INDEX_MASK  ((1u << TAG_INDEX_BITS) - 1)
#define TAG_BYTES       4 /* before the rest of a question */
#define TAG_SERIAL_MASK (UINT32_MAX >> TAG_INDEX_BITS)
_Static_assert(CV_PROXY_POOL_MAX <= 1u << TAG_INDEX_BITS, "each flow has an index in a tag");

struct entry {
	struct cv_str key, text, provider;
};

void cv_creds_fini(struct cv_creds *c)
{
	cv_arena_fini(&c->arena);
	cv_arena_fini(&c->scratch);
	cv_buf_fini(&c->asks);
	cv_buf_fini(&c->question);
	cv_answers_forget(&c->answers);
	*c = (struct cv_creds){ 0 };
}

/* ---- from the keeper ---- */

static struct entry entry_get(struct cv_ipc_reader *r)
{
	struct entry e;

	e.key = cv_ipc_get_str(r);
	e.text = cv_ipc_get_str(r);
	e.provider = cv_ipc_get_str(r);
	return e;
}

/* So many of the catalog, with more in their places or behind it, in memory of its own: then the one
 * before ends. */
static bool catalog_make(
	struct cv_proxy *p, size_t kept, const struct entry *more, const uint32_t *at, size_t n)
{
	struct cv_creds *c = &p->creds;
	struct cv_creds made = *c;

	made.count = kept;
	cv_arena_init(&made.arena, CATALOG_BYTES_MAX);
	made.entries = cv_arena_array(&made.arena, CV_PH_ENTRIES_MAX, sizeof(made.entries[0]));
	made.providers = cv_arena_array(&made.arena, CV_PH_ENTRIES_MAX, sizeof(made.providers[0]));
	bool is_good = made.entries && made.providers;
	for (size_t i = 0; is_good && i < kept; i++) {
		made.entries[i].key = cv_arena_str(&made.arena, c->entries[i].key);
		made.entries[i].text = cv_arena_str(&made.arena, c->entries[i].text);
		made.providers[i] = cv_arena_str(&made.arena, c->providers[i]);
	}
	for (size_t i = 0; is_good && i < n; i++) {
		is_good = at[i] <= made.count && at[i] < CV_PH_ENTRIES_MAX;
		if (!is_good)
			break;
		made.entries[at[i]].key = cv_arena_str(&made.arena, more[i].key);
		made.entries[at[i]].text = cv_arena_str(&made.arena, more[i].text);
		made.providers[at[i]] = cv_arena_str(&made.arena, more[i].provider);
		made.count = CV_MAX(made.count, (size_t)at[i] + 1);
	}
	is_good =
		is_good && !made.arena.is_overflown &&
		cv_ph_set_compile(&made.set, made.entries, made.count, &made.arena, NULL) == CV_OK;
	cv_arena_fini(is_good ? &c->arena : &made.arena);
	if (is_good)
		*c = made;
	return is_good;
}

/* The rest of a second catalog: is it the one that we were given first? */
static bool is_same_catalog(const struct cv_creds *c, struct cv_ipc_reader r, uint32_t n)
{
	bool is_same = n == c->given;

	for (uint32_t i = 0; i < n && is_same; i++) {
		is_same = cv_str_eq(cv_ipc_get_str(&r), c->entries[i].key);
		is_same &= cv_str_eq(cv_ipc_get_str(&r), c->entries[i].text);
		is_same &= cv_str_eq(cv_ipc_get_str(&r), c->providers[i]);
	}
	return is_same && cv_ipc_reader_is_done(&r);
}

/* Scans of bodies that are passing begin anew: a placeholder that is cut in two right here is not
 * seen, and goes out as it is, which gives nothing away. */
static void scans_restart(struct cv_proxy *p)
{
	for (uint32_t i = 0; i < p->flows.high; i++) {
		struct cv_flow *f = &p->flows.v[i];

		if (f->state == CV_FLOW_FREE)
			continue;
		if (f->cred && !f->cred->scan.has_hit)
			cv_ph_scan_init(&f->cred->scan, &p->creds.set);
		if (f->hold)
			f->hold->is_stale = true;
		if (f->ws)
			cv_websocket_scan_restart(p, f);
	}
}

/* What a former keeper minted is gone with it. */
static bool minted_forget(struct cv_proxy *p)
{
	if (p->creds.count == p->creds.given)
		return true;
	if (!catalog_make(p, p->creds.given, NULL, NULL, 0))
		return false;
	scans_restart(p);
	return true;
}

static void answered(struct cv_proxy *p, struct cv_flow *f, enum cv_cred_state state)
{
	f->cred->state = state;
	cv_proxy_queue(p, f);
}

static void keeper_silent(struct cv_proxy *p, struct cv_flow *f)
{
	f->cred->refusal = CV_RELEASE_KEEPER;
	f->cred->why[0] = '\0';
	f->deadline_ms = p->loop.now_ms + CV_PROXY_KEEPER_MS;
	answered(p, f, CV_CRED_REFUSED);
}

/* Nothing that a flow knows of the former catalog holds: numbers of credentials mean others now.  A
 * stream that has its connection can't have another, so its request is refused. */
static void flow_forget(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_flow_cred *c = f->cred;

	c->is_unbound = false;
	c->given_count = 0;
	if (c->state != CV_CRED_ASKED && (c->state != CV_CRED_RELEASED || !c->secrets))
		return;
	cred_secrets_wipe(c);
	if (f->stream && f->http.is_decided)
		keeper_silent(p, f);
	else
		answered(p, f, CV_CRED_ANEW);
}

static void flows_forget(struct cv_proxy *p)
{
	p->creds.planned = CV_STR_NONE;
	for (uint32_t i = 0; i < p->flows.high; i++) {
		struct cv_flow *f = &p->flows.v[i];

		if (f->state != CV_FLOW_FREE && f->cred)
			flow_forget(p, f);
	}
}

static bool catalog_change(struct cv_proxy *p, struct cv_ipc_reader r, uint32_t n)
{
	struct entry all[CV_PH_ENTRIES_MAX];
	uint32_t at[CV_PH_ENTRIES_MAX];
	struct cv_creds *c = &p->creds;

	for (uint32_t i = 0; i < n; i++) {
		at[i] = i;
		all[i] = entry_get(&r);
	}
	if (!cv_ipc_reader_is_done(&r) || (n && !catalog_make(p, 0, all, at, n)))
		return false;
	c->given = n;
	c->count = n;
	c->is_changing = false;
	memset(c->unbound, 0, sizeof(c->unbound));
	c->unbound_next = 0;
	cv_bonds_end(p);
	flows_forget(p);
	scans_restart(p);
	return true;
}

bool cv_creds_catalog_take(struct cv_proxy *p, struct cv_str body)
{
	struct entry all[CV_PH_ENTRIES_MAX];
	uint32_t at[CV_PH_ENTRIES_MAX];
	struct cv_ipc_reader r = { .rest = body };
	struct cv_creds *c = &p->creds;
	const uint32_t n = cv_ipc_get_u32(&r);

	if (n > CV_PH_ENTRIES_MAX)
		return false;
	if (c->has_catalog && c->is_changing)
		return catalog_change(p, r, n);
	if (c->has_catalog && !is_same_catalog(c, r, n))
		cv_proxy_die(p, "the keeper that was started anew has other credentials");
	if (c->has_catalog)
		return minted_forget(p);
	c->has_catalog = true;
	c->is_changing = false;
	c->given = n;
	for (uint32_t i = 0; i < n; i++) {
		at[i] = i;
		all[i] = entry_get(&r);
	}
	cv_arena_init(&c->arena, CATALOG_BYTES_MAX);
	cv_arena_init(&c->scratch, SCRATCH_BYTES_MAX);
	return cv_ipc_reader_is_done(&r) && (!n || catalog_make(p, 0, all, at, n));
}

bool cv_creds_minted_add(struct cv_proxy *p, struct cv_ipc_reader *r)
{
	struct entry all[CV_PH_MINTED_MAX];
	uint32_t at[CV_PH_MINTED_MAX];
	const uint32_t n = cv_ipc_get_u32(r);

	cv_answers_forget(&p->creds.answers); /* a number may be another credential's now */
	if (n > CV_PH_MINTED_MAX || !p->creds.has_catalog)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		at[i] = cv_ipc_get_u32(r);
		all[i] = entry_get(r);
	}
	if (!cv_ipc_reader_is_done(r) || (n && !catalog_make(p, p->creds.count, all, at, n)))
		return false;
	if (n)
		scans_restart(p);
	return true;
}

/* It was sent before anything in the sandbox could be. */
void cred_catalog_await(struct cv_proxy *p)
{
	if (p->keeper >= 0 && !p->creds.has_catalog)
		cv_keeper_drain(p);
}

/* The flow that asked; NULL when it ended meanwhile. */
static struct cv_flow *asker(struct cv_proxy *p, uint32_t tag)
{
	const uint32_t at = tag & TAG_INDEX_MASK;
	struct cv_flow *f = at < p->flows.high ? &p->flows.v[at] : NULL;

	return f && f->state != CV_FLOW_FREE && f->cred && f->cred->state == CV_CRED_ASKED &&
			       f->cred->tag == tag
		       ? f
		       : NULL;
}

void cred_secrets_wipe(struct cv_flow_cred *c)
{
	if (!c->secrets)
		return; /* and no value */
	explicit_bzero(c->secrets, c->secret_bytes);
	free(c->secrets);
	c->secrets = NULL;
	memset(c->values, 0, sizeof(c->values));
}

/* A WebSocket lasts, and asks only when it has something to replace: what another flow gives to its
 * server may come back here. */
static void websockets_share(struct cv_proxy *p, const struct cv_flow *from)
{
	for (uint32_t i = 0; i < p->flows.high; i++) {
		struct cv_flow *f = &p->flows.v[i];

		if (f != from && f->state != CV_FLOW_FREE && f->ws && f->cred &&
			f->port == from->port && cv_host_eq(&f->host, &from->host))
			cv_scrub_share(f, from);
	}
}

bool cred_is_unbound(const struct cv_creds *c, const struct cv_flow *f)
{
	for (size_t i = 0; i < CV_PROXY_UNBOUND_MAX && c->unbound[i].port; i++)
		if (c->unbound[i].port == f->port && cv_host_eq(&c->unbound[i].host, &f->host))
			return true;
	return false;
}

static void unbound_keep(struct cv_creds *c, const struct cv_flow *f)
{
	if (!f->port || cred_is_unbound(c, f))
		return;
	c->unbound[c->unbound_next++ % CV_PROXY_UNBOUND_MAX] =
		(struct cv_unbound){ .host = f->host, .port = f->port };
}

/* What RELEASED says behind tag, version and time, for f, who takes the text.  False: malformed. */
static bool released_read(struct cv_proxy *p, struct cv_flow *f, char *text, size_t bytes)
{
	static struct cv_str
		all[2 * CV_PH_ENTRIES_MAX]; /* present values, and those before a renewal */
	struct cv_scrub_key key = { 0 };
	struct cv_flow_cred *c = f->cred;
	size_t count = 0;

	cred_secrets_wipe(c);
	cv_scrub_drop(f);
	c->secrets = text;
	c->secret_bytes = bytes;
	struct cv_ipc_reader r = { .rest = { c->secrets, c->secret_bytes } };
	c->flags = cv_ipc_get_u32(&r);
	c->epoch = key.epoch = cv_ipc_get_u64(&r);
	c->given_count = 0;
	c->bond = (struct cv_bond){ .kind = CV_BOND_PLAIN };
	for (uint32_t n = cv_ipc_get_u32(&r); n && !r.is_bad; n--) {
		const uint32_t i = cv_ipc_get_u32(&r);
		const bool is_asked = cv_ipc_get_u32(&r) != 0;
		const struct cv_str value = cv_ipc_get_str(&r);

		if (i >= p->creds.count)
			return false;
		if (is_asked) {
			c->values[i] = value;
			c->bond.creds[i / 64] |= UINT64_C(1) << i % 64;
			c->bond.kind = CV_BOND_CREDENTIAL;
			c->bond.epoch = c->epoch;
			c->bond.age = p->bond_age;
		}
		if (is_asked && c->given_count < CV_KEEPER_CREDS_MAX)
			c->given[c->given_count++] = i;
		key.creds[i / 64] |= UINT64_C(1) << i % 64;
		if (count < CV_ARRAY_LEN(all))
			all[count++] = value;
	}
	if (count) {
		cv_scrub_use(&p->scrubs, f, &key, all, count);
		websockets_share(p, f);
	}
	if (!(c->flags & CV_RELEASED_BOUND) && !c->is_unbound) {
		c->is_unbound = true;
		unbound_keep(&p->creds, f);
	}
	return cv_ipc_reader_is_done(&r);
}

bool cv_creds_released_take(struct cv_proxy *p, struct cv_str body)
{
	struct cv_ipc_reader r = { .rest = body };
	const uint32_t tag = cv_ipc_get_u32(&r);
	struct cv_answer_term term = { .version = cv_ipc_get_u64(&r) };
	struct cv_flow *f = asker(p, tag);

	term.keep_ms = cv_ipc_get_u32(&r);
	struct cv_ipc_reader text_of = r;
	term.is_any_path = cv_ipc_get_u32(&text_of) & CV_RELEASED_ANY_PATH;
	if (text_of.is_bad)
		return false;
	cv_answers_put(&p->creds.answers, tag, &term, r.rest, p->loop.now_ms);
	if (!f)
		return true;
	char *text = malloc(r.rest.n);
	if (!text) {
		f->cred->refusal = CV_RELEASE_UNKNOWN;
		answered(p, f, CV_CRED_REFUSED);
		return true;
	}
	memcpy(text, r.rest.p, r.rest.n);
	answered(p, f, CV_CRED_RELEASED);
	return released_read(p, f, text, r.rest.n);
}

bool cv_creds_changed_take(struct cv_proxy *p, struct cv_str body)
{
	struct cv_ipc_reader r = { .rest = body };
	const uint64_t version = cv_ipc_get_u64(&r);

	cv_answers_version(&p->creds.answers, version);
	return cv_ipc_reader_is_done(&r);
}

/* The keeper has said nothing that was not read yet, and is there. */
static bool is_keeper_silent(const struct cv_proxy *p)
{
	char byte;

	return p->keeper >= 0 && recv(p->keeper, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
	       errno == EAGAIN;
}

/* f's question was answered a moment ago, and that holds. */
static bool answer_use(struct cv_proxy *p, struct cv_flow *f, const struct cv_question *q)
{
	size_t n = 0;
	char *text = cv_answers_find(&p->creds.answers, q, p->loop.now_ms, &n);

	if (!text)
		return false;
	if (!is_keeper_silent(p)) {
		explicit_bzero(text, n);
		free(text);
		return false;
	}
	f->cred->state = CV_CRED_RELEASED;
	return released_read(p, f, text, n);
}

bool cv_creds_refused_take(struct cv_proxy *p, struct cv_str body)
{
	struct cv_ipc_reader r = { .rest = body };
	struct cv_flow *f = asker(p, cv_ipc_get_u32(&r));
	const uint32_t release = cv_ipc_get_u32(&r);
	const struct cv_str key = cv_ipc_get_str(&r), provider = cv_ipc_get_str(&r),
			    why = cv_ipc_get_str(&r);

	if (!cv_ipc_reader_is_done(&r) || release >= CV_RELEASE_COUNT)
		return false;
	if (!f)
		return true;
	f->cred->refusal = (enum cv_release)release;
	snprintf(f->cred->why, sizeof(f->cred->why), "%.*s of provider %.*s%s%.*s",
		CV_STR_ARG(cv_str_slice(key, 0, 80)), CV_STR_ARG(cv_str_slice(provider, 0, 40)),
		why.n ? ": " : "", CV_STR_ARG(cv_str_slice(why, 0, 100)));
	answered(p, f, CV_CRED_REFUSED);
	return true;
}

bool cv_cred_timeout(struct cv_proxy *p, struct cv_flow *f)
{
	const bool is_asked =
		f->cred && (f->cred->state == CV_CRED_ASKED || f->cred->state == CV_CRED_AWAY);

	if (is_asked)
		keeper_silent(p, f);
	return is_asked;
}

void cv_creds_keeper_lost(struct cv_proxy *p)
{
	cv_buf_reset(&p->creds.asks);
	p->creds.ask_count = 0;
	cv_answers_forget(&p->creds.answers);
	p->creds.answers.version = 0; /* the next one counts from the beginning */
	for (uint32_t i = 0; i < p->flows.high; i++) {
		struct cv_flow *f = &p->flows.v[i];

		if (f->state != CV_FLOW_FREE && f->mint)
			cv_mint_keeper_lost(p, f);
		if (f->state == CV_FLOW_FREE || !f->cred ||
			(f->cred->state != CV_CRED_ASKED && f->cred->state != CV_CRED_AWAY))
			continue;
		if (f->cred->needs_value && !p->creds.is_changing)
			keeper_silent(p, f);
		else
			f->cred->state = CV_CRED_AWAY; /* its deadline stays */
	}
}

void cv_creds_keeper_back(struct cv_proxy *p)
{
	for (uint32_t i = 0; i < p->flows.high; i++) {
		struct cv_flow *f = &p->flows.v[i];

		if (f->state != CV_FLOW_FREE && f->cred && f->cred->state == CV_CRED_AWAY)
			answered(p, f, CV_CRED_ANEW);
	}
}

bool cred_flow_make(struct cv_flow *f)
{
	if (!f->cred)
		f->cred = calloc(1, sizeof(*f->cred));
	return f->cred != NULL;
}

/* Adds what plan names, each once.  False: too many. */
static bool asked_add(struct cv_keeper_release *ask, const struct cv_rewrite_plan *plan)
{
	for (size_t i = 0; i < plan->count; i++) {
		bool is_new = true;

		for (size_t k = 0; k < ask->count; k++)
			is_new &= ask->creds[k] != plan->use[i].entry;
		if (is_new && ask->count == CV_KEEPER_CREDS_MAX)
			return false;
		if (is_new)
			ask->creds[ask->count++] = plan->use[i].entry;
	}
	return true;
}

/* What becomes of a question that can't be sent.  A link that ended is a keeper that will be started
 * anew, or one that has another link for us; when its end is read we know which. */
static enum cv_cred_state unsent(const struct cv_proxy *p, const struct cv_flow *f, cv_code code)
{
	const bool is_known_lost = p->keeper < 0 && !p->creds.is_changing;

	return code == CV_SYSTEM && p->has_keeper && !(f->cred->needs_value && is_known_lost)
		       ? CV_CRED_AWAY
		       : CV_CRED_REFUSED;
}

void cv_creds_ask(struct cv_proxy *p)
{
	struct cv_creds *c = &p->creds;
	const struct cv_str all = cv_buf_str(&c->asks);
	const bool is_one = c->ask_count == 1; /* without the length before it */
	cv_code code;

	if (!c->ask_count)
		return;
	code = p->keeper < 0 ? CV_SYSTEM
			     : cv_ipc_send(p->keeper,
				       is_one ? CV_KEEPER_REQ_RELEASE : CV_KEEPER_REQ_RELEASES,
				       is_one ? cv_str_slice(all, 4, all.n) : all, NULL, 0, NULL);
	const uint32_t round = c->ask_round++;
	cv_buf_reset(&c->asks);
	c->ask_count = 0;
	for (uint32_t i = 0; code != CV_OK && i < p->flows.high; i++) {
		struct cv_flow *f = &p->flows.v[i];

		if (f->state == CV_FLOW_FREE || !f->cred || f->cred->state != CV_CRED_ASKED ||
			f->cred->ask_round != round)
			continue;
		if (unsent(p, f, code) == CV_CRED_AWAY)
			f->cred->state = CV_CRED_AWAY; /* its deadline stays */
		else
			answered(p, f, CV_CRED_REFUSED);
	}
}

/* Into this turn's message; a former part of it goes first where both are too much for one. */
static enum cv_cred_state question_put(
	struct cv_proxy *p, struct cv_flow *f, struct cv_str text, const struct cv_question *q)
{
	const size_t n = text.n;
	struct cv_creds *c = &p->creds;

	if (p->keeper < 0)
		return unsent(p, f, CV_SYSTEM);
	if (n + 4 > RELEASE_BYTES_MAX)
		return CV_CRED_REFUSED;
	if (c->ask_count == CV_PROXY_QUESTIONS_MAX ||
		cv_buf_len(&c->asks) + n + 4 > RELEASE_BYTES_MAX)
		cv_creds_ask(p);
	if (!c->asks.max)
		cv_buf_init(&c->asks, RELEASE_BYTES_MAX);
	if (!cv_buf_reserve(&c->asks, n + 4))
		return CV_CRED_REFUSED;
	cv_ipc_put_str(&c->asks, text);
	c->ask_count++;
	f->cred->ask_round = c->ask_round;
	cv_answers_asked(&c->answers, f->cred->tag, q, p->loop.now_ms);
	return CV_CRED_ASKED;
}

bool cred_release_ask(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r,
	struct cv_str path, const struct cv_rewrite_plan *head, const struct cv_rewrite_plan *body)
{
	static struct cv_path canonical; /* scratch */
	struct cv_keeper_release ask = {
		.host = cv_host_str(&f->host),
		.host_is_ip = f->host.is_ip,
		.port = f->port,
		.method = r->method,
		.path = path,
	};

	/* Where nobody decides about requests the path was left as it came. */
	if (r->form != CV_H1_FORM_ASTERISK) {
		if (cv_path_canonical(path, true, &canonical) != CV_PATH_OK)
			return false;
		ask.path = cv_path_str(&canonical);
	}
	if (!asked_add(&ask, head) || (body && !asked_add(&ask, body)) ||
		(cv_sign_is_on(f) && !cv_sign_ask(p, &ask)))
		return false;
	ask.tag = f->cred->tag =
		(p->creds.ask_serial++ & TAG_SERIAL_MASK) << TAG_INDEX_BITS | f->index;
	f->cred->needs_value = ask.count > 0;
	struct cv_buf *b = &p->creds.question;
	cv_buf_reset(b);
	if (!b->max)
		cv_buf_init(b, RELEASE_BYTES_MAX);
	const bool is_put = cv_keeper_release_put(b, &ask);
	const struct cv_str text = cv_buf_str(b);
	const struct cv_question q = {
		/* the path is the last, behind its length */
		.path = ask.path,
		.rest = cv_str_slice(text, TAG_BYTES, text.n - ask.path.n - 4),
	};
	if (is_put && answer_use(p, f, &q))
		return true;
	f->cred->state = is_put ? question_put(p, f, text, &q) : CV_CRED_REFUSED;
	f->deadline_ms = p->loop.now_ms + CV_PROXY_KEEPER_MS;
	f->cred->refusal = CV_RELEASE_KEEPER;
	f->cred->why[0] = '\0';
	return true;
}

void cv_cred_rejected(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_flow_cred *c = f->cred;
	struct cv_buf b;

	if (!c || p->keeper < 0)
		return;
	if (c->given_count) /* the keeper will judge otherwise */
		cv_answers_forget(&p->creds.answers);
	for (size_t i = 0; i < c->given_count; i++) {
		cv_buf_init(&b, 12);
		cv_ipc_put_u32(&b, c->given[i]);
		cv_ipc_put_u64(&b, c->epoch);
		/* one that is lost is said again with the next 401 */
		(void)!cv_ipc_send(
			p->keeper, CV_KEEPER_REQ_REJECTED, cv_buf_str(&b), NULL, 0, NULL);
		cv_buf_fini(&b);
	}
	c->given_count = 0;
}

void cv_cred_head_lost(struct cv_proxy *p)
{
	if (p->head.data)
		explicit_bzero(p->head.data, p->head.cap);
}

void cv_cred_forget(struct cv_proxy *p, struct cv_flow *f)
{
	if (!f->cred)
		return;
	if (f->cred->state == CV_CRED_RELEASED) {
		cred_secrets_wipe(f->cred);
		cv_rewrite_wipe(&p->creds.applied);
		p->creds.applied = (struct cv_rewrite){ 0 };
		if (p->creds.applied_body.p)
			cv_rewrite_body_wipe(p->creds.applied_body);
		p->creds.applied_body = CV_STR_NONE;
		if (cv_sign_is_on(f))
			cv_arena_wipe(&p->creds.scratch); /* the session token is in there */
		if (p->head.end)
			explicit_bzero(p->head.data, p->head.end);
	}
	f->cred->state = CV_CRED_IDLE;
}

void cv_cred_end(struct cv_flow *f)
{
	if (!f->cred)
		return;
	cred_secrets_wipe(f->cred);
	cv_scrub_drop(f);
	free(f->cred);
	f->cred = NULL;
}
