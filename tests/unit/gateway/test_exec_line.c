/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_exec_line.c - a command as one string: what a real shell makes of it is what was asked for
 */
#include "unit/test.h"

#include "gateway/exec_line.c"

#include <sys/wait.h>
#include <unistd.h>

#define WORDS_MAX 16

struct asked {
	const char *workdir;
	const char *env[WORDS_MAX]; /* name, value, name, ... */
	const char *command[WORDS_MAX];
};

static void line_of(const struct asked *a, struct cv_buf *out, bool *ret_ok)
{
	Openshell__V1__ExecSandboxRequest r;
	entry entries[WORDS_MAX], *v[WORDS_MAX];

	openshell__v1__exec_sandbox_request__init(&r);
	r.workdir = (char *)(uintptr_t)(a->workdir ? a->workdir : "");
	for (size_t i = 0; a->env[i]; i += 2) {
		entry *e = v[r.n_environment] = &entries[r.n_environment];

		openshell__v1__exec_sandbox_request__environment_entry__init(e);
		e->key = (char *)(uintptr_t)a->env[i];
		e->value = (char *)(uintptr_t)a->env[i + 1];
		r.n_environment++;
	}
	r.environment = v;
	r.command = (char **)(uintptr_t)a->command;
	while (a->command[r.n_command])
		r.n_command++;
	cv_buf_init(out, CV_GW_EXEC_LINE_MAX + 1024);
	*ret_ok = cv_gw_exec_line_put(&r, out);
}

static void test_exec_line_is_as_others_build_it(void **state)
{
	static const struct {
		struct asked asked;
		const char *line;
	} rows[] = {
		{ { NULL, { NULL }, { "id" } }, "'id'" },
		{ { NULL, { NULL }, { "echo", "a b", "", "it's" } }, "'echo' 'a b' '' 'it'\\''s'" },
		{ { "/w x", { "B", "2", "A", "'" }, { "id" } },
			"cd '/w x' && A=''\\''' B='2' 'id'" },
		{ { NULL, { NULL }, { "A=1" } }, "'A=1'" },
		{ { NULL, { NULL }, { "a\nb" } }, "'a\nb'" },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++) {
		struct cv_buf b;
		bool ok;

		line_of(&rows[i].asked, &b, &ok);
		assert_true(ok);
		assert_true(cv_str_eq(cv_buf_str(&b), cv_str_of(rows[i].line)));
		cv_buf_fini(&b);
	}
}

/* Each word of bytes that a shell may know, through a shell. */
static void test_exec_line_means_the_same_to_a_shell(void **state)
{
	char word[260], line[2048];
	struct asked a = { NULL, { "V", word }, { "printf", "%s/%s", word } };
	size_t n = 0;

	(void)state;
	for (int c = 1; c < 256; c++)
		if (c != '\n' && c != '\r')
			word[n++] = (char)c;
	memcpy(word + n, "''$(", 5);
	a.command[0] = "sh";
	a.command[1] = "-c";
	a.command[2] = "printf %s \"$V\"; printf %s \"$1\"";
	a.command[3] = "sh";
	a.command[4] = word;
	struct cv_buf b;
	bool ok;
	line_of(&a, &b, &ok);
	assert_true(ok);
	const struct cv_str s = cv_buf_str(&b);
	assert_true(s.n < sizeof(line));
	memcpy(line, s.p, s.n);
	line[s.n] = '\0';
	int p[2], status;
	assert_int_equal(pipe(p), 0);
	const pid_t pid = fork();
	if (!pid) {
		dup2(p[1], 1);
		execl("/bin/sh", "sh", "-c", line, (char *)NULL);
		_exit(127);
	}
	close(p[1]);
	char got[600];
	size_t have = 0;
	for (ssize_t k; (k = read(p[0], got + have, sizeof(got) - have)) > 0;)
		have += (size_t)k;
	close(p[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(have, 2 * strlen(word));
	assert_memory_equal(got, word, strlen(word));
	assert_memory_equal(got + strlen(word), word, strlen(word));
	cv_buf_fini(&b);
}

static void test_exec_line_has_an_end(void **state)
{
	char *word = calloc(1, CV_GW_EXEC_LINE_MAX + 2);
	struct asked a = { .command = { word } };

	(void)state;
	assert_non_null(word);
	for (size_t n = CV_GW_EXEC_LINE_MAX - 3; n <= CV_GW_EXEC_LINE_MAX; n++) {
		struct cv_buf b;
		bool ok;

		memset(word, 'x', n);
		line_of(&a, &b, &ok);
		assert_int_equal(ok, n + 2 <= CV_GW_EXEC_LINE_MAX);
		cv_buf_fini(&b);
	}
	free(word);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exec_line_is_as_others_build_it),
		cmocka_unit_test(test_exec_line_means_the_same_to_a_shell),
		cmocka_unit_test(test_exec_line_has_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
