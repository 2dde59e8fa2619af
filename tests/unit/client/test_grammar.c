/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: words of a command line become flags and arguments, and wrong ones say what was meant. */
#include "unit/test.h"

#include "client/grammar.c"

#include "client/commands.h"

#define RUN(name)                       \
	int cl_run_##name(struct cl *c) \
	{                               \
		(void)c;                \
		return 0;               \
	}
CL_COMMANDS(RUN)

struct parsed {
	struct cv_arena arena;
	struct cl_words w;
	struct cv_err err;
	cv_code code;
};

static struct parsed p;

static cv_code parse(const char *line)
{
	static char words[512];
	char *argv[32], *rest = words;
	int n = 0;

	cv_arena_fini(&p.arena);
	p = (struct parsed){ 0 };
	cv_arena_init(&p.arena, 1 << 20);
	snprintf(words, sizeof(words), "%s", line);
	for (char *w; (w = strsep(&rest, " ")) && n < 32;)
		argv[n++] = w;
	char **copy = cv_arena_array(&p.arena, (size_t)n + 1, sizeof(*copy));
	memcpy(copy, argv, (size_t)n * sizeof(*copy));
	p.code = cl_grammar_parse(&cl_grammar, &p.arena, n, copy, &p.w, &p.err);
	return p.code;
}

static void test_paths_and_aliases(void **state)
{
	(void)state;
	assert_int_equal(parse("sandbox get box"), CV_OK);
	assert_string_equal(p.w.command->path, "sandbox get");
	assert_string_equal(cl_arg(&p.w, 0), "box");
	assert_int_equal(parse("sb provider attach box gh"), CV_OK);
	assert_string_equal(p.w.command->path, "sandbox provider attach");
	assert_int_equal(parse("lg -n 0"), CV_OK);
	assert_string_equal(p.w.command->path, "logs");
	assert_int_equal(cl_number(&p.w, "lines", 7), 0);
	assert_int_equal(parse("sandbox"), CV_OK);
	assert_null(p.w.command);
	assert_string_equal(p.w.group, "sandbox");
}

static void test_a_command_that_begins_others(void **state)
{
	(void)state;
	assert_int_equal(parse("exec list box"), CV_OK);
	assert_string_equal(p.w.command->path, "exec list");
	assert_string_equal(cl_arg(&p.w, 0), "box");
	assert_int_equal(parse("exec -n box list all"), CV_OK);
	assert_string_equal(p.w.command->path, "exec");
	assert_int_equal(p.w.tail_count, 2);
	assert_int_equal(parse("exec -- list"), CV_OK);
	assert_string_equal(p.w.command->path, "exec");
	assert_int_equal(parse("exec ls"), CV_OK);
	assert_string_equal(p.w.tail[0], "ls");
	assert_int_equal(parse("exec"), CV_INVALID);
}

static void test_globals_anywhere(void **state)
{
	(void)state;
	assert_int_equal(parse("-g one sandbox -w two list --limit 3 --workspace=x"), CV_INVALID);
	assert_non_null(strstr(p.err.msg, "multiple times"));
	assert_int_equal(parse("-g one sandbox -w two list --limit 3"), CV_OK);
	assert_string_equal(cl_flag(&p.w, "gateway"), "one");
	assert_string_equal(cl_flag(&p.w, "workspace"), "two");
	assert_int_equal(cl_number(&p.w, "limit", 0), 3);
}

static void test_verbatim_and_tail(void **state)
{
	(void)state;
	assert_int_equal(parse("sandbox exec -n box ls -l --all"), CV_OK);
	assert_int_equal(p.w.tail_count, 3);
	assert_string_equal(p.w.tail[1], "-l");
	assert_int_equal(parse("sandbox exec --name box --no-tty --timeout 5 -- sh -c x"), CV_OK);
	assert_int_equal(p.w.tail_count, 3);
	assert_string_equal(p.w.tail[0], "sh");
	assert_int_equal(parse("sandbox create --name b --keep -- true"), CV_OK);
	assert_int_equal(p.w.tail_count, 1);
	assert_int_equal(parse("sandbox create true"), CV_INVALID);
	assert_int_equal(parse("sandbox get box -- x"), CV_INVALID);
	assert_int_equal(parse("sandbox exec -n box"), CV_INVALID);
}

static void test_wrong_words_name_the_nearest(void **state)
{
	(void)state;
	assert_int_equal(parse("sandbox lst"), CV_INVALID);
	assert_non_null(strstr(p.err.msg, "did you mean 'sandbox list'"));
	assert_int_equal(parse("sandbox list --lmit 3"), CV_INVALID);
	assert_non_null(strstr(p.err.msg, "did you mean '--limit'"));
	assert_int_equal(parse("sandbox list --limit x"), CV_INVALID);
	assert_int_equal(parse("sandbox list --limit"), CV_INVALID);
	assert_int_equal(parse("sandbox list -o xml"), CV_INVALID);
	assert_int_equal(parse("sandbox list --ids --names"), CV_INVALID);
	assert_int_equal(parse("sandbox list --ids=1"), CV_INVALID);
	assert_int_equal(parse("provider create --config x"), CV_INVALID);
	assert_int_equal(parse("sandbox upload box"), CV_INVALID);
	assert_int_equal(parse("sandbox get a b"), CV_INVALID);
}

static void test_a_value_is_not_repeated_in_errors(void **state)
{
	(void)state;
	assert_int_equal(parse("provider create --config hunter2"), CV_INVALID);
	assert_null(strstr(p.err.msg, "hunter2"));
}

static void test_optional_value(void **state)
{
	(void)state;
	assert_int_equal(parse("sandbox create --gpu --name x"), CV_OK);
	assert_true(cl_has(&p.w, "gpu"));
	assert_null(cl_flag(&p.w, "gpu"));
	assert_int_equal(parse("sandbox create --gpu=2"), CV_OK);
	assert_int_equal(cl_number(&p.w, "gpu", 0), 2);
	assert_int_equal(parse("sandbox create --gpu=two"), CV_INVALID);
}

/* Each row is reachable by its own path, each flag by its own name, and none is there twice. */
static void test_table_is_sound(void **state)
{
	(void)state;
	for (size_t i = 0; i < cl_grammar.command_count; i++) {
		const struct cl_command *row = &cl_grammar.commands[i];
		char line[256];

		snprintf(line, sizeof(line), "%s --help", row->path);
		assert_int_equal(parse(line), CV_OK);
		assert_ptr_equal(p.w.command, row);
		assert_int_equal(p.w.wants, CL_WANTS_HELP);
		for (size_t k = 0; k < row->flag_count; k++) {
			assert_true((row->flags[k].value != NULL) ==
				    (row->flags[k].kind != CL_FLAG_SWITCH &&
					    row->flags[k].kind != CL_FLAG_COUNT));
			assert_true((row->flags[k].choices != NULL) ==
				    (row->flags[k].kind == CL_FLAG_CHOICE));
			for (size_t j = 0; j < cl_grammar.global_count; j++)
				assert_string_not_equal(
					row->flags[k].name, cl_grammar.globals[j].name);
			for (size_t j = 0; j < k; j++) {
				assert_string_not_equal(row->flags[k].name, row->flags[j].name);
				assert_true(!row->flags[k].letter ||
					    row->flags[k].letter != row->flags[j].letter);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths_and_aliases),
		cmocka_unit_test(test_a_command_that_begins_others),
		cmocka_unit_test(test_globals_anywhere),
		cmocka_unit_test(test_verbatim_and_tail),
		cmocka_unit_test(test_wrong_words_name_the_nearest),
		cmocka_unit_test(test_a_value_is_not_repeated_in_errors),
		cmocka_unit_test(test_optional_value),
		cmocka_unit_test(test_table_is_sound),
	};

	const int failed = cmocka_run_group_tests(tests, NULL, NULL);
	cv_arena_fini(&p.arena);
	return failed;
}
