/* SPDX-License-Identifier: Apache-2.0 */
/*
 * methods.h - every rpc that is served: its messages, its kind, and who may call it
 *
 * The rows say the same as proto/openshell.proto and proto/inference.proto, whose options carry the
 * authorization; a test compares them with the descriptors.  They are written out because the
 * generated C code knows neither streams nor options.
 *
 *     auth    UNAUTHENTICATED, BEARER (a user), SANDBOX (a sandbox's own token), DUAL (either)
 *     scope   of a user's token, where scopes are checked; "": none
 *     role    NONE, MEMBER or MANAGER of the workspace that the request names (the handler asks),
 *             ADMIN of the whole gateway (asked before the handler)
 */
#pragma once

/* clang-format off */
/* rpc, request, response (message names behind openshell__), kind, auth, scope, role */
#define CV_RPC_OPENSHELL_METHODS(X) \
	X(Health, v1__health_request, v1__health_response, \
		UNARY, UNAUTHENTICATED, "", NONE) \
	X(GetCurrentUser, v1__get_current_user_request, v1__get_current_user_response, \
		UNARY, BEARER, "", NONE) \
	X(GetGatewayInfo, v1__get_gateway_info_request, v1__get_gateway_info_response, \
		UNARY, BEARER, "config:read", ADMIN) \
	X(CreateSandbox, v1__create_sandbox_request, v1__sandbox_response, \
		UNARY, BEARER, "sandbox:write", MEMBER) \
	X(GetSandbox, v1__get_sandbox_request, v1__sandbox_response, \
		UNARY, BEARER, "sandbox:read", MEMBER) \
	X(ListSandboxes, v1__list_sandboxes_request, v1__list_sandboxes_response, \
		UNARY, BEARER, "sandbox:read", MEMBER) \
	X(ListSandboxProviders, v1__list_sandbox_providers_request, v1__list_sandbox_providers_response, \
		UNARY, BEARER, "sandbox:read", MEMBER) \
	X(AttachSandboxProvider, v1__attach_sandbox_provider_request, v1__attach_sandbox_provider_response, \
		UNARY, BEARER, "sandbox:write", MEMBER) \
	X(DetachSandboxProvider, v1__detach_sandbox_provider_request, v1__detach_sandbox_provider_response, \
		UNARY, BEARER, "sandbox:write", MEMBER) \
	X(DeleteSandbox, v1__delete_sandbox_request, v1__delete_sandbox_response, \
		UNARY, BEARER, "sandbox:write", MEMBER) \
	X(StopSandbox, v1__stop_sandbox_request, v1__sandbox_response, \
		UNARY, BEARER, "sandbox:write", MEMBER) \
	X(StartSandbox, v1__start_sandbox_request, v1__sandbox_response, \
		UNARY, BEARER, "sandbox:write", MEMBER) \
	X(CreateSshSession, v1__create_ssh_session_request, v1__create_ssh_session_response, \
		UNARY, BEARER, "sandbox:write", MEMBER) \
	X(ExposeService, v1__expose_service_request, v1__service_endpoint_response, \
		UNARY, BEARER, "sandbox:write", MEMBER) \
	X(GetService, v1__get_service_request, v1__service_endpoint_response, \
		UNARY, BEARER, "sandbox:read", MEMBER) \
	X(ListServices, v1__list_services_request, v1__list_services_response, \
		UNARY, BEARER, "sandbox:read", MEMBER) \
	X(DeleteService, v1__delete_service_request, v1__delete_service_response, \
		UNARY, BEARER, "sandbox:write", MEMBER) \
	X(RevokeSshSession, v1__revoke_ssh_session_request, v1__revoke_ssh_session_response, \
		UNARY, BEARER, "sandbox:write", MEMBER) \
	X(ExecSandbox, v1__exec_sandbox_request, v1__exec_sandbox_event, \
		SERVER_STREAM, BEARER, "sandbox:write", MEMBER) \
	X(ForwardTcp, v1__tcp_forward_frame, v1__tcp_forward_frame, \
		BIDI, BEARER, "sandbox:write", MEMBER) \
	X(ExecSandboxInteractive, v1__exec_sandbox_input, v1__exec_sandbox_event, \
		BIDI, BEARER, "sandbox:write", MEMBER) \
	X(CreateProvider, v1__create_provider_request, v1__provider_response, \
		UNARY, BEARER, "provider:write", MANAGER) \
	X(GetProvider, v1__get_provider_request, v1__provider_response, \
		UNARY, BEARER, "provider:read", MEMBER) \
	X(ListProviders, v1__list_providers_request, v1__list_providers_response, \
		UNARY, BEARER, "provider:read", MEMBER) \
	X(ListProviderProfiles, v1__list_provider_profiles_request, v1__list_provider_profiles_response, \
		UNARY, BEARER, "provider:read", MEMBER) \
	X(GetProviderProfile, v1__get_provider_profile_request, v1__provider_profile_response, \
		UNARY, BEARER, "provider:read", MEMBER) \
	X(ImportProviderProfiles, v1__import_provider_profiles_request, v1__import_provider_profiles_response, \
		UNARY, BEARER, "provider:write", MANAGER) \
	X(UpdateProviderProfiles, v1__update_provider_profiles_request, v1__update_provider_profiles_response, \
		UNARY, BEARER, "provider:write", MANAGER) \
	X(LintProviderProfiles, v1__lint_provider_profiles_request, v1__lint_provider_profiles_response, \
		UNARY, BEARER, "provider:read", MEMBER) \
	X(UpdateProvider, v1__update_provider_request, v1__provider_response, \
		UNARY, BEARER, "provider:write", MANAGER) \
	X(GetProviderRefreshStatus, v1__get_provider_refresh_status_request, v1__get_provider_refresh_status_response, \
		UNARY, BEARER, "provider:read", MEMBER) \
	X(ConfigureProviderRefresh, v1__configure_provider_refresh_request, v1__configure_provider_refresh_response, \
		UNARY, BEARER, "provider:write", MANAGER) \
	X(RotateProviderCredential, v1__rotate_provider_credential_request, v1__rotate_provider_credential_response, \
		UNARY, BEARER, "provider:write", MANAGER) \
	X(DeleteProviderRefresh, v1__delete_provider_refresh_request, v1__delete_provider_refresh_response, \
		UNARY, BEARER, "provider:write", MANAGER) \
	X(DeleteProvider, v1__delete_provider_request, v1__delete_provider_response, \
		UNARY, BEARER, "provider:write", MANAGER) \
	X(DeleteProviderProfile, v1__delete_provider_profile_request, v1__delete_provider_profile_response, \
		UNARY, BEARER, "provider:write", MANAGER) \
	X(GetSandboxConfig, sandbox__v1__get_sandbox_config_request, sandbox__v1__get_sandbox_config_response, \
		UNARY, DUAL, "config:read", MEMBER) \
	X(GetGatewayConfig, sandbox__v1__get_gateway_config_request, sandbox__v1__get_gateway_config_response, \
		UNARY, BEARER, "config:read", NONE) \
	X(UpdateConfig, v1__update_config_request, v1__update_config_response, \
		UNARY, DUAL, "config:write", MANAGER) \
	X(GetSandboxPolicyStatus, v1__get_sandbox_policy_status_request, v1__get_sandbox_policy_status_response, \
		UNARY, BEARER, "sandbox:read", MEMBER) \
	X(ListSandboxPolicies, v1__list_sandbox_policies_request, v1__list_sandbox_policies_response, \
		UNARY, BEARER, "sandbox:read", MEMBER) \
	X(ReportPolicyStatus, v1__report_policy_status_request, v1__report_policy_status_response, \
		UNARY, SANDBOX, "", NONE) \
	X(GetSandboxProviderEnvironment, v1__get_sandbox_provider_environment_request, v1__get_sandbox_provider_environment_response, \
		UNARY, SANDBOX, "", NONE) \
	X(GetSandboxLogs, v1__get_sandbox_logs_request, v1__get_sandbox_logs_response, \
		UNARY, BEARER, "sandbox:read", MEMBER) \
	X(PushSandboxLogs, v1__push_sandbox_logs_request, v1__push_sandbox_logs_response, \
		CLIENT_STREAM, SANDBOX, "", NONE) \
	X(ConnectSupervisor, v1__supervisor_message, v1__gateway_message, \
		BIDI, SANDBOX, "", NONE) \
	X(ReportMainProcessExit, v1__report_main_process_exit_request, v1__report_main_process_exit_response, \
		UNARY, SANDBOX, "", NONE) \
	X(RelayStream, v1__relay_frame, v1__relay_frame, \
		BIDI, SANDBOX, "", NONE) \
	X(WatchSandbox, v1__watch_sandbox_request, v1__sandbox_stream_event, \
		SERVER_STREAM, BEARER, "sandbox:read", MEMBER) \
	X(SubmitPolicyAnalysis, v1__submit_policy_analysis_request, v1__submit_policy_analysis_response, \
		UNARY, SANDBOX, "", NONE) \
	X(GetDraftPolicy, v1__get_draft_policy_request, v1__get_draft_policy_response, \
		UNARY, DUAL, "config:read", MEMBER) \
	X(ApproveDraftChunk, v1__approve_draft_chunk_request, v1__approve_draft_chunk_response, \
		UNARY, BEARER, "config:write", MANAGER) \
	X(RejectDraftChunk, v1__reject_draft_chunk_request, v1__reject_draft_chunk_response, \
		UNARY, BEARER, "config:write", MANAGER) \
	X(ApproveAllDraftChunks, v1__approve_all_draft_chunks_request, v1__approve_all_draft_chunks_response, \
		UNARY, BEARER, "config:write", MANAGER) \
	X(EditDraftChunk, v1__edit_draft_chunk_request, v1__edit_draft_chunk_response, \
		UNARY, BEARER, "config:write", MANAGER) \
	X(UndoDraftChunk, v1__undo_draft_chunk_request, v1__undo_draft_chunk_response, \
		UNARY, BEARER, "config:write", MANAGER) \
	X(ClearDraftChunks, v1__clear_draft_chunks_request, v1__clear_draft_chunks_response, \
		UNARY, BEARER, "config:write", MANAGER) \
	X(GetDraftHistory, v1__get_draft_history_request, v1__get_draft_history_response, \
		UNARY, BEARER, "config:read", MEMBER) \
	X(IssueSandboxToken, v1__issue_sandbox_token_request, v1__issue_sandbox_token_response, \
		UNARY, SANDBOX, "", NONE) \
	X(RefreshSandboxToken, v1__refresh_sandbox_token_request, v1__refresh_sandbox_token_response, \
		UNARY, SANDBOX, "", NONE) \
	X(CreateWorkspace, v1__create_workspace_request, v1__create_workspace_response, \
		UNARY, BEARER, "workspace:write", ADMIN) \
	X(GetWorkspace, v1__get_workspace_request, v1__get_workspace_response, \
		UNARY, BEARER, "workspace:read", MEMBER) \
	X(ListWorkspaces, v1__list_workspaces_request, v1__list_workspaces_response, \
		UNARY, BEARER, "workspace:read", MEMBER) \
	X(DeleteWorkspace, v1__delete_workspace_request, v1__delete_workspace_response, \
		UNARY, BEARER, "workspace:write", ADMIN) \
	X(AddWorkspaceMember, v1__add_workspace_member_request, v1__add_workspace_member_response, \
		UNARY, BEARER, "workspace:write", MANAGER) \
	X(RemoveWorkspaceMember, v1__remove_workspace_member_request, v1__remove_workspace_member_response, \
		UNARY, BEARER, "workspace:write", MANAGER) \
	X(ListWorkspaceMembers, v1__list_workspace_members_request, v1__list_workspace_members_response, \
		UNARY, BEARER, "workspace:read", MEMBER)

#define CV_RPC_INFERENCE_METHODS(X) \
	X(GetInferenceBundle, inference__v1__get_inference_bundle_request, inference__v1__get_inference_bundle_response, \
		UNARY, SANDBOX, "", NONE) \
	X(SetInferenceRoute, inference__v1__set_inference_route_request, inference__v1__set_inference_route_response, \
		UNARY, BEARER, "inference:write", MANAGER) \
	X(GetInferenceRoute, inference__v1__get_inference_route_request, inference__v1__get_inference_route_response, \
		UNARY, BEARER, "inference:read", MEMBER) \
	X(DeleteInferenceRoute, inference__v1__delete_inference_route_request, inference__v1__delete_inference_route_response, \
		UNARY, BEARER, "inference:write", MANAGER)

/* Of cove.v1.Cove; message names behind cove__. */
#define CV_RPC_COVE_METHODS(X) \
	X(ListApprovals, v1__list_approvals_request, v1__list_approvals_response, \
		UNARY, BEARER, "config:read", MANAGER) \
	X(WatchApprovals, v1__watch_approvals_request, v1__approval_event, \
		SERVER_STREAM, BEARER, "config:read", MANAGER) \
	X(DecideApproval, v1__decide_approval_request, v1__decide_approval_response, \
		UNARY, BEARER, "config:write", MANAGER) \
	X(CreateSupervisorToken, v1__create_supervisor_token_request, v1__create_supervisor_token_response, \
		UNARY, BEARER, "sandbox:write", ADMIN) \
	X(GetUsage, v1__get_usage_request, v1__get_usage_response, \
		UNARY, BEARER, "sandbox:read", MEMBER) \
	X(StartExec, v1__start_exec_request, v1__start_exec_response, \
		UNARY, BEARER, "sandbox:write", MEMBER) \
	X(FollowExec, v1__follow_exec_request, v1__follow_exec_event, \
		SERVER_STREAM, BEARER, "sandbox:write", MEMBER) \
	X(AttachExec, v1__attach_exec_input, v1__follow_exec_event, \
		BIDI, BEARER, "sandbox:write", MEMBER) \
	X(ListExecs, v1__list_execs_request, v1__list_execs_response, \
		UNARY, BEARER, "sandbox:write", MEMBER) \
	X(KillExec, v1__kill_exec_request, v1__kill_exec_response, \
		UNARY, BEARER, "sandbox:write", MEMBER)
/* clang-format on */
