/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files out of a sandbox and into one.  Goal: nothing from outside is read, nothing outside is
 * written, nothing blocks, whatever lies there and whoever changes it meanwhile.  Method: a directory
 * stands for the sandbox's root, with a secret beside it; a second process swaps things.
 */
#include "unit/test.h"

#include "../../../src/sys/copy.c"
#include "../../../src/sys/copy_out.c"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static const struct cv_copy_limits plenty = { 1 << 20, 1000 };

struct place {
	char base[64];
	int at, root, to;
};

static void must(int rc)
{
	if (rc < 0)
		fail_msg("%s", strerror(errno));
}

static void text_put(int at, const char *name, const char *text)
{
	const int fd = openat(at, name, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0644);

	must(fd);
	must((int)write(fd, text, strlen(text)));
	close(fd);
}

static bool text_is(int at, const char *name, const char *text)
{
	char got[256] = "";
	const int fd = cv_openat2(at, name, O_RDONLY, RESOLVE_NO_SYMLINKS);
	const ssize_t n = fd < 0 ? -1 : read(fd, got, sizeof(got) - 1);

	if (fd >= 0)
		close(fd);
	return n >= 0 && strcmp(got, text) == 0;
}

static struct place place_make(void)
{
	struct place p = { "/tmp/cove-copy-XXXXXX", -1, -1, -1 };

	assert_non_null(mkdtemp(p.base));
	p.at = open(p.base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(mkdirat(p.at, "root", 0755));
	must(mkdirat(p.at, "root/ctx", 0755));
	must(mkdirat(p.at, "to", 0700));
	text_put(p.at, "secret", "secret");
	p.root = openat(p.at, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	p.to = openat(p.at, "to", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return p;
}

static void place_end(struct place *p)
{
	char command[128];

	close(p->at);
	close(p->root);
	close(p->to);
	snprintf(command, sizeof(command), "%s", p->base);
	if (fork() == 0) {
		execl("/bin/rm", "rm", "-rf", command, (char *)NULL);
		_exit(1);
	}
	wait(NULL);
}

static cv_code copy(struct place *p, const char *path, struct cv_err *err)
{
	struct cv_copy_count count;

	return cv_copy_in(p->root, path, p->to, &plenty, &count, err);
}

static void refused(struct place *p, cv_code want, const char *words)
{
	struct cv_err err = { 0 };
	const cv_code code = copy(p, "/ctx", &err);

	assert_int_equal(code, want);
	if (!strstr(err.msg, words))
		fail_msg("'%s' is not in '%s'", words, err.msg);
}

static void a_tree(void **state)
{
	struct place p = place_make();
	struct cv_copy_count count;
	struct cv_err err;
	struct stat st;

	(void)state;
	must(mkdirat(p.root, "ctx/d", 0755));
	text_put(p.root, "ctx/d/f", "hello");
	must(fchmodat(p.root, "ctx/d/f", 06755, 0));
	must(linkat(p.root, "ctx/d/f", p.root, "ctx/g", 0));
	must(symlinkat("d/f", p.root, "ctx/link"));
	must(symlinkat("../d/none", p.root, "ctx/d/dangling"));
	assert_int_equal(cv_copy_in(p.root, "/ctx", p.to, &plenty, &count, &err), CV_OK);
	assert_int_equal(count.files, 5);
	assert_int_equal(count.bytes, 10);
	assert_true(text_is(p.to, "d/f", "hello") && text_is(p.to, "g", "hello"));
	must(fstatat(p.to, "d/f", &st, 0));
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(st.st_nlink, 1);
	assert_true(text_is(p.to, "link", "") == false); /* still a link */
	must(fstatat(p.to, "link", &st, 0));
	assert_int_equal(st.st_size, 5);
	place_end(&p);
}

static void p6_paths_to_it(void **state)
{
	static const struct {
		const char *path;
		cv_code code;
	} row[] = {
		{ "/link", CV_DENIED }, { "/link/x", CV_DENIED }, { "/none", CV_NOT_FOUND },
		{ "/file", CV_NOT_FOUND },
		{ "/../../../../../../etc", CV_NOT_FOUND }, /* the root's own, which has none */
	};
	struct place p = place_make();
	struct cv_err err;

	(void)state;
	must(symlinkat("ctx", p.root, "link"));
	text_put(p.root, "file", "");
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++)
		if (copy(&p, row[i].path, &err) != row[i].code)
			fail_msg("%s: %d %s", row[i].path, err.code, err.msg);
	place_end(&p);
}

static void p6_proc_is_refused(void **state)
{
	struct place p = place_make();
	const int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct cv_copy_count count;
	struct cv_err err;

	(void)state;
	assert_int_equal(cv_copy_in(root, "/proc/1", p.to, &plenty, &count, &err), CV_DENIED);
	assert_int_equal(
		cv_copy_in(root, "/proc/self/root", p.to, &plenty, &count, &err), CV_DENIED);
	assert_int_equal(
		cv_copy_file_in(root, "/proc/version", p.to, "v", 1000, &count, &err), CV_DENIED);
	close(root);
	place_end(&p);
}

static void p6_links_that_lead_out(void **state)
{
	/* made in the order given; the last is the one that leads out */
	static const char *const row[][6] = {
		{ "a", "/etc/passwd", NULL },
		{ "a", "../../secret", NULL },
		{ "s", ".", "a", "s/../../secret", NULL }, /* inside, going by its text alone */
		{ "s", "d", "a", "s/../../x", NULL },
		{ "a", "/proc/self/root/etc/passwd", NULL },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		struct place p = place_make();

		must(mkdirat(p.root, "ctx/d", 0755));
		for (size_t k = 0; row[i][k]; k += 2) {
			char path[64];

			snprintf(path, sizeof(path), "ctx/%s", row[i][k]);
			must(symlinkat(row[i][k + 1], p.root, path));
		}
		refused(&p, CV_DENIED, "leads out");
		place_end(&p);
	}
}

static void p6_what_is_no_file(void **state)
{
	struct place p = place_make();

	(void)state;
	must(mkfifoat(p.root, "ctx/fifo", 0644));
	refused(&p, CV_DENIED, "fifo");
	must(unlinkat(p.root, "ctx/fifo", 0));
	must(mknodat(p.root, "ctx/sock", S_IFSOCK | 0644, 0));
	refused(&p, CV_DENIED, "sock");
	must(unlinkat(p.root, "ctx/sock", 0));
	text_put(p.root, "ctx/a\nb", "x");
	refused(&p, CV_DENIED, "control characters");
	place_end(&p);
}

static void p6_p12_limits(void **state)
{
	struct place p = place_make();
	char path[1024] = "ctx";

	(void)state;
	text_put(p.root, "ctx/sparse", "");
	int fd = openat(p.root, "ctx/sparse", O_WRONLY | O_CLOEXEC);
	must(ftruncate(
		fd, (off_t)1 << 40)); /* a terabyte of nothing; some file systems take no more */
	close(fd);
	refused(&p, CV_LIMIT, "sparse");
	must(unlinkat(p.root, "ctx/sparse", 0));
	for (int i = 0; i < CV_COPY_DEPTH_MAX + 2; i++) {
		memcpy(path + 3 + 2 * i, "/d", 3);
		must(mkdirat(p.root, path, 0755));
	}
	refused(&p, CV_LIMIT, "too deep");
	place_end(&p);

	p = place_make();
	for (int i = 0; i < 1001; i++) {
		snprintf(path, sizeof(path), "ctx/%d", i);
		text_put(p.root, path, "");
	}
	refused(&p, CV_LIMIT, "more than 1000 files");
	place_end(&p);
}

/* Swaps ctx/a, a directory with a file f, and a link to the outside, until it is killed. */
static pid_t swapper(struct place *p)
{
	const pid_t pid = fork();

	if (pid)
		return pid;
	for (;;) {
		syscall(SYS_renameat2, p->root, "ctx/a", p->root, "b", 2 /* RENAME_EXCHANGE */);
		syscall(SYS_renameat2, p->root, "ctx/a", p->root, "b", 2);
	}
}

static void p6_swaps(void **state)
{
	static const char *const other[] = { "..", "../secret", "/etc" };
	int ok = 0, refusals = 0;

	(void)state;
	for (size_t k = 0; k < CV_ARRAY_LEN(other); k++) {
		struct place p = place_make();
		struct cv_err err;

		must(mkdirat(p.root, "ctx/a", 0755));
		text_put(p.root, "ctx/a/secret", "mine");
		must(symlinkat(other[k], p.root, "b"));
		const pid_t pid = swapper(&p);
		for (int i = 0; i < 300; i++) {
			char name[32];

			snprintf(name, sizeof(name), "to%d", i);
			must(mkdirat(p.at, name, 0700));
			close(p.to);
			p.to = openat(p.at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
			if (copy(&p, i % 2 ? "/ctx" : "/ctx/a", &err) == CV_OK)
				ok++;
			else
				refusals++;
			assert_false(text_is(p.to, "secret", "secret"));
			assert_false(text_is(p.to, "a/secret", "secret"));
			assert_int_equal(faccessat(p.to, "passwd", F_OK, 0), -1);
		}
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		place_end(&p);
	}
	assert_true(ok > 0 && refusals > 0); /* both ways were seen */
}

static void a_file(void **state)
{
	struct place p = place_make();
	struct cv_copy_count count;
	struct cv_err err;

	(void)state;
	text_put(p.root, "f", "text");
	must(symlinkat("f", p.root, "l"));
	must(mkfifoat(p.root, "fifo", 0644));
	assert_int_equal(cv_copy_file_in(p.root, "/f", p.to, "n", 4, &count, &err), CV_OK);
	assert_true(text_is(p.to, "n", "text"));
	assert_int_equal(cv_copy_file_in(p.root, "/f", p.to, "m", 3, &count, &err), CV_LIMIT);
	assert_int_equal(cv_copy_file_in(p.root, "/l", p.to, "o", 9, &count, &err), CV_DENIED);
	assert_int_equal(cv_copy_file_in(p.root, "/fifo", p.to, "q", 9, &count, &err), CV_DENIED);
	assert_int_equal(cv_copy_file_in(p.root, "/ctx", p.to, "r", 9, &count, &err), CV_DENIED);
	place_end(&p);
}

static cv_code out(struct place *p, const char *path, struct cv_err *err)
{
	const int from = openat(p->at, "image", O_RDONLY | O_CLOEXEC);
	struct cv_copy_count count;
	const cv_code code = cv_copy_out(from, p->root, path, 100, &count, err);

	close(from);
	return code;
}

static void p6_into_it(void **state)
{
	static const struct {
		const char *path;
		cv_code code;
	} row[] = {
		{ "/new.tar", CV_OK }, { "/ctx/new.tar", CV_OK }, { "/old", CV_OK },
		{ "/up/evil", CV_DENIED },
		{ "/link", CV_DENIED }, /* a link in its place is not written through */
		{ "/fifo", CV_DENIED }, { "/ctx", CV_DENIED }, { "/none/x", CV_NOT_FOUND },
		{ "/ctx/", CV_INVALID }, { "/ctx/..", CV_INVALID }, { "/a\nb", CV_INVALID },
		{ "/../escaped", CV_OK }, /* ".." of the root is the root */
	};
	struct place p = place_make();
	struct cv_err err;

	(void)state;
	text_put(p.at, "image", "image");
	text_put(p.root, "old", "old");
	must(symlinkat("..", p.root, "up"));
	must(symlinkat("../secret", p.root, "link"));
	must(mkfifoat(p.root, "fifo", 0644));
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++)
		if (out(&p, row[i].path, &err) != row[i].code)
			fail_msg("%s: %d %s", row[i].path, err.code, err.msg);
	assert_true(text_is(p.at, "root/new.tar", "image") && text_is(p.at, "root/old", "image"));
	assert_true(text_is(p.at, "root/escaped", "image"));
	assert_true(text_is(p.at, "secret", "secret"));
	assert_int_equal(faccessat(p.at, "escaped", F_OK, 0), -1);
	assert_int_equal(faccessat(p.at, "evil", F_OK, 0), -1);
	text_put(p.at, "image",
		"123456789012345678901234567890123456789012345678901234567890"
		"123456789012345678901234567890123456789012345678901234567890");
	assert_int_equal(out(&p, "/large", &err), CV_LIMIT);
	assert_int_equal(faccessat(p.at, "root/large", F_OK, 0), -1);
	place_end(&p);
}

static void p6_a_file_where_nothing_is(void **state)
{
	struct place p = place_make();
	struct cv_copy_count count;
	struct cv_err err;
	struct stat st;

	(void)state;
	text_put(p.at, "image", "image");
	text_put(p.root, "old", "old");
	must(fchmodat(p.at, "image", 06751, 0));
	must(symlinkat("nowhere", p.root, "link"));
	const int from = openat(p.at, "image", O_RDONLY | O_CLOEXEC);
	assert_int_equal(cv_copy_file_out(from, p.root, "new", 5, false, &count, &err), CV_OK);
	assert_true(count.files == 1 && count.bytes == 5);
	must(fstatat(p.root, "new", &st, 0));
	assert_int_equal(st.st_mode & 07777, 0751);
	assert_int_equal(cv_copy_file_out(from, p.root, "old", 5, false, &count, &err), CV_DENIED);
	assert_int_equal(cv_copy_file_out(from, p.root, "link", 5, false, &count, &err), CV_DENIED);
	assert_int_equal(cv_copy_file_out(from, p.root, "link", 5, true, &count, &err), CV_DENIED);
	assert_int_equal(cv_copy_file_out(from, p.root, "less", 4, true, &count, &err), CV_LIMIT);
	assert_true(text_is(p.at, "root/old", "old"));
	must((int)lseek(from, 0, SEEK_SET));
	assert_int_equal(cv_copy_file_out(from, p.root, "old", 5, true, &count, &err), CV_OK);
	assert_true(text_is(p.at, "root/old", "image"));
	close(from);
	const int status = open("/proc/self/status", O_RDONLY | O_CLOEXEC),
		  proc = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct cv_copy_limits limits = { 100000, 1000 };
	assert_int_equal(
		cv_copy_file_out(status, p.root, "s", 9999, false, &count, &err), CV_DENIED);
	assert_int_equal(cv_copy_tree_out(proc, p.root, "/p", &limits, &count, &err), CV_DENIED);
	close(status);
	close(proc);
	/* not another's place, when it was taken after it was looked at */
	assert_false(file_place(p.root, "new", "old", false));
	assert_int_equal(errno, EEXIST);
	place_end(&p);
}

static void what_is_stopped_takes_back(void **state)
{
	const struct cv_copy_limits limits = { 1000, 10 };
	struct place p = place_make();
	struct cv_copy_count count;
	struct cv_err err;

	(void)state;
	text_put(p.root, "ctx/a", "a");
	text_put(p.at, "image", "image");
	const int dir = openat(p.at, "root/ctx", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
		  from = openat(p.at, "image", O_RDONLY | O_CLOEXEC);
	const uint64_t before = cv_copy_usage(p.at, UINT64_MAX);
	cv_copy_stop();
	assert_int_equal(
		cv_copy_tree_out(dir, p.root, "/tree", &limits, &count, &err), CV_UNAVAILABLE);
	assert_int_equal(
		cv_copy_file_out(from, p.root, "/f", 9, false, &count, &err), CV_UNAVAILABLE);
	is_stopped = 0;
	assert_int_equal(cv_copy_usage(p.at, UINT64_MAX), before);
	close(from);
	close(dir);
	place_end(&p);
}

static void how_large(void **state)
{
	struct place p = place_make();

	(void)state;
	for (int i = 0; i < 8; i++) {
		char name[32];

		snprintf(name, sizeof(name), "ctx/%d", i);
		text_put(p.root, name, "x");
	}
	const int dir = openat(p.at, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(cv_copy_usage(dir, UINT64_MAX) >= 8 * 512);
	assert_true(cv_copy_usage(dir, 1) < cv_copy_usage(dir, UINT64_MAX));
	close(dir);
	place_end(&p);
}

/* ---- trees out ---- */

static cv_code tree_out(struct place *p, const char *path, const struct cv_copy_limits *limits)
{
	struct cv_copy_count count;
	struct cv_err err;

	return cv_copy_tree_out(p->to, p->root, path, limits, &count, &err);
}

static bool is_there(int at, const char *name)
{
	struct stat st;

	return fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* No temporary name stays, whatever happened. */
static void nothing_else(struct place *p, const char *dir)
{
	const int fd = openat(p->root, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fdopendir(fd);
	const struct dirent *e;

	while ((e = readdir(d)) != NULL)
		if (strncmp(e->d_name, ".cove-", 6) == 0)
			fail_msg("%s", e->d_name);
	closedir(d);
}

static void p6_a_tree_is_there_at_a_stroke_or_not_at_all(void **state)
{
	struct place p = place_make();
	const struct cv_copy_limits few = { 1 << 20, 2 }, small = { 3, 100 };

	(void)state;
	must(mkdirat(p.to, "a", 0755));
	text_put(p.to, "a/b", "text");
	must(symlinkat("a/b", p.to, "l"));
	assert_int_equal(tree_out(&p, "/ctx/new", &few), CV_LIMIT);
	assert_int_equal(tree_out(&p, "/ctx/new", &small), CV_LIMIT);
	assert_false(is_there(p.root, "ctx/new"));
	nothing_else(&p, "ctx");
	assert_int_equal(tree_out(&p, "/ctx/new", &plenty), CV_OK);
	assert_true(text_is(p.root, "ctx/new/a/b", "text"));
	/* Not over what is there. */
	assert_int_equal(tree_out(&p, "/ctx/new", &plenty), CV_DENIED);
	must(mkdirat(p.root, "ctx/empty", 0755));
	assert_int_equal(tree_out(&p, "/ctx/empty", &plenty), CV_OK);
	assert_true(text_is(p.root, "ctx/empty/a/b", "text"));
	nothing_else(&p, "ctx");
	place_end(&p);
}

static void p6_a_tree_stays_in_the_sandbox(void **state)
{
	struct place p = place_make();

	(void)state;
	text_put(p.to, "x", "text");
	text_put(p.root, "file", "mine");
	must(mkdirat(p.at, "outside", 0755));
	must(symlinkat("../outside", p.root, "up"));
	must(symlinkat("/outside", p.root, "root"));
	must(symlinkat("ctx", p.root, "in"));
	must(symlinkat("ctx/gone", p.root, "dangling"));
	static const char *const bad[] = { "/up/x", "/root/x", "/in/x", "/file", "/file/x", "/up",
		"/dangling", "/missing/x", "/ctx/../../outside/x", "/", "", "/ctx/.", "/ctx/..",
		"/ctx/a\nb" };
	for (size_t i = 0; i < CV_ARRAY_LEN(bad); i++)
		if (tree_out(&p, bad[i], &plenty) == CV_OK)
			fail_msg("%s", bad[i]);
	assert_true(text_is(p.root, "file", "mine"));
	assert_false(is_there(p.at, "outside/x") || is_there(p.root, "ctx/x"));
	/* A link out in what is copied is refused too. */
	must(symlinkat("../../secret", p.to, "bad"));
	assert_int_equal(tree_out(&p, "/ctx/new", &plenty), CV_DENIED);
	assert_false(is_there(p.root, "ctx/new"));
	nothing_else(&p, "ctx");
	place_end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tree),
		cmocka_unit_test(p6_paths_to_it),
		cmocka_unit_test(p6_proc_is_refused),
		cmocka_unit_test(p6_links_that_lead_out),
		cmocka_unit_test(p6_what_is_no_file),
		cmocka_unit_test(p6_p12_limits),
		cmocka_unit_test(p6_swaps),
		cmocka_unit_test(a_file),
		cmocka_unit_test(p6_into_it),
		cmocka_unit_test(p6_a_file_where_nothing_is),
		cmocka_unit_test(what_is_stopped_takes_back),
		cmocka_unit_test(how_large),
		cmocka_unit_test(p6_a_tree_is_there_at_a_stroke_or_not_at_all),
		cmocka_unit_test(p6_a_tree_stays_in_the_sandbox),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
