/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rest_routes.c - which request is which call; see rest.h
 *
 * A part in braces takes everything up to the next "/" or ":", so a name with one of them is
 * percent-encoded.  Rows are tried in order; no two of them fit one path.
 */
#include "rpc/rest.h"

#include "cove.pb-c.h"
#include "inference.pb-c.h"
#include "openshell.pb-c.h"

#include <stdio.h>

#define SHELL      "openshell.v1.OpenShell"
#define INFER      "openshell.inference.v1.Inference"
#define COVE       "cove.v1.Cove"
#define U          false /* one answer */
#define S          true  /* server-sent events */
#define D(in, out) &openshell__##in##__descriptor, &openshell__##out##__descriptor
#define C(in, out) &cove__##in##__descriptor, &cove__##out##__descriptor

/* clang-format off */
const struct cv_rpc_route cv_rpc_routes[] = {
	{ "GET", "/v1/health", SHELL, "Health",
		D(v1__health_request, v1__health_response), U, "Whether the gateway works" },
	{ "GET", "/v1/user", SHELL, "GetCurrentUser",
		D(v1__get_current_user_request, v1__get_current_user_response), U, "Who asks" },
	{ "GET", "/v1/gateway", SHELL, "GetGatewayInfo",
		D(v1__get_gateway_info_request, v1__get_gateway_info_response), U, "About the gateway" },
	{ "GET", "/v1/gateway/config", SHELL, "GetGatewayConfig",
		D(sandbox__v1__get_gateway_config_request, sandbox__v1__get_gateway_config_response), U,
		"Settings of all sandboxes" },

	{ "POST", "/v1/sandboxes", SHELL, "CreateSandbox",
		D(v1__create_sandbox_request, v1__sandbox_response), U, "Create a sandbox" },
	{ "GET", "/v1/sandboxes", SHELL, "ListSandboxes",
		D(v1__list_sandboxes_request, v1__list_sandboxes_response), U, "List sandboxes" },
	{ "GET", "/v1/sandboxes/{name}", SHELL, "GetSandbox",
		D(v1__get_sandbox_request, v1__sandbox_response), U, "One sandbox" },
	{ "DELETE", "/v1/sandboxes/{name}", SHELL, "DeleteSandbox",
		D(v1__delete_sandbox_request, v1__delete_sandbox_response), U, "Delete a sandbox" },
	{ "POST", "/v1/sandboxes/{name}:stop", SHELL, "StopSandbox",
		D(v1__stop_sandbox_request, v1__sandbox_response), U, "Stop a sandbox" },
	{ "POST", "/v1/sandboxes/{name}:start", SHELL, "StartSandbox",
		D(v1__start_sandbox_request, v1__sandbox_response), U, "Start a sandbox" },
	{ "POST", "/v1/sandboxes/{sandbox_id}:exec", SHELL, "ExecSandbox",
		D(v1__exec_sandbox_request, v1__exec_sandbox_event), S, "Run a command" },
	{ "POST", "/v1/sandboxes/{sandbox_id}:ssh", SHELL, "CreateSshSession",
		D(v1__create_ssh_session_request, v1__create_ssh_session_response), U,
		"Open a way in by SSH" },
	{ "POST", "/v1/ssh-sessions:revoke", SHELL, "RevokeSshSession",
		D(v1__revoke_ssh_session_request, v1__revoke_ssh_session_response), U,
		"Close a way in by SSH" },
	{ "GET", "/v1/sandboxes/{id}/watch", SHELL, "WatchSandbox",
		D(v1__watch_sandbox_request, v1__sandbox_stream_event), S, "Follow a sandbox" },
	{ "GET", "/v1/sandboxes/{sandbox_id}/logs", SHELL, "GetSandboxLogs",
		D(v1__get_sandbox_logs_request, v1__get_sandbox_logs_response), U, "A sandbox's logs" },

	{ "GET", "/v1/sandboxes/{sandbox_name}/providers", SHELL, "ListSandboxProviders",
		D(v1__list_sandbox_providers_request, v1__list_sandbox_providers_response), U,
		"Providers of a sandbox" },
	{ "PUT", "/v1/sandboxes/{sandbox_name}/providers/{provider_name}", SHELL, "AttachSandboxProvider",
		D(v1__attach_sandbox_provider_request, v1__attach_sandbox_provider_response), U,
		"Attach a provider" },
	{ "DELETE", "/v1/sandboxes/{sandbox_name}/providers/{provider_name}", SHELL, "DetachSandboxProvider",
		D(v1__detach_sandbox_provider_request, v1__detach_sandbox_provider_response), U,
		"Detach a provider" },

	{ "GET", "/v1/sandboxes/{sandbox_id}/config", SHELL, "GetSandboxConfig",
		D(sandbox__v1__get_sandbox_config_request, sandbox__v1__get_sandbox_config_response), U,
		"Policy and settings in force" },
	{ "PATCH", "/v1/sandboxes/{name}/config", SHELL, "UpdateConfig",
		D(v1__update_config_request, v1__update_config_response), U,
		"Change a sandbox's policy or settings" },
	{ "PATCH", "/v1/config", SHELL, "UpdateConfig",
		D(v1__update_config_request, v1__update_config_response), U,
		"Change policy or settings, of a sandbox or of all" },
	{ "GET", "/v1/sandboxes/{name}/policy", SHELL, "GetSandboxPolicyStatus",
		D(v1__get_sandbox_policy_status_request, v1__get_sandbox_policy_status_response), U,
		"A revision of a policy" },
	{ "GET", "/v1/sandboxes/{name}/policies", SHELL, "ListSandboxPolicies",
		D(v1__list_sandbox_policies_request, v1__list_sandbox_policies_response), U,
		"All revisions of a policy" },

	{ "GET", "/v1/sandboxes/{name}/draft", SHELL, "GetDraftPolicy",
		D(v1__get_draft_policy_request, v1__get_draft_policy_response), U,
		"What was denied, as rules that would allow it" },
	{ "GET", "/v1/sandboxes/{name}/draft/history", SHELL, "GetDraftHistory",
		D(v1__get_draft_history_request, v1__get_draft_history_response), U,
		"What was decided about it" },
	{ "POST", "/v1/sandboxes/{name}/draft:approve", SHELL, "ApproveAllDraftChunks",
		D(v1__approve_all_draft_chunks_request, v1__approve_all_draft_chunks_response), U,
		"Approve all chunks" },
	{ "POST", "/v1/sandboxes/{name}/draft:clear", SHELL, "ClearDraftChunks",
		D(v1__clear_draft_chunks_request, v1__clear_draft_chunks_response), U, "Forget all chunks" },
	{ "POST", "/v1/sandboxes/{name}/draft/{chunk_id}:approve", SHELL, "ApproveDraftChunk",
		D(v1__approve_draft_chunk_request, v1__approve_draft_chunk_response), U, "Approve a chunk" },
	{ "POST", "/v1/sandboxes/{name}/draft/{chunk_id}:reject", SHELL, "RejectDraftChunk",
		D(v1__reject_draft_chunk_request, v1__reject_draft_chunk_response), U, "Reject a chunk" },
	{ "POST", "/v1/sandboxes/{name}/draft/{chunk_id}:undo", SHELL, "UndoDraftChunk",
		D(v1__undo_draft_chunk_request, v1__undo_draft_chunk_response), U, "Take a decision back" },
	{ "PATCH", "/v1/sandboxes/{name}/draft/{chunk_id}", SHELL, "EditDraftChunk",
		D(v1__edit_draft_chunk_request, v1__edit_draft_chunk_response), U, "Change a chunk" },

	{ "POST", "/v1/sandboxes/{sandbox}/services", SHELL, "ExposeService",
		D(v1__expose_service_request, v1__service_endpoint_response), U, "Expose a port" },
	{ "GET", "/v1/sandboxes/{sandbox}/services", SHELL, "ListServices",
		D(v1__list_services_request, v1__list_services_response), U, "Services of a sandbox" },
	{ "GET", "/v1/services", SHELL, "ListServices",
		D(v1__list_services_request, v1__list_services_response), U, "Services of all sandboxes" },
	{ "GET", "/v1/sandboxes/{sandbox}/services/{service}", SHELL, "GetService",
		D(v1__get_service_request, v1__service_endpoint_response), U, "One service" },
	{ "DELETE", "/v1/sandboxes/{sandbox}/services/{service}", SHELL, "DeleteService",
		D(v1__delete_service_request, v1__delete_service_response), U, "Expose a port no longer" },
	{ "GET", "/v1/sandboxes/{sandbox}/service", SHELL, "GetService",
		D(v1__get_service_request, v1__service_endpoint_response), U, "The service without a name" },
	{ "DELETE", "/v1/sandboxes/{sandbox}/service", SHELL, "DeleteService",
		D(v1__delete_service_request, v1__delete_service_response), U,
		"Expose the one without a name no longer" },

	{ "POST", "/v1/providers", SHELL, "CreateProvider",
		D(v1__create_provider_request, v1__provider_response), U, "Create a provider" },
	{ "GET", "/v1/providers", SHELL, "ListProviders",
		D(v1__list_providers_request, v1__list_providers_response), U, "List providers" },
	{ "GET", "/v1/providers/{name}", SHELL, "GetProvider",
		D(v1__get_provider_request, v1__provider_response), U, "One provider" },
	{ "PUT", "/v1/providers/{provider.metadata.name}", SHELL, "UpdateProvider",
		D(v1__update_provider_request, v1__provider_response), U, "Change a provider" },
	{ "DELETE", "/v1/providers/{name}", SHELL, "DeleteProvider",
		D(v1__delete_provider_request, v1__delete_provider_response), U, "Delete a provider" },
	{ "GET", "/v1/providers/{provider}/refresh", SHELL, "GetProviderRefreshStatus",
		D(v1__get_provider_refresh_status_request, v1__get_provider_refresh_status_response), U,
		"How a provider's credentials are renewed" },
	{ "PUT", "/v1/providers/{provider}/refresh/{credential_key}", SHELL, "ConfigureProviderRefresh",
		D(v1__configure_provider_refresh_request, v1__configure_provider_refresh_response), U,
		"Say how a credential is renewed" },
	{ "POST", "/v1/providers/{provider}/refresh/{credential_key}:rotate", SHELL, "RotateProviderCredential",
		D(v1__rotate_provider_credential_request, v1__rotate_provider_credential_response), U,
		"Renew a credential now" },
	{ "DELETE", "/v1/providers/{provider}/refresh/{credential_key}", SHELL, "DeleteProviderRefresh",
		D(v1__delete_provider_refresh_request, v1__delete_provider_refresh_response), U,
		"Renew a credential no longer" },

	{ "GET", "/v1/profiles", SHELL, "ListProviderProfiles",
		D(v1__list_provider_profiles_request, v1__list_provider_profiles_response), U,
		"List profiles of providers" },
	{ "POST", "/v1/profiles:import", SHELL, "ImportProviderProfiles",
		D(v1__import_provider_profiles_request, v1__import_provider_profiles_response), U,
		"Import profiles" },
	{ "POST", "/v1/profiles:lint", SHELL, "LintProviderProfiles",
		D(v1__lint_provider_profiles_request, v1__lint_provider_profiles_response), U,
		"Check profiles" },
	{ "GET", "/v1/profiles/{id}", SHELL, "GetProviderProfile",
		D(v1__get_provider_profile_request, v1__provider_profile_response), U, "One profile" },
	{ "PUT", "/v1/profiles/{id}", SHELL, "UpdateProviderProfiles",
		D(v1__update_provider_profiles_request, v1__update_provider_profiles_response), U,
		"Change a profile" },
	{ "DELETE", "/v1/profiles/{id}", SHELL, "DeleteProviderProfile",
		D(v1__delete_provider_profile_request, v1__delete_provider_profile_response), U,
		"Delete a profile" },

	{ "POST", "/v1/workspaces", SHELL, "CreateWorkspace",
		D(v1__create_workspace_request, v1__create_workspace_response), U, "Create a workspace" },
	{ "GET", "/v1/workspaces", SHELL, "ListWorkspaces",
		D(v1__list_workspaces_request, v1__list_workspaces_response), U, "List workspaces" },
	{ "GET", "/v1/workspaces/{name}", SHELL, "GetWorkspace",
		D(v1__get_workspace_request, v1__get_workspace_response), U, "One workspace" },
	{ "DELETE", "/v1/workspaces/{name}", SHELL, "DeleteWorkspace",
		D(v1__delete_workspace_request, v1__delete_workspace_response), U, "Delete a workspace" },
	{ "GET", "/v1/workspaces/{workspace}/members", SHELL, "ListWorkspaceMembers",
		D(v1__list_workspace_members_request, v1__list_workspace_members_response), U,
		"Members of a workspace" },
	{ "POST", "/v1/workspaces/{workspace}/members", SHELL, "AddWorkspaceMember",
		D(v1__add_workspace_member_request, v1__add_workspace_member_response), U, "Add a member" },
	{ "DELETE", "/v1/workspaces/{workspace}/members/{principal_subject}", SHELL, "RemoveWorkspaceMember",
		D(v1__remove_workspace_member_request, v1__remove_workspace_member_response), U,
		"Remove a member" },

	{ "GET", "/v1/inference", INFER, "GetInferenceRoute",
		D(inference__v1__get_inference_route_request, inference__v1__get_inference_route_response), U,
		"The default route to a model" },
	{ "PUT", "/v1/inference", INFER, "SetInferenceRoute",
		D(inference__v1__set_inference_route_request, inference__v1__set_inference_route_response), U,
		"Set the default route to a model" },
	{ "GET", "/v1/inference/{route_name}", INFER, "GetInferenceRoute",
		D(inference__v1__get_inference_route_request, inference__v1__get_inference_route_response), U,
		"A route to a model" },
	{ "PUT", "/v1/inference/{route_name}", INFER, "SetInferenceRoute",
		D(inference__v1__set_inference_route_request, inference__v1__set_inference_route_response), U,
		"Set a route to a model" },
	{ "DELETE", "/v1/inference/{route_name}", INFER, "DeleteInferenceRoute",
		D(inference__v1__delete_inference_route_request, inference__v1__delete_inference_route_response),
		U, "Delete a route to a model" },

	{ "GET", "/v1/approvals", COVE, "ListApprovals",
		C(v1__list_approvals_request, v1__list_approvals_response), U, "What waits for a person's answer" },
	{ "GET", "/v1/approvals:watch", COVE, "WatchApprovals",
		C(v1__watch_approvals_request, v1__approval_event), S, "The same, and what comes" },
	{ "POST", "/v1/approvals/{id}:decide", COVE, "DecideApproval",
		C(v1__decide_approval_request, v1__decide_approval_response), U, "Answer a question" },
	{ "POST", "/v1/sandboxes/{name}:supervisor-token", COVE, "CreateSupervisorToken",
		C(v1__create_supervisor_token_request, v1__create_supervisor_token_response), U,
		"A token for a supervisor that others start" },
	{ "GET", "/v1/usage", COVE, "GetUsage",
		C(v1__get_usage_request, v1__get_usage_response), U, "What is taken of the quotas, and who waits" },

	{ "POST", "/v1/sandboxes/{exec.sandbox_id}/execs", COVE, "StartExec",
		C(v1__start_exec_request, v1__start_exec_response), U,
		"Start a command that outlives its client" },
	{ "GET", "/v1/sandboxes/{sandbox_id}/execs", COVE, "ListExecs",
		C(v1__list_execs_request, v1__list_execs_response), U, "Such commands of a sandbox" },
	{ "GET", "/v1/sandboxes/{sandbox_id}/execs/{exec_id}:follow", COVE, "FollowExec",
		C(v1__follow_exec_request, v1__follow_exec_event), S, "Its output from an offset on, and its end" },
	{ "POST", "/v1/sandboxes/{sandbox_id}/execs/{exec_id}:kill", COVE, "KillExec",
		C(v1__kill_exec_request, v1__kill_exec_response), U, "Send it a signal" },
};
/* clang-format on */
const size_t cv_rpc_route_count = CV_ARRAY_LEN(cv_rpc_routes);

static size_t part_end(struct cv_str s) /* of what braces take */
{
	return CV_MIN(cv_str_find_byte(s, '/'), cv_str_find_byte(s, ':'));
}

static bool fits(
	const struct cv_rpc_route *route, struct cv_str path, struct cv_rpc_route_match *ret)
{
	struct cv_str pattern = cv_str_of(route->path);

	*ret = (struct cv_rpc_route_match){ .route = route };
	while (pattern.n) {
		const size_t open = cv_str_find_byte(pattern, '{');
		const struct cv_str literal = cv_str_slice(pattern, 0, open);

		if (!cv_str_has_prefix(path, literal))
			return false;
		path = cv_str_slice(path, literal.n, path.n);
		if (open == pattern.n)
			return path.n == 0;
		const size_t close = cv_str_find_byte(pattern, '}'), n = part_end(path);
		if (!n || ret->param_count == CV_RPC_ROUTE_PARAMS_MAX)
			return false;
		ret->param[ret->param_count].name = cv_str_slice(pattern, open + 1, close);
		ret->param[ret->param_count++].raw = cv_str_slice(path, 0, n);
		path = cv_str_slice(path, n, path.n);
		pattern = cv_str_slice(pattern, close + 1, pattern.n);
	}
	return path.n == 0;
}

bool cv_rpc_route_find(struct cv_str method, struct cv_str path, struct cv_rpc_route_match *ret,
	bool *ret_has_path)
{
	struct cv_rpc_route_match m;

	if (cv_str_eq(method, CV_STR("HEAD")))
		method = CV_STR("GET");
	*ret_has_path = false;
	for (size_t i = 0; i < cv_rpc_route_count; i++) {
		if (!fits(&cv_rpc_routes[i], path, &m))
			continue;
		*ret_has_path = true;
		if (cv_str_eq(cv_str_of(cv_rpc_routes[i].method), method)) {
			*ret = m;
			return true;
		}
	}
	return false;
}

void cv_rpc_route_allow(struct cv_str path, char ret[static CV_RPC_ALLOW_BYTES_MAX])
{
	struct cv_rpc_route_match m;
	size_t n = 0;

	ret[0] = '\0';
	for (size_t i = 0; i < cv_rpc_route_count && n < CV_RPC_ALLOW_BYTES_MAX; i++) {
		const char *method = cv_rpc_routes[i].method;

		if (fits(&cv_rpc_routes[i], path, &m))
			n += (size_t)snprintf(ret + n, CV_RPC_ALLOW_BYTES_MAX - n, "%s%s%s",
				n ? ", " : "", method, strcmp(method, "GET") ? "" : ", HEAD");
	}
}
