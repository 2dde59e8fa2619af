/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: schemas mean what the specification says.  Method: the public test suite of JSON Schema for
 * draft 2020-12 (suite/README.md), each file one test; what is not supported is listed here, and
 * has to fail: so the list can't grow old.
 *
 * Usage: test_tools_schema_suite DIRECTORY [-v]
 */
#include "tools/schema.h"

#include "wire/json_value.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BYTES_MAX (64u << 20)

/* Groups (one NULL: the whole file) or single tests. */
static const struct {
	const char *file, *group, *test;
} not_supported[] = {
	/* they refer to other documents, that of the specification among them */
	{ "defs.json", NULL, NULL },
	{ "dynamicRef.json", "strict-tree schema, guards against misspelled properties", NULL },
	{ "dynamicRef.json", "tests for implementation dynamic anchor and reference link", NULL },
	{ "dynamicRef.json", "$ref and $dynamicAnchor are independent of order - $defs first",
		NULL },
	{ "dynamicRef.json", "$ref and $dynamicAnchor are independent of order - $ref first",
		NULL },
	{ "dynamicRef.json", "$ref to $dynamicRef finds detached $dynamicAnchor", NULL },
	{ "ref.json", "remote ref, containing refs itself", NULL },
	{ "refRemote.json", NULL, NULL },
	{ "optional__cross-draft.json", NULL, NULL },
	/* their $schema is one of their own */
	{ "optional__format-assertion.json", NULL, NULL },
	{ "vocabulary.json", NULL, NULL },
};

struct counts {
	unsigned passed, failed, excused;
};

static bool is_excused(const char *file, struct cv_str group, struct cv_str test)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(not_supported); i++)
		if (strcmp(file, not_supported[i].file) == 0 &&
			(!not_supported[i].group ||
				cv_str_eq(group, cv_str_of(not_supported[i].group))) &&
			(!not_supported[i].test ||
				cv_str_eq(test, cv_str_of(not_supported[i].test))))
			return true;
	return false;
}

static void errors_print(const struct cv_schema_errors *e)
{
	for (size_t i = 0; i < e->n; i++)
		printf("#     %.*s: %.*s\n", CV_STR_ARG(e->e[i].pointer),
			CV_STR_ARG(e->e[i].message));
}

static void group_run(const char *file, const struct cv_value *group, struct counts *n)
{
	const struct cv_value *tests = cv_value_get(group, CV_STR("tests"));
	const struct cv_str name = cv_value_get_str(group, CV_STR("description"));
	/* formats are annotations but in the files about them */
	const unsigned flags = strncmp(file, "optional__format__", 18) ? CV_SCHEMA_FORMAT_SAYS : 0;
	struct cv_schema *schema = NULL;
	struct cv_schema_errors errors;
	struct cv_arena arena;

	cv_arena_init(&arena, BYTES_MAX);
	cv_schema_errors_init(&errors, &arena);
	const cv_code code =
		cv_schema_compile(cv_value_get(group, CV_STR("schema")), flags, &schema, &errors);
	for (uint32_t i = 0; i < tests->n; i++) {
		const struct cv_str test = cv_value_get_str(&tests->v[i], CV_STR("description"));
		const bool want =
			cv_value_get(&tests->v[i], CV_STR("valid"))->type == CV_VALUE_TRUE;
		const bool excused = is_excused(file, name, test);
		cv_code got = code;

		if (code == CV_OK) {
			cv_schema_errors_init(&errors, &arena);
			got = cv_schema_check(
				schema, cv_value_get(&tests->v[i], CV_STR("data")), 0, &errors);
		}
		const bool is_right =
			code == CV_OK && (got == CV_OK) == want && (got == CV_OK) == !errors.n;
		if (is_right != excused) {
			excused ? n->excused++ : n->passed++;
			continue;
		}
		n->failed++;
		printf("# %s: %.*s: %.*s: %s\n", file, CV_STR_ARG(name), CV_STR_ARG(test),
			excused ? "works, though it is listed as not supported"
			: code  ? "is not compiled"
			: want  ? "is refused"
				: "is accepted");
		errors_print(&errors);
	}
	cv_schema_free(schema);
	cv_arena_fini(&arena);
}

static bool file_run(const char *dir, const char *file, struct counts *n)
{
	const struct cv_value *v = NULL;
	struct cv_arena arena;
	struct cv_buf text;
	char path[4096];
	size_t got;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	FILE *f = fopen(path, "r");
	if (!f)
		return false;
	cv_buf_init(&text, BYTES_MAX);
	cv_arena_init(&arena, BYTES_MAX);
	do {
		char *room = cv_buf_reserve(&text, 65536);

		got = room ? fread(room, 1, 65536, f) : 0;
		cv_buf_commit(&text, got);
	} while (got);
	fclose(f);
	const bool is_read =
		cv_json_value_read(cv_buf_str(&text), &arena, &v, NULL) == CV_JSON_PROBLEM_NONE;
	for (uint32_t i = 0; is_read && i < v->n; i++)
		group_run(file, &v->v[i], n);
	cv_arena_fini(&arena);
	cv_buf_fini(&text);
	return is_read;
}

static int is_json(const struct dirent *e)
{
	return cv_str_has_suffix(cv_str_of(e->d_name), CV_STR(".json"));
}

int main(int argc, char **argv)
{
	struct dirent **files;
	struct counts all = { 0 };

	const int count = argc > 1 ? scandir(argv[1], &files, is_json, alphasort) : -1;
	if (count <= 0)
		return 1;
	printf("1..%d\n", count);
	for (int i = 0; i < count; i++) {
		struct counts n = { 0 };
		const bool is_read = file_run(argv[1], files[i]->d_name, &n);

		printf("%s %d - %s (%u, %u not supported)\n",
			is_read && !n.failed ? "ok" : "not ok", i + 1, files[i]->d_name, n.passed,
			n.excused);
		all.passed += n.passed;
		all.failed += n.failed;
		all.excused += n.excused;
		free(files[i]);
	}
	free(files);
	printf("# %u passed, %u failed, %u not supported\n", all.passed, all.failed, all.excused);
	return all.failed > 0;
}
