/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: the newest authority and so many former ones are in both files, whole, behind the host's
 * roots; a new one moves no byte of those that stay.
 * Method: the files in a directory of their own, compared after each of more authorities than are kept.
 */
#include "unit/test.h"

#include "supervisor/ca.c"
#include "supervisor/roots.c"

#include <stdio.h>
#include <sys/stat.h>

#define KEPT (CV_KEEPER_FORMER_CAS_MAX + 1)

static size_t file_read(int dir, const char *path, char *ret, size_t max)
{
	CV_AUTO_FD int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	const ssize_t n = read(fd, ret, max - 1);
	assert_true(n >= 0);
	ret[n] = '\0';
	return (size_t)n;
}

static void authority_make(unsigned i, char ret[SUP_CA_BYTES])
{
	/* of other lengths, as theirs are */
	snprintf(ret, SUP_CA_BYTES, "BEGIN %u %.*s END\n", i, (int)(i * 7 % 5), "xxxxx");
}

static void files_check(int dir, unsigned last)
{
	static const char *const path[] = { "etc/openshell-tls/openshell-ca.pem",
		"etc/openshell-tls/ca-bundle.pem" };
	static char text[65536];
	char one[SUP_CA_BYTES];

	for (size_t f = 0; f < 2; f++) {
		file_read(dir, path[f], text, sizeof(text));
		assert_true(f == 0 || strncmp(text, "the host's roots\n", 17) == 0);
		for (unsigned i = 1; i <= last; i++) {
			authority_make(i, one);
			const char *at = strstr(text, one);

			assert_int_equal(at != NULL, i + KEPT > last);
			assert_true(!at || (size_t)(at - text) % SUP_CA_BYTES == 0);
		}
		assert_int_equal(text[strlen(text) - 1], '\n');
	}
}

static void kept_in_place(void **state)
{
	static struct supervisor s;
	static char before[65536], after[65536];
	char dir[] = "/tmp/cove-ca-XXXXXX", roots[64], one[SUP_CA_BYTES];
	struct cv_err err;

	(void)state;
	assert_non_null(mkdtemp(dir));
	CV_AUTO_FD int layer = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(mkdirat(layer, "etc", 0700), 0);
	assert_int_equal(mkdirat(layer, "etc/openshell-tls", 0700), 0);
	s.built[CV_BUILT_LAYER] = layer;
	snprintf(roots, sizeof(roots), "%s/roots", dir);
	FILE *f = fopen(roots, "w");
	assert_non_null(f);
	assert_true(fputs("the host's roots\n", f) > 0);
	assert_int_equal(fclose(f), 0);
	s.plan.roots = cv_str_of(roots);
	assert_int_equal(ca_files_write(&s, &err), CV_OK); /* no authority yet: the roots */
	assert_false(s.has_ca_files);
	assert_int_equal(unlink(roots), 0); /* they are read once */
	for (unsigned i = 1; i <= 2 * KEPT + 1; i++) {
		const char *bundle = "etc/openshell-tls/ca-bundle.pem";
		const size_t n = i > 1 ? file_read(layer, bundle, before, sizeof(before)) : 0;

		authority_make(i, one);
		assert_int_equal(ca_add(&s, cv_str_of(one), &err), CV_OK);
		assert_int_equal(ca_files_write(&s, &err), CV_OK);
		assert_true(s.has_ca_files);
		files_check(layer, i);
		file_read(layer, bundle, after, sizeof(after));
		/* of the places only one is another; until all are taken, none is */
		for (size_t at = 0; i <= KEPT && at < n; at++)
			assert_int_equal(before[at], after[at]);
	}
	memset(after, 'x', SUP_CA_BYTES + 1);
	assert_int_equal(ca_add(&s, (struct cv_str){ after, SUP_CA_BYTES + 1 }, &err), CV_LIMIT);
	for (size_t i = 0; i < KEPT; i++)
		free(s.ca[i]);
	unlinkat(layer, "etc/openshell-tls/ca-bundle.pem", 0);
	unlinkat(layer, "etc/openshell-tls/openshell-ca.pem", 0);
	unlinkat(layer, "etc/openshell-tls", AT_REMOVEDIR);
	unlinkat(layer, "etc", AT_REMOVEDIR);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(kept_in_place) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
