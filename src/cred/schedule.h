/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schedule.h - when a credential is renewed, and when its value may be released
 *
 * One per renewal.  Pure: the owner tells what happened and when, asks what to do and until when
 * it may sleep.
 *
 *     loop: now -> cv_schedule_is_due()? send the request, cv_schedule_ask()
 *           answer -> cv_schedule_renewed() / _failed() / _dead()
 *           poll until cv_schedule_wake_s()
 *     a request wants the value -> cv_schedule_value()
 *     the upstream refused it (401) -> cv_schedule_rejected()
 *
 * Two things are apart: whether another value can be had (the state), and whether the present one
 * may be used (its expiry, and whether the upstream refused it).  So the value of a DEAD renewal
 * is released until it expires, a fresh value is never withheld because a renewal failed, and a
 * value known to be dead is never released, in no state (C8).  One exception: a value that is
 * refused too soon after the last refusal is used until another may be asked for.  That a server
 * refuses everything is more likely then than that it revoked two, and whoever provokes refusals
 * can't make a credential useless.
 */
#pragma once
#include "base/attr.h"

#include <stdbool.h>
#include <stdint.h>

#define CV_SCHEDULE_BEFORE_S    300 /* before expiry; long enough for several tries */
#define CV_SCHEDULE_ANSWER_S    90  /* an answer that took longer is lost with its courier */
#define CV_SCHEDULE_BACKOFF_S   2   /* after the first failure; doubled after each */
#define CV_SCHEDULE_BACKOFF_MAX 8   /* doublings: 512 seconds */
#define CV_SCHEDULE_REJECTED_S \
	30                     /* apart at least: whoever sends bad requests can't order tokens */
#define CV_SCHEDULE_MARGIN_S 5 /* a token about to expire would be dead on arrival */
#define CV_SCHEDULE_NEVER    INT64_MAX

/* clang-format off */
/* state, and the states it may go to */
#define CV_SCHEDULE_STATES(X)                                             \
	X(FRESH,   TO(DUE))                       /* nothing to do until due_s */    \
	X(DUE,     TO(ASKED) | TO(FRESH) | TO(DEAD))   /* ask now */                         \
	X(ASKED,   TO(FRESH) | TO(BACKOFF) | TO(DEAD)) /* an answer is awaited until due_s */ \
	X(BACKOFF, TO(DUE) | TO(FRESH) | TO(DEAD))     /* failed; again at due_s */          \
	X(DEAD,    0)                             /* a person has to act */
/* clang-format on */
#define CV_SCHEDULE_ENUM(name, to) CV_SCHEDULE_##name,
enum cv_schedule_state { CV_SCHEDULE_STATES(CV_SCHEDULE_ENUM) CV_SCHEDULE_STATE_COUNT };
#undef CV_SCHEDULE_ENUM

struct cv_schedule {
	enum cv_schedule_state state; /* written by one function in schedule.c */
	int64_t due_s;                /* when the state ends by itself */
	int64_t before_s;             /* of the plan; 0: CV_SCHEDULE_BEFORE_S */
	int64_t expires_s;            /* of the value; 0: never */
	int64_t renewed_s;            /* when the value came */
	int64_t ordered_s;            /* when a refusal last had one asked for; INT64_MIN: never */
	uint32_t failures;            /* in a row */
	bool has_value;
	bool is_rejected; /* the upstream refused the value */
};

/* What a request for the value gets. */
enum cv_schedule_value {
	CV_SCHEDULE_VALUE_READY, /* release it */
	CV_SCHEDULE_VALUE_WAIT,  /* none that is alive, but one may come: wait, or a 503 */
	CV_SCHEDULE_VALUE_DEAD,  /* none, and none will come: the typed 502 */
};

const char *cv_schedule_state_name(enum cv_schedule_state state);

/* A value with its expiry (0: never), or none yet: then it is due at once. */
void cv_schedule_init(
	struct cv_schedule *s, int64_t before_s, bool has_value, int64_t expires_s, int64_t now_s);

/* Lets time pass.  True: a request should be sent now, followed by cv_schedule_ask(). */
CV_MUST bool cv_schedule_is_due(struct cv_schedule *s, int64_t now_s);
void cv_schedule_ask(struct cv_schedule *s, int64_t now_s);

/* jitter is random, any value: it spreads renewals of many runs.  An answer may also come after its
 * time (in DUE and BACKOFF): a value counts then, and so does DEAD; a failure is no news. */
void cv_schedule_renewed(struct cv_schedule *s, int64_t now_s, int64_t expires_s, uint32_t jitter);
void cv_schedule_failed(struct cv_schedule *s, int64_t now_s, int64_t retry_s, uint32_t jitter);
void cv_schedule_dead(struct cv_schedule *s);

/* The upstream refused the present value.  A new one is asked for, for that reason at most every
 * CV_SCHEDULE_REJECTED_S; once it may be, this one is dead. */
void cv_schedule_rejected(struct cv_schedule *s, int64_t now_s);
/* Whether the present value is not to be used though its time is not over. */
CV_MUST bool cv_schedule_is_refused(const struct cv_schedule *s, int64_t now_s);

/* When cv_schedule_is_due() is next worth a call; CV_SCHEDULE_NEVER. */
CV_MUST int64_t cv_schedule_wake_s(const struct cv_schedule *s);

CV_MUST enum cv_schedule_value cv_schedule_value(const struct cv_schedule *s, int64_t now_s);
