/* SPDX-License-Identifier: Apache-2.0 */
/*
 * carry.h - the keeper's side of the courier's link: renewals as errands, replies as results
 *
 *     cv_refresh_request() -> cv_carry_put() -> cv_ipc_send()
 *     cv_ipc_recv() -> cv_carry_get() -> read the memfd -> cv_carry_result()
 *
 * Pure: sends nothing and reads no descriptor.  Ownership: a reply borrows from the message.
 */
#pragma once
#include "cred/refresh.h"
#include "ipc/courier_link.h"

#define CV_CARRY_HEADERS_MAX 8

struct cv_carry_reply {
	uint32_t tag;
	bool is_failed;
	enum cv_courier_failure failure; /* with is_failed */
	int status;                      /* of HTTP, or a command's exit status */
	struct cv_cred_header headers[CV_CARRY_HEADERS_MAX];
	size_t header_count;
};

/* The variables that every command gets, if the host has them; a plan's material `env` names more,
 * separated by commas.  The launcher gives their values to the courier.  NULL ends. */
extern const char *const cv_carry_env[];

/* The body of an errand and its type.  ret holds secrets: the caller wipes.  CV_LIMIT: it does not
 * fit into a message. */
CV_MUST cv_code cv_carry_put(const struct cv_cred_refresh *refresh,
	const struct cv_refresh_request *request, uint32_t tag, struct cv_buf *ret,
	enum cv_courier_req *ret_type, struct cv_err *err);

/* CV_PROTO: malformed. */
CV_MUST cv_code cv_carry_get(enum cv_courier_reply type, struct cv_str message,
	struct cv_carry_reply *ret, struct cv_err *err);

/* What the reply means for the plan: cv_refresh_response(), or LATER for an errand that failed.
 * body is what the reply's descriptor held. */
void cv_carry_result(const struct cv_cred_refresh *refresh, const struct cv_carry_reply *reply,
	struct cv_str body, int64_t now_s, struct cv_arena *arena, struct cv_refresh_result *ret);
