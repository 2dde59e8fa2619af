/* SPDX-License-Identifier: Apache-2.0 */
/*
 * approve.c - see approve.h; the questions themselves
 *
 * How many may be held, and how many may come in a minute, is bounded: a person who is asked too
 * often says yes to everything.  What is beyond that is denied unseen, and so is what nobody has
 * answered in time.  An answer is final, and given once.
 */
#include "supervisor/supervisor.h"

#include "base/sha256.h"
#include "ipc/approve_show.h"
#include "sys/clock.h"

#include <stdio.h>
#include <stdlib.h>

#define MINUTE_MS 60000

void approve_init(struct supervisor *s)
{
	struct approvals *a = &s->approvals;

	a->listener = a->dir = a->tty = -1;
	for (size_t i = 0; i < CV_ARRAY_LEN(a->approver); i++)
		a->approver[i].fd = -1;
}

/* ---- the table ---- */

struct question *approve_find(struct supervisor *s, uint64_t id)
{
	for (size_t i = 0; id && i < CV_ARRAY_LEN(s->approvals.question); i++)
		if (s->approvals.question[i].id == id)
			return &s->approvals.question[i];
	return NULL;
}

struct question *approve_next(struct supervisor *s, uint64_t after)
{
	struct question *next = NULL;

	for (size_t i = 0; i < CV_ARRAY_LEN(s->approvals.question); i++) {
		struct question *q = &s->approvals.question[i];

		if (q->id > after && (!next || q->id < next->id))
			next = q;
	}
	return next;
}

uint32_t approve_seconds(const struct question *q)
{
	return (uint32_t)CV_MAX((q->due_ms - cv_clock_ms() + 999) / 1000, 0);
}

static struct question *place_find(struct approvals *a)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(a->question); i++)
		if (!a->question[i].id)
			return &a->question[i];
	return NULL;
}

/* It needs no answer any more. */
static void forget(struct supervisor *s, struct question *q)
{
	const uint64_t id = q->id;

	free(q->body);
	*q = (struct question){ 0 };
	approve_tell_ended(s, id);
	approve_tty_ended(s, id);
	approve_gateway_ended(s, id);
}

/* One that is gone has taken what it held with it. */
static void answer_send(struct supervisor *s, enum asker asker, uint64_t theirs,
	enum cv_approval_answer answer, struct cv_str who)
{
	const struct helper *to = asker == ASKER_BROKER ? &s->broker : &s->proxy;
	struct cv_buf b;

	if (!to->pid || to->link < 0)
		return;
	cv_buf_init(&b, 1024);
	cv_ipc_put_u64(&b, theirs);
	cv_ipc_put_u32(&b, answer);
	cv_ipc_put_str(&b, who);
	(void)!cv_ipc_send(to->link,
		asker == ASKER_BROKER ? (uint32_t)CV_BROKER_CONTROL_ANSWER
				      : (uint32_t)CV_PROXY_REQ_ANSWER,
		cv_buf_str(&b), NULL, 0, NULL);
	cv_buf_fini(&b);
}

/* ---- answers that are for all alike ---- */

static void alike_digest(
	enum asker asker, const struct cv_ask *ask, unsigned char ret[CV_SHA256_BYTES])
{
	const unsigned char kind = (unsigned char)asker;
	struct cv_sha256 hash;

	cv_sha256_init(&hash);
	cv_sha256_update(&hash, &kind, 1);
	cv_sha256_update(&hash, ask->rule.p, ask->rule.n);
	cv_sha256_update(&hash, "", 1);
	cv_sha256_update(&hash, ask->what.p, ask->what.n);
	cv_sha256_final(&hash, ret);
}

static const struct standing *standing_find(
	const struct approvals *a, enum asker asker, const struct cv_ask *ask)
{
	unsigned char digest[CV_SHA256_BYTES];

	alike_digest(asker, ask, digest);
	for (size_t i = 0; i < a->standing_count; i++)
		if (memcmp(a->standing[i].digest, digest, sizeof(digest)) == 0)
			return &a->standing[i];
	return NULL;
}

/* A policy that wants a yes to each call gets it; a no may be for all. */
static bool may_stand(const struct cv_ask *ask, enum cv_approval_answer answer)
{
	return answer == CV_APPROVAL_DENY || !(ask->flags & CV_ASK_EACH);
}

/* ---- a question comes ---- */

/* False: no more now. */
static bool rate_take(struct approvals *a)
{
	const int64_t now = cv_clock_ms();

	if (now - a->window_ms >= MINUTE_MS || !a->window_ms) {
		a->window_ms = now;
		a->asked = 0;
	}
	return a->asked++ < SUP_ASKS_MINUTE_MAX;
}

static void flood_deny(struct supervisor *s, enum asker asker, const struct cv_ask *ask)
{
	if (s->approvals.told_window_ms != s->approvals.window_ms) /* said once in a minute */
		say("too many questions for approval; those beyond %d at once, or %d in a minute, "
		    "are denied unseen",
			SUP_ASKS_MAX, SUP_ASKS_MINUTE_MAX);
	s->approvals.told_window_ms = s->approvals.window_ms;
	answer_send(s, asker, ask->id, CV_APPROVAL_FLOOD, CV_STR("the limit of questions"));
}

/* Where the terminal is the command's: one line, and the answer from another one. */
static void tell(struct supervisor *s, const struct question *q)
{
	const char *end = s->terminal.is_raw ? "\r\n" : "\n";
	struct cv_buf b;

	cv_buf_init(&b, 4096);
	cv_ask_show_line(&b, &q->ask);
	dprintf(2,
		"%scove: %.*s waits for approval, for %u s; from another terminal: "
		"cove approve %s %llu%s",
		s->terminal.is_raw ? "\r\n" : "", CV_STR_ARG(cv_buf_str(&b)), approve_seconds(q),
		s->approvals.name, (unsigned long long)q->id, end);
	cv_buf_fini(&b);
}

static struct question *question_new(
	struct supervisor *s, enum asker asker, struct cv_str body, const struct cv_ask *ask)
{
	struct approvals *a = &s->approvals;
	struct question *q = place_find(a);
	int64_t ms = (int64_t)s->plan.approve_ms;

	if (!rate_take(a) || !q || !(q->body = malloc(body.n)))
		return NULL;
	memcpy(q->body, body.p, body.n);
	if (!cv_ask_get((struct cv_str){ q->body, body.n }, &q->ask)) {
		free(q->body);
		*q = (struct question){ 0 };
		return NULL;
	}
	if (ask->seconds)
		ms = CV_MIN(ms, (int64_t)ask->seconds * 1000);
	q->id = ++a->last_id;
	q->asker = asker;
	q->theirs = ask->id;
	q->due_ms = cv_clock_ms() + ms;
	q->ask.id = q->id;
	q->ask.sandbox = cv_str_of(a->name);
	return q;
}

void approve_ask(struct supervisor *s, enum asker asker, struct cv_str body)
{
	static struct cv_ask ask; /* scratch */

	if (!cv_ask_get(body, &ask)) {
		say("a question for approval makes no sense");
		return;
	}
	const struct standing *standing = standing_find(&s->approvals, asker, &ask);
	if (standing && may_stand(&ask, standing->answer)) {
		answer_send(s, asker, ask.id, standing->answer,
			CV_STR("an earlier answer that was given for all alike"));
		return;
	}
	if (!s->service.is_on)
		approve_listen(s);
	struct question *q = question_new(s, asker, body, &ask);
	if (!q) {
		flood_deny(s, asker, &ask);
		return;
	}
	if (!approve_gateway_ask(s, q) && !approve_tty_show(s))
		tell(s, q);
}

void approve_ask_end(struct supervisor *s, enum asker asker, struct cv_str body)
{
	struct cv_ipc_reader r = { .rest = body };
	const uint64_t theirs = cv_ipc_get_u64(&r);

	for (size_t i = 0; i < CV_ARRAY_LEN(s->approvals.question); i++) {
		struct question *q = &s->approvals.question[i];

		if (q->id && q->asker == asker && q->theirs == theirs) {
			forget(s, q);
			return;
		}
	}
}

void approve_drop(struct supervisor *s, enum asker asker)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(s->approvals.question); i++)
		if (s->approvals.question[i].id && s->approvals.question[i].asker == asker)
			forget(s, &s->approvals.question[i]);
}

/* ---- answers ---- */

static void answer_give(
	struct supervisor *s, struct question *q, enum cv_approval_answer answer, struct cv_str who)
{
	answer_send(s, q->asker, q->theirs, answer, who);
	forget(s, q);
}

/* The others that the answer is for. */
static void alike_answer(struct supervisor *s, const struct standing *standing, struct cv_str who)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(s->approvals.question); i++) {
		struct question *q = &s->approvals.question[i];

		if (q->id && standing_find(&s->approvals, q->asker, &q->ask) == standing)
			answer_give(s, q, standing->answer, who);
	}
}

enum cv_approve_result approve_answer(struct supervisor *s, uint64_t id,
	enum cv_approval_answer answer, bool is_for_all, struct cv_str who)
{
	struct approvals *a = &s->approvals;
	struct question *q = approve_find(s, id);

	if (!q)
		return CV_APPROVE_GONE;
	if (!is_for_all) {
		answer_give(s, q, answer, who);
		return CV_APPROVE_DONE;
	}
	if (!may_stand(&q->ask, answer))
		return CV_APPROVE_EACH;
	if (a->standing_count == CV_ARRAY_LEN(a->standing))
		return CV_APPROVE_FULL;
	struct standing *standing = &a->standing[a->standing_count++];
	alike_digest(q->asker, &q->ask, standing->digest);
	standing->answer = answer;
	alike_answer(s, standing, who);
	return CV_APPROVE_DONE;
}

/* ---- time ---- */

int64_t approve_due_ms(const struct supervisor *s)
{
	int64_t due = 0;

	for (size_t i = 0; i < CV_ARRAY_LEN(s->approvals.question); i++) {
		const struct question *q = &s->approvals.question[i];

		if (q->id && (!due || q->due_ms < due))
			due = q->due_ms;
	}
	return due;
}

void approve_due(struct supervisor *s)
{
	const int64_t now = cv_clock_ms();

	for (size_t i = 0; i < CV_ARRAY_LEN(s->approvals.question); i++) {
		struct question *q = &s->approvals.question[i];

		if (q->id && q->due_ms <= now)
			answer_give(s, q, CV_APPROVAL_TIMEOUT, CV_STR("nobody"));
	}
}

void approve_end(struct supervisor *s)
{
	approve_drop(s, ASKER_BROKER);
	approve_drop(s, ASKER_PROXY);
	approve_tty_close(s);
	approve_close(s);
}
