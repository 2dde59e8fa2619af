/* SPDX-License-Identifier: Apache-2.0 */
/*
 * approve_show.h - a question in words, the same wherever a person meets it
 *
 * Everything in it that a stranger could have chosen passes base/shown.h.
 */
#pragma once
#include "ipc/approve_link.h"

#define CV_ASK_SHOW_BYTES_MAX (512u << 10) /* each byte of a text may become ten */

/* One line, without its end: "tool issue_new by /usr/bin/curl". */
bool cv_ask_show_line(struct cv_buf *out, const struct cv_ask *ask);

/* All of it, in lines.  Long texts are cut in the middle, with a count, unless is_whole. */
bool cv_ask_show(struct cv_buf *out, const struct cv_ask *ask, bool is_whole);

/* Whether cv_ask_show() leaves something out that it would show if is_whole. */
bool cv_ask_is_long(const struct cv_ask *ask);
