/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_repo.c - any bytes as what git lists, and as names and files of a repository
 *
 * The first byte says as what.  What is taken as a name must not be an option or lead anywhere, and
 * findings are JSON whatever the names are.
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "tools/repo.h"
#include "wire/json.h"

#include <string.h>

static void names(struct cv_str s)
{
	if (!cv_repo_name_wrong(s))
		cv_assert(
			s.p[0] != '-' && !memmem(s.p, s.n, "/.", 2) && !memmem(s.p, s.n, "/-", 2));
	if (!cv_repo_ref_wrong(s))
		cv_assert(s.p[0] != '-' && !memmem(s.p, s.n, "..", 2) && !cv_str_has_byte(s, '"'));
	if (!cv_repo_dest_wrong(s))
		cv_assert(s.p[0] == '/' && !memmem(s.p, s.n, "/../", 4));
}

static void listing(struct cv_str s)
{
	struct cv_repo_target t;
	const struct cv_str want = cv_str_cut(&s, '\n');

	if (cv_repo_target_find(s, cv_repo_ref_wrong(want) ? CV_STR_NONE : want, &t))
		cv_assert(!cv_repo_ref_wrong(t.name) || t.kind != CV_REPO_BRANCH || want.n);
}

static void tree(struct cv_repo_findings *f, struct cv_str s)
{
	struct cv_repo_entry e[64];
	struct cv_arena arena;
	size_t n = 0;

	while (s.p && n < CV_ARRAY_LEN(e))
		if (cv_repo_entry_parse(cv_str_cut(&s, 0), &e[n]))
			cv_repo_entry_judge(f, &e[n++]);
	cv_arena_init(&arena, 1 << 20);
	cv_repo_case_judge(f, e, n, &arena);
	cv_arena_fini(&arena);
}

static void file(struct cv_repo_findings *f, struct cv_str s)
{
	const struct cv_str path = cv_str_cut(&s, '\n');

	cv_repo_file_judge(f, path, s);
	cv_repo_link_judge(f, path, s);
	cv_repo_modules_judge(f, s);
	cv_repo_attributes_judge(f, path, s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cv_str s = { (const char *)data + 1, size ? size - 1 : 0 };
	struct cv_repo_findings f;
	struct cv_buf all;

	if (!size)
		return 0;
	cv_repo_findings_init(&f);
	switch (data[0]) {
	case 'n': names(s); break;
	case 'l': listing(s); break;
	case 't': tree(&f, s); break;
	default: file(&f, s); break;
	}
	cv_buf_init(&all, cv_buf_len(&f.json) + 16);
	cv_buf_printf(&all, "[");
	cv_buf_put(&all, cv_buf_str(&f.json));
	cv_buf_printf(&all, "]");
	cv_assert(cv_json_check(cv_buf_str(&all), NULL) == CV_JSON_PROBLEM_NONE);
	cv_buf_fini(&all);
	cv_repo_findings_fini(&f);
	return 0;
}
