/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call_end.h - what a backend says of a call that has ended
 */
#pragma once
#include "broker/broker.h"

struct call_end {
	enum call_outcome outcome;
	const char *detail; /* a sentence, where outcome does not say it all */
	struct cv_str output;
	bool is_truncated;
	uint64_t bytes; /* of output, before it was cut */
	struct cv_str stderr_tail;
	bool has_exit;
	int exit, signal;
	bool is_ended_for_it; /* CALL_FULL: it did not end by itself */
	int status;           /* of an HTTP backend; 0: none */
	bool is_json;         /* the server says that output is JSON */
};

/* Shapes the answer, records it, and ends the job. */
void call_end(struct broker *b, struct job *j, const struct call_end *e);
