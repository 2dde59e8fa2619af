/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_run.c - `cove run`: the words of the command line
 *
 * Each option has one row and one small setter.  What the words mean on this host (does the path
 * exist, may it be read) is run.c's business.
 */
#include "cli/run_provider.h"

#include "driver/pin.h"
#include "plan/budget.h"
#include "plan/limits.h"

#include <stdlib.h>

static struct cv_run_request request; /* one per process; too large for a stack */

static cv_code set_policy(void *into, const char *value, struct cv_err *err)
{
	struct cv_run_request *r = into;

	if (r->policy_path)
		return cv_fail(err, CV_INVALID, "given twice; one policy decides");
	if (!*value) /* an unset variable of a script */
		return cv_fail(err, CV_INVALID, "empty; name a file");
	r->policy_path = value;
	return CV_OK;
}

static cv_code set_from(void *into, const char *value, struct cv_err *err)
{
	struct cv_run_request *r = into;

	if (!*value)
		return cv_fail(err, CV_INVALID, "empty; name a directory, or host");
	r->spec.rootfs = CV_ROOTFS_HOST;
	if (!cv_str_eq(cv_str_of(value), CV_STR("host"))) {
		r->spec.rootfs = CV_ROOTFS_DIR;
		r->spec.rootfs_dir = cv_str_of(value);
	}
	return CV_OK;
}

static cv_code set_workdir(void *into, const char *value, struct cv_err *err)
{
	/* An unset variable of a script must not become the current directory, writable. */
	if (!*value)
		return cv_fail(err, CV_INVALID, "empty; name a directory");
	((struct cv_run_request *)into)->spec.workdir = cv_str_of(value);
	return CV_OK;
}

static cv_code set_mount(void *into, const char *value, struct cv_err *err)
{
	struct cv_run_request *r = into;
	struct cv_str rest = cv_str_of(value);
	struct cv_spec_mount m = { .src = cv_str_cut(&rest, ':') };

	m.dst = rest.p ? cv_str_cut(&rest, ':') : CV_STR_NONE;
	m.is_readonly = rest.p && cv_str_eq(rest, CV_STR("ro"));
	if (!m.src.n || !cv_str_has_prefix(m.dst, CV_STR("/")) || (rest.p && !m.is_readonly))
		return cv_fail(err, CV_INVALID,
			"'%s' is not SRC:DST or SRC:DST:ro with an absolute DST", value);
	if (r->spec.mount_count == CV_RUN_MOUNTS_MAX)
		return cv_fail(err, CV_INVALID, "more than %d mounts", CV_RUN_MOUNTS_MAX);
	r->mounts[r->spec.mount_count++] = m;
	return CV_OK;
}

/* K=V, or K alone: the value that cove itself has. */
static cv_code set_env(void *into, const char *value, struct cv_err *err)
{
	struct cv_run_request *r = into;
	const struct cv_str given = cv_str_of(value);
	const size_t key_bytes = cv_str_find_byte(given, '=');
	struct cv_str pair = given;

	if (!key_bytes)
		return cv_fail(err, CV_INVALID, "'%s' has no name", value);
	if (r->spec.env_count == CV_RUN_ENV_MAX)
		return cv_fail(err, CV_INVALID, "more than %d variables", CV_RUN_ENV_MAX);
	if (key_bytes == given.n) {
		char *own = NULL;

		if (!getenv(value))
			return CV_OK; /* as in docker: what is not set here is not set there */
		if (asprintf(&own, "%s=%s", value, getenv(value)) < 0)
			return cv_fail(err, CV_LIMIT, "no memory");
		pair = cv_str_of(own); /* lives as long as the process */
	}
	r->env[r->spec.env_count++] = pair;
	return CV_OK;
}

static cv_code set_cpu(void *into, const char *value, struct cv_err *err)
{
	return cv_option_cpu(value, &((struct cv_run_request *)into)->spec.cpu_milli, err);
}

static cv_code set_memory(void *into, const char *value, struct cv_err *err)
{
	return cv_option_size(value, &((struct cv_run_request *)into)->spec.memory_bytes, err);
}

static cv_code set_pids(void *into, const char *value, struct cv_err *err)
{
	uint64_t n;

	/* The sandbox's PID 1 and the command; PID_MAX_LIMIT, proc(5). */
	if (cv_option_number(value, 2, 4194304, &n, err) != CV_OK)
		return err->code;
	((struct cv_run_request *)into)->spec.pids = (uint32_t)n;
	return CV_OK;
}

static cv_code set_timeout(void *into, const char *value, struct cv_err *err)
{
	return cv_option_duration(value, &((struct cv_run_request *)into)->spec.timeout_ms, err);
}

static cv_code set_approve_timeout(void *into, const char *value, struct cv_err *err)
{
	uint64_t *ms = &((struct cv_run_request *)into)->spec.approve_ms;

	if (cv_option_duration(value, ms, err) != CV_OK)
		return err->code;
	if (*ms < 1000 || *ms > CV_PLAN_APPROVE_MS_MAX)
		return cv_fail(err, CV_INVALID, "'%s' is not between a second and a day", value);
	return CV_OK;
}

static cv_code set_user(void *into, const char *value, struct cv_err *err)
{
	(void)err;
	((struct cv_run_request *)into)->spec.user = cv_str_of(value);
	return CV_OK;
}

static cv_code set_tty(void *into, const char *value, struct cv_err *err)
{
	(void)value;
	(void)err;
	((struct cv_run_request *)into)->spec.tty = CV_TTY_YES;
	return CV_OK;
}

static cv_code set_no_tty(void *into, const char *value, struct cv_err *err)
{
	(void)value;
	(void)err;
	((struct cv_run_request *)into)->spec.tty = CV_TTY_NO;
	return CV_OK;
}

static cv_code set_ca(void *into, const char *value, struct cv_err *err)
{
	struct cv_run_request *r = into;

	if (r->ca_count == CV_RUN_CAS_MAX)
		return cv_fail(err, CV_INVALID, "more than %d files", CV_RUN_CAS_MAX);
	r->ca_paths[r->ca_count++] = value;
	return CV_OK;
}

static cv_code set_provider(void *into, const char *value, struct cv_err *err)
{
	return run_provider_add(into, value, err);
}

static cv_code set_resolve(void *into, const char *value, struct cv_err *err)
{
	struct cv_run_request *r = into;
	struct cv_spec_pin pin;

	if (cv_driver_pin_parse(cv_str_of(value), &pin, err) != CV_OK)
		return err->code;
	if (r->spec.pin_count == CV_PLAN_PINS_MAX)
		return cv_fail(err, CV_INVALID, "more than %d names", CV_PLAN_PINS_MAX);
	r->pins[r->spec.pin_count++] = pin;
	return CV_OK;
}

#define TIER_TEXT(name, text) text,
static const char *const tier_text[] = { CV_TIERS(TIER_TEXT) };

static cv_code set_require(void *into, const char *value, struct cv_err *err)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(tier_text); i++) {
		if (!cv_str_eq(cv_str_of(value), cv_str_of(tier_text[i])))
			continue;
		((struct cv_run_request *)into)->spec.tier_min = (enum cv_tier)i;
		return CV_OK;
	}
	return cv_fail(err, CV_INVALID,
		"'%s' is no tier; they are landlock, namespaces, gvisor, vm", value);
}

static cv_code set_interception(void *into, const char *value, struct cv_err *err)
{
	if (cv_interception_parse(
		    cv_str_of(value), &((struct cv_run_request *)into)->spec.interception))
		return CV_OK;
	return cv_fail(
		err, CV_INVALID, "'%s' is none; they are auto, tproxy, redirect, anyip", value);
}

static cv_code set_unprotected(void *into, const char *value, struct cv_err *err)
{
	(void)value;
	(void)err;
	((struct cv_run_request *)into)->spec.has_workdir_protection = false;
	return CV_OK;
}

static cv_code set_inference(void *into, const char *value, struct cv_err *err)
{
	struct cv_run_request *r = into;

	if (r->routes_path)
		return cv_fail(err, CV_INVALID, "given twice; one file has all routes");
	r->routes_path = value;
	return CV_OK;
}

static cv_code set_tools(void *into, const char *value, struct cv_err *err)
{
	struct cv_run_request *r = into;

	if (r->tools_count == CV_RUN_TOOLS_MAX)
		return cv_fail(err, CV_INVALID, "more than %d files", CV_RUN_TOOLS_MAX);
	r->tools_paths[r->tools_count++] = value;
	return CV_OK;
}

static cv_code set_budget(void *into, const char *value, struct cv_err *err)
{
	struct cv_run_request *r = into;
	struct cv_budget_rule rule;

	if (cv_budget_parse(cv_str_of(value), &rule, err) != CV_OK)
		return err->code;
	if (r->budget_count == CV_RUN_BUDGETS_MAX)
		return cv_fail(err, CV_INVALID, "more than %d budgets", CV_RUN_BUDGETS_MAX);
	r->budgets[r->budget_count++] = cv_str_of(value);
	return CV_OK;
}

static const struct cv_option option[] = {
	{ "policy", 'p', "FILE", "what may be done; without it there is no network", set_policy },
	{ "from", 0, "host|DIR", "root file system: this host's /usr, or a directory", set_from },
	{ "workdir", 'w', "DIR", "mounted read-write at the same path; default: here",
		set_workdir },
	{ "mount", 0, "SRC:DST[:ro]", "mount a path of the host (repeatable)", set_mount },
	{ "env", 'e', "K[=V]", "set a variable, or pass yours on (repeatable)", set_env },
	{ "cpu", 0, "N", "CPUs, such as 2 or 0.5", set_cpu },
	{ "memory", 0, "SIZE", "memory, such as 512m or 2GiB", set_memory },
	{ "pids", 0, "N", "processes and threads", set_pids },
	{ "timeout", 0, "DURATION", "end the command after 90s, 10m, 2h; exit status 124",
		set_timeout },
	{ "approve-timeout", 0, "DURATION", "deny what nobody has approved after 5m",
		set_approve_timeout },
	{ "user", 'u', "USER", "who the command is inside: sandbox, or a number", set_user },
	{ "tty", 't', NULL, "give the command a terminal of its own", set_tty },
	{ "no-tty", 0, NULL, "give it cove's own stdin, stdout and stderr", set_no_tty },
	{ "audit", 0, "FILE", "append every decision, as OCSF JSON lines", cv_option_set_text,
		offsetof(struct cv_run_request, audit_path) },
	{ "provider", 0, "NAME|FILE", "credentials that stay outside (repeatable)", set_provider },
	{ "ca", 0, "FILE", "trust these upstream roots too (repeatable)", set_ca },
	{ "resolve", 0, "HOST:PORT:ADDR", "take this address for a name (repeatable)",
		set_resolve },
	{ "inference", 0, "FILE", "routes for https://inference.local", set_inference },
	{ "tools", 0, "FILE", "host tools for http://tools.local (repeatable)", set_tools },
	{ "budget", 0, "[SCOPE:]UNIT=N",
		"refuse more than N tokens, usd, requests or bytes (repeatable)", set_budget },
	{ "upstream-proxy", 0, "http://HOST:PORT", "make tunnels by way of this proxy",
		cv_option_set_once, offsetof(struct cv_run_request, upstream_proxy) },
	{ "no-upstream-proxy-for", 0, "LIST", "names, addresses, networks that go past it",
		cv_option_set_once, offsetof(struct cv_run_request, upstream_direct) },
	{ "upstream-proxy-by-name", 0, NULL, "tell it names, not the addresses that were checked",
		cv_option_set_true, offsetof(struct cv_run_request, is_upstream_by_name) },
	{ "upstream-proxy-auth", 0, "env:NAME|file:PATH", "where USER:PASSWORD for it stands",
		cv_option_set_once, offsetof(struct cv_run_request, upstream_auth) },
	{ "upstream-proxy-auth-insecure", 0, NULL, "send these in the clear, as http:// does",
		cv_option_set_true, offsetof(struct cv_run_request, has_upstream_auth_consent) },
	{ "require", 0, "vm|gvisor|namespaces|landlock|none",
		"refuse to run below this tier of isolation", set_require },
	{ "interception", 0, "HOW", "refuse another way to the proxy: tproxy, redirect, anyip",
		set_interception },
	{ "nested", 0, NULL, "let it make namespaces: sandboxes and container builds inside",
		cv_option_set_true, offsetof(struct cv_run_request, spec.is_nested) },
	{ "nested-ids", 0, NULL, "the command is root there, among your ids of /etc/subuid",
		cv_option_set_true, offsetof(struct cv_run_request, spec.has_ids) },
	{ "no-protect", 0, NULL, "let the command write .git/hooks and the like", set_unprotected },
	{ "dry-run", 'n', NULL, "print what would be done", cv_option_set_true,
		offsetof(struct cv_run_request, is_dry_run) },
	{ "output", 'o', "text|json", "how to print the dry run", cv_option_set_output,
		offsetof(struct cv_run_request, output) },
	{ "quiet", 'q', NULL, "no summary at the end", cv_option_set_true,
		offsetof(struct cv_run_request, spec.is_quiet) },
	{ "verbose", 'v', NULL, "each decision as a line on stderr", cv_option_set_true,
		offsetof(struct cv_run_request, spec.is_verbose) },
};

static int run_run(const struct cv_command *self, int argc, char **argv)
{
	struct cv_err err = { 0 };
	int first, status;

	request.spec.has_workdir_protection = true;
	request.spec.tier_min = CV_TIER_NAMESPACES;
	if (!cv_command_begin(self, argc, argv, &request, &first, &status))
		return status;
	if (first >= argc) {
		(void)cv_fail(
			&err, CV_INVALID, "no command; write it after --, as in cove run -- ls");
		return cv_command_fail(self, &err);
	}
	const size_t words = (size_t)(argc - first);
	struct cv_str *command = calloc(words, sizeof(*command));
	if (!command)
		return EXIT_FAILURE;
	for (size_t i = 0; i < words; i++)
		command[i] = cv_str_of(argv[(size_t)first + i]);
	request.spec.argv = command;
	request.spec.argv_count = words;
	request.spec.mounts = request.mounts;
	request.spec.env = request.env;
	request.spec.pins = request.pins;
	if (cv_run_start(&request, &err) != CV_OK)
		return cv_command_fail(self, &err);
	return 0; /* a dry run */
}

const struct cv_command cv_cmd_run = {
	.name = "run",
	.operands = "-- COMMAND [ARGUMENT]...",
	.summary = "run a command in a sandbox behind a policy",
	.options = option,
	.option_count = CV_ARRAY_LEN(option),
	.run = run_run,
};
