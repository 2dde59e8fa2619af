/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hold.c - calls that wait for a person
 *
 * A held call is a job in the state `held`: its client waits, or polls it.  ASK goes to whoever
 * started the broker, a few at a time for each sandbox so that nobody is flooded with questions,
 * and the others wait in the order in which they came.  Nothing that a sandbox sends can answer.
 *
 * When a person allowed it, policy decides once more: it may have changed meanwhile.
 */
#include "broker/broker.h"

#include "base/sha256.h"
#include "broker/discovery.h"
#include "ipc/approve_link.h"

#include <string.h>

/* ---- approved once and for all ---- */

static void pair_digest(struct cv_str rule, struct cv_str tool, unsigned char ret[CV_SHA256_BYTES])
{
	struct cv_sha256 hash;

	cv_sha256_init(&hash);
	cv_sha256_update(&hash, rule.p, rule.n);
	cv_sha256_update(&hash, "", 1);
	cv_sha256_update(&hash, tool.p, tool.n);
	cv_sha256_final(&hash, ret);
}

bool hold_is_approved(const struct sandbox *box, struct cv_str rule, struct cv_str tool)
{
	unsigned char digest[CV_SHA256_BYTES];

	pair_digest(rule, tool, digest);
	for (size_t i = 0; i < box->approved_count; i++)
		if (memcmp(box->approved[i], digest, sizeof(digest)) == 0)
			return true;
	return false;
}

static void approve(struct sandbox *box, struct cv_str rule, struct cv_str tool)
{
	if (box->approved_count < BROKER_APPROVED_MAX && !hold_is_approved(box, rule, tool))
		pair_digest(rule, tool, box->approved[box->approved_count++]);
}

/* ---- asking ---- */

#define ASK_AGAIN_MS 200 /* when whoever asks persons has not read its link */

static bool ask_send(const struct broker *b, const struct sandbox *box, const struct job *j)
{
	struct cv_ask ask = {
		.id = j->ask_id,
		.seconds = (uint32_t)CV_MAX((j->due_ms - b->loop.now_ms) / 1000, 1),
		.sandbox = cv_str_of(box->name),
		.who = j->caller->who.exe,
		.what = cv_str_of(j->tool_name),
		.text = cv_buf_str(&j->canonical),
		.rule = cv_str_of(j->rule),
		.flags = CV_ASK_JSON |
			 (j->approval == CV_TOOL_APPROVAL_ONCE ? CV_ASK_ONCE : CV_ASK_EACH),
		.pid = j->caller->pid,
	};
	struct cv_buf body;

	for (size_t i = 0; i < j->caller->who.ancestor_count; i++) {
		if (ask.ancestor_count == CV_ARRAY_LEN(ask.ancestors))
			break;
		ask.ancestors[ask.ancestor_count++] = j->caller->who.ancestors[i];
	}
	cv_buf_init(&body, CV_IPC_BODY_BYTES_MAX);
	const bool is_sent = cv_ask_put(&body, &ask) &&
			     cv_ipc_send_now(CV_BROKER_CONTROL_FD, CV_BROKER_CONTROL_REPLY_ASK,
				     cv_buf_str(&body), NULL) == CV_OK;
	cv_buf_fini(&body);
	return is_sent;
}

static void ask(struct broker *b, struct sandbox *box, struct job *j)
{
	j->ask_id = ++b->ask_id;
	j->is_asked = ask_send(b, box, j);
	if (j->is_asked) {
		box->asked++;
	} else { /* the link is full */
		b->ask_again_ms = b->loop.now_ms + ASK_AGAIN_MS;
		due_at(b, b->ask_again_ms);
	}
}

void hold_asks(struct broker *b, struct sandbox *box)
{
	while (box->asked < BROKER_ASKS_EACH_MAX && box->asked < box->held) {
		const uint32_t before = box->asked;
		struct job *next = NULL;

		for (uint32_t i = 0; i < b->jobs.top; i++) {
			struct job *j = pool_at(&b->jobs, i);

			if (j && j->state == JOB_HELD && !j->is_asked &&
				pool_get(&b->sandboxes, j->sandbox) == box &&
				(!next || j->seq < next->seq))
				next = j;
		}
		if (!next)
			return;
		ask(b, box, next);
		if (box->asked == before)
			return;
	}
}

void hold_asks_due(struct broker *b)
{
	if (!b->ask_again_ms || b->loop.now_ms < b->ask_again_ms) {
		due_at(b, b->ask_again_ms);
		return;
	}
	b->ask_again_ms = 0;
	for (uint32_t i = 0; i < b->sandboxes.top; i++)
		if (pool_at(&b->sandboxes, i))
			hold_asks(b, pool_at(&b->sandboxes, i));
}

void hold_start(struct broker *b, struct job *j)
{
	job_state_set(b, j, JOB_HELD);
	j->due_ms = b->loop.now_ms + (int64_t)b->hold_seconds * 1000;
	due_at(b, j->due_ms);
	hold_asks(b, pool_get(&b->sandboxes, j->sandbox));
}

void hold_forget(struct broker *b, struct job *j)
{
	struct sandbox *box = pool_get(&b->sandboxes, j->sandbox);
	struct cv_buf body;

	if (!j->is_asked)
		return;
	j->is_asked = false;
	box->asked--;
	cv_buf_init(&body, 16);
	cv_ipc_put_u64(&body, j->ask_id);
	(void)!cv_ipc_send_now(
		CV_BROKER_CONTROL_FD, CV_BROKER_CONTROL_REPLY_ASK_END, cv_buf_str(&body), NULL);
	cv_buf_fini(&body);
}

/* ---- answers ---- */

static void deny(struct broker *b, struct job *j, int status, const char *code, const char *text,
	bool has_seconds)
{
	struct cv_buf body;

	cv_buf_init(&body, 4096);
	error_begin(&body, code, "%s", text);
	if (has_seconds)
		cv_buf_printf(&body, ",\"seconds\":%u", b->hold_seconds);
	error_end(&body);
	job_end(b, j, JOB_DENIED, status, code, &body);
}

void hold_due(struct broker *b, struct job *j)
{
	struct sandbox *box = pool_get(&b->sandboxes, j->sandbox);
	const struct cv_ref ref = box->ref;

	deny(b, j, 504, "approval_timeout", "nobody has approved the call in time", true);
	if ((box = pool_get(&b->sandboxes, ref)))
		hold_asks(b, box);
}

static bool is_still_allowed(const struct sandbox *box, const struct job *j)
{
	const struct cv_tool_facts facts = {
		.who = j->caller->who,
		.tool = j->tool->name,
		.arguments = j->arguments,
	};

	return box->policy && cv_policy_decide_tool(box->policy, &facts).action == CV_ACTION_ALLOW;
}

static void let_go(struct broker *b, struct sandbox *box, struct job *j)
{
	hold_forget(b, j);
	j->due_ms = 0;
	if (!is_still_allowed(box, j))
		deny(b, j, 403, "policy_denied", "the policy has changed while the call was held",
			false);
	else
		job_state_set(b, j, JOB_QUEUED); /* call_queue_run() starts it in this turn */
	b->is_queue_due = true;
}

/* The others that the same yes is for. */
static void let_go_alike(struct broker *b, struct sandbox *box, const char *rule, const char *tool)
{
	for (uint32_t i = 0; i < b->jobs.top; i++) {
		struct job *j = pool_at(&b->jobs, i);

		if (j && j->state == JOB_HELD && j->approval == CV_TOOL_APPROVAL_ONCE &&
			pool_get(&b->sandboxes, j->sandbox) == box && strcmp(j->rule, rule) == 0 &&
			strcmp(j->tool_name, tool) == 0)
			let_go(b, box, j);
	}
}

static struct job *asked(struct broker *b, uint64_t id)
{
	for (uint32_t i = 0; i < b->jobs.top; i++) {
		struct job *j = pool_at(&b->jobs, i);

		if (j && j->is_asked && j->ask_id == id)
			return j;
	}
	return NULL;
}

bool hold_answer(struct broker *b, struct cv_str text)
{
	struct cv_ipc_reader r = { .rest = text };
	const uint64_t id = cv_ipc_get_u64(&r);
	const uint32_t what = cv_ipc_get_u32(&r);
	const struct cv_str who = cv_ipc_get_str(&r);

	if (!cv_ipc_reader_is_done(&r) || what >= CV_APPROVAL_ANSWER_COUNT)
		return false;
	struct job *j = asked(b, id);
	if (!j)
		return true; /* the call has ended meanwhile */
	struct sandbox *box = pool_get(&b->sandboxes, j->sandbox);
	const struct cv_ref ref = box->ref;
	audit_approval(b, j, (enum cv_approval_answer)what, who);
	switch ((enum cv_approval_answer)what) {
	case CV_APPROVAL_DENY:
		deny(b, j, 403, "approval_denied", "a person has denied the call", false);
		break;
	case CV_APPROVAL_TIMEOUT: hold_due(b, j); break;
	case CV_APPROVAL_FLOOD:
		deny(b, j, 429, "too_many_held",
			"too many calls wait for a person already, or came in a short time", false);
		break;
	case CV_APPROVAL_ALLOW:
		if (j->approval == CV_TOOL_APPROVAL_ONCE) {
			approve(box, cv_str_of(j->rule), cv_str_of(j->tool_name));
			let_go_alike(b, box, j->rule, j->tool_name);
		} else {
			let_go(b, box, j);
		}
		break;
	case CV_APPROVAL_ANSWER_COUNT: break;
	}
	if ((box = pool_get(&b->sandboxes, ref)))
		hold_asks(b, box);
	return true;
}
