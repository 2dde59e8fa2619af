/* SPDX-License-Identifier: Apache-2.0 */
/*
 * draft.h - proposals of rules: what the rest of the gateway tells them
 */
#pragma once
#include "gateway/gateway.h"

/* A connection that no rule allowed.  Every ten seconds what came together becomes proposals. */
void cv_gw_draft_denied(struct cv_gateway *g, struct cv_str sandbox_id, struct cv_str host,
	uint32_t port, struct cv_str binary);
