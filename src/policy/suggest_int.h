/* SPDX-License-Identifier: Apache-2.0 */
/*
 * suggest_int.h - between the search for an entry (suggest.c) and its text (suggest_write.c)
 */
#pragma once
#include "policy/suggest.h"

/* An entry is a few hundred bytes and four texts, of which each byte may be escaped twice. */
#define CV_SUGGEST_ENTRY_BYTES_MAX (64u << 10)

#define CV_SUGGEST_ANY_PROGRAM     CV_STR("/**")

struct cv_suggest_draft {
	struct cv_policy_endpoint ep; /* but for host, port and rules, which are the wish's */
	bool has_rule;
	bool is_whole; /* of a request, the connection: it is read by nobody */
};

/* Whether s can be written as it is and read as it is. */
bool cv_suggest_is_visible(struct cv_str s);

/* Of what is visible. */
void cv_suggest_put_scalar(struct cv_buf *out, struct cv_str s);

/* "allow_api_example_com_443", and a number if nth is not 1. */
void cv_suggest_put_key(struct cv_buf *out, const struct cv_facts *f, unsigned nth);

void cv_suggest_put_entry(struct cv_str key, const struct cv_wish *w,
	const struct cv_suggest_draft *d, struct cv_buf *out);
