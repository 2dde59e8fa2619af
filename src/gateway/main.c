/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - cove-gateway: commands, start, loop, end
 *
 *     run             (also without a word) serves until SIGTERM
 *     init            makes certificates and keys, and the files that clients read
 *     rotate-key      a new key for sandboxes' tokens; the old one stays good
 *     backup, restore, rotate-credentials-key
 *                     asked of the one that runs (admin.c)
 *     config check    says what is wrong with a configuration file
 *
 * Start, in this order, because each needs the one before:
 *   1. configuration    nothing is touched yet
 *   2. state directory  made, private, locked: from here on we are the only one
 *   3. store, objects   all of them in memory
 *   4. parts            each takes what it needs, none serves yet
 *   5. ports            the first client
 * The end is the same backwards.  The environment is read here and nowhere else.
 */
#include "gateway/admin.h"
#include "gateway/config.h"
#include "gateway/folder.h"
#include "gateway/gateway.h"
#include "gateway/log.h"
#include "gateway/metrics.h"
#include "gateway/pki.h"
#include "gateway/serve.h"
#include "gateway/state.h"
#include "gateway/tools.h"
#include "gateway/trace.h"
#include "policy/findings.h"
#include "sys/fd.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXIT_USAGE       2
#define EXIT_FAILED      125
#define CONFIG_TEXT_MAX  CV_GW_CONFIG_BYTES_MAX
#define REPORT_BYTES_MAX (256u << 10)
#define DESCRIPTORS      65536 /* sandboxes have some each, clients one: as many as we are given */

static char **all_words; /* of main(), to start again with */

static int fail(const struct cv_err *err)
{
	fprintf(stderr, "cove-gateway: %s\n", err->msg);
	return cv_code_row(err->code)->exit ? cv_code_row(err->code)->exit : EXIT_FAILED;
}

/* ---- where things are ---- */

/* $VARIABLE/cove/..., or ~/fallback/cove/... */
static cv_code home_path(char **env, const char *variable, const char *fallback, const char *rest,
	char *ret, size_t bytes, struct cv_err *err)
{
	const struct cv_str base = cv_gw_env_plain(env, variable);
	const struct cv_str home = cv_gw_env_plain(env, "HOME");
	int n;

	if (base.n && base.p[0] == '/')
		n = snprintf(ret, bytes, "%s/%s", base.p, rest);
	else if (home.n && home.p[0] == '/')
		n = snprintf(ret, bytes, "%s/%s/%s", home.p, fallback, rest);
	else
		return cv_fail(
			err, CV_INVALID, "neither %s nor HOME is an absolute path", variable);
	return (size_t)n < bytes ? CV_OK : cv_fail(err, CV_INVALID, "%s is too long", variable);
}

static cv_code state_path(
	char **env, const struct cv_gw_config *c, char *ret, size_t bytes, struct cv_err *err)
{
	if (!c->state_dir.n)
		return home_path(
			env, "XDG_STATE_HOME", ".local/state", "cove/gateway", ret, bytes, err);
	return cv_str_to_cstr(c->state_dir, ret, bytes)
		       ? CV_OK
		       : cv_fail(err, CV_INVALID, "state_dir is too long");
}

/* ---- configuration ---- */

static cv_code config_parse(const char *path, const struct cv_gw_config_source *given,
	struct cv_gw_config **ret, struct cv_err *err)
{
	static cv_gw_config_check_fn *const checks[] = { cv_gw_tools_check, cv_gw_trace_check,
		NULL };
	struct cv_gw_config_source s = *given;
	struct cv_findings findings;
	struct cv_buf text, report;
	cv_code code = CV_OK;

	cv_buf_init(&text, CONFIG_TEXT_MAX);
	cv_buf_init(&report, REPORT_BYTES_MAX);
	cv_findings_init(&findings);
	if (!s.checks)
		s.checks = checks;
	if (path) {
		code = cv_gw_file_read(AT_FDCWD, path, &text, err);
		s.file = cv_buf_len(&text) ? cv_buf_str(&text) : CV_STR("\n");
		s.file_name = cv_str_of(path);
	}
	if (code == CV_OK)
		code = cv_gw_config_new(&s, ret, &findings, err);
	cv_findings_text(&findings, s.file_name, &report);
	fprintf(stderr, "%.*s", CV_STR_ARG(cv_buf_str(&report)));
	cv_findings_fini(&findings);
	cv_buf_fini(&report);
	cv_buf_fini(&text);
	return code;
}

cv_code cv_gw_config_load(
	char **env, char **flags, size_t flag_count, struct cv_gw_config **ret, struct cv_err *err)
{
	const struct cv_gw_config_source s = {
		.env = env, .flags = flags, .flag_count = flag_count
	};
	const struct cv_str named = cv_gw_config_path(&s);
	char path[CV_GW_PATH_BYTES_MAX];

	if (named.n)
		return config_parse(named.p, &s, ret, err);
	if (home_path(env, "XDG_CONFIG_HOME", ".config", "cove/gateway.yaml", path, sizeof(path),
		    err) == CV_OK &&
		access(path, F_OK) == 0)
		return config_parse(path, &s, ret, err);
	return config_parse(NULL, &s, ret, err);
}

void cv_gw_log_init(const struct cv_gw_config *c)
{
	enum cv_log_level level = CV_LOG_INFO;

	(void)!cv_log_level_of(c->log_level, &level);
	cv_log_init(level, cv_str_eq(c->log_format, CV_STR("json")) ? CV_LOG_JSON : CV_LOG_TEXT);
}

/* ---- run ---- */

static void store_seen(void *arg, const struct cv_store_event *e)
{
	const bool is_well = e->code == CV_OK || e->code == CV_NOT_FOUND;

	(void)arg;
	cv_metric_add(CV_METRIC_STORE_OPERATIONS, 1, e->operation,
		is_well ? "ok" : cv_code_row(e->code)->name);
	cv_metric_observe(CV_METRIC_STORE_SECONDS, (double)e->us / 1e6, e->operation);
	if (!e->batches)
		return;
	cv_metric_add(CV_METRIC_STORE_BATCHES, (double)e->batches);
	cv_metric_add(CV_METRIC_STORE_RECORDS, (double)e->records);
}

static cv_code store_open(struct cv_gateway *g, struct cv_err *err)
{
	const struct cv_str url = g->config->database;
	char path[CV_GW_PATH_BYTES_MAX];

	if (!url.n)
		snprintf(path, sizeof(path), "%s/cove.db", g->state_dir);
	else if (cv_str_has_prefix(url, CV_STR("sqlite:")))
		snprintf(path, sizeof(path), "%s", url.p + strlen("sqlite:"));
	else if (cv_str_has_prefix(url, CV_STR("postgres")))
		return cv_store_open_postgres(url.p, &g->store, err);
	else
		return cv_fail(err, CV_INVALID,
			"database is neither sqlite:PATH nor postgres://... (its value is not "
			"shown: it may hold a password)");
	return cv_store_open_sqlite(path, &g->store, err);
}

/* As far as it got: stop() follows in any case. */
static cv_code start(struct cv_gateway *g, char *state, char id[64], struct cv_err *err)
{
	cv_code code = state_path(g->env, g->config, state, CV_GW_PATH_BYTES_MAX, err);

	if (code == CV_OK)
		code = cv_gw_dir_open(state, &g->state_fd, err);
	if (code == CV_OK)
		code = cv_gw_dir_lock(g->state_fd, &g->lock_fd, err);
	if (code != CV_OK)
		return cv_wrap(err, "state directory");
	code = cv_gw_id_read(g->state_fd, g->config->gateway_id, id, err);
	if (code == CV_OK)
		code = cv_loop_init(&g->loop, err);
	if (code == CV_OK)
		code = store_open(g, err);
	if (code == CV_OK)
		cv_store_observe(g->store, store_seen, NULL);
	if (code == CV_OK)
		code = cv_objects_open(g->store, &g->objects, err);
	for (size_t i = 0; i < CV_GW_PART_COUNT && code == CV_OK; i++, g->part_count++)
		if (cv_gw_part[i]->start && cv_gw_part[i]->start(g, err) != CV_OK)
			code = cv_wrap(err, "%s", cv_gw_part[i]->name);
	return code == CV_OK ? cv_gw_listen(g, err) : code;
}

static void stop(struct cv_gateway *g)
{
	if (g->server)
		cv_rpc_server_free(g->server);
	for (size_t i = CV_MIN(g->part_count + 1, (size_t)CV_GW_PART_COUNT); i-- > 0;)
		if (cv_gw_part[i]->stop)
			cv_gw_part[i]->stop(g);
	cv_objects_close(g->objects);
	cv_store_close(g->store);
	if (g->loop.epoll >= 0)
		cv_loop_fini(&g->loop);
	if (g->state_fd >= 0)
		close(g->state_fd);
	if (g->lock_fd >= 0)
		close(g->lock_fd);
	cv_gw_config_free(g->config);
}

static int64_t parts_turn(struct cv_gateway *g)
{
	int64_t due = INT64_MAX;

	for (size_t i = 0; i < CV_GW_PART_COUNT; i++)
		if (cv_gw_part[i]->turn) {
			const int64_t at = cv_gw_part[i]->turn(g);

			due = CV_MIN(due, at);
		}
	return due;
}

static bool is_over(const struct cv_gateway *g)
{
	return g->is_draining &&
	       (g->loop.now_ms >= g->drain_until_ms || cv_rpc_server_is_idle(g->server));
}

static void loop(struct cv_gateway *g)
{
	static struct cv_loop_event e[CV_LOOP_EVENTS_MAX];
	int64_t due = 0;

	while (!is_over(g)) {
		const int64_t wait = due == INT64_MAX ? -1 : CV_MAX(due - g->loop.now_ms, 0);
		const size_t n = cv_loop_wait(&g->loop, (int)CV_MIN(wait, (int64_t)INT32_MAX), e);

		for (size_t i = 0; i < n; i++) {
			const size_t part = CV_GW_WATCH_PART(e[i].watch.kind);

			if (part < CV_GW_PART_COUNT && cv_gw_part[part]->event)
				cv_gw_part[part]->event(g, &e[i]);
		}
		due = parts_turn(g);

		const int64_t server = cv_rpc_server_turn(g->server);
		/* What the calls of this turn began is looked at before anybody waits. */
		const int64_t again = parts_turn(g);

		due = CV_MIN(CV_MIN(due, again), server);
		if (g->is_draining)
			due = CV_MIN(due, g->drain_until_ms);
	}
}

/* Keys and values of clients pass through here: no core, nobody attaches. */
static void harden(void)
{
	const struct rlimit none = { 0, 0 };
	struct rlimit files;

	prctl(PR_SET_DUMPABLE, 0);
	setrlimit(RLIMIT_CORE, &none);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = CV_MIN((rlim_t)DESCRIPTORS, files.rlim_max);
		setrlimit(RLIMIT_NOFILE, &files);
	}
	umask(0077);
}

static int run(int argc, char **argv, char **env)
{
	struct cv_gateway g = { .state_fd = -1,
		.lock_fd = -1,
		.loop = { .epoll = -1 },
		.env = env,
		.flags = argv,
		.flag_count = (size_t)argc };
	char state[CV_GW_PATH_BYTES_MAX], id[64];
	struct cv_gw_config *config;
	struct cv_err err;

	if (cv_gw_config_load(env, argv, (size_t)argc, &config, &err) != CV_OK)
		return fail(&err);
	harden();
	g.config = config;
	g.state_dir = state;
	g.id = id;
	cv_gw_log_init(config);
	if (start(&g, state, id, &err) != CV_OK) {
		const int status = fail(&err);

		stop(&g);
		return status;
	}
	cv_log(CV_LOG_INFO, "gateway",
		CV_LOG_FIELDS({ "version", CV_STR(CV_VERSION) }, { "id", cv_str_of(id) },
			{ "state", cv_str_of(state) }),
		"ready");
	loop(&g);
	cv_log(CV_LOG_INFO, "gateway", CV_LOG_NONE, "ended");
	const bool is_again = cv_gw_admin_restore(&g);
	stop(&g);
	if (is_again) {
		execve("/proc/self/exe", all_words, env);
		cv_fail_errno(&err, "start again");
		return fail(&err);
	}
	return 0;
}

/* ---- other commands ---- */

static int config_check(int argc, char **argv, char **env)
{
	static cv_gw_config_check_fn *const checks[] = { cv_gw_tools_check, cv_gw_trace_check,
		cv_gw_folder_check, NULL };
	const struct cv_gw_config_source s = { .checks = checks };
	char path[CV_GW_PATH_BYTES_MAX];
	const char *file = argc > 0 ? argv[0] : path;
	struct cv_gw_config *c;
	struct cv_err err;

	if (argc > 1) {
		fputs("usage: cove gateway config check [FILE]\n", stderr);
		return EXIT_USAGE;
	}
	if (argc == 0 && home_path(env, "XDG_CONFIG_HOME", ".config", "cove/gateway.yaml", path,
				 sizeof(path), &err) != CV_OK)
		return fail(&err);
	if (config_parse(file, &s, &c, &err) != CV_OK)
		return fail(&err);
	cv_gw_config_free(c);
	printf("%s: ok\n", file);
	return 0;
}

/* The state directory of init: --state-dir among its words, the environment, or the usual. */
static cv_code init_paths(
	char **env, struct cv_str state_dir, struct cv_pki_paths *ret, struct cv_err *err)
{
	const struct cv_gw_config c = { .state_dir = state_dir.n ? state_dir
								 : cv_gw_env(env, "STATE_DIR") };
	cv_code code = state_path(env, &c, ret->state, sizeof(ret->state), err);

	if (code == CV_OK)
		code = home_path(env, "XDG_CONFIG_HOME", ".config", "cove", ret->client,
			sizeof(ret->client), err);
	if (code == CV_OK)
		code = home_path(env, "XDG_CONFIG_HOME", ".config", "openshell", ret->compat,
			sizeof(ret->compat), err);
	return code;
}

static int init(int argc, char **argv, char **env)
{
	struct cv_pki_request q = { .port = CV_GW_PORT };
	struct cv_pki_paths paths;
	struct cv_buf said;
	struct cv_err err;
	int status = 0;

	if (cv_pki_request_parse(argc, argv, &q, &err) != CV_OK) {
		fprintf(stderr, "cove-gateway init: %s\n", err.msg);
		return EXIT_USAGE;
	}
	umask(0077);
	cv_buf_init(&said, REPORT_BYTES_MAX);
	if (init_paths(env, q.state_dir, &paths, &err) != CV_OK ||
		cv_pki_init(&q, &paths, &said, &err) != CV_OK)
		status = fail(&err);
	printf("%.*s", CV_STR_ARG(cv_buf_str(&said)));
	cv_buf_fini(&said);
	return status;
}

static int rotate_key(int argc, char **argv, char **env)
{
	struct cv_pki_request q = { .port = 0 };
	struct cv_pki_paths paths;
	struct cv_err err;

	if (cv_pki_request_parse(argc, argv, &q, &err) != CV_OK) {
		fprintf(stderr, "cove-gateway rotate-key: %s\n", err.msg);
		return EXIT_USAGE;
	}
	umask(0077);
	if (init_paths(env, q.state_dir, &paths, &err) != CV_OK ||
		cv_pki_rotate(&paths, &err) != CV_OK)
		return fail(&err);
	puts("A new key is in place; a running gateway takes it at SIGHUP.");
	return 0;
}

/* ---- requests to the gateway that runs ---- */

/* --state-dir DIR among the words, and at most one other, which becomes absolute in ret_word. */
static cv_code admin_words(int argc, char **argv, struct cv_str *ret_state,
	char ret_word[CV_GW_PATH_BYTES_MAX], struct cv_err *err)
{
	const char *word = NULL;
	char cwd[CV_GW_PATH_BYTES_MAX] = "";

	for (int i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "--state-dir") && i + 1 < argc)
			*ret_state = cv_str_of(argv[++i]);
		else if (argv[i][0] == '-' || word)
			return cv_fail(err, CV_INVALID, "'%s' is too much", argv[i]);
		else
			word = argv[i];
	}
	ret_word[0] = '\0';
	if (word && word[0] != '/' && !getcwd(cwd, sizeof(cwd)))
		return cv_fail_errno(err, "the working directory");
	if (word && (size_t)snprintf(ret_word, CV_GW_PATH_BYTES_MAX, "%s%s%s", cwd,
			    word[0] == '/' ? "" : "/", word) >= CV_GW_PATH_BYTES_MAX)
		return cv_fail(err, CV_INVALID, "%s: too long", word);
	return CV_OK;
}

static int admin(const char *request, bool has_word, int argc, char **argv, char **env)
{
	char word[CV_GW_PATH_BYTES_MAX], text[CV_GW_PATH_BYTES_MAX + 64], said[1024];
	struct cv_pki_paths paths;
	struct cv_str state = CV_STR_NONE;
	struct cv_err err;

	if (admin_words(argc, argv, &state, word, &err) != CV_OK || has_word != (*word != '\0')) {
		fprintf(stderr, "usage: cove gateway %s%s [--state-dir DIR]\n", request,
			has_word ? " FILE" : "");
		return EXIT_USAGE;
	}
	snprintf(text, sizeof(text), "%s%s%s", request, has_word ? " " : "", word);
	if (init_paths(env, state, &paths, &err) != CV_OK ||
		cv_gw_admin_ask(paths.state, text, said, sizeof(said), &err) != CV_OK)
		return fail(&err);
	puts(said + 1);
	return 0;
}

static int backup(int argc, char **argv, char **env)
{
	return admin("backup", true, argc, argv, env);
}

static int restore(int argc, char **argv, char **env)
{
	return admin("restore", true, argc, argv, env);
}

static int rotate_credentials_key(int argc, char **argv, char **env)
{
	return admin("rotate-credentials-key", false, argc, argv, env);
}

static int help(int argc, char **argv, char **env)
{
	struct cv_buf b;

	(void)argc, (void)argv, (void)env;
	cv_buf_init(&b, REPORT_BYTES_MAX);
	cv_gw_config_help(&b);
	printf("cove-gateway: serves sandboxes over gRPC and REST\n\n"
	       "Usage:\n"
	       "  cove gateway run [OPTIONS]\n"
	       "  cove gateway init [--name NAME] [--san NAME]... [--compat] [--port N] "
	       "[--state-dir DIR]\n"
	       "  cove gateway rotate-key [--state-dir DIR]\n"
	       "  cove gateway rotate-credentials-key [--state-dir DIR]\n"
	       "  cove gateway backup FILE [--state-dir DIR]\n"
	       "  cove gateway restore FILE [--state-dir DIR]\n"
	       "  cove gateway config check [FILE]\n\n"
	       "Options of run (also in the environment, and in ~/.config/cove/gateway.yaml):\n"
	       "  --config FILE                            configuration file\n%.*s",
		CV_STR_ARG(cv_buf_str(&b)));
	cv_buf_fini(&b);
	return 0;
}

static int version(int argc, char **argv, char **env)
{
	(void)argc, (void)argv, (void)env;
	puts("cove-gateway " CV_VERSION);
	return 0;
}

static const struct {
	const char *first, *second;
	int (*run)(int argc, char **argv, char **env); /* the words behind the command's */
} command[] = {
	{ "run", NULL, run },
	{ "init", NULL, init },
	{ "generate-certs", NULL, init },
	{ "rotate-key", NULL, rotate_key },
	{ "rotate-credentials-key", NULL, rotate_credentials_key },
	{ "backup", NULL, backup },
	{ "restore", NULL, restore },
	{ "config", "check", config_check },
	{ "help", NULL, help },
	{ "--help", NULL, help },
	{ "-h", NULL, help },
	{ "--version", NULL, version },
};

#define WIPE_VARIABLE "GLIBC_TUNABLES="
#define WIPE_TUNABLES "glibc.malloc.tcache_count=0:glibc.malloc.perturb=90"

/* What clients send passes through TLS, HTTP/2 and messages, and none of those wipes its copies.  So
 * free() overwrites: glibc reads these before main(), and no call can set them later (mallopt(3),
 * M_PERTURB; without a cache per thread, which is not overwritten). */
static void wipe_freed_memory(char **argv, char **env)
{
	size_t n = 0;

	for (; env[n]; n++)
		if (!strncmp(env[n], WIPE_VARIABLE, strlen(WIPE_VARIABLE)) &&
			strstr(env[n], WIPE_TUNABLES)) {    /* the second time */
			prctl(PR_SET_NAME, "cove-gateway"); /* it would be "exe" */
			return;
		}
	char **more = calloc(n + 2, sizeof(*more));
	if (!more)
		return;
	more[0] = (char[]){ WIPE_VARIABLE WIPE_TUNABLES };
	for (size_t i = 0, at = 1; i < n; i++)
		if (strncmp(env[i], WIPE_VARIABLE, strlen(WIPE_VARIABLE)) != 0)
			more[at++] = env[i];
	execve("/proc/self/exe", argv, more);
	free(more); /* without /proc: it works as well, and wipes less */
}

int main(int argc, char **argv, char **env)
{
	all_words = argv;
	wipe_freed_memory(argv, env);
	if (argc < 2)
		return run(0, argv, env);
	for (int i = 2; i < argc; i++)
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
			return help(0, argv, env);
	for (size_t i = 0; i < CV_ARRAY_LEN(command); i++) {
		const bool has_second = command[i].second != NULL;

		if (!strcmp(argv[1], command[i].first) &&
			(!has_second || (argc > 2 && !strcmp(argv[2], command[i].second))))
			return command[i].run(argc - 2 - has_second, argv + 2 + has_second, env);
	}
	if (argv[1][0] == '-')
		return run(argc - 1, argv + 1, env);
	fprintf(stderr, "cove-gateway: unknown command '%s' (see 'cove gateway --help')\n",
		argv[1]);
	return EXIT_USAGE;
}
