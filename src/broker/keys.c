/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keys.c - see keys.h
 *
 *     call that is let through --RELEASE_TOOL--> keeper --RELEASED--> keys --> its backend starts
 *
 * A keeper that dies takes nothing along: what it was asked is asked again of the next one, until
 * BROKER_KEEPER_MS are over.  A value comes in one message, is copied once, and the message is
 * wiped; both, and all that is made of them, end with the call.
 */
#include "broker/broker.h"
#include "broker/mcp_client.h"
#include "broker/server.h"

#include "ipc/keeper_link.h"
#include "sys/fd.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void str_free(struct cv_str *s)
{
	if (s->p) {
		explicit_bzero((char *)(uintptr_t)s->p, s->n);
		free((char *)(uintptr_t)s->p);
	}
	*s = CV_STR_NONE;
}

static void unlink_waiting(struct keys *k)
{
	if (!k->at)
		return;
	*k->at = k->next;
	if (k->next)
		k->next->at = k->at;
	k->at = NULL;
}

static void link_waiting(struct broker *b, struct keys *k)
{
	k->next = b->keys;
	k->at = &b->keys;
	if (k->next)
		k->next->at = &k->next;
	b->keys = k;
}

void keys_values_drop(struct keys *k)
{
	for (size_t i = 0; k && i < k->n; i++) {
		str_free(&k->v[i].value);
		str_free(&k->v[i].former);
	}
}

void keys_free(struct keys *k)
{
	if (!k)
		return;
	unlink_waiting(k);
	keys_values_drop(k);
	cv_scrub_set_unref(k->set);
	free(k->v);
	free(k);
}

/* ---- asking ---- */

static void ask(struct broker *b, const struct keys *k, const struct key *key)
{
	struct cv_buf body;

	if (b->keeper < 0)
		return;
	cv_buf_init(&body, 1024);
	cv_ipc_put_u32(&body, key->tag);
	cv_ipc_put_str(&body, cv_str_of(k->who));
	cv_ipc_put_str(&body, key->name);
	/* A link that is full or gone: keys_due() says so in the end. */
	(void)!cv_ipc_send_now(b->keeper, CV_KEEPER_TOOL_REQ_RELEASE_TOOL, cv_buf_str(&body), NULL);
	cv_buf_fini(&body);
}

struct keys *keys_ask(struct broker *b, enum keys_for kind, struct cv_ref owner, const char *who,
	struct cv_str name, const struct cv_tool_uses *uses)
{
	struct keys *k = calloc(1, sizeof(*k));

	if (!k || !(k->v = calloc(uses->n + 1, sizeof(*k->v)))) {
		free(k);
		return NULL;
	}
	k->kind = kind;
	k->owner = owner;
	k->n = k->missing = uses->n;
	k->due_ms = b->loop.now_ms + BROKER_KEEPER_MS;
	snprintf(k->who, sizeof(k->who), "%s:%.*s", who, CV_STR_ARG(name));
	due_at(b, k->due_ms);
	for (size_t i = 0; i < k->n; i++) {
		k->v[i].name = uses->v[i];
		k->v[i].tag = ++b->key_tag ? b->key_tag : ++b->key_tag; /* 0 is none's */
		ask(b, k, &k->v[i]);
	}
	link_waiting(b, k);
	return k;
}

/* ---- what comes ---- */

static void come(struct broker *b, struct keys *k, const struct cv_err *failed)
{
	unlink_waiting(k);
	switch (k->kind) {
	case KEYS_JOB: call_keys_come(b, k->owner, failed); break;
	case KEYS_SERVER: server_keys_come(b, k->owner, failed); break;
	case KEYS_MCP: mcp_keys_come(b, k->owner, failed); break;
	}
}

static struct keys *find(struct broker *b, uint32_t tag, struct key **ret)
{
	for (struct keys *k = b->keys; k; k = k->next)
		for (size_t i = 0; i < k->n; i++)
			if (k->v[i].tag && k->v[i].tag == tag) {
				*ret = &k->v[i];
				return k;
			}
	return NULL;
}

static bool str_take(struct cv_str *to, struct cv_str from)
{
	char *copy = malloc(from.n + 1);

	if (!copy)
		return false;
	memcpy(copy, from.p ? from.p : "", from.n);
	copy[from.n] = 0;
	*to = (struct cv_str){ copy, from.n };
	return true;
}

/* What has to be found in what comes back.  What is too short to be is, by the launcher's word. */
static cv_code set_make(struct keys *k, struct cv_err *err)
{
	struct cv_str value[CV_SCRUB_VALUES_MAX];
	bool is_short[CV_SCRUB_VALUES_MAX];
	size_t n = 0;

	for (size_t i = 0; i < k->n; i++) {
		if (n + 2 > CV_SCRUB_VALUES_MAX)
			return cv_fail(err, CV_LIMIT, "too many credentials for one tool");
		value[n++] = k->v[i].value;
		if (k->v[i].former.n)
			value[n++] = k->v[i].former;
	}
	return cv_scrub_set_new(value, n, is_short, &k->set, err);
}

cv_code keys_add(struct keys **to, struct cv_str name, struct cv_str value, struct cv_err *err)
{
	struct keys *k = *to ? *to : calloc(1, sizeof(*k));
	struct key *v = k ? calloc(k->n + 1, sizeof(*v)) : NULL;

	if (!v) {
		if (!*to)
			free(k);
		return cv_fail(err, CV_LIMIT, "no memory");
	}
	*to = k;
	if (k->n)
		memcpy(v, k->v, k->n * sizeof(*v)); /* pointers, no secrets */
	free(k->v);
	k->v = v;
	v[k->n].name = name;
	if (!str_take(&v[k->n].value, value))
		return cv_fail(err, CV_LIMIT, "no memory");
	k->n++;
	cv_scrub_set_unref(k->set);
	k->set = NULL;
	return set_make(k, err);
}

static void released(struct broker *b, struct cv_ipc_reader *r, uint32_t tag)
{
	const struct cv_str value = cv_ipc_get_str(r), former = cv_ipc_get_str(r);
	struct cv_err err;
	struct key *key;
	struct keys *k = find(b, tag, &key);

	if (!k || !cv_ipc_reader_is_done(r))
		return; /* who asked has ended meanwhile */
	key->tag = 0;
	if (!str_take(&key->value, value) || (former.n && !str_take(&key->former, former))) {
		cv_fail(&err, CV_LIMIT, "no memory");
		come(b, k, &err);
		return;
	}
	if (--k->missing)
		return;
	come(b, k, set_make(k, &err) == CV_OK ? NULL : &err);
}

static void refused(struct broker *b, struct cv_ipc_reader *r, uint32_t tag)
{
	const uint32_t release = cv_ipc_get_u32(r);
	const struct cv_str why = cv_ipc_get_str(r);
	struct cv_err err;
	struct key *key;
	struct keys *k = find(b, tag, &key);

	if (!k || !cv_ipc_reader_is_done(r) || release >= CV_RELEASE_COUNT)
		return;
	cv_fail(&err, CV_UNAVAILABLE, "credential %.*s: %s: %.*s", CV_STR_ARG(key->name),
		cv_release_slug((enum cv_release)release), CV_STR_ARG(why));
	come(b, k, &err);
}

static void link_end(struct broker *b)
{
	if (b->keeper >= 0)
		close(b->keeper);
	b->keeper = -1;
}

void keys_read(struct broker *b)
{
	struct cv_ipc_msg m;
	struct cv_err err;
	cv_code code = CV_OK;

	while (b->keeper >= 0 && code == CV_OK) {
		code = cv_ipc_recv(b->keeper, &b->keeper_in, b->message, &m, &err);
		if (code == CV_OK) {
			struct cv_ipc_reader r = { .rest = m.body };
			const uint32_t tag = cv_ipc_get_u32(&r);

			(m.type == CV_KEEPER_TOOL_REPLY_RELEASED ? released : refused)(b, &r, tag);
			explicit_bzero(b->message, m.body.n + 8);
			cv_ipc_msg_fini(&m);
		} else if (code != CV_UNAVAILABLE) {
			link_end(b); /* its supervisor starts another, and gives us a link */
		}
	}
}

void keys_link_set(struct broker *b, int fd)
{
	const int flags = fcntl(fd, F_GETFL);
	struct cv_err err;

	link_end(b);
	b->keeper = fd;
	b->keeper_in = (struct cv_ipc_link){
		.rules = cv_keeper_tool_reply_rule,
		.rule_count = CV_KEEPER_TOOL_REPLY_COUNT,
		.state = CV_KEEPER_READY,
	};
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
		cv_loop_add(&b->loop, fd, EPOLLIN, (struct cv_watch){ WATCH_KEEPER, { 0, 0 } },
			&err) != CV_OK)
		broker_die(CV_SYSTEM, "the keeper's link can't be watched");
	for (struct keys *k = b->keys; k; k = k->next)
		for (size_t i = 0; i < k->n; i++)
			if (k->v[i].tag)
				ask(b, k, &k->v[i]);
}

void keys_due(struct broker *b)
{
	struct cv_err err;

	for (struct keys *k = b->keys, *next; k; k = next) {
		next = k->next;
		if (k->due_ms > b->loop.now_ms) {
			due_at(b, k->due_ms);
			continue;
		}
		cv_fail(&err, CV_UNAVAILABLE, "no keeper of credentials answers");
		come(b, k, &err);
		next = b->keys; /* whoever came to nothing may have taken others along */
	}
}

bool keys_get(void *arg, struct cv_str name, struct cv_str *ret)
{
	const struct keys *k = arg;

	for (size_t i = 0; k && i < k->n; i++)
		if (cv_str_eq(k->v[i].name, name)) {
			*ret = k->v[i].value;
			return true;
		}
	return false;
}

bool keys_get_empty(void *arg, struct cv_str name, struct cv_str *ret)
{
	(void)arg;
	(void)name;
	*ret = CV_STR("");
	return true;
}

/* ---- scrubbing ---- */

bool keys_scrub_init(struct keys_scrub *s, const struct keys *a, const struct keys *b)
{
	const struct keys *const k[2] = { a, b };
	size_t n = 0;

	*s = (struct keys_scrub){ 0 };
	cv_buf_init(&s->between, SIZE_MAX / 2);
	for (size_t i = 0; i < 2; i++) {
		if (!k[i] || !k[i]->set || cv_scrub_set_is_empty(k[i]->set))
			continue;
		s->v[n] = cv_scrub_new(k[i]->set);
		if (!s->v[n])
			return false;
		n++;
	}
	return true;
}

void keys_scrub_fini(struct keys_scrub *s)
{
	cv_scrub_free(s->v[0]);
	cv_scrub_free(s->v[1]);
	cv_buf_wipe(&s->between);
	s->v[0] = s->v[1] = NULL;
}

bool keys_scrub_feed(struct keys_scrub *s, struct cv_str in, struct cv_buf *out)
{
	if (!s->v[0])
		return cv_buf_put(out, in);
	if (!s->v[1])
		return cv_scrub_feed(s->v[0], in, out);
	cv_buf_reset(&s->between);
	return cv_scrub_feed(s->v[0], in, &s->between) &&
	       cv_scrub_feed(s->v[1], cv_buf_str(&s->between), out);
}

bool keys_scrub_end(struct keys_scrub *s, struct cv_buf *out)
{
	if (!s->v[0])
		return true;
	if (!s->v[1])
		return cv_scrub_end(s->v[0], out);
	cv_buf_reset(&s->between);
	return cv_scrub_end(s->v[0], &s->between) &&
	       cv_scrub_feed(s->v[1], cv_buf_str(&s->between), out) && cv_scrub_end(s->v[1], out);
}
