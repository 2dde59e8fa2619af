/* SPDX-License-Identifier: Apache-2.0 */
/*
 * approval.h - what sandboxes hold for a person: listed, followed, decided
 *
 *     supervisor --ASK--> table here --> ListApprovals, WatchApprovals
 *               <-ANSWER- DecideApproval
 *               --ANSWERED--> its answer
 *
 * Who holds and counts the time is the sandbox's supervisor (supervisor/approve.h): limits, deadline
 * and answers for all alike are its own, and hold while there is no gateway.  The table is only what
 * supervisors said since they dialled, so it is not stored; a gateway that comes back is told again.
 * What nobody answers is denied there, and so is what no gateway passes on.
 *
 * An id is INSTANCE-NUMBER, the instance being that of the supervisor's start: no answer ever meets a
 * question of another start.
 */
#pragma once
#include "gateway/sandbox.h"

struct cv_gw_approvals;
