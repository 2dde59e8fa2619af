/* SPDX-License-Identifier: Apache-2.0 */
/*
 * commands.c - the table itself: every command, its arguments and its flags
 *
 * Rows stand in the order in which help shows them.
 */
#include "client/commands.h"

#include "base/attr.h"

/* clang-format off */
#define SWITCH(n, help)             { (n), 0, CL_FLAG_SWITCH, NULL, (help), NULL, NULL, false }
#define SWITCH_NOT(n, other, help)  { (n), 0, CL_FLAG_SWITCH, NULL, (help), NULL, (other), false }
#define SWITCH_HIDDEN(n, help)      { (n), 0, CL_FLAG_SWITCH, NULL, (help), NULL, NULL, true }
#define TEXT(n, l, v, help)         { (n), (l), CL_FLAG_TEXT, (v), (help), NULL, NULL, false }
#define TEXT_HIDDEN(n, v, help)     { (n), 0, CL_FLAG_TEXT, (v), (help), NULL, NULL, true }
#define LIST(n, v, help)            { (n), 0, CL_FLAG_LIST, (v), (help), NULL, NULL, false }
#define PAIRS(n, help)              { (n), 0, CL_FLAG_PAIRS, "KEY=VALUE", (help), NULL, NULL, false }
#define NUMBER(n, l, v, help)       { (n), (l), CL_FLAG_NUMBER, (v), (help), NULL, NULL, false }
#define CHOICE(n, l, v, choices, help) { (n), (l), CL_FLAG_CHOICE, (v), (help), (choices), NULL, false }
#define OUTPUT CHOICE("output", 'o', "FORMAT", "table|json|yaml", "How the answer is printed")
#define LIMIT  NUMBER("limit", 0, "N", "At most this many (100)")
#define OFFSET NUMBER("offset", 0, "N", "Leave out the first N")
#define YES    { "yes", 'y', CL_FLAG_SWITCH, NULL, "Do not ask", NULL, NULL, false }
#define GLOBAL(help) SWITCH("global", help)
#define QUEUE  TEXT("queue", 0, "DURATION", "Wait this long (30s, 5m, 1h) where the quotas leave no room")
#define ALL_WORKSPACES SWITCH("all-workspaces", "Of every workspace that you may see")

static const struct cl_flag globals[] = {
	TEXT("gateway", 'g', "NAME", "The gateway to talk to (OPENSHELL_GATEWAY)"),
	TEXT("gateway-endpoint", 0, "URL", "Its address, http:// or https:// (OPENSHELL_GATEWAY_ENDPOINT)"),
	SWITCH("gateway-insecure", "Do not verify the gateway's certificate"),
	TEXT("workspace", 'w', "NAME", "The workspace (default; OPENSHELL_WORKSPACE)"),
	{ "verbose", 'v', CL_FLAG_COUNT, NULL, "Say more", NULL, NULL, false },
};

static const struct cl_flag output_only[] = { OUTPUT };

static const struct cl_flag create_flags[] = {
	TEXT("name", 0, "NAME", "Its name; made up when not given"),
	TEXT("from", 0, "IMAGE", "An image: a name of the gateway's configuration, or where it is"),
	LIST("upload", "LOCAL[:REMOTE]", "Copy into it before it is used"),
	SWITCH("no-git-ignore", "Upload what .gitignore leaves out, too"),
	SWITCH_HIDDEN("keep", "Keep it (it is kept anyway)"),
	SWITCH_NOT("no-keep", "keep", "Delete it when the command is done"),
	CHOICE("editor", 0, "EDITOR", "vscode|cursor", "Open it in an editor"),
	{ "gpu", 0, CL_FLAG_OPTIONAL, "N", "Ask for GPUs", NULL, NULL, false },
	TEXT("cpu", 0, "QUANTITY", "Limit of processors, as in 2 or 500m"),
	TEXT("memory", 0, "QUANTITY", "Limit of memory, as in 4Gi"),
	TEXT("driver-config-json", 0, "JSON", "Settings for the driver, by its name"),
	LIST("provider", "NAME", "Attach a provider"),
	TEXT("policy", 0, "FILE", "Its policy (OPENSHELL_SANDBOX_POLICY)"),
	TEXT("forward", 0, "[ADDR:]PORT", "Forward a local port to it"),
	SWITCH("tty", "Give the command a terminal"),
	SWITCH_NOT("no-tty", "tty", "Give the command no terminal"),
	SWITCH("detach", "Return when it is ready"),
	SWITCH("auto-providers", "Create missing providers from local credentials"),
	SWITCH_NOT("no-auto-providers", "auto-providers", "Leave out missing providers"),
	PAIRS("label", "A label"),
	PAIRS("env", "A variable of its environment"),
	SWITCH("no-credential-warnings", "Do not warn of variables that look like credentials"),
	CHOICE("approval-mode", 0, "MODE", "manual|auto", "How proposed rules are approved"),
	QUEUE, OUTPUT,
};

static const struct cl_flag get_flags[] = { SWITCH("policy-only", "Only its policy"), OUTPUT };
static const struct cl_flag list_flags[] = {
	LIMIT, OFFSET,
	SWITCH("ids", "Only ids"), SWITCH_NOT("names", "ids", "Only names"),
	TEXT("selector", 'l', "K=V,...", "Those with these labels"), ALL_WORKSPACES, OUTPUT,
};
static const struct cl_flag start_flags[] = { QUEUE };
static const struct cl_flag quota_flags[] = { ALL_WORKSPACES, OUTPUT };
static const struct cl_flag delete_flags[] = { SWITCH("all", "All of the workspace") };
static const struct cl_flag exec_flags[] = {
	TEXT("name", 'n', "NAME", "The sandbox (the one last used)"),
	TEXT("workdir", 0, "DIR", "Where the command runs"),
	NUMBER("timeout", 0, "SECONDS", "End it after this time (exit status 124)"),
	SWITCH("tty", "Give the command a terminal"),
	SWITCH_NOT("no-tty", "tty", "Give the command no terminal"),
	PAIRS("env", "A variable of its environment"),
	{ "detach", 'd', CL_FLAG_SWITCH, NULL, "Print its id and return; see exec attach", NULL, NULL, false },
	SWITCH("stdin", "With --detach: its stdin stays open, for exec attach --stdin"),
};
static const struct cl_flag exec_attach_flags[] = {
	TEXT("from", 0, "OFFSET", "From this byte of its output on (0)"),
	SWITCH("no-input", "Look only, also at a terminal"),
	SWITCH_NOT("stdin", "no-input", "Send our stdin to its stdin, and return when all of it went"),
	SWITCH_NOT("eof", "no-input", "With --stdin: its stdin ends where ours does; wait for its end"),
	SWITCH_NOT("take-over", "no-input", "From whoever is attached now"),
};
static const struct cl_flag exec_kill_flags[] = {
	TEXT("signal", 's', "SIGNAL", "TERM, KILL, INT, ... or a number (TERM)"),
};
static const struct cl_flag connect_flags[] = {
	CHOICE("editor", 0, "EDITOR", "vscode|cursor", "Open it in an editor"),
};
static const struct cl_flag upload_flags[] = {
	SWITCH("no-git-ignore", "Upload what .gitignore leaves out, too"),
};
static const struct cl_flag forward_start_flags[] = {
	{ "background", 'd', CL_FLAG_SWITCH, NULL, "Return, and forward in the background", NULL, NULL, false },
};
static const struct cl_flag forward_service_flags[] = {
	NUMBER("target-port", 0, "PORT", "The port inside"),
	TEXT("target-host", 0, "HOST", "The host inside (127.0.0.1)"),
	TEXT("local", 0, "[ADDR:]PORT", "Where to listen; port 0 is any"),
};
static const struct cl_flag service_list_flags[] = { LIMIT, OFFSET, ALL_WORKSPACES, OUTPUT };
static const struct cl_flag logs_flags[] = {
	NUMBER("lines", 'n', "N", "The last N lines (200); 0 is all there are"),
	SWITCH("tail", "Go on with what comes"),
	TEXT("since", 0, "DURATION", "Not older than 30s, 5m, 1h"),
	LIST("source", "SOURCE", "all, gateway or sandbox"),
	TEXT("level", 0, "LEVEL", "This level and above: INFO, WARN, ERROR"),
};
static const struct cl_flag top_flags[] = {
	SWITCH("once", "Print what there is, and end"), ALL_WORKSPACES, OUTPUT,
};
static const struct cl_flag term_flags[] = {
	SWITCH("once", "Print what there is, and end"), ALL_WORKSPACES, OUTPUT,
	CHOICE("theme", 0, "THEME", "auto|dark|light", "Taken and not needed: the terminal's own colours are used"),
};
static const struct cl_flag policy_set_flags[] = {
	TEXT("policy", 'p', "FILE", "The policy (OPENSHELL_SANDBOX_POLICY)"),
	GLOBAL("For all sandboxes"), YES,
	SWITCH("wait", "Until the sandbox has loaded it: 0 loaded, 1 failed, 124 no time left"),
	NUMBER("timeout", 0, "SECONDS", "How long to wait (60)"),
};
static const struct cl_flag policy_update_flags[] = {
	LIST("add-endpoint", "HOST:PORT[:ACCESS[:PROTOCOL[:ENFORCEMENT[:OPTIONS]]]]", "Allow an endpoint"),
	LIST("remove-endpoint", "HOST:PORT", "Take an endpoint away"),
	LIST("add-allow", "HOST:PORT:METHOD:PATH", "Allow requests"),
	LIST("add-deny", "HOST:PORT:METHOD:PATH", "Deny requests"),
	LIST("remove-rule", "NAME", "Take a rule away"),
	LIST("binary", "PATH", "Who may use the added endpoints"),
	TEXT("rule-name", 0, "NAME", "The rule that the added endpoint is in"),
	SWITCH("dry-run", "Only show what would be sent"),
	SWITCH("wait", "Until the sandbox has loaded it: 0 loaded, 1 failed, 124 no time left"),
	NUMBER("timeout", 0, "SECONDS", "How long to wait (60)"),
};
static const struct cl_flag policy_get_flags[] = {
	NUMBER("rev", 0, "N", "A stored revision"),
	SWITCH("full", "With what providers add"),
	SWITCH_NOT("base", "full", "Only what was set"),
	GLOBAL("The policy for all sandboxes"), OUTPUT,
};
static const struct cl_flag policy_list_flags[] = {
	NUMBER("limit", 0, "N", "At most this many (20)"), GLOBAL("Of the policy for all sandboxes"),
};
static const struct cl_flag policy_delete_flags[] = { GLOBAL("The policy for all sandboxes"), YES };
static const struct cl_flag settings_get_flags[] = {
	GLOBAL("Those of the gateway"), SWITCH("json", "As JSON"), OUTPUT,
};
static const struct cl_flag settings_set_flags[] = {
	TEXT("key", 0, "KEY", "Which setting"), TEXT("value", 0, "VALUE", "Its value"),
	GLOBAL("For all sandboxes"), YES,
};
static const struct cl_flag settings_delete_flags[] = {
	TEXT("key", 0, "KEY", "Which setting"), GLOBAL("For all sandboxes"), YES,
};
static const struct cl_flag rule_get_flags[] = {
	TEXT("status", 0, "STATUS", "pending, approved or rejected"), OUTPUT,
};
static const struct cl_flag rule_approve_flags[] = {
	TEXT("chunk-id", 0, "ID", "Which proposal"),
	TEXT("reason", 0, "TEXT", "Taken and not needed: only a rejection has one"),
};
static const struct cl_flag rule_reject_flags[] = {
	TEXT("chunk-id", 0, "ID", "Which proposal"), TEXT("reason", 0, "TEXT", "Why not"),
};
static const struct cl_flag rule_all_flags[] = {
	SWITCH("include-security-flagged", "Also those with security notes"),
};
static const struct cl_flag approve_flags[] = {
	{ "list", 'l', CL_FLAG_SWITCH, NULL, "Print what is held, and ask nothing", NULL, NULL, false },
	SWITCH_NOT("watch", "list", "Wait for questions"),
	{ "yes", 'y', CL_FLAG_SWITCH, NULL, "Allow it", NULL, NULL, false },
	{ "no", 'n', CL_FLAG_SWITCH, NULL, "Deny it", NULL, "yes", false },
	{ "always", 'a', CL_FLAG_SWITCH, NULL, "... and all alike, as long as the sandbox runs", NULL, NULL, false },
	TEXT("reason", 'r', "TEXT", "Why; it is in the audit"),
	{ "full", 'f', CL_FLAG_SWITCH, NULL, "Show long texts whole", NULL, NULL, false },
	TEXT("sandbox", 's', "NAME", "Only of this sandbox"), ALL_WORKSPACES, OUTPUT,
};
static const struct cl_flag provider_create_flags[] = {
	TEXT("name", 0, "NAME", "Its name"), TEXT("type", 0, "TYPE", "Its profile"),
	SWITCH("from-existing", "Take credentials from this environment"),
	LIST("credential", "KEY[=VALUE]", "A credential; without a value, from this environment"),
	SWITCH("from-gcloud-adc", "Take gcloud's application-default credentials"),
	SWITCH("runtime-credentials", "Credentials come when a sandbox runs"),
	PAIRS("config", "A setting"),
	SWITCH("global-profile", "The profile of the platform, not of the workspace"),
};
static const struct cl_flag provider_list_flags[] = {
	LIMIT, OFFSET, SWITCH("names", "Only names"), ALL_WORKSPACES, OUTPUT,
};
static const struct cl_flag provider_update_flags[] = {
	SWITCH("from-existing", "Take credentials from this environment"),
	LIST("credential", "KEY[=VALUE]", "A credential; without a value, from this environment"),
	PAIRS("config", "A setting"),
	PAIRS("credential-expires-at", "When a credential ends: RFC 3339, or ms; 0 is never"),
};
static const struct cl_flag profile_list_flags[] = { GLOBAL("Of the platform"), OUTPUT };
static const struct cl_flag refresh_key_flags[] = { TEXT("credential-key", 0, "KEY", "Which credential"), OUTPUT };
static const struct cl_flag refresh_configure_flags[] = {
	TEXT("credential-key", 0, "KEY", "Which credential"),
	CHOICE("strategy", 0, "STRATEGY",
		"static|external|oauth2-refresh-token|oauth2-client-credentials|google-service-account-jwt|aws-sts-assume-role",
		"How it is renewed"),
	PAIRS("material", "What the strategy needs"),
	LIST("secret-material-env", "KEY[=ENV]", "Secret material from this environment"),
	LIST("secret-material-key", "KEY", "Material that is secret"),
	TEXT("credential-expires-at", 0, "TIME", "When the present one ends"),
};
static const struct cl_flag profile_file_flags[] = {
	TEXT("file", 'f', "FILE", "One profile"), TEXT("from", 0, "DIR", "All profiles of a directory"),
	GLOBAL("Of the platform"),
};
static const struct cl_flag profile_one_flags[] = { GLOBAL("Of the platform") };
static const struct cl_flag profile_export_flags[] = { GLOBAL("Of the platform"), OUTPUT };
static const struct cl_flag workspace_create_flags[] = {
	TEXT("name", 0, "NAME", "Its name"), PAIRS("label", "A label"),
};
static const struct cl_flag workspace_list_flags[] = {
	LIMIT, OFFSET, TEXT("label-selector", 'l', "K=V,...", "Those with these labels"),
	SWITCH("names", "Only names"), OUTPUT,
};
static const struct cl_flag member_flags[] = {
	TEXT("subject", 0, "SUBJECT", "Who"), CHOICE("role", 0, "ROLE", "user|admin", "As what"),
};
static const struct cl_flag member_list_flags[] = { LIMIT, OFFSET, OUTPUT };
static const struct cl_flag gateway_add_flags[] = {
	TEXT("name", 0, "NAME", "Its name (its host)"), TEXT("remote", 0, "SSH", "Reached over ssh"),
	SWITCH("local", "On this machine"),
	TEXT("ca", 0, "FILE", "Its certificate authority"),
	TEXT("cert", 0, "FILE", "Our certificate"), TEXT("key", 0, "FILE", "Its key"),
	TEXT("oidc-issuer", 0, "URL", "Who issues tokens"),
	TEXT("oidc-client-id", 0, "ID", "Our name there (openshell-cli)"),
	TEXT("oidc-audience", 0, "NAME", "Whom tokens are for"),
	TEXT("oidc-scopes", 0, "SCOPES", "What to ask for"),
};
static const struct cl_flag gateway_login_flags[] = {
	SWITCH("device", "By a code that is entered in a browser elsewhere"),
	TEXT("token-file", 0, "FILE", "File with the token; - is stdin"),
};
static const struct cl_flag inference_set_flags[] = {
	TEXT("provider", 0, "NAME", "Whose credentials"), TEXT("model", 0, "ID", "Which model"),
	SWITCH("system", "The route of the platform's own use"),
	SWITCH("no-verify", "Do not try it first"),
	NUMBER("timeout", 0, "SECONDS", "Of one request"), OUTPUT,
};
static const struct cl_flag inference_get_flags[] = { SWITCH("system", "The route of the platform's own use"), OUTPUT };
static const struct cl_flag ssh_proxy_flags[] = {
	TEXT_HIDDEN("sandbox-id", "ID", "id"), TEXT_HIDDEN("token", "TOKEN", "token"),
	TEXT_HIDDEN("server", "URL", "endpoint"), TEXT_HIDDEN("gateway-name", "NAME", "gateway"),
	TEXT_HIDDEN("name", "NAME", "sandbox"),
};
static const struct cl_flag ssh_known_host_flags[] = {
	TEXT_HIDDEN("gateway-name", "NAME", "gateway"), TEXT_HIDDEN("name", "NAME", "sandbox"),
	TEXT_HIDDEN("host", "HOST", "as ssh calls it (%H)"), TEXT_HIDDEN("type", "TYPE", "of the key (%t)"),
	TEXT_HIDDEN("key", "KEY", "in base64 (%K)"),
};
static const struct cl_flag invoke_flags[] = {
	NUMBER("port", 'p', "PORT", "The port inside"),
	TEXT("path", 0, "PATH", "The path (/)"), TEXT("method", 'X', "METHOD", "GET, or POST with --data"),
	TEXT("data", 'd', "DATA", "The body; - is stdin, @FILE a file"),
	LIST("header", "NAME: VALUE", "A header field"),
	{ "include", 'i', CL_FLAG_SWITCH, NULL, "Print the head of the response, too", NULL, NULL, false },
	NUMBER("timeout", 0, "SECONDS", "How long to wait (60)"),
};

#define FLAGS(v)  (v), CV_ARRAY_LEN(v)
#define NO_FLAGS  NULL, 0
#define NEEDS(n)  { { (n), true, false, false } }
#define MAY(n)    { { (n), false, false, false } }
#define MANY(n)   { { (n), true, true, false } }
#define NONE      { { NULL, false, false, false } }
#define ROW(path, summary, flags, args, name) { (path), (summary), flags, args, cl_run_##name, NULL, false }

static const struct cl_command commands[] = {
	ROW("status", "Is the gateway there, and who are we to it", FLAGS(output_only), NONE, status),
	ROW("whoami", "Who the gateway takes us for", FLAGS(output_only), NONE, whoami),

	{ "sandbox create", "Create a sandbox and wait until it is ready", FLAGS(create_flags), NONE,
		cl_run_sandbox_create, "CMD", false },
	ROW("sandbox get", "Show a sandbox", FLAGS(get_flags), MAY("NAME"), sandbox_get),
	ROW("sandbox list", "List sandboxes", FLAGS(list_flags), NONE, sandbox_list),
	{ "sandbox delete", "Delete sandboxes", FLAGS(delete_flags), { { "NAME", false, true, false } },
		cl_run_sandbox_delete, NULL, false },
	ROW("sandbox stop", "Stop a sandbox and keep its files", NO_FLAGS, MAY("NAME"), sandbox_stop),
	ROW("sandbox start", "Start a stopped sandbox", FLAGS(start_flags), MAY("NAME"), sandbox_start),
	{ "sandbox exec", "Run a command in a sandbox", FLAGS(exec_flags),
		{ { "CMD", true, true, true } }, cl_run_sandbox_exec, NULL, false },
	{ "exec", "Run a command in a sandbox; see also exec attach, exec list, exec kill", FLAGS(exec_flags),
		{ { "CMD", true, true, true } }, cl_run_exec, NULL, false },
	{ "exec attach", "Into a command that goes on, or its output and its end; Ctrl-P Ctrl-Q leaves a terminal", FLAGS(exec_attach_flags),
		{ { "SANDBOX", true, false, false }, { "ID", true, false, false } }, cl_run_exec_attach, NULL, false },
	ROW("exec list", "List commands that go on, and those whose end is kept", FLAGS(output_only), MAY("SANDBOX"), exec_list),
	{ "exec kill", "Send a command a signal", FLAGS(exec_kill_flags),
		{ { "SANDBOX", true, false, false }, { "ID", true, false, false } }, cl_run_exec_kill, NULL, false },
	ROW("sandbox connect", "A shell in a sandbox", FLAGS(connect_flags), MAY("NAME"), sandbox_connect),
	{ "sandbox upload", "Copy files into a sandbox", FLAGS(upload_flags),
		{ { "NAME", true, false, false }, { "LOCAL", true, false, false }, { "DEST", false, false, false } },
		cl_run_sandbox_upload, NULL, false },
	{ "sandbox download", "Copy files out of a sandbox", NO_FLAGS,
		{ { "NAME", true, false, false }, { "PATH", true, false, false }, { "DEST", false, false, false } },
		cl_run_sandbox_download, NULL, false },
	ROW("sandbox ssh-config", "A Host block for ssh", NO_FLAGS, MAY("NAME"), sandbox_ssh_config),
	ROW("sandbox token", "A token for the supervisor of a sandbox that others run", NO_FLAGS, MAY("NAME"),
		sandbox_token),
	ROW("sandbox provider list", "Providers of a sandbox", FLAGS(output_only), MAY("NAME"), sandbox_provider_list),
	{ "sandbox provider attach", "Attach a provider", NO_FLAGS,
		{ { "NAME", true, false, false }, { "PROVIDER", true, false, false } },
		cl_run_sandbox_provider_attach, NULL, false },
	{ "sandbox provider detach", "Detach a provider", NO_FLAGS,
		{ { "NAME", true, false, false }, { "PROVIDER", true, false, false } },
		cl_run_sandbox_provider_detach, NULL, false },

	{ "forward start", "Forward a local port to the same port of a sandbox", FLAGS(forward_start_flags),
		{ { "PORT", true, false, false }, { "NAME", false, false, false } }, cl_run_forward_start, NULL, false },
	{ "forward stop", "End a forward in the background", NO_FLAGS,
		{ { "PORT", true, false, false }, { "NAME", false, false, false } }, cl_run_forward_stop, NULL, false },
	ROW("forward list", "Forwards in the background", NO_FLAGS, NONE, forward_list),
	ROW("forward service", "Forward a local port to any loopback port of a sandbox",
		FLAGS(forward_service_flags), MAY("NAME"), forward_service),

	{ "service expose", "Give a port of a sandbox a URL", NO_FLAGS,
		{ { "SANDBOX", true, false, false }, { "PORT", true, false, false }, { "SERVICE", false, false, false } },
		cl_run_service_expose, NULL, false },
	ROW("service list", "List exposed services", FLAGS(service_list_flags), MAY("SANDBOX"), service_list),
	{ "service get", "Show an exposed service", FLAGS(output_only),
		{ { "SANDBOX", true, false, false }, { "SERVICE", false, false, false } }, cl_run_service_get, NULL, false },
	{ "service delete", "End an exposed service", NO_FLAGS,
		{ { "SANDBOX", true, false, false }, { "SERVICE", false, false, false } }, cl_run_service_delete, NULL, false },

	ROW("top", "Watch sandboxes and decisions, and approve what is proposed", FLAGS(top_flags), NONE, top),
	ROW("term", "The same as top", FLAGS(term_flags), NONE, top),
	ROW("logs", "What a sandbox and its gateway said", FLAGS(logs_flags), MAY("NAME"), logs),

	ROW("policy set", "Replace the policy of a running sandbox", FLAGS(policy_set_flags), MAY("NAME"), policy_set),
	ROW("policy update", "Change parts of a policy", FLAGS(policy_update_flags), MAY("NAME"), policy_update),
	ROW("policy get", "Show a policy", FLAGS(policy_get_flags), MAY("NAME"), policy_get),
	ROW("policy list", "List revisions of a policy", FLAGS(policy_list_flags), MAY("NAME"), policy_list),
	ROW("policy delete", "Take the policy for all sandboxes away", FLAGS(policy_delete_flags), NONE, policy_delete),

	ROW("settings get", "Show settings", FLAGS(settings_get_flags), MAY("NAME"), settings_get),
	ROW("settings set", "Set a setting", FLAGS(settings_set_flags), MAY("NAME"), settings_set),
	ROW("settings delete", "Take a setting away", FLAGS(settings_delete_flags), MAY("NAME"), settings_delete),

	ROW("rule get", "Show proposed rules", FLAGS(rule_get_flags), MAY("NAME"), rule_get),
	ROW("rule approve", "Approve a proposed rule", FLAGS(rule_approve_flags), MAY("NAME"), rule_approve),
	ROW("rule reject", "Reject a proposed rule", FLAGS(rule_reject_flags), MAY("NAME"), rule_reject),
	ROW("rule approve-all", "Approve all proposed rules", FLAGS(rule_all_flags), MAY("NAME"), rule_approve_all),
	ROW("rule clear", "Drop all proposed rules", NO_FLAGS, MAY("NAME"), rule_clear),
	ROW("rule history", "What became of proposals", FLAGS(output_only), MAY("NAME"), rule_history),

	ROW("approve", "Answer what sandboxes hold for a person", FLAGS(approve_flags), MAY("ID"), approve),

	ROW("quota", "What is taken of the quotas, and who waits for room", FLAGS(quota_flags), NONE, quota),

	ROW("provider create", "Create a provider", FLAGS(provider_create_flags), NONE, provider_create),
	ROW("provider get", "Show a provider", FLAGS(output_only), NEEDS("NAME"), provider_get),
	ROW("provider list", "List providers", FLAGS(provider_list_flags), NONE, provider_list),
	ROW("provider update", "Change a provider", FLAGS(provider_update_flags), NEEDS("NAME"), provider_update),
	ROW("provider delete", "Delete providers", NO_FLAGS, MANY("NAME"), provider_delete),
	ROW("provider list-profiles", "List profiles", FLAGS(profile_list_flags), NONE, provider_list_profiles),
	ROW("provider refresh status", "How credentials are renewed", FLAGS(refresh_key_flags), NEEDS("NAME"),
		provider_refresh_status),
	ROW("provider refresh configure", "Have a credential renewed", FLAGS(refresh_configure_flags), NEEDS("NAME"),
		provider_refresh_configure),
	ROW("provider refresh rotate", "Renew a credential now", FLAGS(refresh_key_flags), NEEDS("NAME"),
		provider_refresh_rotate),
	ROW("provider refresh delete", "Do not renew a credential any more", FLAGS(refresh_key_flags), NEEDS("NAME"),
		provider_refresh_delete),
	ROW("provider profile export", "Print a profile", FLAGS(profile_export_flags), NEEDS("ID"), profile_export),
	ROW("provider profile import", "Import profiles", FLAGS(profile_file_flags), NONE, profile_import),
	ROW("provider profile update", "Replace a profile", FLAGS(profile_file_flags), NEEDS("ID"), profile_update),
	ROW("provider profile lint", "Check profiles", FLAGS(profile_file_flags), NONE, profile_lint),
	ROW("provider profile delete", "Delete a profile", FLAGS(profile_one_flags), NEEDS("ID"), profile_delete),

	ROW("workspace create", "Create a workspace", FLAGS(workspace_create_flags), MAY("NAME"), workspace_create),
	ROW("workspace get", "Show a workspace", FLAGS(output_only), NEEDS("NAME"), workspace_get),
	ROW("workspace list", "List workspaces", FLAGS(workspace_list_flags), NONE, workspace_list),
	ROW("workspace delete", "Delete workspaces", NO_FLAGS, MANY("NAME"), workspace_delete),
	ROW("workspace member add", "Let somebody in", FLAGS(member_flags), NONE, member_add),
	ROW("workspace member remove", "Let somebody in no more", FLAGS(member_flags), NONE, member_remove),
	ROW("workspace member list", "Who is in", FLAGS(member_list_flags), NONE, member_list),

	ROW("gateway add", "Register a gateway", FLAGS(gateway_add_flags), NEEDS("ENDPOINT"), gateway_add),
	ROW("gateway remove", "Forget a gateway", NO_FLAGS, MAY("NAME"), gateway_remove),
	ROW("gateway login", "Log in, and keep the token", FLAGS(gateway_login_flags), MAY("NAME"), gateway_login),
	ROW("gateway logout", "Forget the token", NO_FLAGS, MAY("NAME"), gateway_logout),
	ROW("gateway select", "Use a gateway from now on", NO_FLAGS, MAY("NAME"), gateway_select),
	ROW("gateway info", "Show a gateway", FLAGS(output_only), MAY("NAME"), gateway_info),
	ROW("gateway list", "List gateways", FLAGS(output_only), NONE, gateway_list),

	ROW("inference set", "Set the route of inference.local", FLAGS(inference_set_flags), NONE, inference_set),
	ROW("inference update", "Change the route", FLAGS(inference_set_flags), NONE, inference_update),
	ROW("inference get", "Show the route", FLAGS(inference_get_flags), NONE, inference_get),
	ROW("inference delete", "Take the route away", FLAGS(inference_get_flags), NONE, inference_delete),

	ROW("invoke", "One HTTP request to a port of a sandbox", FLAGS(invoke_flags), MAY("NAME"), invoke),
	ROW("completions", "A script for bash, zsh, fish or PowerShell", NO_FLAGS, NEEDS("SHELL"), completions),
	{ "complete", "What may stand in the place of the last word", NO_FLAGS, NONE, cl_run_complete, "WORD", true },
	{ "doctor check", "Whether this host has what is needed", NO_FLAGS, NONE, cl_run_doctor_check, NULL, true },
	{ "manual", "The manual page", NO_FLAGS, NONE, cl_run_manual, NULL, true },
	{ "ssh-proxy", "ssh's ProxyCommand", FLAGS(ssh_proxy_flags), NONE, cl_run_ssh_proxy, NULL, true },
	{ "ssh-known-host", "ssh's KnownHostsCommand", FLAGS(ssh_known_host_flags), NONE, cl_run_ssh_known_host, NULL, true },
};

static const struct cl_group groups[] = {
	{ "sandbox", "sb", "Sandboxes", false },
	{ "sandbox provider", NULL, "Providers of a sandbox", false },
	{ "forward", "fwd", "Local ports that lead into a sandbox", false },
	{ "service", "svc", "Ports of sandboxes with a URL", false },
	{ "logs", "lg", "What a sandbox and its gateway said", true },
	{ "policy", "pol", "What a sandbox may do", false },
	{ "settings", NULL, "Settings of sandboxes and of the gateway", false },
	{ "rule", "rl", "Proposed rules", false },
	{ "provider", NULL, "Credentials for sandboxes", false },
	{ "provider refresh", NULL, "Renewing credentials", false },
	{ "provider profile", NULL, "Kinds of providers", false },
	{ "workspace", "ws", "Workspaces", false },
	{ "workspace member", NULL, "Who is in a workspace", false },
	{ "gateway", "gw", "Gateways that this client knows, and the one of this host", false,
		"Of this host's own gateway (each with --help): start, stop, status, reload, run, init, config check,\n"
		"rotate-key, rotate-credentials-key, backup, restore\n" },
	{ "doctor", NULL, "Whether this host has what is needed", true },
	{ "inference", NULL, "Which model answers at inference.local", false },
};
/* clang-format on */

const struct cl_grammar cl_grammar = {
	commands,
	CV_ARRAY_LEN(commands),
	groups,
	CV_ARRAY_LEN(groups),
	globals,
	CV_ARRAY_LEN(globals),
};
