/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_policy_explain.c - `cove policy explain FILE --host H --port P ...`: what would happen, why
 *
 * Asks the functions that the proxy asks, over the facts given; of addresses, about those that need no
 * look-up.  With a path or a method it first
 * decides the connection and then the request on it; the path is made canonical as the proxy does.
 * With --tool it is a call of a host tool; without arguments, whether it may be called at all.
 * Exit status: 0 allowed, 3 denied, so that scripts can test a policy; 2 for wrong words or an
 * invalid policy.
 */
#include "cli/commands.h"

#include "policy/destination.h"
#include "policy/explain.h"
#include "policy/findings.h"
#include "wire/h1.h"
#include "wire/host.h"
#include "wire/json_value.h"
#include "wire/path.h"

#include <stdlib.h>

#define EXIT_DENIED         3
#define ANCESTORS_MAX       64
#define ARGUMENTS_BYTES_MAX (1u << 20)  /* what a call may have */
#define VALUE_BYTES_MAX     (64u << 20) /* the same as values in memory */
#define EXPLAIN_BYTES_MAX   (1u << 20)

struct explain_options {
	enum cv_output output;
	const char *host, *method, *path, *query, *binary, *tool, *arguments;
	uint64_t port;
	struct cv_str ancestors[ANCESTORS_MAX];
	size_t ancestor_count;
};

static cv_code set_port(void *into, const char *value, struct cv_err *err)
{
	return cv_option_number(value, 1, 65535, &((struct explain_options *)into)->port, err);
}

/* Asked about what the proxy would not take for a method, a policy has no answer. */
static cv_code set_method(void *into, const char *value, struct cv_err *err)
{
	const struct cv_str s = cv_str_of(value);

	if (!cv_h1_is_token(s) || s.n > CV_H1_METHOD_BYTES_MAX)
		return cv_fail(err, CV_INVALID, "'%s' is no HTTP method", value);
	((struct explain_options *)into)->method = value;
	return CV_OK;
}

static cv_code set_path(void *into, const char *value, struct cv_err *err)
{
	if (cv_str_has_byte(cv_str_of(value), '?'))
		return cv_fail(err, CV_INVALID,
			"a path ends before '?'; give what follows it with --query");
	((struct explain_options *)into)->path = value;
	return CV_OK;
}

static cv_code set_query(void *into, const char *value, struct cv_err *err)
{
	if (!cv_h1_is_target(cv_str_of(value)))
		return cv_fail(err, CV_INVALID,
			"the proxy would answer 400: query has a control, space, non-ASCII or # byte");
	((struct explain_options *)into)->query = value;
	return CV_OK;
}

static cv_code set_ancestor(void *into, const char *value, struct cv_err *err)
{
	struct explain_options *o = into;

	if (o->ancestor_count == ANCESTORS_MAX)
		return cv_fail(err, CV_INVALID, "more than %d ancestors", ANCESTORS_MAX);
	o->ancestors[o->ancestor_count++] = cv_str_of(value);
	return CV_OK;
}

static const struct cv_option option[] = {
	{ "host", 0, "HOST", "destination name or address", cv_option_set_text,
		offsetof(struct explain_options, host) },
	{ "port", 0, "PORT", "destination port", set_port },
	{ "method", 0, "METHOD", "HTTP method of the request; GET when only a path is given",
		set_method },
	{ "path", 0, "PATH", "path of the request; / when only a method is given", set_path },
	{ "query", 0, "QUERY", "query of the request, without the ?", set_query },
	{ "tool", 0, "NAME", "explain a call of this host tool instead", cv_option_set_text,
		offsetof(struct explain_options, tool) },
	{ "arguments", 0, "JSON|@FILE", "its arguments, an object; absent: may it be called at all",
		cv_option_set_text, offsetof(struct explain_options, arguments) },
	{ "binary", 0, "PATH", "executable of the process that asks", cv_option_set_text,
		offsetof(struct explain_options, binary) },
	{ "ancestor", 0, "PATH", "executable of a parent, nearest first (repeatable)",
		set_ancestor },
	{ "output", 'o', "text|json", "how to print the explanation", cv_option_set_output,
		offsetof(struct explain_options, output) },
};

static cv_code policy_open(const char *path, struct cv_policy **ret, struct cv_err *err)
{
	struct cv_findings findings;
	char *text = NULL;
	size_t n = 0;

	cv_code code = cv_policy_file_read(path, &text, &n, err);
	if (code != CV_OK)
		return code;
	cv_findings_init(&findings);
	code = cv_policy_open(cv_str_of(path), (struct cv_str){ text, n }, ret, &findings);
	if (code != CV_OK) {
		struct cv_buf out;

		cv_buf_init(&out, EXPLAIN_BYTES_MAX);
		cv_findings_text(&findings, cv_str_of(path), &out);
		fprintf(stderr, "%.*s", CV_STR_ARG(cv_buf_str(&out)));
		cv_buf_fini(&out);
		code = cv_fail(err, CV_INVALID, "%s is not a valid policy", path);
	}
	cv_findings_fini(&findings);
	free(text);
	return code;
}

static struct cv_facts_who who_of(const struct explain_options *o)
{
	return (struct cv_facts_who){ .is_known = o->binary != NULL,
		.exe = cv_str_of(o->binary),
		.ancestors = o->ancestors,
		.ancestor_count = o->ancestor_count };
}

/* The facts of the connection, canonical; borrows from *host. */
static cv_code connect_fill(const struct explain_options *o, struct cv_host *host,
	struct cv_facts *ret, struct cv_err *err)
{
	if (!o->host || !o->port)
		return cv_fail(
			err, CV_INVALID, "--host and --port, or --tool, say what to explain");
	const enum cv_host_rc rc = cv_host_parse_bare(cv_str_of(o->host), host);
	if (rc != CV_HOST_OK)
		return cv_fail(err, CV_INVALID, "--host %s: %s", o->host, cv_host_rc_text(rc));
	*ret = (struct cv_facts){
		.op = CV_OP_CONNECT,
		.who = who_of(o),
		.host = cv_host_str(host),
		.host_is_ip = host->is_ip,
		.port = (uint16_t)o->port,
	};
	return CV_OK;
}

/* The request on that connection, its path canonical as the proxy would make it. */
static cv_code request_fill(const struct explain_options *o, uint32_t obligations,
	struct cv_path *path, struct cv_facts *facts, struct cv_err *err)
{
	const bool keep_slash = (obligations & CV_OBLIGE_ENCODED_SLASH) != 0;
	const enum cv_path_rc rc =
		cv_path_canonical(cv_str_of(o->path ? o->path : "/"), keep_slash, path);

	if (rc != CV_PATH_OK)
		return cv_fail(
			err, CV_INVALID, "the proxy would answer 400: %s", cv_path_rc_text(rc));
	facts->op = CV_OP_REQUEST;
	facts->method = cv_str_of(o->method ? o->method : "GET");
	facts->path = cv_path_str(path);
	facts->query = cv_str_of(o->query);
	return CV_OK;
}

static cv_code explain(
	const struct explain_options *o, const char *file, int *ret_status, struct cv_err *err)
{
	static struct cv_path path;
	struct cv_policy *policy = NULL;
	struct cv_host host;
	struct cv_facts facts;
	struct cv_buf out;

	cv_code code = connect_fill(o, &host, &facts, err);
	if (code == CV_OK)
		code = policy_open(file, &policy, err);
	if (code != CV_OK)
		return code;
	struct cv_verdict v = cv_policy_decide_destination(policy, &facts);
	if (v.action == CV_ACTION_ALLOW && (o->method || o->path || o->query)) {
		code = request_fill(o, v.obligations, &path, &facts, err);
		if (code == CV_OK)
			v = cv_policy_decide_destination(policy, &facts);
	}
	if (code == CV_OK) {
		cv_buf_init(&out, EXPLAIN_BYTES_MAX);
		if (o->output == CV_OUTPUT_JSON)
			cv_policy_explain_json(policy, &facts, &out);
		else
			cv_policy_explain_text(policy, &facts, &out);
		fwrite(cv_buf_str(&out).p, 1, cv_buf_len(&out), stdout);
		cv_buf_fini(&out);
		*ret_status = v.action == CV_ACTION_ALLOW ? 0 : EXIT_DENIED;
	}
	cv_policy_unref(policy);
	return code;
}

/* ---- a tool ---- */

/* The text of --arguments: itself, or a file's.  *ret_owned is for free(). */
static cv_code arguments_text(
	const char *value, struct cv_str *ret, char **ret_owned, struct cv_err *err)
{
	*ret = cv_str_of(value);
	if (value[0] != '@')
		return CV_OK;
	FILE *file = fopen(value + 1, "re");
	char *text = file ? malloc(ARGUMENTS_BYTES_MAX + 1) : NULL;
	if (!file || !text) {
		if (file)
			fclose(file);
		return cv_fail_errno(err, "--arguments: open %s", value + 1);
	}
	*ret_owned = text;
	*ret = (struct cv_str){ text, fread(text, 1, ARGUMENTS_BYTES_MAX + 1, file) };
	const bool is_bad = ferror(file);
	fclose(file);
	return is_bad ? cv_fail(err, CV_INVALID, "--arguments: can't read %s", value + 1) : CV_OK;
}

/* *ret is in arena, and borrows from text. */
static cv_code arguments_read(
	struct cv_str text, struct cv_arena *arena, const struct cv_value **ret, struct cv_err *err)
{
	size_t at = 0;

	if (text.n > ARGUMENTS_BYTES_MAX)
		return cv_fail(
			err, CV_INVALID, "--arguments: more than %u bytes", ARGUMENTS_BYTES_MAX);
	const enum cv_json_problem problem = cv_json_value_read(text, arena, ret, &at);
	if (problem != CV_JSON_PROBLEM_NONE)
		return cv_fail(err, CV_INVALID, "--arguments: the JSON %s, at byte %zu",
			cv_json_problem_text(problem), at);
	if ((*ret)->type != CV_VALUE_OBJECT)
		return cv_fail(err, CV_INVALID, "--arguments: expected an object, found %s",
			cv_value_type_name((*ret)->type));
	return CV_OK;
}

static void tool_print(
	const struct cv_policy *policy, const struct cv_tool_facts *facts, enum cv_output output)
{
	struct cv_buf out;

	cv_buf_init(&out, EXPLAIN_BYTES_MAX);
	if (output == CV_OUTPUT_JSON)
		cv_policy_explain_tool_json(policy, facts, &out);
	else
		cv_policy_explain_tool_text(policy, facts, &out);
	fwrite(cv_buf_str(&out).p, 1, cv_buf_len(&out), stdout);
	cv_buf_fini(&out);
}

static cv_code explain_tool(
	const struct explain_options *o, const char *file, int *ret_status, struct cv_err *err)
{
	struct cv_tool_facts facts = { .who = who_of(o), .tool = cv_str_of(o->tool) };
	struct cv_policy *policy = NULL;
	struct cv_arena arena;
	struct cv_str text;
	char *owned = NULL;
	cv_code code = CV_OK;

	cv_arena_init(&arena, VALUE_BYTES_MAX);
	if (o->arguments) {
		code = arguments_text(o->arguments, &text, &owned, err);
		if (code == CV_OK)
			code = arguments_read(text, &arena, &facts.arguments, err);
	}
	if (code == CV_OK)
		code = policy_open(file, &policy, err);
	if (code == CV_OK) {
		tool_print(policy, &facts, o->output);
		*ret_status = cv_policy_decide_tool(policy, &facts).action == CV_ACTION_ALLOW
				      ? 0
				      : EXIT_DENIED;
	}
	cv_policy_unref(policy);
	cv_arena_fini(&arena);
	free(owned);
	return code;
}

/* What only the other kind of question has. */
static cv_code kind_check(const struct explain_options *o, struct cv_err *err)
{
	const char *request = o->host     ? "host"
			      : o->port   ? "port"
			      : o->method ? "method"
			      : o->path   ? "path"
			      : o->query  ? "query"
					  : NULL;

	if (o->tool && request)
		return cv_fail(err, CV_INVALID, "--tool and --%s exclude each other", request);
	if (o->arguments && !o->tool)
		return cv_fail(err, CV_INVALID, "--arguments needs --tool");
	return CV_OK;
}

static int explain_run(const struct cv_command *self, int argc, char **argv)
{
	static struct explain_options o;
	struct cv_err err = { 0 };
	int first, status = 0;

	if (!cv_command_begin(self, argc, argv, &o, &first, &status))
		return status;
	if (first != argc - 1) {
		(void)cv_fail(&err, CV_INVALID, "name one policy file");
		return cv_command_fail(self, &err);
	}
	const char *file = argv[first];
	if (kind_check(&o, &err) != CV_OK ||
		(o.tool ? explain_tool : explain)(&o, file, &status, &err) != CV_OK)
		return cv_command_fail(self, &err);
	return status;
}

const struct cv_command cv_cmd_policy_explain = {
	.name = "policy explain",
	.operands = "FILE",
	.summary =
		"say what a policy decides about one connection, request or call of a tool, and why",
	.options = option,
	.option_count = CV_ARRAY_LEN(option),
	.run = explain_run,
};
