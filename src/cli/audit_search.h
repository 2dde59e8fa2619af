/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit_search.h - streams of bytes, searched for the values of a run in every encoding
 *
 * The automata are those that scrub responses (cred/scrub.h), which promises what is found.  A
 * value of more bytes than they take is searched for by its first ones.
 */
#pragma once
#include "base/err.h"
#include "cli/audit_report.h"

struct audit_search;

/* is_short[i] is set for values that are too short to be told from chance; they are not searched
 * for.  CV_LIMIT: no memory. */
CV_MUST cv_code audit_search_new(const struct cv_str *values, size_t count, bool *is_short,
	struct audit_search **ret, struct cv_err *err);
void audit_search_free(struct audit_search *s); /* NULL is fine */

/* A stream: begin, feed..., end.  Bytes and hits are added to row; `where` is copied, `at` is the
 * offset of the first byte. */
void audit_search_begin(
	struct audit_search *s, struct audit_row *row, const char *where, uint64_t at);
void audit_search_feed(struct audit_search *s, struct cv_str bytes);
void audit_search_end(struct audit_search *s);

/* Searches what fd gives from its present offset to its end, at most max bytes: more than that, or
 * an error, makes the row one that was not searched.  Gives the bytes read. */
uint64_t audit_search_fd(
	struct audit_search *s, struct audit_row *row, const char *where, int fd, uint64_t max);

/* Overwrites what in text is a value: names of files are the sandbox's own choice.  False: no
 * memory. */
CV_MUST bool audit_search_scrub(struct audit_search *s, struct cv_buf *text);

/* A line on stderr now and then, if that is a terminal. */
void audit_search_progress(struct audit_search *s, bool is_wanted);
