/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools.c - credentials for one call of a host tool at a time
 *
 * The broker says who is about to run and which credential its catalog gives it.  Whether that may
 * be is in the set's grants, which the launcher made of the same catalog: a broker that was talked
 * into something still gets no more than the tools that it names were given.
 *
 *     RELEASE_TOOL -> granted? -> RELEASED, REFUSED
 *                        |
 *                        +-- stale --> waits for the renewal, as requests of the proxy do
 */
#include "keeper/keeper.h"
#include "sys/clock.h"

#include "sys/fd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static cv_code refuse(
	struct keeper *k, uint32_t tag, enum cv_release why, const char *text, struct cv_err *err)
{
	struct cv_buf b;

	cv_buf_init(&b, 1024);
	cv_ipc_put_u32(&b, tag);
	cv_ipc_put_u32(&b, why);
	cv_ipc_put_str(&b, cv_str_of(text));
	const cv_code code =
		cv_ipc_send(k->broker, CV_KEEPER_TOOL_REPLY_REFUSED, cv_buf_str(&b), NULL, 0, err);
	cv_buf_fini(&b);
	return code;
}

static cv_code release(struct keeper *k, uint32_t tag, uint32_t cred, struct cv_err *err)
{
	const struct cv_str value = cv_vault_value(k->vault, cred);
	const struct cv_str former = cv_vault_former(k->vault, cred);
	struct cv_buf b;
	cv_code code;

	cv_buf_init(&b, CV_IPC_BODY_BYTES_MAX);
	if (!cv_buf_reserve(
		    &b, CV_MIN(value.n + former.n + 64, b.max))) /* so that it never moves */
		return refuse(k, tag, CV_RELEASE_LARGE, "the value is too large", err);
	cv_ipc_put_u32(&b, tag);
	cv_ipc_put_str(&b, value);
	cv_ipc_put_str(&b, former);
	code = b.is_overflown ? refuse(k, tag, CV_RELEASE_LARGE, "the value is too large", err)
			      : cv_ipc_send(k->broker, CV_KEEPER_TOOL_REPLY_RELEASED,
					cv_buf_str(&b), NULL, 0, err);
	cv_buf_wipe(&b);
	return code;
}

/* Answers, or says by *ret_waits that the answer has to wait. */
static cv_code answer(
	struct keeper *k, struct cv_str body, int64_t wait_ms, bool *ret_waits, struct cv_err *err)
{
	struct cv_ipc_reader r = { .rest = body };
	const uint32_t tag = cv_ipc_get_u32(&r);
	const struct cv_str who = cv_ipc_get_str(&r), name = cv_ipc_get_str(&r);
	char why[KEEPER_WHY_BYTES] = "";
	uint32_t cred = CV_CRED_NONE;

	*ret_waits = false;
	if (!cv_ipc_reader_is_done(&r))
		return cv_fail(err, CV_PROTO, "RELEASE_TOOL: bad body");
	if (!k->vault || !cv_vault_grant_find(k->vault, who, name, &cred))
		return refuse(k, tag, CV_RELEASE_MISMATCH, "the tool was not given it", err);
	enum cv_release state = cv_vault_release_tool(k->vault, cred, cv_clock_unix_s());
	if (state == CV_RELEASE_STALE) {
		*ret_waits = wait_ms > 0 &&
			     keeper_renewals_is_hopeful(&k->renewals, cred,
				     cv_clock_unix_s() + wait_ms / 1000, why, sizeof(why));
		if (*ret_waits)
			return CV_OK;
		state = CV_RELEASE_RENEWAL;
	}
	if (state != CV_RELEASE_OK)
		return refuse(k, tag, state, why[0] ? why : "the credential has expired", err);
	keeper_change_tell(k); /* what a tool was given may come back to the sandbox */
	return release(k, tag, cred, err);
}

static struct keeper_wait *place_find(struct keeper *k)
{
	for (size_t i = 0; i < KEEPER_WAITS_MAX; i++)
		if (!k->tool_wait[i].body)
			return &k->tool_wait[i];
	return NULL;
}

static bool wait_begin(struct keeper *k, struct cv_str body)
{
	struct keeper_wait *w = place_find(k);
	char *copy = w ? malloc(body.n) : NULL;

	if (!copy)
		return false;
	memcpy(copy, body.p, body.n);
	*w = (struct keeper_wait){ copy, body.n, cv_clock_ms() + KEEPER_WAIT_MS };
	k->tool_wait_count++;
	return true;
}

static cv_code request_take(struct keeper *k, struct cv_err *err)
{
	struct cv_ipc_msg m;
	bool waits = false;
	cv_code code = cv_ipc_recv(k->broker, &k->tools, k->buf, &m, err);

	if (code == CV_OK)
		code = answer(k, m.body, KEEPER_WAIT_MS, &waits, err);
	if (code == CV_OK && waits && !wait_begin(k, m.body))
		code = answer(k, m.body, 0, &waits, err);
	return code;
}

/* ---- for the loop ---- */

static void broker_drop(struct keeper *k)
{
	if (k->broker >= 0)
		close(k->broker);
	k->broker = -1;
	for (size_t i = 0; i < KEEPER_WAITS_MAX; i++) {
		free(k->tool_wait[i].body);
		k->tool_wait[i] = (struct keeper_wait){ 0 };
	}
	k->tool_wait_count = 0;
}

void keeper_broker_take(struct keeper *k, int link)
{
	broker_drop(k);
	k->broker = link;
	k->tools = (struct cv_ipc_link){
		.rules = cv_keeper_tool_req_rule,
		.rule_count = CV_KEEPER_TOOL_REQ_COUNT,
		.state = CV_KEEPER_READY,
	};
}

void keeper_broker_serve(struct keeper *k)
{
	struct cv_err err;

	if (request_take(k, &err) != CV_OK)
		broker_drop(k);
}

void keeper_broker_look(struct keeper *k)
{
	struct cv_err err;
	cv_code code = CV_OK;

	for (size_t i = 0; k->tool_wait_count && i < KEEPER_WAITS_MAX && code == CV_OK; i++) {
		struct keeper_wait *w = &k->tool_wait[i];
		bool waits;

		if (!w->body)
			continue;
		code = answer(k, (struct cv_str){ w->body, w->bytes }, w->until_ms - cv_clock_ms(),
			&waits, &err);
		if (waits)
			continue;
		free(w->body);
		k->tool_wait_count--;
		*w = (struct keeper_wait){ 0 };
	}
	if (code != CV_OK)
		broker_drop(k);
}
