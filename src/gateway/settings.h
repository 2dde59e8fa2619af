/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings.h - the settings of the gateway and of sandboxes
 *
 * Four registered keys (a table in settings.c), each bool or string.  There is one record for the
 * gateway, and one for each sandbox that has a value of its own; a global value wins and blocks
 * changes of the sandbox's.  The global key "policy" is reserved: its value is the revision of the
 * global policy (policy.c), and it is never shown.
 *
 * A record's message is a GetGatewayConfigResponse; its version is the revision that clients see.
 */
#pragma once
#include "gateway/gateway.h"

#include "openshell.pb-c.h"

#define CV_GW_SETTING_POLICY    "policy"
#define CV_GW_SETTING_PROPOSALS "agent_policy_proposals_enabled"

typedef Openshell__Sandbox__V1__SettingValue cv_setting_value;

/* The value in force; NULL: none.  sandbox_id empty: the gateway's. */
const cv_setting_value *cv_gw_setting(
	const struct cv_gateway *g, struct cv_str sandbox_id, const char *key);
bool cv_gw_setting_is_true(const struct cv_gateway *g, struct cv_str sandbox_id, const char *key);
/* The revision of the global policy that replaces all others; 0: none. */
uint32_t cv_gw_setting_policy(const struct cv_gateway *g);

/* What clients may set: the key is registered, the value of its type.  INVALID_ARGUMENT. */
CV_MUST enum cv_rpc_status cv_gw_setting_check(
	const char *key, const cv_setting_value *v, struct cv_err *err);
/* Sets (v NULL: deletes) the key of a scope.  FAILED_PRECONDITION: a sandbox's, and there is a global
 * one.  ret_was: whether there was a value. */
CV_MUST enum cv_rpc_status cv_gw_setting_put(struct cv_gateway *g, struct cv_str sandbox_id,
	const char *key, const cv_setting_value *v, bool *ret_was, struct cv_err *err);
uint64_t cv_gw_settings_revision(const struct cv_gateway *g, struct cv_str sandbox_id);
/* A sandbox is gone. */
void cv_gw_settings_forget(struct cv_gateway *g, struct cv_str sandbox_id);

/* Fill responses; what they point to is in the arena or in the objects.  False: no memory. */
bool cv_gw_settings_gateway(const struct cv_gateway *g, struct cv_arena *arena,
	Openshell__Sandbox__V1__GetGatewayConfigResponse *ret);
bool cv_gw_settings_effective(const struct cv_gateway *g, struct cv_str sandbox_id,
	struct cv_arena *arena, Openshell__Sandbox__V1__GetSandboxConfigResponse *ret);
