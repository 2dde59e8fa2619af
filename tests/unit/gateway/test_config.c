/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_config.c - flags over environment over file over default, and what is wrong is said with its
 * place
 */
#include "unit/test.h"

#include "gateway/config.c"
#include "gateway/config_check.c"
#include "gateway/config_file.c"
#include "gateway/config_given.c"
#include "gateway/config_option.c"
#include "gateway/quota.c"
#include "gateway/log.c"

static struct cv_findings findings;
static struct cv_err err;

static struct cv_gw_config *read_all(const char *file, char **env, char **flags, size_t n)
{
	const struct cv_gw_config_source s = { .file = cv_str_of(file),
		.file_name = CV_STR("gateway.yaml"),
		.env = env,
		.flags = flags,
		.flag_count = n };
	struct cv_gw_config *c = NULL;

	cv_findings_fini(&findings);
	cv_findings_init(&findings);
	err.msg[0] = 0;
	if (cv_gw_config_new(&s, &c, &findings, &err) != CV_OK)
		assert_null(c);
	return c;
}

/* The first finding, as a person sees it. */
static const char *report(const char *file)
{
	static char text[4096];
	struct cv_buf b;

	assert_null(read_all(file, NULL, NULL, 0));
	cv_buf_init(&b, sizeof(text));
	cv_findings_text(&findings, CV_STR("gateway.yaml"), &b);
	snprintf(text, sizeof(text), "%.*s", CV_STR_ARG(cv_buf_str(&b)));
	cv_buf_fini(&b);
	return text;
}

static void test_defaults(void **state)
{
	struct cv_gw_config *c = read_all(NULL, NULL, NULL, 0);

	(void)state;
	assert_non_null(c);
	assert_str(c->bind_address, "127.0.0.1");
	assert_int_equal(c->port, 17670);
	assert_false(c->disable_tls);
	assert_true(c->service_http);
	assert_int_equal(c->mtls_auth, CV_GW_UNSET);
	assert_int_equal(c->oidc_jwks_ttl, 3600);
	assert_str(c->oidc_roles_claim, "realm_access.roles");
	cv_gw_config_free(c);
}

static void test_file(void **state)
{
	struct cv_gw_config *c = read_all("port: 1234\n"
					  "log: {level: debug, format: json}\n"
					  "oidc:\n"
					  "  issuer: https://id.example\n"
					  "  jwks_ttl_secs: 5\n"
					  "server_sans: [a.example, b.example]\n"
					  "images:\n"
					  "  python: host\n"
					  "  'ghcr.io/a/b:1': /srv/root\n"
					  "auth: {mtls: false}\n",
		NULL, NULL, 0);

	(void)state;
	assert_non_null(c);
	assert_int_equal(c->port, 1234);
	assert_str(c->log_level, "debug");
	assert_str(c->oidc_issuer, "https://id.example");
	assert_int_equal(c->oidc_jwks_ttl, 5);
	assert_int_equal(c->server_sans.n, 2);
	assert_str(c->server_sans.v[1], "b.example");
	assert_int_equal(c->images.n, 2);
	assert_str(c->images.key[1], "ghcr.io/a/b:1");
	assert_str(c->images.value[1], "/srv/root");
	assert_int_equal(c->mtls_auth, CV_GW_NO);
	cv_gw_config_free(c);
	c = read_all("\n# nothing\n", NULL, NULL, 0);
	assert_non_null(c);
	cv_gw_config_free(c);
}

static void test_order(void **state)
{
	char a[] = "OPENSHELL_SERVER_PORT=2", b[] = "COVE_SERVER_PORT=3",
	     d[] = "OPENSHELL_LOG_LEVEL=warn", e[] = "OPENSHELL_SERVER_SAN=x, y",
	     f[] = "OPENSHELL_DISABLE_TLS=1";
	char *env[] = { a, d, e, f, NULL }, *both[] = { a, b, NULL };
	char p1[] = "--port", p2[] = "4", s1[] = "--server-san=z", s2[] = "--server-san",
	     s3[] = "w", t[] = "--disable-tls=false", m[] = "--enable-mtls-auth";
	char *flags[] = { p1, p2, s1, s2, s3, t, m };
	struct cv_gw_config *c = read_all("port: 1\nlog: {level: error}\n", env, NULL, 0);

	(void)state;
	assert_int_equal(c->port, 2);
	assert_str(c->log_level, "warn");
	assert_int_equal(c->server_sans.n, 2);
	assert_str(c->server_sans.v[1], "y");
	assert_true(c->disable_tls);
	cv_gw_config_free(c);

	c = read_all("port: 1\n", both, NULL, 0);
	assert_int_equal(c->port, 3);
	cv_gw_config_free(c);

	c = read_all("port: 1\nserver_sans: [q]\n", env, flags, CV_ARRAY_LEN(flags));
	assert_non_null(c);
	assert_int_equal(c->port, 4);
	assert_int_equal(c->server_sans.n, 2);
	assert_str(c->server_sans.v[0], "z");
	assert_str(c->server_sans.v[1], "w");
	assert_false(c->disable_tls);
	assert_int_equal(c->mtls_auth, CV_GW_YES);
	cv_gw_config_free(c);
}

static void test_bad_files(void **state)
{
	(void)state;
	assert_string_equal(report("prt: 1\n"),
		"gateway.yaml:1:1: error: unknown key 'prt'; did you mean 'port'?\n");
	assert_string_equal(report("port: 1\noidc:\n  issure: x\n"),
		"gateway.yaml:3:3: error: unknown key 'issure'; did you mean 'issuer'?\n");
	assert_string_equal(report("port: many\n"),
		"gateway.yaml:1:7: error: port: expected a number, found 'many'\n");
	assert_string_equal(report("tls: {disabled: maybe}\n"),
		"gateway.yaml:1:17: error: tls.disabled: expected true or false, found 'maybe'\n");
	assert_string_equal(
		report("log: 3\n"), "gateway.yaml:1:6: error: log: expected a mapping\n");
	assert_string_equal(report("port: [1]\n"), "gateway.yaml:1:7: error: port: found a list\n");
	assert_string_equal(
		report("port: 1\nport: 2\n"), "gateway.yaml:2:1: error: port is said twice\n");
	assert_non_null(strstr(report("- 1\n"), "1:1: error: a configuration is a mapping"));
	assert_non_null(strstr(report("a: [\n"), "gateway.yaml:"));
	assert_non_null(strstr(report("port: 1\n---\nport: 2\n"), "second YAML document"));
	assert_non_null(strstr(report("images: {a: [b]}\n"), "images.a: expected text"));
}

/* All of it at once: words that are none, and values that don't do. */
static void test_every_fault_of_a_file(void **state)
{
	(void)state;
	assert_string_equal(report("port: 70000\n"
				   "prt: 1\n"
				   "log: {level: loud, format: xml}\n"
				   "tls: {cert: /a}\n"
				   "rate_limit: {window_secs: 5}\n"
				   "oidc: {issuer: 'ftp://x'}\n"
				   "state_dir: here\n"
				   "database: 'mysql://user:s3cr3t@x'\n"
				   "tools: {approve_timeout_secs: 0}\n"
				   "quotas:\n"
				   "  queue:\n"
				   "    length: 5000\n"
				   "    workspace_length: 5001\n"
				   "    max_wait_secs: 604801\n"
				   "  default_request: {cpu: unlimited}\n"),
		"gateway.yaml:2:1: error: unknown key 'prt'; did you mean 'port'?\n"
		"gateway.yaml:1:7: error: port: expected a number, 0 to 65535, found 70000\n"
		"gateway.yaml:9:31: error: tools.approve_timeout_secs: expected a number, 1 to 86400, "
		"found 0\n"
		"gateway.yaml:12:13: error: quotas.queue.length: expected a number, 0 to 4096, found "
		"5000\n"
		"gateway.yaml:14:20: error: quotas.queue.max_wait_secs: expected a number, 1 to "
		"604800, found 604801\n"
		"gateway.yaml:3:14: error: log.level: expected error, warn, info, debug or trace, "
		"found 'loud'\n"
		"gateway.yaml:3:28: error: log.format: expected text or json, found 'xml'\n"
		"gateway.yaml:6:16: error: oidc.issuer: expected an http or https URL, found "
		"'ftp://x'\n"
		"gateway.yaml:8:11: error: database: expected sqlite:PATH or postgres://...\n"
		"gateway.yaml:7:12: error: state_dir: expected an absolute path, found 'here'\n"
		"gateway.yaml:4:13: error: tls.cert: tls.cert and tls.key need each other\n"
		"gateway.yaml:5:27: error: rate_limit.window_secs: rate_limit.requests and "
		"rate_limit.window_secs need each other\n"
		"gateway.yaml:15:26: error: quotas.default_request.cpu: expected an amount, and not "
		"unlimited\n"
		"gateway.yaml:13:23: error: quotas.queue.workspace_length: expected at most "
		"quotas.queue.length, which is 5000, found 5001\n");
	assert_string_equal(err.msg, "the configuration file has errors");
}

/* Whoever said the value is told. */
static void test_who_said_it(void **state)
{
	char flag[] = "--port=70000", word[] = "OPENSHELL_LOG_LEVEL=loud", good[] = "--port=1";
	char *flags[] = { flag }, *env[] = { word, NULL }, *repaired[] = { good };

	(void)state;
	assert_null(read_all(NULL, NULL, flags, 1));
	assert_string_equal(err.msg, "--port: expected a number, 0 to 65535, found 70000");
	assert_int_equal(findings.error_count, 0);
	assert_null(read_all(NULL, env, NULL, 0));
	assert_string_equal(err.msg,
		"LOG_LEVEL in the environment: expected error, warn, info, debug or trace, found "
		"'loud'");
	struct cv_gw_config *c = read_all("port: 70000\n", NULL, repaired, 1);
	assert_non_null(c);
	cv_gw_config_free(c);
}

static void test_bad_words(void **state)
{
	char a[] = "--prt", b[] = "--port", d[] = "x", e[] = "word";
	char *unknown[] = { a, d }, *bad[] = { b, d }, *none[] = { b }, *word[] = { e };
	char v[] = "OPENSHELL_SERVER_PORT=x";
	char *env[] = { v, NULL };

	(void)state;
	assert_null(read_all(NULL, NULL, unknown, 2));
	assert_string_equal(err.msg, "unknown option '--prt'; did you mean '--port'?");
	assert_null(read_all(NULL, NULL, bad, 2));
	assert_string_equal(err.msg, "--port: expected a number, found 'x'");
	assert_null(read_all(NULL, NULL, none, 1));
	assert_string_equal(err.msg, "--port needs a value");
	assert_null(read_all(NULL, NULL, word, 1));
	assert_null(read_all(NULL, env, NULL, 0));
	assert_null(read_all("log: {level: loud}\n", NULL, NULL, 0));
	assert_null(read_all("port: 65536\n", NULL, NULL, 0));
	assert_null(read_all("tls: {cert: /a}\n", NULL, NULL, 0));
	assert_null(read_all("oidc: {issuer: 'ftp://x'}\n", NULL, NULL, 0));
	assert_null(read_all("rate_limit: {requests: 5}\n", NULL, NULL, 0));
}

static void test_quotas(void **state)
{
	char env_word[] = "COVE_QUOTA_CPU=8", flag[] = "--quota-workspace-memory=2Gi";
	char *env[] = { env_word, NULL }, *flags[] = { flag };
	struct cv_gw_config *c = read_all("quotas:\n"
					  "  host: {sandboxes: 200, memory: 48Gi, cpu: 4}\n"
					  "  workspace: {sandboxes: 50, memory: 1Gi}\n"
					  "  workspaces:\n"
					  "    research: {memory: 32Gi, cpu: 1500m}\n"
					  "    locked: {sandboxes: 0}\n"
					  "  default_request: {memory: 256Mi}\n"
					  "  queue: {length: 3}\n",
		env, flags, 1);

	(void)state;
	assert_non_null(c);
	assert_int_equal(c->quota_host_sandboxes, 200);
	assert_int_equal(c->quota_host_memory, UINT64_C(48) << 30);
	assert_int_equal(c->quota_host_cpu, 8000);
	assert_int_equal(c->quota_workspace_memory, UINT64_C(2) << 30);
	assert_int_equal(c->quota_workspace_cpu, CV_QUOTA_UNLIMITED);
	assert_int_equal(c->quota_workspaces.n, 2);
	assert_str(c->quota_workspaces.name[0], "research");
	assert_int_equal(c->quota_workspaces.own[0].v[CV_QUOTA_SANDBOXES], CV_QUOTA_UNLIMITED);
	assert_int_equal(c->quota_workspaces.own[0].v[CV_QUOTA_CPU], 1500);
	assert_int_equal(c->quota_workspaces.own[1].v[CV_QUOTA_SANDBOXES], 0);
	assert_int_equal(c->quota_default_memory, UINT64_C(256) << 20);
	assert_int_equal(c->quota_default_cpu, 1000);
	assert_int_equal(c->queue_length, 3);
	cv_gw_config_free(c);
}

static void test_bad_quotas(void **state)
{
	(void)state;
	assert_string_equal(report("quotas:\n  host: {memory: lots}\n"),
		"gateway.yaml:2:18: error: quotas.host.memory: expected a quantity such as 16Gi, or "
		"unlimited, found 'lots'\n");
	assert_string_equal(report("quotas:\n  hosst: {memory: 1}\n"),
		"gateway.yaml:2:3: error: unknown key 'hosst'; did you mean 'host'?\n");
	assert_string_equal(report("quotas: {workspaces: {a: {cpu: -1}}}\n"),
		"gateway.yaml:1:32: error: quotas.workspaces.a.cpu: expected a quantity such as 4 or "
		"500m, or unlimited, found '-1'\n");
	assert_string_equal(report("quotas:\n  workspaces:\n    a: {memry: 1}\n"),
		"gateway.yaml:3:9: error: unknown key 'memry'; it is one of sandboxes, memory, cpu\n");
	assert_string_equal(report("quotas: {workspaces: {a: 5}}\n"),
		"gateway.yaml:1:26: error: quotas.workspaces.a: expected a mapping\n");
	assert_string_equal(report("quotas: {workspaces: {a: {cpu: 1}, a: {cpu: 2}}}\n"),
		"gateway.yaml:1:36: error: quotas.workspaces.a is said twice, or is one too many\n");
	assert_string_equal(report("quotas: {workspaces: {a: {cpu: [1]}, [b]: {cpu: 1}}}\n"),
		"gateway.yaml:1:32: error: quotas.workspaces.a: expected text\n"
		"gateway.yaml:1:38: error: quotas.workspaces: no name of a workspace\n");
	assert_null(read_all("quotas: {default_request: {cpu: unlimited}}\n", NULL, NULL, 0));
	assert_null(read_all("quotas: {queue: {length: 5000}}\n", NULL, NULL, 0));
	assert_null(read_all("quotas: {queue: {max_wait_secs: 0}}\n", NULL, NULL, 0));
	assert_null(read_all("quotas: {queue: {length: 4, workspace_length: 5}}\n", NULL, NULL, 0));
	struct cv_gw_config *c =
		read_all("quotas: {queue: {length: 4, workspace_length: 4}}\n", NULL, NULL, 0);
	assert_non_null(c);
	cv_gw_config_free(c);
}

static void test_reload(void **state)
{
	struct cv_gw_config *old = read_all("port: 1\nserver_sans: [a]\n", NULL, NULL, 0);
	struct cv_gw_config *next =
		read_all("port: 2\nserver_sans: [b]\nlog: {level: debug}\n", NULL, NULL, 0);
	struct cv_buf changed;

	(void)state;
	cv_buf_init(&changed, 1024);
	cv_gw_config_keep_fixed(old, next, &changed);
	assert_str(cv_buf_str(&changed), "port, server_sans");
	cv_gw_config_free(old);
	assert_int_equal(next->port, 1);
	assert_str(next->server_sans.v[0], "a");
	assert_str(next->log_level, "debug");
	cv_gw_config_free(next);
	cv_buf_fini(&changed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_bad_files),
		cmocka_unit_test(test_every_fault_of_a_file),
		cmocka_unit_test(test_who_said_it),
		cmocka_unit_test(test_bad_words),
		cmocka_unit_test(test_quotas),
		cmocka_unit_test(test_bad_quotas),
		cmocka_unit_test(test_reload),
	};

	const int failed = cmocka_run_group_tests(tests, NULL, NULL);

	cv_findings_fini(&findings);
	return failed;
}
