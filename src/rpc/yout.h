/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yout.h - YAML, written line by line: blocks for mappings and lists
 *
 *     size_t rules = cv_yout_begin(&w, "rules");      rules:
 *     size_t first = cv_yout_item_begin(&w, 0);
 *     cv_yout_str(&w, "path", "/v1 beta");              - path: "/v1 beta"
 *     cv_yout_item_end(&w, first);
 *     cv_yout_end(&w, rules, "[]");
 *
 * Strings stand as they are when nobody could read them as anything else, and in double quotes
 * otherwise; then everything that hides or reorders text is escaped.  They may be a stranger's:
 * whatever they hold ends up inside quotes, or is refused.
 *
 * The writer keeps the place that it is at, for errors: "rules[0].path: is not UTF-8".  After the first
 * error it goes on writing what nobody will read; whoever loops over a stranger's list looks at
 * has_failed.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"

#define CV_YOUT_PLACE_BYTES_MAX 256 /* of an error; the rest is cut off */

struct cv_yout {
	struct cv_buf *out;
	struct cv_err *err;
	unsigned indent;
	bool is_open; /* "key:" stands there, and what follows is not yet known */
	bool is_item; /* the next line is the first of a list's element */
	bool has_failed;
	char place[CV_YOUT_PLACE_BYTES_MAX];
	size_t place_n;
};

CV_PRINTF(2, 3) void cv_yout_refuse(struct cv_yout *w, const char *fmt, ...);

/* Goes into a place without writing anything; to be left by w->place_n = what this returns. */
size_t cv_yout_push(struct cv_yout *w, const char *name);
size_t cv_yout_push_index(struct cv_yout *w, size_t i);

/* "name:" and a block in it; `empty` stands there if nothing was put in.  `before` is what begin
 * said. */
size_t cv_yout_begin(struct cv_yout *w, const char *name);
void cv_yout_end(struct cv_yout *w, size_t before, const char *empty);
size_t cv_yout_item_begin(struct cv_yout *w, size_t i);
void cv_yout_item_end(struct cv_yout *w, size_t before);

/* Lines: a string if it is not empty, a word as it stands, true if it is, a number if it is not 0, a
 * list of strings if there are any. */
void cv_yout_str(struct cv_yout *w, const char *name, const char *z);
void cv_yout_word(struct cv_yout *w, const char *name, const char *word);
void cv_yout_true(struct cv_yout *w, const char *name, bool v);
void cv_yout_number(struct cv_yout *w, const char *name, int64_t v);
void cv_yout_list(struct cv_yout *w, const char *name, char *const *v, size_t n);

/* Their parts, for whoever puts something else there: a line's beginning, its key, a string. */
void cv_yout_line(struct cv_yout *w);
void cv_yout_key(struct cv_yout *w, const char *name);
void cv_yout_scalar(struct cv_yout *w, const char *z);
