/* SPDX-License-Identifier: Apache-2.0 */
/*
 * head.h - what stands in fields of a request's head that came from a sandbox
 *
 * Pure.
 */
#pragma once
#include "base/str.h"

/* Does Accept take the type?  is_exact: "any type" is not enough.  Empty: any. */
bool mcp_accepts(struct cv_str accept, const char *type, bool is_exact);

/* Last-Event-ID of a channel, "ID-NUMBER": 16 hexadecimal digits, and a decimal number. */
bool mcp_event_read(struct cv_str text, uint64_t *ret_id, uint64_t *ret_number);

/* Last-Event-ID of a job's events, "LOG-PROGRESS-RESULT". */
struct job_position {
	uint64_t log;
	uint32_t progress, results;
};
bool job_position_read(struct cv_str id, struct job_position *ret);
