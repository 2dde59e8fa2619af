/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - cove-gateway: commands, start, loop, end
 *
 *     run             (also without a word) serves until SIGTERM
 *     start, stop, status, reload
 *                     the same in the background (control.c)
 *     init            makes certificates and keys, and the files that clients read (init.c)
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
#include "gateway/command.h"
#include "gateway/config.h"
#include "gateway/folder.h"
#include "gateway/gateway.h"
#include "gateway/log.h"
#include "gateway/metrics.h"
#include "gateway/pki.h"
#include "gateway/place.h"
#include "gateway/remarks.h"
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

#define EXIT_FAILED      125
#define REPORT_BYTES_MAX (256u << 10)
#define DESCRIPTORS      65536 /* sandboxes have some each, clients one: as many as we are given */

static char **all_words; /* of main(), to start again with */

int cv_gw_exit(const struct cv_err *err)
{
	fprintf(stderr, "cove-gateway: %s\n", err->msg);
	return cv_code_row(err->code)->exit ? cv_code_row(err->code)->exit : EXIT_FAILED;
}

/* ---- run ---- */

void cv_gw_log_init(const struct cv_gw_config *c)
{
	enum cv_log_level level = CV_LOG_INFO;

	(void)!cv_log_level_of(c->log_level, &level);
	cv_log_init(level, cv_str_eq(c->log_format, CV_STR("json")) ? CV_LOG_JSON : CV_LOG_TEXT);
}

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
	cv_code code = cv_gw_place_state(g->env, g->config, state, CV_GW_PATH_BYTES_MAX, err);

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
		code = cv_store_claim(g->store, err);
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

	cv_log_hold(true);
	while (!is_over(g)) {
		const int64_t wait = due == INT64_MAX ? -1 : CV_MAX(due - g->loop.now_ms, 0);
		const size_t n = cv_loop_wait(&g->loop, (int)CV_MIN(wait, (int64_t)INT32_MAX), e);

		for (size_t i = 0; i < n; i++) {
			const size_t part = CV_GW_WATCH_PART(e[i].watch.kind);

			if (part < CV_GW_PART_COUNT && cv_gw_part[part]->event)
				cv_gw_part[part]->event(g, &e[i]);
		}
		due = parts_turn(g);

		cv_rpc_server_turn(g->server);
		/* What the calls of this turn began is looked at before anybody waits; and what
		 * came of that is sent, by a turn that waits for nothing. */
		const int64_t again = parts_turn(g), server = cv_rpc_server_due_ms(g->server);

		due = CV_MIN(CV_MIN(due, again), server);
		if (g->is_draining)
			due = CV_MIN(due, g->drain_until_ms);
		cv_log_flush();
	}
	cv_log_hold(false);
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
		return cv_gw_exit(&err);
	harden();
	g.config = config;
	g.state_dir = state;
	g.id = id;
	cv_gw_log_init(config);
	if (start(&g, state, id, &err) != CV_OK) {
		const int status = cv_gw_exit(&err);

		stop(&g);
		return status;
	}
	cv_gw_remarks_log(config, env);
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
		return cv_gw_exit(&err);
	}
	return 0;
}

/* ---- other commands ---- */

static void remarks_print(const char *file, const struct cv_gw_config *c, char **env)
{
	struct cv_findings f;
	struct cv_buf report;

	cv_findings_init(&f);
	cv_buf_init(&report, REPORT_BYTES_MAX);
	cv_gw_remarks(c, env, &f);
	cv_findings_text(&f, cv_str_of(file), &report);
	fprintf(stderr, "%.*s", CV_STR_ARG(cv_buf_str(&report)));
	cv_buf_fini(&report);
	cv_findings_fini(&f);
}

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
		return CV_GW_EXIT_USAGE;
	}
	if (argc == 0 && cv_gw_place_home(env, "XDG_CONFIG_HOME", ".config", "cove/gateway.yaml",
				 path, sizeof(path), &err) != CV_OK)
		return cv_gw_exit(&err);
	if (cv_gw_place_config(file, &s, &c, &err) != CV_OK) {
		(void)cv_gw_exit(&err);
		return CV_GW_EXIT_USAGE; /* also of one that can't be read */
	}
	remarks_print(file, c, env);
	cv_gw_config_free(c);
	printf("%s: ok\n", file);
	return 0;
}

/* ---- where it is, and requests to the one that runs ---- */

struct admin_words {
	char state[CV_GW_PATH_BYTES_MAX];
	char word[CV_GW_PATH_BYTES_MAX]; /* absolute; "": none */
};

static cv_code admin_words(
	int argc, char **argv, char **env, struct admin_words *ret, struct cv_err *err)
{
	struct cv_str state = CV_STR_NONE;
	char *word = NULL, *config = NULL;
	char cwd[CV_GW_PATH_BYTES_MAX] = "";

	for (int i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "--state-dir") && i + 1 < argc)
			state = cv_str_of(argv[++i]);
		else if (!strcmp(argv[i], "--config") && i + 1 < argc)
			config = argv[++i];
		else if (argv[i][0] == '-' || word)
			return cv_fail(err, CV_INVALID, "'%s' is too much", argv[i]);
		else
			word = argv[i];
	}
	ret->word[0] = '\0';
	if (word && word[0] != '/' && !getcwd(cwd, sizeof(cwd)))
		return cv_fail_errno(err, "the working directory");
	if (word && (size_t)snprintf(ret->word, sizeof(ret->word), "%s%s%s", cwd,
			    word[0] == '/' ? "" : "/", word) >= sizeof(ret->word))
		return cv_fail(err, CV_INVALID, "%s: too long", word);
	return cv_gw_control_state(env, state, config, ret->state, sizeof(ret->state), err);
}

static int admin_usage(const char *request, bool has_word, const struct cv_err *err)
{
	fprintf(stderr,
		"cove-gateway: %s\nusage: cove gateway %s%s [--config FILE] [--state-dir DIR]\n",
		err->msg, request, has_word ? " FILE" : "");
	return CV_GW_EXIT_USAGE;
}

static int rotate_key(int argc, char **argv, char **env)
{
	struct cv_pki_paths paths;
	struct admin_words w;
	struct cv_err err;

	cv_code code = admin_words(argc, argv, env, &w, &err);
	if (code == CV_OK && *w.word)
		code = cv_fail(&err, CV_INVALID, "'%s' is too much", w.word);
	if (code != CV_OK)
		return admin_usage("rotate-key", false, &err);
	umask(0077);
	if (cv_gw_place_pki(env, cv_str_of(w.state), &paths, &err) != CV_OK ||
		cv_pki_rotate(&paths, &err) != CV_OK)
		return cv_gw_exit(&err);
	puts("A new key is in place; a running gateway takes it at 'cove gateway reload'.");
	return 0;
}

static int admin(const char *request, bool has_word, int argc, char **argv, char **env)
{
	char text[CV_GW_PATH_BYTES_MAX + 64], said[1024];
	struct admin_words w;
	struct cv_err err;

	cv_code code = admin_words(argc, argv, env, &w, &err);
	if (code == CV_OK && has_word != (*w.word != '\0'))
		code = cv_fail(&err, CV_INVALID, has_word ? "which FILE?" : "one word too much");
	if (code != CV_OK)
		return admin_usage(request, has_word, &err);
	snprintf(text, sizeof(text), "%s%s%s", request, has_word ? " " : "", w.word);
	if (cv_gw_admin_ask(w.state, text, said, sizeof(said), &err) != CV_OK)
		return cv_gw_exit(&err);
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

static int version(int argc, char **argv, char **env)
{
	(void)argc, (void)argv, (void)env;
	puts("cove-gateway " CV_VERSION);
	return 0;
}

/* ---- the commands ---- */

#define STATE_DIR                                                           \
	{                                                                   \
		"state-dir", "DIR", "directory of everything that is kept", \
			"~/.local/state/cove/gateway"                       \
	}
#define FLAGS(v) v, CV_ARRAY_LEN(v)

#define CONFIG_FILE                                                                         \
	{                                                                                   \
		"config", "FILE", "configuration file, which may name the state directory", \
			"~/.config/cove/gateway.yaml"                                       \
	}

static const struct cv_gw_flag init_flags[] = {
	{ "name", "NAME", "what clients call the gateway", "cove" },
	{ "san", "NAME", "a further name of the server; again, or with commas, for several", NULL },
	{ "port", "N", "that clients are told; of the gateway that runs, or as configured", NULL },
	{ "compat", NULL, "files of clients under ~/.config/openshell, too", NULL },
	CONFIG_FILE,
	STATE_DIR,
};
static const struct cv_gw_flag place_flags[] = { CONFIG_FILE, STATE_DIR };
static const struct cv_gw_flag control_flags[] = {
	CONFIG_FILE,
	STATE_DIR,
	{ "output", "table|json", "how to print it; also -o", "table" },
};

/* clang-format off */
static const struct cv_gw_command command[] = {
	{ "run", "", "serve sandboxes to clients over gRPC and REST, until SIGTERM", NULL, 0, true, run },
	{ "start", "", "serve in the background; returns when clients can come", NULL, 0, true, cv_gw_control_start },
	{ "stop", "", "end the gateway of a state directory; its sandboxes go on", FLAGS(control_flags), false, cv_gw_control_stop },
	{ "status", "", "whether a gateway runs, and where; 3 if none does", FLAGS(control_flags), false, cv_gw_control_status },
	{ "reload", "", "have a running gateway read its configuration, certificates and keys again", FLAGS(place_flags), false, cv_gw_control_reload },
	{ "init", "", "make certificates and keys for a gateway and its clients", FLAGS(init_flags), false, cv_gw_init },
	{ "generate-certs", "", NULL, FLAGS(init_flags), false, cv_gw_init },
	{ "config check", "[FILE]", "say all that is wrong with a gateway's configuration", NULL, 0, false, config_check },
	{ "rotate-key", "", "make a new key for the tokens of sandboxes", FLAGS(place_flags), false, rotate_key },
	{ "rotate-credentials-key", "", "put stored credentials under a new key", FLAGS(place_flags), false, rotate_credentials_key },
	{ "backup", "FILE", "write what a running gateway has stored to a file", FLAGS(place_flags), false, backup },
	{ "restore", "FILE", "have a running gateway go on with what a backup says", FLAGS(place_flags), false, restore },
};
/* clang-format on */

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

static bool is_help(const char *word)
{
	return !strcmp(word, "--help") || !strcmp(word, "-h");
}

int main(int argc, char **argv, char **env)
{
	const struct cv_gw_command *c;
	int used = 0;

	all_words = argv;
	wipe_freed_memory(argv, env);
	if (argc < 2)
		return run(0, argv, env);
	if (!strcmp(argv[1], "complete") && argc > 3) { /* complete -- WORD... */
		cv_gw_words_complete(FLAGS(command), argc - 3, argv + 3);
		return 0;
	}
	if (!strcmp(argv[1], "--version"))
		return version(0, argv, env);
	c = cv_gw_words_find(FLAGS(command), argc - 1, argv + 1, &used);
	for (int i = 1; i < argc; i++)
		if (is_help(argv[i]) || (i == 1 && !strcmp(argv[i], "help"))) {
			cv_gw_words_help(FLAGS(command), c && c->summary ? c : NULL);
			return 0;
		}
	if (c)
		return c->run(argc - 1 - used, argv + 1 + used, env);
	if (argv[1][0] == '-')
		return run(argc - 1, argv + 1, env);
	fprintf(stderr, "cove-gateway: unknown command '%s' (see 'cove gateway --help')\n",
		argv[1]);
	return CV_GW_EXIT_USAGE;
}
