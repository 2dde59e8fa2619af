/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_audit_secrets.c - `cove audit secrets`: is a real value anywhere that it must not be?
 *
 * The values come from the providers and catalogs that the run was given, read anew on the host;
 * the keeper is not asked, for it gives none to anybody.  Each place is a row, and a place that
 * can't be read is as bad as one with a value in it unless --best-effort says otherwise.  What is
 * printed is scrubbed, because names in it are the sandbox's.
 *
 * Exit status: 0 no value anywhere; 1 a value was found or a place not searched; 2 and 125 as ever.
 */
#include "cli/audit_run.h"
#include "cli/commands.h"
#include "cli/run_int.h"
#include "cli/run_tools.h"
#include "cred/limits_scrub.h"

#include <stdlib.h>
#include <sys/prctl.h>

#define OUTPUT_BYTES_MAX  (64u << 20)
#define AUDIT_PATHS_MAX   16
#define FILES_BYTES_USUAL (4ull << 30) /* of a run; some seconds, and more than a checkout has */

struct audit_request {
	struct cv_run_request run; /* of which the providers are used */
	const char *audit_paths[AUDIT_PATHS_MAX];
	size_t audit_count;
	uint64_t files_max;
	bool is_best_effort, is_self_test;
	enum cv_output output;
};

static struct audit_request request = { .files_max = FILES_BYTES_USUAL }; /* large */

static cv_code set_provider(void *into, const char *value, struct cv_err *err)
{
	return run_provider_add(&((struct audit_request *)into)->run, value, err);
}

static cv_code set_tools(void *into, const char *value, struct cv_err *err)
{
	struct cv_run_request *r = &((struct audit_request *)into)->run;

	if (!*value)
		return cv_fail(err, CV_INVALID, "empty; name a catalog");
	if (r->tools_count == CV_ARRAY_LEN(r->tools_paths))
		return cv_fail(
			err, CV_INVALID, "more than %zu catalogs", CV_ARRAY_LEN(r->tools_paths));
	r->tools_paths[r->tools_count++] = value;
	return CV_OK;
}

static cv_code set_upstream_auth(void *into, const char *value, struct cv_err *err)
{
	struct cv_run_request *r = &((struct audit_request *)into)->run;

	if (r->upstream_auth)
		return cv_fail(err, CV_INVALID, "given twice");
	r->upstream_auth = value;
	r->has_upstream_auth_consent = true; /* nothing is sent */
	return CV_OK;
}

static cv_code set_audit(void *into, const char *value, struct cv_err *err)
{
	struct audit_request *r = into;

	if (r->audit_count == AUDIT_PATHS_MAX)
		return cv_fail(err, CV_INVALID, "more than %d files", AUDIT_PATHS_MAX);
	r->audit_paths[r->audit_count++] = value;
	return CV_OK;
}

static cv_code set_files_max(void *into, const char *value, struct cv_err *err)
{
	return cv_option_size(value, &((struct audit_request *)into)->files_max, err);
}

static const struct cv_option option[] = {
	{ "provider", 0, "NAME|FILE",
		"whose values to search for, as the run has them (repeatable)", set_provider },
	{ "tools", 0, "FILE",
		"a catalog of host tools whose credentials to search for too (repeatable)",
		set_tools },
	{ "upstream-proxy-auth", 0, "env:NAME|file:PATH",
		"search for what the run shows its upstream proxy, too", set_upstream_auth },
	{ "audit", 0, "FILE", "search this file of the host too (repeatable)", set_audit },
	{ "files-max", 0, "SIZE", "bytes of a run's files to read at most; default: 4GiB",
		set_files_max },
	{ "best-effort", 0, NULL, "exit with 0 although a place could not be searched",
		cv_option_set_true, offsetof(struct audit_request, is_best_effort) },
	{ "self-test", 0, NULL, "plant leaks in a run of its own and find them", cv_option_set_true,
		offsetof(struct audit_request, is_self_test) },
	{ "output", 'o', "text|json", "how to print it", cv_option_set_output,
		offsetof(struct audit_request, output) },
};

/* cove-123 as events name it, or 123. */
static cv_code run_parse(const char *word, pid_t *ret, struct cv_err *err)
{
	struct cv_str s = cv_str_of(word);
	uint64_t pid;

	if (cv_str_has_prefix(s, CV_STR("cove-")))
		s = cv_str_slice(s, 5, s.n);
	if (!cv_str_to_u64(s, INT32_MAX, &pid) || !pid)
		return cv_fail(err, CV_INVALID, "'%s' is no run; write cove-PID or PID", word);
	*ret = (pid_t)pid;
	return CV_OK;
}

/* Options may stand on both sides of RUN. */
static cv_code words_parse(const struct cv_command *self, int argc, char **argv,
	const char **ret_run, bool *ret_wants_help, struct cv_err *err)
{
	int first;

	*ret_run = NULL;
	if (cv_options_parse(self, argc, argv, &request, &first, ret_wants_help, err) != CV_OK)
		return err->code;
	if (first < argc && !*ret_wants_help) {
		*ret_run = argv[first];
		argc -= first;
		argv += first;
		if (cv_options_parse(self, argc, argv, &request, &first, ret_wants_help, err) !=
			CV_OK)
			return err->code;
		if (first < argc)
			return cv_fail(
				err, CV_INVALID, "one run at a time, or none for all of them");
	}
	if (*ret_wants_help)
		return CV_OK;
	pid_t ignored;
	if (*ret_run && run_parse(*ret_run, &ignored, err) != CV_OK)
		return err->code;
	const bool has_values =
		request.run.provider_count || request.run.tools_count || request.run.upstream_auth;
	if (request.is_self_test && (*ret_run || has_values || request.audit_count))
		return cv_fail(err, CV_INVALID,
			"--self-test makes its own run; give it no other, nor a provider or a catalog");
	if (!request.is_self_test && !has_values)
		return cv_fail(err, CV_INVALID,
			"no value to search for; name what the run was given, as in --provider "
			"github, --tools FILE");
	return CV_OK;
}

static cv_code print(
	struct audit_search *s, const struct audit_report *r, bool is_clean, struct cv_err *err)
{
	struct cv_buf out;
	cv_code code = CV_OK;

	cv_buf_init(&out, OUTPUT_BYTES_MAX);
	(request.output == CV_OUTPUT_JSON ? audit_report_json : audit_report_text)(
		r, is_clean, &out);
	if (out.is_overflown || !audit_search_scrub(s, &out))
		code = cv_fail(err, CV_LIMIT, "the report is too long");
	const struct cv_str text = cv_buf_str(&out);
	for (size_t i = 0; i < text.n && code == CV_OK; i++) /* a terminal obeys escape sequences */
		putchar(((unsigned char)text.p[i] < 0x20 && text.p[i] != '\n') || text.p[i] == 0x7f
				? '?'
				: text.p[i]);
	cv_buf_fini(&out);
	return code;
}

static cv_code search(const char *run, struct audit_search *s, struct audit_report *r,
	bool *ret_clean, struct cv_err *err)
{
	pid_t runs[AUDIT_RUNS_MAX];
	size_t n = 1;
	cv_code code = run ? run_parse(run, &runs[0], err) : audit_runs_find(runs, &n, err);

	audit_search_progress(s, true);
	if (code == CV_OK)
		code = audit_runs_search(s, r, runs, n, request.files_max, err);
	for (size_t i = 0; i < request.audit_count && code == CV_OK; i++)
		audit_file_search(s, r, "audit", request.audit_paths[i]);
	audit_search_progress(s, false);
	if (code == CV_OK && r->is_overflown)
		code = cv_fail(err, CV_LIMIT, "more places than there is memory for");
	if (code != CV_OK)
		return code;
	const struct audit_summary sum = audit_report_sum(r);
	*ret_clean =
		!sum.rows[AUDIT_FOUND] && (request.is_best_effort || !sum.rows[AUDIT_UNSEARCHED]);
	return print(s, r, *ret_clean, err);
}

static cv_code tools_attach(struct run_providers *providers, struct cv_err *err)
{
	struct run_tools tools = { 0 };
	struct cv_arena arena;

	cv_arena_init(&arena, 1u << 20);
	cv_code code = run_tools_load(&tools, &request.run, &arena, err);
	if (code == CV_OK)
		code = run_tools_values(tools.catalog, providers, err);
	run_tools_fini(&tools);
	cv_arena_fini(&arena);
	return code;
}

/* USER:PASSWORD as it is, which finds the header's base64 too, and the password alone. */
static cv_code upstream_values_read(struct run_providers *providers, struct cv_err *err)
{
	struct cv_str password, ignored;
	cv_code code = run_forward_secret_read(&request.run, providers, err);

	if (code != CV_OK)
		return code;
	password = request.run.upstream_secret;
	(void)cv_str_cut(&password, ':');
	return password.n >= CV_SCRUB_VALUE_BYTES_MIN
		       ? run_secret_keep(providers, password, &ignored, err)
		       : CV_OK;
}

static cv_code audit(const char *run, bool *ret_clean, struct cv_err *err)
{
	static struct run_providers providers; /* too large for a stack */
	struct audit_search *s = NULL;
	struct audit_report r;
	cv_code code;

	if (request.is_self_test)
		return audit_selftest(request.output, request.files_max, ret_clean, err);
	/* No core of ours holds a value, and nobody of the same user reads our memory. */
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	request.run.spec.is_quiet = true;
	audit_report_init(&r);
	run_providers_init(&providers);
	code = run_providers_attach(&providers, &request.run, err);
	if (code == CV_OK && request.run.tools_count)
		code = tools_attach(&providers, err);
	if (code == CV_OK && request.run.upstream_auth)
		code = upstream_values_read(&providers, err);
	if (code == CV_OK)
		code = audit_values_take(&providers, &r, &s, err);
	if (code == CV_OK)
		code = search(run, s, &r, ret_clean, err);
	audit_search_free(s);
	run_providers_fini(&providers);
	audit_report_fini(&r);
	return code;
}

static int audit_run(const struct cv_command *self, int argc, char **argv)
{
	struct cv_err err = { 0 };
	bool wants_help = false, is_clean = false;
	const char *run;
	cv_code code = words_parse(self, argc, argv, &run, &wants_help, &err);

	if (code == CV_OK && wants_help) {
		cv_command_help(self, stdout);
		return 0;
	}
	if (code == CV_OK)
		code = audit(run, &is_clean, &err);
	if (code == CV_OK && fflush(stdout) != 0)
		code = cv_fail_errno(&err, "print");
	if (code != CV_OK)
		return cv_command_fail(self, &err);
	return is_clean ? 0 : 1;
}

const struct cv_command cv_cmd_audit_secrets = {
	.name = "audit secrets",
	.operands = "[RUN]",
	.summary = "search live runs for the values of their providers",
	.options = option,
	.option_count = CV_ARRAY_LEN(option),
	.run = audit_run,
};
