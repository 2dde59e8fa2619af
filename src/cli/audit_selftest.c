/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit_selftest.c - proof that the search can fail
 *
 * Two real runs with one throw-away provider, whose value is random. In the first a command works
 * with the placeholder: nothing may be found. In the second the value stands in a file, in the
 * environment, in an argument and in memory, each time in another encoding: each must be found
 * there, in that encoding.
 *
 *     base64   in a file of the working directory, at an alignment of its own
 *     hex      in a variable
 *     percent  in an argument
 *     json     in a shell's memory, read from a file that is gone
 */
#include "cli/audit_run.h"

#include "base/base64.h"
#include "base/hex.h"
#include "sys/child.h"
#include "sys/fd.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RANDOM_BYTES   24
#define LEAK_BYTES_MAX 1024 /* JSON takes six for each of 55 */
#define READY_MS_MAX   20000
#define END_MS_MAX     10000
#define STEP_MS        20
#define CHECKS_MAX     16
#define KEY            "COVE_SELF_TEST_TOKEN"
#define LEAK           "COVE_SELF_TEST_LEAK"

static const char profile_text[] =
	"id: cove-self-test\n"
	"credentials:\n"
	"  - {name: token, env_vars: [" KEY "], required: true}\n"
	"endpoints:\n"
	"  - {host: self-test.invalid, port: 443, protocol: rest, enforcement: enforce,\n"
	"     access: read-only}\n"
	"binaries: [{path: \"/**\"}]\n";
static const char instance_text[] =
	"profile: ./profile.yaml\ncredentials:\n  token: {file: ./value}\n";

static const char clean_script[] =
	"printf %s \"$" KEY "\" >placeholder; : >ready; sleep 600 & wait";
static const char leak_script[] = "V=$(cat gone); rm gone; : >ready; sleep 600 & wait; echo \"$V\"";

struct check {
	char name[96], detail[160];
	bool is_ok;
};

struct selftest {
	char dir[PATH_MAX], exe[PATH_MAX];
	struct cv_run_request request;
	struct run_providers providers;
	struct audit_search *search;
	struct cv_str value;
	uint64_t files_max, unsearched;
	struct check check[CHECKS_MAX];
	size_t check_count;
	pid_t run; /* live; 0: none */
};

CV_PRINTF(4, 5)
static void check_add(struct selftest *t, bool is_ok, const char *name, const char *fmt, ...)
{
	struct check *c = &t->check[t->check_count];
	va_list ap;

	if (t->check_count == CHECKS_MAX)
		return;
	t->check_count++;
	c->is_ok = is_ok;
	snprintf(c->name, sizeof(c->name), "%s", name);
	va_start(ap, fmt);
	vsnprintf(c->detail, sizeof(c->detail), fmt, ap);
	va_end(ap);
}

/* ---- files ---- */

static const char *const file_name[] = { "value", "profile.yaml", "instance.yaml",
	"clean/placeholder", "clean/ready", "leak/note", "leak/gone", "leak/ready" };
static const char *const dir_name[] = { "clean", "leak" };

static const char *path_of(const struct selftest *t, const char *name)
{
	static char path[PATH_MAX + 32];

	snprintf(path, sizeof(path), "%s/%s", t->dir, name);
	return path;
}

static cv_code file_write(
	const struct selftest *t, const char *name, struct cv_str text, struct cv_err *err)
{
	const char *path = path_of(t, name);
	CV_AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, text.p, text.n) != (ssize_t)text.n)
		return cv_fail_errno(err, "%s", path);
	return CV_OK;
}

static cv_code files_make(struct selftest *t, struct cv_err *err)
{
	unsigned char bytes[RANDOM_BYTES];
	const char *tmp = getenv("TMPDIR");
	struct cv_buf value;
	cv_code code = CV_OK;

	snprintf(t->dir, sizeof(t->dir), "%s/cove-self-test-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (!mkdtemp(t->dir))
		return cv_fail_errno(err, "%s", t->dir);
	for (size_t i = 0; i < CV_ARRAY_LEN(dir_name); i++)
		if (mkdir(path_of(t, dir_name[i]), 0700) < 0)
			return cv_fail_errno(err, "%s", path_of(t, dir_name[i]));
	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return cv_fail_errno(err, "getrandom");
	cv_buf_init(&value, LEAK_BYTES_MAX);
	cv_buf_put_hex(&value, (struct cv_str){ (char *)bytes, sizeof(bytes) });
	code = file_write(t, "value", cv_buf_str(&value), err);
	cv_buf_wipe(&value);
	if (code == CV_OK)
		code = file_write(t, "profile.yaml", cv_str_of(profile_text), err);
	return code == CV_OK ? file_write(t, "instance.yaml", cv_str_of(instance_text), err) : code;
}

static void files_remove(const struct selftest *t)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(file_name); i++)
		(void)unlink(path_of(t, file_name[i]));
	for (size_t i = 0; i < CV_ARRAY_LEN(dir_name); i++)
		(void)rmdir(path_of(t, dir_name[i]));
	if (*t->dir)
		(void)rmdir(t->dir);
}

/* ---- leaks ---- */

/* Each byte of s by fmt. */
static void put_each(struct cv_buf *out, const char *before, struct cv_str s)
{
	for (size_t i = 0; i < s.n; i++)
		cv_buf_printf(out, "%s%02x", before, (unsigned char)s.p[i]);
}

static cv_code leak_base64(struct selftest *t, struct cv_err *err)
{
	struct cv_buf plain, text;

	cv_buf_init(&plain, LEAK_BYTES_MAX);
	cv_buf_init(&text, LEAK_BYTES_MAX);
	cv_buf_printf(&plain, "x%.*sx", CV_STR_ARG(t->value));
	cv_buf_put_base64(&text, cv_buf_str(&plain), CV_BASE64_STD);
	const cv_code code = file_write(t, "leak/note", cv_buf_str(&text), err);
	cv_buf_wipe(&plain);
	cv_buf_wipe(&text);
	return code;
}

static cv_code leak_json(struct selftest *t, struct cv_err *err)
{
	struct cv_buf text;

	cv_buf_init(&text, LEAK_BYTES_MAX);
	put_each(&text, "\\u00", t->value);
	const cv_code code = file_write(t, "leak/gone", cv_buf_str(&text), err);
	cv_buf_wipe(&text);
	return code;
}

/* ---- runs ---- */

static void step(void)
{
	const struct timespec t = { 0, STEP_MS * 1000000L };

	nanosleep(&t, NULL);
}

static CV_NORETURN void run_exec(const struct selftest *t, bool is_leaky)
{
	static char work[PATH_MAX + 32], instance[PATH_MAX + 32];
	struct cv_buf hex, percent;
	const int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	cv_buf_init(&hex, LEAK_BYTES_MAX);
	cv_buf_init(&percent, LEAK_BYTES_MAX);
	if (is_leaky) {
		cv_buf_put_hex(&hex, t->value);
		put_each(&percent, "%", t->value);
	}
	cv_buf_put_byte(&hex, '\0');
	cv_buf_put_byte(&percent, '\0');
	snprintf(work, sizeof(work), "%s/%s", t->dir, is_leaky ? "leak" : "clean");
	snprintf(instance, sizeof(instance), "%s/instance.yaml", t->dir);
	const char *const argv[] = { "cove", "run", "--quiet", "--no-tty", "--provider", instance,
		"--workdir", work, "--env", LEAK, "--", "sh", "-c",
		is_leaky ? leak_script : clean_script, "sh", cv_buf_str(&percent).p, NULL };
	/* Whatever ends the parent: a run would go on by itself. */
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || null < 0 || dup2(null, 0) < 0 ||
		dup2(null, 1) < 0 || setenv(LEAK, cv_buf_str(&hex).p, 1) < 0)
		_exit(125);
	execv(t->exe, (char *const *)(uintptr_t)argv);
	_exit(125);
}

static void run_end(struct selftest *t)
{
	if (!t->run)
		return;
	kill(t->run, SIGTERM);
	for (int i = 0; i < END_MS_MAX / STEP_MS; i++) {
		if (waitpid(t->run, NULL, WNOHANG) != 0) {
			t->run = 0;
			return;
		}
		step();
	}
	cv_child_kill(t->run);
	t->run = 0;
}

static cv_code run_start(struct selftest *t, bool is_leaky, struct cv_err *err)
{
	const char *ready = path_of(t, is_leaky ? "leak/ready" : "clean/ready");
	int status;

	t->run = fork();
	if (t->run == 0)
		run_exec(t, is_leaky);
	if (t->run < 0) {
		t->run = 0;
		return cv_fail_errno(err, "fork");
	}
	for (int i = 0; i < READY_MS_MAX / STEP_MS; i++) {
		if (access(ready, F_OK) == 0)
			return CV_OK;
		if (waitpid(t->run, &status, WNOHANG) != 0) {
			t->run = 0;
			return cv_fail(err, CV_UNAVAILABLE,
				"the run that is to be searched ended with status %d; see above",
				WIFEXITED(status) ? WEXITSTATUS(status) : 128);
		}
		step();
	}
	return cv_fail(err, CV_UNAVAILABLE, "the run that is to be searched did not start in %d s",
		READY_MS_MAX / 1000);
}

/* ---- what the search says ---- */

struct leak {
	const char *name, *place, *form;
	bool is_found;
};

static bool row_has(const struct audit_row *row, const struct leak *l)
{
	for (size_t i = 0; i < row->detail_count; i++)
		if (!strcmp(row->place, l->place) && !strcmp(row->detail[i].form, l->form))
			return true;
	return false;
}

static void clean_judge(struct selftest *t, const struct audit_report *r)
{
	const struct audit_summary sum = audit_report_sum(r);

	check_add(t, sum.rows[AUDIT_FOUND] == 0 && sum.bytes > 0,
		"a run whose command has the placeholder is clean",
		"%" PRIu64 " hits in %" PRIu64 " places, %" PRIu64 " bytes", sum.hits,
		sum.rows[AUDIT_FOUND], sum.bytes);
	t->unsearched = sum.rows[AUDIT_UNSEARCHED];
}

static void leak_judge(struct selftest *t, const struct audit_report *r)
{
	struct leak leak[] = {
		{ "base64 in a file of the working directory", "files", "base64", false },
		{ "hex in a variable", "environment", "hex", false },
		{ "percent-encoded in an argument", "arguments", "percent", false },
		{ "JSON-escaped in a shell's memory", "memory", "json", false },
	};

	for (const struct audit_row *row = r->first; row; row = row->next)
		for (size_t i = 0; i < CV_ARRAY_LEN(leak); i++)
			leak[i].is_found |= row->run == t->run && row_has(row, &leak[i]);
	for (size_t i = 0; i < CV_ARRAY_LEN(leak); i++)
		check_add(t, leak[i].is_found, leak[i].name,
			leak[i].is_found ? "planted and found" : "planted and NOT found");
}

/* The placeholder came in, and is none of the value. */
static void placeholder_judge(struct selftest *t)
{
	CV_AUTO_FD int fd = open(path_of(t, "clean/placeholder"), O_RDONLY | O_CLOEXEC);
	char text[256];
	const ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));

	check_add(t, n > 0 && !cv_str_eq((struct cv_str){ text, n > 0 ? (size_t)n : 0 }, t->value),
		"the command had a placeholder", "%zd bytes", n);
}

static cv_code run_judge(struct selftest *t, bool is_leaky, struct cv_err *err)
{
	struct audit_report r;
	cv_code code = run_start(t, is_leaky, err);

	audit_report_init(&r);
	if (code == CV_OK)
		code = audit_runs_search(t->search, &r, &t->run, 1, t->files_max, err);
	if (code == CV_OK && r.is_overflown)
		code = cv_fail(err, CV_LIMIT, "more places than there is memory for");
	if (code == CV_OK && !is_leaky)
		placeholder_judge(t);
	if (code == CV_OK)
		(is_leaky ? leak_judge : clean_judge)(t, &r);
	audit_report_fini(&r);
	run_end(t);
	return code;
}

/* ---- output ---- */

static void print_text(const struct selftest *t, bool is_passed)
{
	for (size_t i = 0; i < t->check_count; i++)
		printf("%-8s  %s: %s\n", t->check[i].is_ok ? "ok" : "FAILED", t->check[i].name,
			t->check[i].detail);
	if (t->unsearched)
		printf("%" PRIu64 " places could not be searched%s\n", t->unsearched,
			geteuid() ? "; as root they can" : "");
	puts(is_passed ? "passed: the search finds what is there" : "FAILED");
}

static void print_json(const struct selftest *t, bool is_passed)
{
	printf("{\"is_passed\":%s,\"not_searched\":%" PRIu64 ",\"checks\":[",
		is_passed ? "true" : "false", t->unsearched);
	for (size_t i = 0; i < t->check_count; i++) /* our own texts: nothing to escape */
		printf("%s\n{\"name\":\"%s\",\"is_ok\":%s,\"detail\":\"%s\"}", i ? "," : "",
			t->check[i].name, t->check[i].is_ok ? "true" : "false", t->check[i].detail);
	puts("\n]}");
}

static cv_code start(struct selftest *t, struct cv_err *err)
{
	static char instance[PATH_MAX + 32];
	struct audit_report r; /* the value is long enough: no row comes of it */
	cv_code code = files_make(t, err);

	if (code != CV_OK)
		return code;
	const ssize_t n = readlink("/proc/self/exe", t->exe, sizeof(t->exe) - 1);
	if (n <= 0)
		return cv_fail_errno(err, "read /proc/self/exe");
	snprintf(instance, sizeof(instance), "%s", path_of(t, "instance.yaml"));
	t->request.providers[t->request.provider_count++] = instance;
	t->request.spec.is_quiet = true;
	code = run_providers_attach(&t->providers, &t->request, err);
	if (code != CV_OK)
		return code;
	t->value = t->providers.secret[0];
	audit_report_init(&r);
	code = audit_values_take(&t->providers, &r, &t->search, err);
	audit_report_fini(&r);
	return code;
}

cv_code audit_selftest(
	enum cv_output output, uint64_t files_max, bool *ret_passed, struct cv_err *err)
{
	static struct selftest t; /* large */
	cv_code code;

	t.files_max = files_max;
	run_providers_init(&t.providers);
	code = start(&t, err);
	if (code == CV_OK)
		code = run_judge(&t, false, err);
	if (code == CV_OK)
		code = leak_base64(&t, err);
	if (code == CV_OK)
		code = leak_json(&t, err);
	if (code == CV_OK)
		code = run_judge(&t, true, err);
	run_end(&t);
	files_remove(&t);
	audit_search_free(t.search);
	run_providers_fini(&t.providers);
	if (code != CV_OK)
		return cv_wrap(err, "--self-test");
	*ret_passed = true;
	for (size_t i = 0; i < t.check_count; i++)
		*ret_passed &= t.check[i].is_ok;
	(output == CV_OUTPUT_JSON ? print_json : print_text)(&t, *ret_passed);
	return CV_OK;
}
