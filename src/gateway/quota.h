/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quota.h - how much of the host and of each workspace is taken, who may have more, and who waits
 *
 * Everything here is a function of what it was told: no clock, no store, no sandboxes.  Each sandbox
 * has a struct cv_quota_holder, which says what it is counted with; the totals of its workspace and of
 * the host are sums of those, so they can't drift from what there is (admission.c counts a sandbox
 * again whenever it changes).
 *
 * The queue is one line in the order of arrival:
 *
 *     within a workspace     nobody overtakes
 *     short of a workspace's quota   holds up that workspace, and nobody else
 *     short of the host's quota      others may go first, but at most CV_QUOTA_OVERTAKES_MAX of
 *                                    them: then everybody waits, or a large one would wait for ever
 *
 * Who comes new is judged as if at the end of the line, whether or not they would wait in it.
 */
#pragma once
#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

enum cv_quota_resource { CV_QUOTA_SANDBOXES, CV_QUOTA_MEMORY, CV_QUOTA_CPU, CV_QUOTA_COUNT };
extern const char *const cv_quota_resource_name[CV_QUOTA_COUNT]; /* "sandboxes", "memory", "cpu" */

#define CV_QUOTA_UNLIMITED     UINT64_MAX
#define CV_QUOTA_OVERTAKES_MAX 16 /* enough to fill the room beside a large one, not to starve it */

struct cv_quota_amount { /* pieces; bytes; thousandths of a processor */
	uint64_t v[CV_QUOTA_COUNT];
};

/* Borrowed by struct cv_quota. */
struct cv_quota_limits {
	struct cv_quota_amount host, workspace; /* workspace: of each that has none of its own */
	const struct cv_str *name;              /* those that have */
	const struct cv_quota_amount *own;
	size_t n;
};

typedef unsigned __int128 cv_quota_sum; /* of sandboxes that each may ask for petabytes */

struct cv_quota_room { /* a workspace's, or the host's */
	cv_quota_sum used[CV_QUOTA_COUNT];
	struct cv_quota_amount limit;
	size_t holders, queued;
	uint64_t mark; /* of a walk that found it held up */
	char *name;    /* NULL: the host */
};

enum cv_quota_verdict {
	CV_QUOTA_FITS,
	CV_QUOTA_SHORT,  /* it will fit when others go */
	CV_QUOTA_BEHIND, /* it would fit, but others wait in front of it */
	CV_QUOTA_NEVER,  /* more than there may be at all */
};

struct cv_quota_short { /* what is short, and of whom */
	enum cv_quota_verdict verdict;
	enum cv_quota_resource resource;
	bool is_host;
	uint64_t used, asked, limit;
	size_t ahead; /* BEHIND: how many */
};

struct cv_quota_holder {
	struct cv_quota_room *room;
	struct cv_quota_amount counted; /* is in the totals */
	/* Of one that waits. */
	struct cv_quota_holder *next, *before;
	struct cv_quota_amount need; /* what it will be counted with */
	int64_t since_ms, until_ms;
	unsigned overtaken;
	bool is_queued;
	void *owner;
};

struct cv_quota {
	struct cv_quota_limits limits;
	struct cv_quota_room host;
	struct cv_quota_room **room; /* by name */
	size_t room_count, room_cap;
	struct cv_quota_holder *first, *last;
	size_t queued;
	uint64_t mark;
};

void cv_quota_init(struct cv_quota *q);
void cv_quota_fini(struct cv_quota *q); /* no holder is left */
/* Others from now on; what is taken already stays. */
void cv_quota_configure(struct cv_quota *q, const struct cv_quota_limits *limits);

/* h becomes one of the workspace, counted with nothing.  False: no memory. */
bool cv_quota_join(struct cv_quota *q, struct cv_quota_holder *h, struct cv_str workspace);
/* Out of totals and queue. */
void cv_quota_leave(struct cv_quota *q, struct cv_quota_holder *h);
void cv_quota_count(
	struct cv_quota *q, struct cv_quota_holder *h, const struct cv_quota_amount *now);
/* NULL: nobody is in it. */
struct cv_quota_room *cv_quota_room_find(const struct cv_quota *q, struct cv_str workspace);
struct cv_quota_amount cv_quota_limit_of(const struct cv_quota *q, struct cv_str workspace);

/* May one of this workspace that comes now be counted with need instead of counted?  Who is told
 * that it FITS goes: those whom it passes in the queue remember.  ret may be NULL. */
enum cv_quota_verdict cv_quota_judge(struct cv_quota *q, struct cv_str workspace,
	const struct cv_quota_amount *need, const struct cv_quota_amount *counted,
	struct cv_quota_short *ret);
/* The sentence: what is short, how much is used, asked for and allowed.  defaults: bits of resources
 * that were not asked for but are counted so. */
void cv_quota_explain(struct cv_buf *out, const struct cv_quota_short *s, struct cv_str workspace,
	unsigned defaults);
const char *cv_quota_advice(const struct cv_quota_short *s); /* what can be done about it */

/* ---- the queue ---- */

void cv_quota_enqueue(struct cv_quota *q, struct cv_quota_holder *h,
	const struct cv_quota_amount *need, int64_t since_ms, int64_t until_ms);
void cv_quota_dequeue(struct cv_quota *q, struct cv_quota_holder *h);
/* Whose turn it is: dequeue it and count it, then ask again.  NULL: nobody's. */
struct cv_quota_holder *cv_quota_next(struct cv_quota *q);
/* One whose time is over; NULL. */
struct cv_quota_holder *cv_quota_expired(const struct cv_quota *q, int64_t now_ms);
int64_t cv_quota_due_ms(const struct cv_quota *q); /* when the next time is over; INT64_MAX */
size_t cv_quota_place(const struct cv_quota *q, const struct cv_quota_holder *h); /* from 1 */
/* Why it waits. */
struct cv_quota_short cv_quota_why(const struct cv_quota *q, const struct cv_quota_holder *h);
