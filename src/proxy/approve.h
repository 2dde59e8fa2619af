/* SPDX-License-Identifier: Apache-2.0 */
/*
 * approve.h - requests that policy lets a person decide (enforcement: approve)
 *
 *     head, judged --ASK--> supervisor --> a person
 *         | stays in the flow's buffer       |
 *         v                                  v
 *     judged again  <--------ANSWER----------+
 *
 * Nothing of the request goes anywhere meanwhile: its head waits in the buffer, its body in the
 * socket, and the connection to its destination is made when it has passed.  With the answer the
 * head is judged once more, by the policy of that moment: a yes is to what policy still leaves to a
 * person, and to no more.  A client that goes away takes its question with it, and so does one that
 * half-closes, as that looks the same.
 */
#pragma once
#include "proxy/inside.h"

enum cv_approve_step {
	CV_APPROVE_PASS,
	CV_APPROVE_WAIT,
	CV_APPROVE_ENDED, /* recorded and answered, or the client is gone */
};

/* For a request that cv_inside_decide() has let pass, each time it has. */
enum cv_approve_step cv_approve_request(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r, struct cv_str path);
/* Nobody waits any more; as often as one likes. */
void cv_approve_end(struct cv_proxy *p, struct cv_flow *f);
/* ANSWER; false: it makes no sense. */
CV_MUST bool cv_approve_answer(struct cv_proxy *p, struct cv_str body);
