/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of images: what is one, what it means, and whose it is.
 */
#include "unit/test.h"

#include "../../../src/tools/image_ref.c"

#define D64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void names(void **state)
{
	static const struct {
		const char *text, *whole; /* NULL: is none */
	} row[] = {
		{ "debian", "docker.io/library/debian:latest" },
		{ "debian:12", "docker.io/library/debian:12" },
		{ "team/app", "docker.io/team/app:latest" },
		{ "docker.io/debian", "docker.io/library/debian:latest" },
		{ "registry.test:5000/a/b_c__d--e.f:T.1-x",
			"registry.test:5000/a/b_c__d--e.f:T.1-x" },
		{ "localhost/app@sha256:" D64, "localhost/app@sha256:" D64 },
		{ "q.io/a:1@sha256:" D64, "q.io/a:1@sha256:" D64 },
		{ "", NULL },
		{ "-v", NULL },
		{ "--privileged", NULL },
		{ "a/-b", NULL },
		{ "a:-b", NULL },
		{ "a:", NULL },
		{ "A", NULL },
		{ "a//b", NULL },
		{ "/a", NULL },
		{ "../a", NULL },
		{ "a/..", NULL },
		{ "a/../b", NULL },
		{ "a b", NULL },
		{ "a\nb", NULL },
		{ "a___b", NULL },
		{ "a_", NULL },
		{ "dir:/etc", NULL },
		{ "docker://debian", NULL },
		{ "oci-archive:/etc/x", NULL },
		{ "containers-storage:x/y", NULL },
		{ "r.test:0/a", NULL },
		{ "r.test:99999/a", NULL },
		{ "-r.test/a", NULL },
		{ "r..test/a", NULL },
		{ "a@sha256:" D64 "0", NULL },
		{ "a@sha512:" D64, NULL },
		{ "a@", NULL },
	};
	struct cv_image_ref ref;
	struct cv_arena arena;

	(void)state;
	cv_arena_init(&arena, 1 << 16);
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		const bool is_good = cv_image_ref_parse(cv_str_of(row[i].text), &ref);

		if (is_good != (row[i].whole != NULL))
			fail_msg("'%s'", row[i].text);
		if (is_good &&
			!cv_str_eq(cv_image_ref_whole(&ref, &arena), cv_str_of(row[i].whole)))
			fail_msg("'%s' is %.*s", row[i].text,
				CV_STR_ARG(cv_image_ref_whole(&ref, &arena)));
	}
	cv_arena_fini(&arena);
}

static void s3_own(void **state)
{
	static const struct {
		const char *tag, *own;
	} row[] = {
		{ "app", "localhost/cove-7/app:latest" },
		{ "app:1", "localhost/cove-7/app:1" },
		{ "team/app:1", "localhost/cove-7/team/app:1" },
		{ "localhost/cove-7/app", "localhost/cove-7/app:latest" },
		{ "localhost/cove-8/app", NULL },
		{ "localhost/app", NULL },
		{ "docker.io/library/debian", NULL },
		{ "registry.test:5000/a", NULL },
		{ "app@sha256:" D64, NULL },
		{ "localhost/cove-7/../cove-8/app", NULL },
		{ "localhost/cove-7/localhost/cove-8/app", NULL },
		{ "localhost/cove-7/", NULL },
		{ "-t", NULL },
		{ "", NULL },
	};
	struct cv_arena arena;

	(void)state;
	cv_arena_init(&arena, 1 << 16);
	const struct cv_str space = cv_image_ref_space(CV_STR("cove-7"), &arena);
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		const struct cv_str own = cv_image_ref_own(cv_str_of(row[i].tag), space, &arena);

		if (!cv_str_eq(own, cv_str_of(row[i].own)))
			fail_msg("'%s' is '%.*s'", row[i].tag, CV_STR_ARG(own));
	}
	const struct cv_str odd = cv_image_ref_space(CV_STR("A b/../x"), &arena);
	assert_true(cv_str_has_prefix(odd, CV_STR("localhost/sandbox--")));
	assert_true(cv_image_ref_own(CV_STR("app"), odd, &arena).n > 0);
	assert_false(cv_str_eq(odd, cv_image_ref_space(CV_STR("a b/../x"), &arena)));
	cv_arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(s3_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
