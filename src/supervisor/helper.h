/* SPDX-License-Identifier: Apache-2.0 */
/*
 * helper.h - starting and ending our programs beside the sandbox
 */
#pragma once
#include "supervisor/supervisor.h"

/* Starts exe with one end of a new link as descriptor 3, no arguments, no environment, nothing
 * else open but stderr, and a session of its own, so that the terminal's signals pass it by.  It
 * ends when its link closes. */
CV_MUST cv_code helper_start(struct helper *h, struct cv_str exe, const struct cv_ipc_rule *rules,
	uint32_t rule_count, struct cv_err *err);
/* Takes one that somebody else has started, by its link. */
void helper_adopt(struct helper *h, int link, const struct cv_ipc_rule *rules, uint32_t rule_count);
/* Kills it, and waits until it is gone. */
void helper_stop(struct helper *h);
/* Whether the other end of its link is closed. */
bool helper_is_gone(const struct helper *h);
/* After a death: may it be started again?  False when it dies too often. */
bool helper_may_restart(struct helper *h);
