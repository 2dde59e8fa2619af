/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_upload.c - files into a sandbox, over one command that runs there
 *
 * A file goes as its bytes: beside its place first, then, when all of them came, in its place at a
 * stroke.  A directory goes as an archive that is made as it is sent, and lands as DEST/NAME: at a
 * stroke where nothing is yet, over what is there otherwise.  Nothing is limited in size.
 *
 * In a git repository, and of one below, its list of files is what goes (.gitignore applies), and
 * what that leaves out is said; .git does not go.  Where a .git is but git cannot answer, as one that
 * is somebody else's, nothing goes.  The repository may be a stranger's: git is called so that it runs
 * nothing from it.
 */
#include "client/commands.h"
#include "client/sandbox.h"
#include "client/tar.h"

#include "sys/child.h"
#include "sys/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FED_BYTES       (128u << 10) /* of the archive, at a time */
#define DEPTH_MAX       256          /* directories in one another */
#define LIST_BYTES_MAX  (256u << 20) /* of git's list */
#define REPLY_BYTES_MAX (64u << 10)
#define GIT_SAYS_BYTES  2048 /* of its reason */

extern char **environ;

/* ---- which files ---- */

struct list {
	struct cl *c;
	char **v; /* paths relative to the root */
	size_t n, cap;
	size_t skipped;
	bool asks_git;   /* of a repository that is found on the way */
	bool leaves_git; /* .git: its objects have what is ignored or was deleted, its configuration
			    tokens */
};

static void list_add(struct list *l, const char *path)
{
	if (l->n == l->cap) {
		char **wider = cl_alloc(l->c, (l->cap * 2 + 64) * sizeof(*wider));

		if (l->n)
			memcpy(wider, l->v, l->n * sizeof(*wider));
		l->v = wider;
		l->cap = l->cap * 2 + 64;
	}
	l->v[l->n++] = cl_dup(l->c, path);
}

static bool is_below(const char *path, const char *dir, size_t n)
{
	return strncmp(path, dir, n) == 0 && path[n] == '/';
}

/* With the directories that it is in, which git does not list; but for those that the path before it
 * was in, too. */
static void list_add_below(struct list *l, const char *path)
{
	const char *before = l->n ? l->v[l->n - 1] : "";

	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		const size_t n = (size_t)(slash - path);

		if (!is_below(before, path, n))
			list_add(l, cl_print(l->c, "%.*s", (int)n, path));
	}
	list_add(l, path);
}

/* A repository, or what is left of one.  Only what is not there is none. */
static bool has_git(struct cl *c, const char *dir)
{
	struct stat st;

	return lstat(cl_print(c, "%s/.git", dir), &st) == 0 ||
	       (errno != ENOENT && errno != ENOTDIR);
}

static bool is_in_repository(struct cl *c, const char *dir)
{
	char real[PATH_MAX];

	if (!realpath(dir, real))
		cl_die(c, "%s: %s", cl_shown(c, dir), strerror(errno));
	for (char *end = real + strlen(real); end; end = strrchr(real, '/')) {
		*end = '\0';
		if (has_git(c, real))
			return true;
	}
	return false;
}

/* The error, or 0. */
static int git_start(struct cl *c, const char *dir, char *const *words, size_t n, int out, int err,
	pid_t *ret_pid)
{
	char *argv[32] = { cl_dup(c, "git"), cl_dup(c, "-C"), cl_dup(c, dir), cl_dup(c, "-c"),
		cl_dup(c, "core.fsmonitor=false"), cl_dup(c, "-c"),
		cl_dup(c, "core.hooksPath=/dev/null") };
	posix_spawn_file_actions_t actions;

	memcpy(argv + 7, words, n * sizeof(*words));
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	const int failed = posix_spawnp(ret_pid, "git", &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return failed;
}

static const char *git_said(struct cl *c, int err)
{
	char text[GIT_SAYS_BYTES];
	ssize_t n = pread(err, text, sizeof(text), 0);

	while (n > 0 && text[n - 1] == '\n')
		n--;
	return n > 0 ? cl_said(c, cl_print(c, "%.*s", (int)n, text)) : "git failed";
}

/* What git prints; NULL, or the reason why it does not say. */
static const char *git_run(
	struct cl *c, const char *dir, char *const *words, size_t n, struct cv_str *ret)
{
	/* no pipe, which nobody would empty while we read its list */
	CV_AUTO_FD int said = memfd_create("git", MFD_CLOEXEC);
	struct cv_buf b;
	pid_t pid;
	int ends[2], status = 0;

	if (said < 0 || pipe2(ends, O_CLOEXEC) < 0)
		cl_die(c, "pipe: %s", strerror(errno));
	const int failed = git_start(c, dir, words, n, ends[1], said, &pid);
	close(ends[1]);
	cv_buf_init(&b, LIST_BYTES_MAX);
	for (;;) {
		char *room = failed ? NULL : cv_buf_reserve(&b, FED_BYTES);
		const ssize_t got = room ? read(ends[0], room, FED_BYTES) : 0;

		if (got <= 0)
			break;
		cv_buf_commit(&b, (size_t)got);
	}
	close(ends[0]);
	if (failed)
		return cl_print(c, "git could not be started: %s", strerror(failed));
	(void)cv_child_wait(pid, &status);
	*ret = cv_arena_str(&c->arena, cv_buf_str(&b));
	const bool is_whole = !b.is_overflown;
	cv_buf_fini(&b);
	if (!is_whole)
		return "git's list of files is too long";
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? NULL : git_said(c, said);
}

static void repository_walk(struct list *l, const char *root, const char *at, int depth);

/* NULL, or the reason why there is no list. */
static const char *git_list(struct list *l, const char *root, const char *at, int depth)
{
	char *const words[] = { cl_dup(l->c, "ls-files"), cl_dup(l->c, "-z"), cl_dup(l->c, "-co"),
		cl_dup(l->c, "--exclude-standard") };
	char *const ignored[] = { words[0], words[1], cl_dup(l->c, "-oi"), words[3],
		cl_dup(l->c, "--directory") };
	const char *dir = cl_print(l->c, "%s/%s", root, at);
	struct cv_str out, left_out;
	const char *why = git_run(l->c, dir, words, CV_ARRAY_LEN(words), &out);

	if (why)
		return why;
	while (out.p && out.n) {
		const struct cv_str one = cv_str_cut(&out, '\0');
		char *path = cl_print(l->c, "%s%s%.*s", at, *at ? "/" : "", CV_STR_ARG(one));
		const size_t n = strlen(path);
		struct stat st;

		if (n && path[n - 1] == '/')
			path[n - 1] = '\0';
		if (lstat(cl_print(l->c, "%s/%s", root, path), &st) < 0)
			continue; /* deleted, and still in the index */
		list_add_below(l, path);
		/* a submodule: a repository of its own, or nothing yet */
		if (S_ISDIR(st.st_mode) && has_git(l->c, cl_print(l->c, "%s/%s", root, path)))
			repository_walk(l, root, path, depth + 1);
	}
	if (!git_run(l->c, dir, ignored, CV_ARRAY_LEN(ignored), &left_out))
		while (left_out.p && left_out.n) {
			(void)cv_str_cut(&left_out, '\0');
			l->skipped++;
		}
	return NULL;
}

/* What is ignored may be secret, and so is .git at times: who does not know which files those are
 * sends none. */
static CV_NORETURN void die_git(struct cl *c, const char *shown, const char *why)
{
	cl_die(c,
		"%s is in a git repository, and git does not say which of its files are ignored: %s\n"
		"hint: --no-git-ignore uploads everything, .git and ignored files too",
		shown, why);
}

static void repository_walk(struct list *l, const char *root, const char *at, int depth)
{
	const char *dir = cl_print(l->c, "%s/%s", root, at);

	if (depth > DEPTH_MAX)
		cl_die(l->c, "%s: directories are too deep", cl_shown(l->c, dir));
	const char *why = git_list(l, root, at, depth);
	if (why)
		die_git(l->c, cl_shown(l->c, dir), why);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void walk(struct list *l, const char *root, const char *at, int depth)
{
	DIR *dir = opendir(cl_print(l->c, "%s/%s", root, at));
	struct list names = { .c = l->c };

	if (!dir)
		cl_die(l->c, "read %s/%s: %s", root, at, strerror(errno));
	if (depth > DEPTH_MAX)
		cl_die(l->c, "%s/%s: directories are too deep", root, at);
	for (const struct dirent *e; (e = readdir(dir));)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
			!(l->leaves_git && strcmp(e->d_name, ".git") == 0))
			list_add(&names, e->d_name);
	closedir(dir);
	if (names.n)
		qsort(names.v, names.n, sizeof(*names.v), by_name);
	for (size_t i = 0; i < names.n; i++) {
		const char *path = cl_print(l->c, "%s%s%s", at, *at ? "/" : "", names.v[i]);
		const char *from = cl_print(l->c, "%s/%s", root, path);
		struct stat st;

		if (lstat(from, &st) < 0)
			continue;
		list_add(l, path);
		if (S_ISDIR(st.st_mode) && l->asks_git && has_git(l->c, from))
			repository_walk(l, root, path, depth + 1);
		else if (S_ISDIR(st.st_mode))
			walk(l, root, path, depth + 1);
	}
}

/* False: git leaves nothing over, and the list is of all but .git. */
static bool files_find(struct list *l, const char *root, bool has_ignore)
{
	l->asks_git = l->leaves_git = has_ignore;
	const char *why = has_ignore ? git_list(l, root, "", 0) : "not asked";
	if (why && has_ignore && is_in_repository(l->c, root))
		die_git(l->c, cl_shown(l->c, root), why);
	const bool is_empty = !why && !l->n;
	if (is_empty)
		l->asks_git = false;
	if (why || is_empty)
		walk(l, root, "", 0);
	return !is_empty;
}

/* Before something is made that would be of no use without it. */
void cl_upload_check(struct cl *c, const char *local, bool has_ignore)
{
	struct list l = { .c = c };
	struct stat st;

	if (access(local, R_OK) < 0 || stat(local, &st) < 0)
		cl_die(c, "%s: %s", cl_shown(c, local), strerror(errno));
	if (has_ignore && S_ISDIR(st.st_mode))
		(void)files_find(&l, local, has_ignore);
}

static void files_choose(struct list *l, const char *root, const char *shown, bool has_ignore)
{
	if (!files_find(l, root, has_ignore))
		cl_note(l->c,
			"! .gitignore filtering excluded all files in %s; uploading unfiltered",
			shown);
	else if (l->skipped)
		cl_note(l->c,
			"! %zu ignored by git and left out of %s; --no-git-ignore uploads them",
			l->skipped, shown);
}

/* ---- the archive, as it is sent ---- */

struct sending {
	struct cl *c;
	const char *root, *name;
	struct list list;
	struct list shut; /* directories that nothing could be put into: open until all is there */
	size_t at;
	int fd; /* of the file that is being sent, or -1 */
	uint64_t left, size;
	bool has_root, is_ended;
};

/* opened: what a directory may be on top, so that something can be put into it; 0: when all is there. */
static void entry_begin(struct sending *s, const char *path, uint32_t opened, struct cv_buf *b)
{
	const char *from = *path ? cl_print(s->c, "%s/%s", s->root, path) : s->root;
	char link[PATH_MAX];
	struct stat st;
	struct cl_tar_entry e = { .type = CL_TAR_FILE };

	if (lstat(from, &st) < 0 || (!*path && stat(from, &st) < 0))
		return; /* gone meanwhile */
	e.name = cv_str_of(*path ? cl_print(s->c, "%s/%s", s->name, path) : s->name);
	e.mode = (uint32_t)(st.st_mode & 0777);
	e.mtime_s = st.st_mtim.tv_sec;
	if (S_ISLNK(st.st_mode)) {
		const ssize_t n = readlink(from, link, sizeof(link));

		if (n <= 0 || n == (ssize_t)sizeof(link))
			return;
		e.type = CL_TAR_LINK;
		e.link = (struct cv_str){ link, (size_t)n };
	} else if (S_ISDIR(st.st_mode)) {
		e.type = CL_TAR_DIR;
		if (*path && (e.mode | opened) != e.mode)
			list_add(&s->shut, path);
		e.mode |= opened;
	} else if (S_ISREG(st.st_mode)) {
		s->fd = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (s->fd < 0 || fstat(s->fd, &st) < 0)
			cl_die(s->c, "read %s: %s", from, strerror(errno));
		e.size = s->size = s->left = (uint64_t)st.st_size;
	} else {
		cl_note(s->c, "! %s is no file, directory or link, and was left out",
			cl_shown(s->c, from));
		return;
	}
	cl_tar_head(b, &e);
}

static void file_send(struct sending *s, struct cv_buf *b)
{
	const size_t want = (size_t)CV_MIN(s->left, FED_BYTES);
	char *room = want ? cv_buf_reserve(b, want) : NULL;
	const ssize_t n = room ? read(s->fd, room, want) : 0;

	if (want && n <= 0)
		cl_die(s->c, "read: %s", n < 0 ? strerror(errno) : "a file became shorter");
	cv_buf_commit(b, (size_t)n);
	s->left -= (uint64_t)n;
	if (s->left)
		return;
	cl_tar_pad(b, s->size);
	close(s->fd);
	s->fd = -1;
}

static bool archive_feed(void *arg, struct cv_buf *b)
{
	struct sending *s = arg;

	while (cv_buf_len(b) < FED_BYTES && !s->is_ended) {
		if (s->fd >= 0) {
			file_send(s, b);
		} else if (!s->has_root) {
			s->has_root = true;
			entry_begin(s, "", 0700, b);
		} else if (s->at < s->list.n) {
			entry_begin(s, s->list.v[s->at++], 0700, b);
		} else if (s->shut.n) { /* what is in one before it */
			entry_begin(s, s->shut.v[--s->shut.n], 0, b);
		} else {
			cl_tar_end(b);
			s->is_ended = true;
		}
	}
	return !s->is_ended;
}

static bool file_feed(void *arg, struct cv_buf *b)
{
	struct sending *s = arg;
	const size_t want = (size_t)CV_MIN(s->left, FED_BYTES);
	char *room = want ? cv_buf_reserve(b, want) : NULL;
	const ssize_t n = room ? read(s->fd, room, want) : 0;

	if (want && n <= 0)
		cl_die(s->c, "read: %s", n < 0 ? strerror(errno) : "the file became shorter");
	if (n > 0)
		cv_buf_commit(b, (size_t)n);
	s->left -= (uint64_t)n;
	return s->left > 0;
}

/* ---- what runs there: it ends by a signal when we are lost, and takes along what is not whole ---- */

/* $1 place, $2 name, $3 mode, $4 bytes */
static const char file_script[] =
	"set -e\n" CL_TOOLS_SPEAK "d=$1\n"
	"case $d in */) d=$d$2 ;; *) [ ! -d \"$d\" ] || d=$d/$2 ;; esac\n"
	"case $d in */*) p=${d%/*} ;; *) p=. ;; esac\n"
	"[ -n \"$p\" ] || p=/\n"
	"mkdir -p -- \"$p\"\n"
	"t=$(mktemp \"$p/.upload.XXXXXX\")\n"
	"trap 'rm -f -- \"$t\"' EXIT\n"
	"trap 'exit 1' HUP INT TERM\n"
	"cat >\"$t\"\n"
	"[ \"$(wc -c <\"$t\")\" -eq \"$4\" ] || { echo 'not all of the file arrived' >&2; exit 1; }\n"
	"chmod \"$3\" \"$t\"\n"
	"mv -f -- \"$t\" \"$d\"\n";

/* $1 directory, $2 name in it, $3 its mode: last, since one that is shut cannot be moved.  What shut
 * directories are there from before is opened; those that come again are shut again. */
static const char directory_script[] =
	"set -e\n" CL_TOOLS_SPEAK "mkdir -p -- \"$1\"\n"
	"if [ -e \"$1/$2\" ]; then\n"
	"  find \"$1/$2\" -type d ! -perm -700 -exec chmod u+rwx {} \\; 2>/dev/null || :\n"
	"  tar -x -o -p -f - -C \"$1\"\n"
	"  exec chmod -- \"$3\" \"$1/$2\"\n"
	"fi\n"
	"t=$(mktemp -d \"$1/.upload.XXXXXX\")\n"
	"trap 'rm -rf -- \"$t\"' EXIT\n"
	"trap 'exit 1' HUP INT TERM\n"
	"tar -x -o -p -f - -C \"$t\"\n"
	"mv -- \"$t/$2\" \"$1/$2\"\n"
	"chmod -- \"$3\" \"$1/$2\"\n";

static void discard(void *arg, struct cv_str bytes)
{
	(void)arg;
	(void)bytes;
}

/* What tools said, with the name that the person knows for the one that is beside its place.  In a
 * directory of ours that is its inner part alone. */
static struct cv_str names_put_back(struct cl *c, struct cv_str said, const char *name)
{
	const struct cv_str ours = CV_STR("/.upload.");
	const size_t n = ours.n + 6; /* mktemp's X */
	struct cv_buf b;

	cv_buf_init(&b, 2 * REPLY_BYTES_MAX);
	while (said.n) {
		const char *found = memmem(said.p, said.n, ours.p, ours.n);
		const size_t at = found ? (size_t)(found - said.p) : said.n;

		cv_buf_put(&b, cv_str_slice(said, 0, at));
		said = cv_str_slice(said, CV_MIN(at + n, said.n), said.n);
		if (found && !cv_str_has_prefix(said, CV_STR("/")))
			cv_buf_printf(&b, "/%s", name);
	}
	const struct cv_str ret = cv_arena_str(&c->arena, cv_buf_str(&b));
	cv_buf_fini(&b);
	return ret;
}

static void run_there(struct cl *c, struct cl_exec *e, const char *shown, const char *name)
{
	struct cv_buf err;

	cv_buf_init(&err, REPLY_BYTES_MAX);
	e->err = &err;
	e->out = discard;
	const int status = cl_exec(c, e);
	if (status)
		cl_die(c, "upload of %s failed: %s", shown,
			cl_tools_said(c, names_put_back(c, cv_buf_str(&err), name), status));
	cv_buf_fini(&err);
}

static const char *name_of(struct cl *c, const char *local)
{
	char real[PATH_MAX];
	struct cv_str s = cv_str_of(local);

	while (s.n > 1 && s.p[s.n - 1] == '/')
		s.n--;
	const size_t slash = cv_str_rfind_byte(s, '/');
	struct cv_str name = slash < s.n ? cv_str_slice(s, slash + 1, s.n) : s;
	if (cv_str_eq(name, CV_STR(".")) || cv_str_eq(name, CV_STR("..")) || !name.n) {
		if (!realpath(local, real))
			cl_die(c, "%s: %s", local, strerror(errno));
		name = cv_str_of(strrchr(real, '/') + 1);
		if (!name.n)
			cl_die(c, "the root directory has no name to upload it under");
		return cl_print(c, "%.*s", CV_STR_ARG(name));
	}
	return cl_print(c, "%.*s", CV_STR_ARG(name));
}

void cl_upload(struct cl *c, const char *id, const char *local, const char *dest, bool has_ignore)
{
	struct sending s = {
		.c = c, .root = local, .fd = -1, .list = { .c = c }, .shut = { .c = c }
	};
	const char *shown = cl_shown(c, local);
	struct stat st;

	if (stat(local, &st) < 0)
		cl_die(c, "%s: %s", shown, strerror(errno));
	if (!dest || !*dest)
		dest = "/sandbox/";
	s.name = name_of(c, local);
	cl_note(c, "Uploading %s -> sandbox:%s", shown, cl_shown(c, dest));
	if (S_ISDIR(st.st_mode)) {
		const char *const argv[] = { "/bin/sh", "-c", directory_script, "sh", dest, s.name,
			cl_print(c, "%o", st.st_mode & 0777) };
		struct cl_exec e = { .id = id,
			.argv = argv,
			.argc = CV_ARRAY_LEN(argv),
			.feed = archive_feed,
			.arg = &s };

		files_choose(&s.list, local, shown, has_ignore);
		run_there(c, &e, shown, s.name);
	} else if (S_ISREG(st.st_mode)) {
		s.fd = open(local, O_RDONLY | O_CLOEXEC);
		if (s.fd < 0 || fstat(s.fd, &st) < 0)
			cl_die(c, "%s: %s", shown, strerror(errno));
		s.left = (uint64_t)st.st_size;
		const char *const argv[] = { "/bin/sh", "-c", file_script, "sh", dest, s.name,
			cl_print(c, "%o", st.st_mode & 0777),
			cl_print(c, "%llu", (unsigned long long)s.left) };
		struct cl_exec e = { .id = id,
			.argv = argv,
			.argc = CV_ARRAY_LEN(argv),
			.feed = file_feed,
			.arg = &s };

		run_there(c, &e, shown, s.name);
		close(s.fd);
	} else {
		cl_die(c, "%s is neither a file nor a directory", shown);
	}
	cl_note(c, "✓ Upload complete");
}

int cl_run_sandbox_upload(struct cl *c)
{
	const Openshell__V1__Sandbox *s = cl_sandbox_of(c, cl_arg(&c->w, 0), true);

	cl_upload(c, s->metadata->id, cl_arg(&c->w, 1), cl_arg(&c->w, 2),
		!cl_has(&c->w, "no-git-ignore"));
	return 0;
}
