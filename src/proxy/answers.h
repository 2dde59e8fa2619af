/* SPDX-License-Identifier: Apache-2.0 */
/*
 * answers.h - the keeper's answers, for a moment: the very same question need not be asked again
 *
 * A program asks one server the same again and again, and the keeper's word about that is the same
 * each time: so it says with an answer how long it may be used for the same question, which is every
 * byte of it: host, port, method, path and credentials.  Where no binding looks at paths it says that,
 * too, and the path is left out.  It is the keeper that allows this, never for longer than
 * CV_KEEPER_KEEP_MS and never beyond the life of a value.
 *
 * Nothing that changes may be missed.  Each answer has a version, which is another one when any answer
 * would be another (a value renewed, refused or minted, a first release), and the keeper says a new one
 * before it says anything to anybody that was judged by it.  Who uses an answer looks first whether the
 * keeper has said anything that was not read yet: then it asks, as it does when nothing is kept.  So
 * what is used is what the keeper would say now, or would have said had the question been read just
 * before the change.
 *
 * Ownership: answers hold values, each combined with as many random bytes that are kept elsewhere, so
 *            that no value stands in memory while no request has it; both are wiped when it ends, by
 *            time too.
 * Limits:    CV_PROXY_ANSWERS_MAX, CV_PROXY_ANSWER_QUESTION_MAX, CV_PROXY_ANSWER_VALUES_MAX
 */
#pragma once
#include "base/attr.h"
#include "base/str.h"
#include "proxy/limits.h"

#include <stdint.h>

struct cv_question {
	struct cv_str path, rest; /* rest: all else that makes a difference */
};

struct cv_answer {
	enum { CV_ANSWER_FREE, CV_ANSWER_ASKED, CV_ANSWER_KEPT } state;
	uint32_t tag;                /* ASKED: of the question */
	struct cv_question question; /* in one block, owned, which rest begins */
	bool is_any_path;            /* KEPT: it is of every plain path */
	char *masked, *pad;          /* KEPT; owned */
	size_t text_bytes;
	int64_t asked_ms, until_ms;
};

struct cv_answers { /* all zero: none */
	struct cv_answer v[CV_PROXY_ANSWERS_MAX];
	uint32_t kept;    /* so many are KEPT */
	uint64_t version; /* of these */
	int64_t next_ms;  /* with kept: when the first of them ends */
};

/* A question is on its way; what comes back may be kept. */
void cv_answers_asked(
	struct cv_answers *a, uint32_t tag, const struct cv_question *q, int64_t now_ms);

struct cv_answer_term { /* how an answer may be kept */
	uint64_t version;
	uint32_t keep_ms; /* from when it was asked */
	bool is_any_path;
};

/* The answer to tag came. */
void cv_answers_put(struct cv_answers *a, uint32_t tag, const struct cv_answer_term *term,
	struct cv_str text, int64_t now_ms);

/* What the keeper said to that question, *ret_n bytes, as a copy that is the caller's to wipe and free.
 * NULL: ask. */
CV_MUST char *cv_answers_find(
	const struct cv_answers *a, const struct cv_question *q, int64_t now_ms, size_t *ret_n);

/* From now on answers are of that version. */
void cv_answers_version(struct cv_answers *a, uint64_t version);

/* None is used any more, nor are those that are on their way. */
void cv_answers_forget(struct cv_answers *a);

/* Ends those whose time is over. */
void cv_answers_sweep(struct cv_answers *a, int64_t now_ms);
