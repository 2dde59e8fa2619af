/* SPDX-License-Identifier: Apache-2.0 */
/*
 * commands.h - the rows of the table, and the functions that they name
 */
#pragma once
#include "client/grammar.h"

extern const struct cl_grammar cl_grammar;

/* clang-format off */
#define CL_COMMANDS(X)                                                                          \
	X(status) X(whoami)                                                                     \
	X(gateway_add) X(gateway_remove) X(gateway_select) X(gateway_list) X(gateway_info)      \
	X(gateway_login) X(gateway_logout)                                                      \
	X(sandbox_create) X(sandbox_get) X(sandbox_list) X(sandbox_delete) X(sandbox_stop)      \
	X(sandbox_start) X(sandbox_exec) X(sandbox_connect) X(sandbox_upload)                   \
	X(sandbox_download) X(sandbox_ssh_config)                                               \
	X(sandbox_provider_list) X(sandbox_provider_attach) X(sandbox_provider_detach)          \
	X(forward_start) X(forward_stop) X(forward_list) X(forward_service)                     \
	X(service_expose) X(service_list) X(service_get) X(service_delete)                      \
	X(logs) X(policy_set) X(policy_update) X(policy_get) X(policy_list) X(policy_delete)    \
	X(settings_get) X(settings_set) X(settings_delete)                                      \
	X(rule_get) X(rule_approve) X(rule_reject) X(rule_approve_all) X(rule_clear)            \
	X(rule_history)                                                                         \
	X(provider_create) X(provider_get) X(provider_list) X(provider_update)                  \
	X(provider_delete) X(provider_list_profiles)                                            \
	X(provider_refresh_status) X(provider_refresh_configure) X(provider_refresh_rotate)     \
	X(provider_refresh_delete)                                                              \
	X(profile_export) X(profile_import) X(profile_update) X(profile_lint) X(profile_delete) \
	X(workspace_create) X(workspace_get) X(workspace_list) X(workspace_delete)              \
	X(member_add) X(member_remove) X(member_list)                                           \
	X(inference_set) X(inference_update) X(inference_get) X(inference_delete)               \
	X(complete)                                                                             \
	X(doctor_check)                                                                         \
	X(top) X(completions) X(manual) X(ssh_proxy) X(ssh_known_host) X(invoke) X(approve)     \
	X(sandbox_token)                                                                        \
	X(quota)                                                                         \
	X(exec) X(exec_attach) X(exec_list) X(exec_kill)
/* clang-format on */

struct cl;
#define CL_COMMAND_RUN(name) int cl_run_##name(struct cl *c);
CL_COMMANDS(CL_COMMAND_RUN)
#undef CL_COMMAND_RUN
