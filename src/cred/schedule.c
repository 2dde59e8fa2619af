/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schedule.c - see schedule.h
 *
 * state_set() is the only writer of the state; it asserts the table and sets when the state ends.
 * What is released is computed from facts, never stored.
 */
#include "cred/schedule.h"

#include "base/assert.h"

#define TO(s)               (1u << CV_SCHEDULE_##s)
#define STATE_ROW(name, to) [CV_SCHEDULE_##name] = { #name, to },
static const struct {
	const char *name;
	uint32_t to;
} states[] = { CV_SCHEDULE_STATES(STATE_ROW) };
#undef STATE_ROW

const char *cv_schedule_state_name(enum cv_schedule_state state)
{
	cv_assert(state < CV_SCHEDULE_STATE_COUNT);
	return states[state].name;
}

static void state_set(struct cv_schedule *s, enum cv_schedule_state next, int64_t due_s)
{
	cv_assert(states[s->state].to & (1u << next));
	s->state = next;
	s->due_s = due_s;
}

/* A tenth of before_s at most, so that no try is lost to it. */
static int64_t spread(int64_t seconds, uint32_t jitter)
{
	return (int64_t)(jitter % (uint64_t)(seconds / 10 + 1));
}

/* Half of a short lifetime, so that a token of a minute is not renewed all the time. */
static int64_t due_at(const struct cv_schedule *s, uint32_t jitter)
{
	if (!s->expires_s)
		return CV_SCHEDULE_NEVER;
	const int64_t before_s = s->before_s > 0 ? s->before_s : CV_SCHEDULE_BEFORE_S;
	const int64_t lifetime_s = CV_MAX(s->expires_s - s->renewed_s, 0);
	const int64_t lead_s = CV_MIN(before_s, lifetime_s / 2);

	return s->expires_s - lead_s - CV_MIN(spread(before_s, jitter), lifetime_s / 4);
}

void cv_schedule_init(
	struct cv_schedule *s, int64_t before_s, bool has_value, int64_t expires_s, int64_t now_s)
{
	*s = (struct cv_schedule){ .before_s = before_s,
		.has_value = has_value,
		.expires_s = expires_s,
		.renewed_s = now_s,
		.ordered_s = INT64_MIN,
		.due_s = now_s };
	if (has_value)
		s->due_s = due_at(s, 0);
}

bool cv_schedule_is_due(struct cv_schedule *s, int64_t now_s)
{
	if (now_s < s->due_s)
		return s->state == CV_SCHEDULE_DUE;
	switch (s->state) {
	case CV_SCHEDULE_ASKED: /* the answer is lost */
		cv_schedule_failed(s, now_s, 0, 0);
		return false;
	case CV_SCHEDULE_FRESH:
	case CV_SCHEDULE_BACKOFF: state_set(s, CV_SCHEDULE_DUE, now_s); return true;
	case CV_SCHEDULE_DUE: return true;
	case CV_SCHEDULE_DEAD:
	case CV_SCHEDULE_STATE_COUNT: break;
	}
	return false;
}

void cv_schedule_ask(struct cv_schedule *s, int64_t now_s)
{
	if (s->is_rejected)
		s->ordered_s = now_s;
	state_set(s, CV_SCHEDULE_ASKED, now_s + CV_SCHEDULE_ANSWER_S);
}

void cv_schedule_renewed(struct cv_schedule *s, int64_t now_s, int64_t expires_s, uint32_t jitter)
{
	s->has_value = true;
	s->is_rejected = false;
	s->expires_s = expires_s;
	s->renewed_s = now_s;
	s->failures = 0;
	if (s->state == CV_SCHEDULE_FRESH || s->state == CV_SCHEDULE_DEAD)
		return; /* nobody asked: the value is used, and nothing follows from it */
	state_set(s, CV_SCHEDULE_FRESH, due_at(s, jitter));
}

void cv_schedule_failed(struct cv_schedule *s, int64_t now_s, int64_t retry_s, uint32_t jitter)
{
	const uint32_t doublings = CV_MIN(s->failures, (uint32_t)CV_SCHEDULE_BACKOFF_MAX);
	const int64_t wait_s = CV_MAX((int64_t)CV_SCHEDULE_BACKOFF_S << doublings, retry_s);

	if (s->state != CV_SCHEDULE_ASKED)
		return;
	s->failures = doublings + 1;
	state_set(s, CV_SCHEDULE_BACKOFF, now_s + wait_s + spread(wait_s, jitter));
}

void cv_schedule_dead(struct cv_schedule *s)
{
	if (s->state != CV_SCHEDULE_DEAD && s->state != CV_SCHEDULE_FRESH)
		state_set(s, CV_SCHEDULE_DEAD, CV_SCHEDULE_NEVER);
}

void cv_schedule_rejected(struct cv_schedule *s, int64_t now_s)
{
	if (!s->has_value)
		return;
	s->is_rejected = true;
	if (s->state != CV_SCHEDULE_FRESH)
		return; /* one is asked for already, or will be, or none will come */
	const int64_t due_s = s->ordered_s == INT64_MIN
				      ? now_s
				      : CV_MAX(now_s, s->ordered_s + CV_SCHEDULE_REJECTED_S);
	s->due_s = CV_MIN(s->due_s, due_s);
}

bool cv_schedule_is_refused(const struct cv_schedule *s, int64_t now_s)
{
	return s->is_rejected && (s->state != CV_SCHEDULE_FRESH || now_s >= s->due_s);
}

int64_t cv_schedule_wake_s(const struct cv_schedule *s)
{
	return s->due_s;
}

enum cv_schedule_value cv_schedule_value(const struct cv_schedule *s, int64_t now_s)
{
	const bool is_alive = s->has_value && !cv_schedule_is_refused(s, now_s) &&
			      (!s->expires_s || now_s < s->expires_s - CV_SCHEDULE_MARGIN_S);

	if (is_alive)
		return CV_SCHEDULE_VALUE_READY;
	return s->state == CV_SCHEDULE_DEAD ? CV_SCHEDULE_VALUE_DEAD : CV_SCHEDULE_VALUE_WAIT;
}
