/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: rules and presets of protocol: postgres, and what validation says of such endpoints.
 * Method: whole documents; each command is asked for, and the list of those allowed is compared.
 */
#include "unit/test.h"

#include "base/buf.h"
#include "policy/pg_command.h"
#include "policy/policy.h"

#define HEAD                                                                            \
	"version: 1\nnetwork_policies:\n  db:\n    binaries: [{path: /usr/bin/psql}]\n" \
	"    endpoints:\n      - host: db.example\n        port: 5432\n        protocol: postgres\n"

static struct cv_policy *opened(const char *text)
{
	struct cv_findings findings;
	struct cv_policy *p = NULL;

	cv_findings_init(&findings);
	if (cv_policy_open(CV_STR("p"), cv_str_of(text), &p, &findings) != CV_OK)
		fail_msg("%.*s", CV_STR_ARG(findings.v[0].message));
	cv_findings_fini(&findings);
	return p;
}

static struct cv_verdict asked(
	const struct cv_policy *p, enum cv_op op, struct cv_str command, const char *path)
{
	const struct cv_facts f = { .op = op,
		.who = { .is_known = true, .exe = CV_STR("/usr/bin/psql") },
		.host = CV_STR("db.example"),
		.port = 5432,
		.method = command,
		.path = cv_str_of(path) };

	return cv_policy_decide(p, &f);
}

static void allowed_are(const char *text, const char *path, const char *want)
{
	struct cv_policy *p = opened(text);
	struct cv_buf out;

	cv_buf_init(&out, 4096);
	for (unsigned i = 0; i < CV_PG_COMMAND_COUNT; i++) {
		const struct cv_str name = cv_pg_command_row((enum cv_pg_command)i)->name;

		if (asked(p, CV_OP_REQUEST, name, path).action == CV_ACTION_ALLOW)
			cv_buf_printf(
				&out, "%s%.*s", cv_buf_len(&out) ? " " : "", CV_STR_ARG(name));
	}
	if (!cv_str_eq(cv_buf_str(&out), cv_str_of(want)))
		fail_msg("got %.*s, want %s", CV_STR_ARG(cv_buf_str(&out)), want);
	cv_buf_fini(&out);
	cv_policy_unref(p);
}

#define ALWAYS  "BEGIN EXECUTE CURSOR"
#define READ    ALWAYS " SELECT SHOW EXPLAIN SET LISTEN COPY_TO"
#define WRITE   READ " INSERT UPDATE DELETE MERGE COPY_FROM LOCK NOTIFY READ_WRITE"
#define FULL    WRITE " TRUNCATE CREATE ALTER DROP GRANT CALL DO MAINTAIN COPY_SERVER OTHER"
#define ENFORCE "        enforcement: enforce\n"

static void presets(void **state)
{
	(void)state;
	allowed_are(HEAD ENFORCE "        access: read-only\n", "/app", READ);
	allowed_are(HEAD ENFORCE "        access: read-write\n", "/app", WRITE);
	allowed_are(HEAD ENFORCE "        access: full\n", "/app", FULL);
	allowed_are(HEAD "        enforcement: audit\n        access: read-only\n", "/app", FULL);
}

static void rules(void **state)
{
	(void)state;
	allowed_are(HEAD ENFORCE "        rules:\n          - allow: {command: select}\n"
				 "          - allow: {command: DELETE}\n",
		"/app", ALWAYS " SELECT DELETE");
	allowed_are(HEAD ENFORCE "        rules: [{allow: {command: INSERT, path: /app}}]\n",
		"/app", ALWAYS " INSERT");
	allowed_are(HEAD ENFORCE "        rules: [{allow: {command: INSERT, path: /app}}]\n",
		"/other", ALWAYS);
	allowed_are(HEAD ENFORCE "        rules: [{allow: {command: \"*\"}}]\n", "/app", FULL);
	allowed_are(HEAD ENFORCE "        access: read-only\n"
				 "        deny_rules: [{command: COPY_TO}, {command: BEGIN}]\n",
		"/app", "EXECUTE CURSOR SELECT SHOW EXPLAIN SET LISTEN");
	allowed_are(HEAD ENFORCE "        access: full\n        path: /app\n", "/other", "");
}

static void methods_are_no_commands(void **state)
{
	struct cv_policy *p = opened(HEAD ENFORCE "        access: full\n");

	(void)state;
	assert_int_equal(asked(p, CV_OP_REQUEST, CV_STR("GET"), "/app").action, CV_ACTION_DENY);
	const struct cv_verdict v = asked(p, CV_OP_CONNECT, CV_STR_NONE, "");
	assert_int_equal(v.action, CV_ACTION_ALLOW);
	assert_true(v.obligations & CV_OBLIGE_POSTGRES);
	assert_true(v.obligations & CV_OBLIGE_INSPECT);
	cv_policy_unref(p);
}

static void validation(void **state)
{
	static const struct {
		const char *text, *message;
	} row[] = {
		{ HEAD "        access: read-only\n", "protocol postgres needs enforcement" },
		{ HEAD ENFORCE, "protocol postgres needs access or rules to say what is allowed" },
		{ HEAD ENFORCE "        access: full\n        tls: skip\n",
			"protocol postgres can't have tls" },
		{ HEAD ENFORCE "        access: full\n        deny_rules: [{command: DLETE}]\n",
			"unknown command 'DLETE'" },
		{ HEAD ENFORCE "        rules: [{allow: {method: GET, path: /x}}]\n",
			"a rule for postgres needs a command" },
		{ HEAD ENFORCE
			"        access: full\n      - host: db.example\n        port: 5432\n"
			"        protocol: rest\n        access: full\n",
			"protocol" },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		struct cv_findings findings;
		struct cv_policy *p = NULL;
		bool is_said = false;

		cv_findings_init(&findings);
		assert_int_equal(cv_policy_open(CV_STR("p"), cv_str_of(row[i].text), &p, &findings),
			CV_INVALID);
		for (size_t k = 0; k < findings.n; k++)
			is_said |= findings.v[k].is_error &&
				   memmem(findings.v[k].message.p, findings.v[k].message.n,
					   row[i].message, strlen(row[i].message)) != NULL;
		if (!is_said)
			fail_msg("not said: %s", row[i].message);
		cv_findings_fini(&findings);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(presets),
		cmocka_unit_test(rules),
		cmocka_unit_test(methods_are_no_commands),
		cmocka_unit_test(validation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
