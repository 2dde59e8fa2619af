/* SPDX-License-Identifier: Apache-2.0 */
/*
 * repo_work.c - a clone, from the server to the sandbox
 *
 *     ls-remote    which branch, tag or commit is meant
 *     fetch        that alone, into an empty repository: one pack, every object of it checked
 *     ls-tree      what it would become: files, bytes, names
 *     checkout
 *     scan         repo_scan.c; a finding that is `high` ends it here
 *     config       written anew: the remote's URL, without a credential
 *     deliver      beside dest, then there at a stroke
 *
 * All of this waits for git and the disk, so it is a process of its own, under a shepherd that ends it
 * with whatever git started.  It has the broker's rights until the sandbox's files are touched; then it
 * gives up what the sandbox's user does not have.
 */
#include "broker/repo_int.h"

#include "base/utf8.h"
#include "broker/worker.h"
#include "sys/caps.h"
#include "sys/fd.h"
#include "wire/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* ---- what it says ---- */

static struct cv_buf said; /* git's stderr */

static int write_out(const struct cv_buf *b)
{
	struct cv_str s = cv_buf_str(b);

	while (s.n) {
		const ssize_t n = write(1, s.p, s.n);

		if (n < 0 && errno != EINTR)
			return 1;
		s = cv_str_slice(s, n > 0 ? (size_t)n : 0, s.n);
	}
	return 0;
}

static void member_put(struct cv_buf *b, const char *key, struct cv_str value)
{
	cv_buf_printf(b, ",\"%s\":\"", key);
	cv_buf_put_json(b, value);
	cv_buf_put_byte(b, '"');
}

static int say(const struct repo_work *w, int status, const char *code, const char *word,
	const char *detail)
{
	struct cv_buf b;

	cv_buf_init(&b, REPO_RESULT_BYTES_MAX);
	cv_buf_printf(&b, "%d %s\n%s\n\"status\":\"%s\"", status, code, detail, word);
	member_put(&b, "repo", w->repo);
	if (w->target.name.n)
		member_put(&b, "ref", w->target.name);
	if (w->commit[0])
		member_put(&b, "commit", cv_str_of(w->commit));
	if (w->dest.n && status == 200)
		member_put(&b, "dest", w->dest);
	if (w->entry_count)
		cv_buf_printf(&b, ",\"files\":%zu,\"bytes\":%llu", w->entry_count,
			(unsigned long long)w->bytes);
	cv_buf_put(&b, CV_STR(",\"findings\":["));
	cv_buf_put(&b, cv_buf_str(&w->findings.json));
	cv_buf_put(&b, CV_STR("]"));
	if (w->findings.dropped)
		cv_buf_printf(&b, ",\"findings_left_out\":%zu", w->findings.dropped);
	return write_out(&b);
}

/* One line of it, as a person can read it. */
CV_PRINTF(4, 5)
static int refuse(const struct repo_work *w, int status, const char *code, const char *fmt, ...)
{
	char detail[512];
	va_list ap;

	va_start(ap, fmt);
	worker_detail(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	return say(w, status, code, status == 422 ? "rejected" : "failed", detail);
}

/* ---- git ---- */

static bool said_has(const char *text)
{
	const struct cv_str s = cv_buf_str(&said);

	return s.n && memmem(s.p, s.n, text, strlen(text)) != NULL;
}

/* The line of git's that says most: the last "fatal:" or "error:". */
static struct cv_str said_line(void)
{
	struct cv_str rest = cv_buf_str(&said), found = CV_STR("it said nothing");

	while (rest.p) {
		const struct cv_str line = cv_str_cut(&rest, '\n');

		if (cv_str_has_prefix(line, CV_STR("fatal: ")) ||
			cv_str_has_prefix(line, CV_STR("error: ")))
			found = line;
	}
	return cv_str_slice(found, 0, CV_MIN(found.n, (size_t)300));
}

static int fail_git(struct repo_work *w, enum repo_git_end end, const char *what)
{
	static const char *const missing[] = { "not found", "Authentication failed",
		"could not read Username", "The requested URL returned error: 401",
		"The requested URL returned error: 403", "The requested URL returned error: 404" };

	if (end == REPO_GIT_LARGE || said_has("File too large") || said_has("file too large"))
		return refuse(w, 413, "repo_too_large", "%s: more than %llu bytes", what,
			(unsigned long long)w->tool->bytes_max);
	if (end == REPO_GIT_BROKEN)
		return refuse(w, 502, "backend_failed", "git can't be run");
	if (said_has("fsck error")) {
		cv_repo_finding(&w->findings, CV_STR_NONE, CV_REPO_HIGH,
			said_has("hasDotgit")    ? "a tree with a .git of its own"
			: said_has("hasDotdot")  ? "a tree that leads out of the repository"
			: said_has("gitmodules") ? "a .gitmodules that git refuses"
						 : "an object that git refuses");
		return refuse(w, 422, "repo_rejected", "git refuses what the repository holds");
	}
	for (size_t i = 0; i < CV_ARRAY_LEN(missing); i++)
		if (said_has(missing[i]))
			return refuse(w, 404, "repo_not_found",
				"there is no repository %.*s, or it may not be read",
				CV_STR_ARG(w->repo));
	return refuse(w, 502, "backend_failed", "git %s: %.*s", what, CV_STR_ARG(said_line()));
}

#define ARGV(...)                 \
	(const char *const[])     \
	{                         \
		__VA_ARGS__, NULL \
	}

static enum repo_git_end git(const struct repo_work *w, const char *const *argv, struct cv_buf *out)
{
	return repo_git(w, &(struct repo_git){ .argv = argv, .out = out }, &said);
}

static void tell(const char *step)
{
	fprintf(stderr, "%s\n", step);
}

/* ---- steps; -1: go on, else the exit status ---- */

static int prepare(struct repo_work *w)
{
	char path[PATH_MAX + 16];
	const struct repo_git init = { .argv = ARGV("init", "--quiet", "--template=", "clone"),
		.is_outside = true };

	snprintf(path, sizeof(path), "%s/home", w->dir);
	if (mkdir(path, 0700) < 0)
		return refuse(w, 502, "backend_failed", "mkdir: %s", strerror(errno));
	if (w->roots.n) {
		snprintf(path, sizeof(path), "%s/roots.pem", w->dir);
		CV_AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

		if (fd < 0 || write(fd, w->roots.p, w->roots.n) != (ssize_t)w->roots.n)
			return refuse(w, 502, "backend_failed", "roots: %s", strerror(errno));
	}
	const enum repo_git_end end = repo_git(w, &init, &said);
	return end == REPO_GIT_OK ? -1 : fail_git(w, end, "init");
}

static const char *text(struct cv_buf *b) /* with a NUL behind */
{
	cv_buf_put_byte(b, 0);
	return cv_buf_str(b).p;
}

static int find(struct repo_work *w, const char *url, struct cv_buf *refs)
{
	char head[CV_REPO_REF_BYTES_MAX + 16], tag[CV_REPO_REF_BYTES_MAX + 16];
	const struct cv_str branch =
		cv_str_has_prefix(w->ref, CV_STR("refs/")) ? w->ref : CV_STR_NONE;

	if (branch.n) {
		snprintf(head, sizeof(head), "%.*s", CV_STR_ARG(branch));
		snprintf(tag, sizeof(tag), "%.*s", CV_STR_ARG(branch));
	} else {
		snprintf(head, sizeof(head), "refs/heads/%.*s", CV_STR_ARG(w->ref));
		snprintf(tag, sizeof(tag), "refs/tags/%.*s", CV_STR_ARG(w->ref));
	}
	const struct repo_git g = {
		.argv = ARGV("ls-remote", "--quiet", "--symref", "--", url, "HEAD", head, tag),
		.is_network = true,
		.out = refs,
	};
	const enum repo_git_end end = repo_git(w, &g, &said);
	if (end != REPO_GIT_OK)
		return fail_git(w, end, "ls-remote");
	if (!cv_repo_target_find(cv_buf_str(refs), w->ref, &w->target))
		return w->ref.n ? refuse(w, 404, "ref_not_found",
					  "%.*s has neither a branch nor a tag %.*s",
					  CV_STR_ARG(w->repo), CV_STR_ARG(w->ref))
				: refuse(w, 404, "ref_not_found", "%.*s has no default branch",
					  CV_STR_ARG(w->repo));
	return -1;
}

#define LOCAL_BYTES   (CV_REPO_REF_BYTES_MAX + 32)
#define REFSPEC_BYTES (2 * LOCAL_BYTES)

/* Where it is put: what a clone would have. */
static void refspec_make(
	const struct repo_work *w, char refspec[REFSPEC_BYTES], char local[LOCAL_BYTES])
{
	const int n = (int)CV_MIN(w->target.name.n, (size_t)CV_REPO_REF_BYTES_MAX);
	const char *name = w->target.name.p;

	switch (w->target.kind) {
	case CV_REPO_BRANCH:
		snprintf(local, LOCAL_BYTES, "refs/remotes/origin/%.*s", n, name);
		snprintf(refspec, REFSPEC_BYTES, "+refs/heads/%.*s:refs/remotes/origin/%.*s", n,
			name, n, name);
		return;
	case CV_REPO_TAG:
		snprintf(local, LOCAL_BYTES, "refs/tags/%.*s", n, name);
		snprintf(
			refspec, REFSPEC_BYTES, "+refs/tags/%.*s:refs/tags/%.*s", n, name, n, name);
		return;
	case CV_REPO_COMMIT:
		snprintf(local, LOCAL_BYTES, "refs/cove/commit");
		snprintf(refspec, REFSPEC_BYTES, "+%.*s:refs/cove/commit", n, name);
		return;
	}
}

static int fetch(struct repo_work *w, const char *url)
{
	char refspec[REFSPEC_BYTES], local[LOCAL_BYTES], peeled[LOCAL_BYTES + 16], depth[32];
	struct cv_buf out;

	refspec_make(w, refspec, local);
	snprintf(depth, sizeof(depth), "--depth=%u", w->depth ? w->depth : INT32_MAX);
	const struct repo_git g = {
		.argv = ARGV("fetch", "--quiet", "--no-tags", "--no-recurse-submodules",
			"--no-write-fetch-head", "--no-auto-maintenance", depth, "--", url,
			refspec),
		.is_network = true,
	};
	enum repo_git_end end = repo_git(w, &g, &said);
	if (end != REPO_GIT_OK)
		return fail_git(w, end, "fetch");
	cv_buf_init(&out, 256);
	snprintf(peeled, sizeof(peeled), "%s^{commit}", local);
	end = git(w, ARGV("rev-parse", "--verify", "--quiet", "--end-of-options", peeled), &out);
	const struct cv_str commit = cv_str_slice(cv_buf_str(&out), 0, cv_buf_len(&out) - 1);
	const bool is_good = end == REPO_GIT_OK && commit.n >= 40 &&
			     cv_str_to_cstr(commit, w->commit, sizeof(w->commit));
	cv_buf_fini(&out);
	return is_good ? -1
		       : refuse(w, 404, "ref_not_found", "%.*s is not a commit",
				 CV_STR_ARG(w->target.name));
}

static int look_first(struct repo_work *w)
{
	struct cv_err err;

	cv_buf_init(&w->listing, REPO_LISTING_BYTES_MAX);
	const enum repo_git_end end =
		git(w, ARGV("ls-tree", "-r", "-l", "-z", "--full-tree", w->commit), &w->listing);
	if (end == REPO_GIT_LARGE)
		return refuse(w, 413, "repo_too_large", "more files than can be listed");
	if (end != REPO_GIT_OK)
		return fail_git(w, end, "ls-tree");
	if (repo_scan_listing(w, &err) == CV_OK)
		return -1;
	return err.code == CV_LIMIT ? refuse(w, 413, "repo_too_large", "%s", err.msg)
				    : refuse(w, 502, "backend_failed", "%s", err.msg);
}

static int rejected(const struct repo_work *w)
{
	return refuse(
		w, 422, "repo_rejected", "it holds what could harm whoever opens it; see findings");
}

static int check_out(struct repo_work *w)
{
	char branch[CV_REPO_REF_BYTES_MAX + 1];
	enum repo_git_end end;

	snprintf(branch, sizeof(branch), "%.*s", CV_STR_ARG(w->target.name));
	if (w->target.kind == CV_REPO_BRANCH)
		end = git(w,
			ARGV("checkout", "--quiet", "--force", "--no-track", "-B", branch,
				w->commit, "--"),
			NULL);
	else
		end = git(w, ARGV("checkout", "--quiet", "--force", "--detach", w->commit, "--"),
			NULL);
	if (end == REPO_GIT_OK && w->target.kind == CV_REPO_COMMIT)
		end = git(w, ARGV("update-ref", "-d", "refs/cove/commit"), NULL);
	return end == REPO_GIT_OK ? -1 : fail_git(w, end, "checkout");
}

/* A name of ours stands as it is: no quotes, no backslashes, no ends of line (repo.h). */
static int config_write(const struct repo_work *w, const char *url)
{
	const struct cv_str n = w->target.name;
	char path[PATH_MAX + 32];
	struct cv_buf b;

	cv_buf_init(&b, 16384);
	cv_buf_printf(&b,
		"[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n"
		"\tlogallrefupdates = true\n[remote \"origin\"]\n\turl = %s\n\tfetch = ",
		url);
	if (w->target.kind == CV_REPO_BRANCH)
		cv_buf_printf(&b,
			"+refs/heads/%.*s:refs/remotes/origin/%.*s\n[branch \"%.*s\"]\n"
			"\tremote = origin\n\tmerge = refs/heads/%.*s\n",
			CV_STR_ARG(n), CV_STR_ARG(n), CV_STR_ARG(n), CV_STR_ARG(n));
	else
		cv_buf_printf(&b, "+refs/heads/*:refs/remotes/origin/*\n");
	snprintf(path, sizeof(path), "%s/clone/.git/config", w->dir);
	CV_AUTO_FD int fd = open(path, O_WRONLY | O_TRUNC | O_NOFOLLOW | O_CLOEXEC);
	const struct cv_str s = cv_buf_str(&b);
	const bool is_written = fd >= 0 && !b.is_overflown && write(fd, s.p, s.n) == (ssize_t)s.n;
	cv_buf_fini(&b);
	return is_written ? -1 : refuse(w, 502, "backend_failed", "config: %s", strerror(errno));
}

static int deliver(struct repo_work *w)
{
	const struct cv_copy_limits limits = { 2 * w->tool->bytes_max + (64u << 20),
		2 * w->tool->files_max + REPO_OWN_FILES };
	char path[PATH_MAX + 8], dest[CV_COPY_NAME_MAX];
	struct cv_copy_count count;
	struct cv_err err;

	snprintf(path, sizeof(path), "%s/clone", w->dir);
	CV_AUTO_FD int from = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (from < 0 || !cv_str_to_cstr(w->dest, dest, sizeof(dest)))
		return refuse(w, 502, "backend_failed", "the clone: %s", strerror(errno));
	if (cv_caps_drop_own(&err) == CV_OK &&
		cv_copy_tree_out(from, SPAWN_KEEP_FD, dest, &limits, &count, &err) == CV_OK)
		return -1;
	if (err.code == CV_DENIED || err.code == CV_NOT_FOUND)
		return refuse(w, 409, "dest_refused", "dest: %s", err.msg);
	if (err.code == CV_LIMIT)
		return refuse(w, 413, "repo_too_large", "%s", err.msg);
	return refuse(w, 502, "backend_failed", "dest: %s", err.msg);
}

/* ---- all of it ---- */

static int work(struct repo_work *w)
{
	struct cv_buf refs;
	struct cv_err err;
	int rc;

	cv_buf_init(&refs, REPO_REFS_BYTES_MAX); /* the target's name is in it */
	const char *url = text(&w->url);
	if ((rc = prepare(w)) >= 0)
		return rc;
	tell("asking for the repository");
	if ((rc = find(w, url, &refs)) >= 0)
		return rc;
	tell("fetching");
	if ((rc = fetch(w, url)) >= 0 || (rc = look_first(w)) >= 0)
		return rc;
	if (w->findings.has_high)
		return rejected(w); /* before any of it is written */
	tell("checking out");
	if ((rc = check_out(w)) >= 0)
		return rc;
	tell("scanning");
	if (repo_scan_files(w, &err) != CV_OK)
		return refuse(w, 502, "backend_failed", "%s", err.msg);
	if (w->findings.has_high)
		return rejected(w);
	if ((rc = config_write(w, url)) >= 0)
		return rc;
	if (w->dest.n)
		tell("delivering");
	if (w->dest.n && (rc = deliver(w)) >= 0)
		return rc;
	return say(w, 200, "ok", "completed", "");
}

int repo_run(const void *arg)
{
	static struct repo_work w; /* this process's own */

	w = *(const struct repo_work *)arg;
	cv_buf_init(&said, REPO_SAID_BYTES_MAX);
	cv_arena_init(&w.arena, REPO_LISTING_BYTES_MAX + (1ull << 30));
	cv_repo_findings_init(&w.findings);
	return work(&w);
}
