/* SPDX-License-Identifier: Apache-2.0 */
/*
 * build.c - a loop over the plan's operations and a table of handlers
 *
 * The first operation makes the new root and pivots into it at once, with the host's tree left
 * stacked on top where only a descriptor reaches it (b->host).  From then on every absolute path
 * means the sandbox, so a mistake writes into the sandbox and not into the host; sources are
 * opened beneath b->host with RESOLVE_IN_ROOT.  After SEAL the caller lets the host's tree go.
 *
 * Targets are created and mounted by descriptor of their parent directory, which is opened
 * without following any link: an image whose /dev, /etc or work directory is a symbolic link is
 * refused (ELOOP), it can't send us elsewhere.  Names under one parent come in runs, so the last
 * parent is kept open.
 *
 * Mounts are made detached, given their flags, and only then attached: there is no moment at
 * which something is visible and still writable.
 */
#include "supervisor/build.h"

#include "supervisor/limits.h"
#include "sys/fd.h"
#include "sys/openat2.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* glibc's <sys/mount.h> and <linux/mount.h> can't be included together in Debian 12. */
int mount(const char *source, const char *target, const char *type, unsigned long flags,
	const void *data);
int umount2(const char *target, int flags);
#define DETACH 2 /* MNT_DETACH */

/* Exists wherever the host's programs can be shared; covered only between mount and pivot. */
#define STAGE "/usr"

static int sys_open_tree(int dir, const char *path, unsigned flags)
{
	return (int)syscall(SYS_open_tree, dir, path, flags);
}

static int tree_set(int tree, uint64_t set, bool is_deep)
{
	const struct mount_attr attr = { .attr_set = set };

	return (int)syscall(SYS_mount_setattr, tree, "",
		AT_EMPTY_PATH | (is_deep ? AT_RECURSIVE : 0), &attr, sizeof(attr));
}

/* ---- targets ---- */

struct target {
	int dir; /* borrowed: the parent directory */
	char name[NAME_MAX + 1];
};

static void parent_forget(struct build *b)
{
	if (b->parent >= 0)
		close(b->parent);
	b->parent = -1;
	b->parent_path = CV_STR_NONE;
}

/* Opens dir (absolute, without ..), making what is missing; a link on the way is ELOOP. */
static int dirs_open(struct build *b, struct cv_str dir)
{
	char path[PATH_MAX];

	if (!cv_str_to_cstr(dir, path, sizeof(path))) {
		errno = ENAMETOOLONG;
		return -1;
	}
	const int whole = cv_openat2(
		b->root, path + 1, O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS | RESOLVE_IN_ROOT);
	if (whole >= 0 || errno != ENOENT)
		return whole;
	int at = dup(b->root);
	for (char *name = path + 1; at >= 0 && *name;) {
		char *end = name + strcspn(name, "/");
		const bool is_last = *end == '\0';

		*end = '\0';
		if (mkdirat(at, name, 0755) < 0 && errno != EEXIST) {
			close(at);
			return -1;
		}
		const int next = cv_openat2(
			at, name, O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH);
		close(at);
		at = next;
		name = is_last ? end : end + 1;
	}
	return at;
}

static int target_find(struct build *b, struct cv_str dst, struct target *ret)
{
	const size_t slash = cv_str_rfind_byte(dst, '/');
	const struct cv_str parent = cv_str_slice(dst, 0, slash);

	if (!cv_str_to_cstr(cv_str_slice(dst, slash + 1, dst.n), ret->name, sizeof(ret->name))) {
		errno = ENAMETOOLONG;
		return -1;
	}
	ret->dir = b->root;
	if (parent.n == 0)
		return 0;
	if (b->parent < 0 || !cv_str_eq(parent, b->parent_path)) {
		parent_forget(b);
		b->parent = dirs_open(b, parent);
		if (b->parent < 0)
			return -1;
		b->parent_path = parent;
	}
	ret->dir = b->parent;
	return 0;
}

/* After something was mounted at dst, what was opened beneath it is what lay below. */
static int mounted(struct build *b, struct cv_str dst, int result)
{
	if (cv_str_has_prefix(b->parent_path, dst))
		parent_forget(b);
	return result;
}

static int attach(struct build *b, int tree, const struct target *t, struct cv_str dst)
{
	return mounted(b, dst,
		(int)syscall(SYS_move_mount, tree, "", t->dir, t->name, MOVE_MOUNT_F_EMPTY_PATH));
}

/* A mount point that is as much a directory as the source is. */
static int point_make(const struct target *t, bool is_dir)
{
	if (is_dir)
		return mkdirat(t->dir, t->name, 0755) < 0 && errno != EEXIST ? -1 : 0;
	return mknodat(t->dir, t->name, S_IFREG | 0644, 0) < 0 && errno != EEXIST ? -1 : 0;
}

/* ---- the new root ---- */

static int host_open(struct build *b)
{
	b->host = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return b->host < 0 ? -1 : mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

/* The mount at path becomes /; the host's tree stays stacked on it, reached by b->host only. */
static int pivot(struct build *b, const char *path)
{
	if (chdir(path) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || chdir("/") < 0)
		return -1;
	b->root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (b->root < 0)
		return -1;
	b->layer = sys_open_tree(b->root, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	return b->layer < 0 ? -1 : 0;
}

static int op_root_memory(struct build *b, const struct cv_plan_op *op)
{
	if (host_open(b) < 0 ||
		mount("tmpfs", STAGE, "tmpfs", MS_NOSUID | MS_NODEV, op->text.p) < 0)
		return -1;
	return pivot(b, STAGE);
}

static int op_root_overlay(struct build *b, const struct cv_plan_op *op)
{
	/* By working directory: the lower path may hold the option string's own delimiters. */
	CV_AUTO_FD int lower = open(op->src.p, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (lower < 0 || host_open(b) < 0 ||
		mount("tmpfs", STAGE, "tmpfs", MS_NOSUID | MS_NODEV, op->text.p) < 0 ||
		mkdir(STAGE "/upper", 0755) < 0 || mkdir(STAGE "/work", 0755) < 0 ||
		mkdir(STAGE "/root", 0755) < 0 || fchdir(lower) < 0 ||
		mount("overlay", STAGE "/root", "overlay", MS_NOSUID | MS_NODEV,
			"lowerdir=.,upperdir=" STAGE "/upper,workdir=" STAGE
			"/work,userxattr") < 0 ||
		pivot(b, STAGE "/root") < 0)
		return -1;
	/* The stage would otherwise hide the host's own directory from sources. */
	if (fchdir(b->host) < 0 || umount2(&STAGE[1], DETACH) < 0)
		return -1;
	return chdir("/");
}

static int op_seal(struct build *b, const struct cv_plan_op *op)
{
	const uint64_t set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
			     (op->flags & CV_PLAN_READONLY ? MOUNT_ATTR_RDONLY : 0);

	parent_forget(b);
	return tree_set(b->root, set, false);
}

/* ---- plain files ---- */

static int op_dir(struct build *b, const struct cv_plan_op *op)
{
	struct target t;
	struct stat st;

	if (target_find(b, op->dst, &t) < 0)
		return -1;
	if (mkdirat(t.dir, t.name, op->arg) == 0)
		return 0;
	if (errno != EEXIST || fstatat(t.dir, t.name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	if (S_ISDIR(st.st_mode))
		return 0;
	errno = S_ISLNK(st.st_mode) ? ELOOP : ENOTDIR;
	return -1;
}

static int op_link(struct build *b, const struct cv_plan_op *op)
{
	struct target t;

	if (target_find(b, op->dst, &t) < 0)
		return -1;
	if (symlinkat(op->text.p, t.dir, t.name) < 0 && errno != EEXIST)
		return -1;
	return 0;
}

static int file_write(struct build *b, const struct cv_plan_op *op, struct cv_str text)
{
	struct target t;

	if (target_find(b, op->dst, &t) < 0)
		return -1;
	if ((op->flags & CV_PLAN_REPLACE) && b->plan->ops[0].type == CV_PLAN_ROOT_OVERLAY &&
		unlinkat(t.dir, t.name, 0) < 0 && errno != ENOENT)
		return -1;
	CV_AUTO_FD int fd =
		openat(t.dir, t.name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return errno == EEXIST && (op->flags & CV_PLAN_OPTIONAL) ? 0 : -1;
	while (text.n) {
		const ssize_t n = write(fd, text.p, text.n);
		if (n < 0)
			return -1;
		text = cv_str_slice(text, (size_t)n, text.n);
	}
	return 0;
}

static int op_file(struct build *b, const struct cv_plan_op *op)
{
	return file_write(b, op, op->text);
}

static int source_open(struct build *b, const struct cv_plan_op *op, int flags)
{
	return cv_openat2(b->host, op->src.p + 1, flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

static bool may_skip(const struct cv_plan_op *op)
{
	return (op->flags & CV_PLAN_OPTIONAL) && (errno == ENOENT || errno == EACCES);
}

static int op_copy(struct build *b, const struct cv_plan_op *op)
{
	static char text[SUP_COPY_BYTES_MAX];
	CV_AUTO_FD int fd = source_open(b, op, O_RDONLY | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return may_skip(op) ? 0 : -1;
	const ssize_t n = read(fd, text, sizeof(text));
	if (n < 0 || n == (ssize_t)sizeof(text)) {
		errno = n < 0 ? errno : EFBIG;
		return -1;
	}
	return file_write(b, op, (struct cv_str){ text, (size_t)n });
}

/* ---- mounts ---- */

static int bind(struct build *b, const struct cv_plan_op *op, uint64_t set)
{
	struct target t;
	struct stat st;
	CV_AUTO_FD int src = source_open(b, op, O_PATH);

	if (src < 0)
		return may_skip(op) ? 0 : -1;
	CV_AUTO_FD int tree = sys_open_tree(
		src, "", AT_EMPTY_PATH | AT_RECURSIVE | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0 || fstat(src, &st) < 0 || (set && tree_set(tree, set, true) < 0) ||
		target_find(b, op->dst, &t) < 0 || point_make(&t, S_ISDIR(st.st_mode)) < 0)
		return -1;
	return attach(b, tree, &t, op->dst);
}

static int op_bind(struct build *b, const struct cv_plan_op *op)
{
	return bind(b, op,
		MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
			(op->flags & CV_PLAN_READONLY ? MOUNT_ATTR_RDONLY : 0));
}

static int op_node(struct build *b, const struct cv_plan_op *op)
{
	struct target t;
	CV_AUTO_FD int tree = sys_open_tree(
		b->host, op->src.p + 1, AT_SYMLINK_NOFOLLOW | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (tree < 0)
		return may_skip(op) ? 0 : -1;
	if (tree_set(tree, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, false) < 0 ||
		target_find(b, op->dst, &t) < 0 || point_make(&t, false) < 0)
		return -1;
	return attach(b, tree, &t, op->dst);
}

/* A file of the sandbox itself over another one; skipped where that one is not. */
static int op_over(struct build *b, const struct cv_plan_op *op)
{
	struct target t;
	struct stat st;

	if (target_find(b, op->dst, &t) < 0 ||
		fstatat(t.dir, t.name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return may_skip(op) ? 0 : -1;
	CV_AUTO_FD int src =
		cv_openat2(b->root, op->src.p + 1, O_PATH, RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS);
	if (src < 0)
		return -1;
	CV_AUTO_FD int tree =
		sys_open_tree(src, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0 ||
		tree_set(tree, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, false) < 0)
		return -1;
	return attach(b, tree, &t, op->dst);
}

/* dst over itself: a mount of its own, which later flags of / don't touch. */
static int op_keep(struct build *b, const struct cv_plan_op *op)
{
	struct target t;

	if (target_find(b, op->dst, &t) < 0)
		return -1;
	CV_AUTO_FD int tree = sys_open_tree(t.dir, t.name,
		AT_SYMLINK_NOFOLLOW | AT_RECURSIVE | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0 && may_skip(op))
		return 0;
	if (tree < 0 ||
		((op->flags & CV_PLAN_READONLY) && tree_set(tree, MOUNT_ATTR_RDONLY, true) < 0))
		return -1;
	return attach(b, tree, &t, op->dst);
}

static int op_memory(struct build *b, const struct cv_plan_op *op)
{
	return mounted(
		b, op->dst, mount("tmpfs", op->dst.p, "tmpfs", MS_NOSUID | MS_NODEV, op->text.p));
}

/* Read-only as a whole, save for nested sandboxes: what programs write there (scores, names) they
 * can do without, and what remains is the machine's (sysctl, sysrq, irq). */
static int op_proc(struct build *b, const struct cv_plan_op *op)
{
	struct target t;

	/* The layer is attached where /proc is about to cover it: no path leads there any more, and
	 * it ends with the mount namespace.  A detached one would end with its last descriptor, and
	 * the supervisor's exit would wait for a grace period. */
	if (target_find(b, op->dst, &t) < 0 || attach(b, b->layer, &t, op->dst) < 0)
		return -1;
	return mounted(b, op->dst,
		mount("proc", op->dst.p, "proc",
			MS_NOSUID | MS_NODEV | MS_NOEXEC |
				(op->flags & CV_PLAN_READONLY ? MS_RDONLY : 0),
			NULL));
}

static int op_pts(struct build *b, const struct cv_plan_op *op)
{
	return mounted(b, op->dst,
		mount("devpts", op->dst.p, "devpts", MS_NOSUID | MS_NOEXEC,
			"newinstance,ptmxmode=0666,mode=620"));
}

static int op_mask(struct build *b, const struct cv_plan_op *op)
{
	struct target t;
	struct stat st;

	if (target_find(b, op->dst, &t) < 0)
		return -1;
	if (fstatat(t.dir, t.name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return may_skip(op) ? 0 : -1;
	if (S_ISDIR(st.st_mode))
		return mounted(b, op->dst,
			mount("tmpfs", op->dst.p, "tmpfs", MS_NOSUID | MS_NODEV | MS_RDONLY,
				"size=0,nr_inodes=1,mode=555"));
	CV_AUTO_FD int tree =
		sys_open_tree(b->host, "dev/null", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0 || tree_set(tree, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
				false) < 0)
		return -1;
	return attach(b, tree, &t, op->dst);
}

static int op_hostname(struct build *b, const struct cv_plan_op *op)
{
	(void)b;
	return sethostname(op->text.p, op->text.n);
}

/* The supervisor's, once it starts a proxy: it opens the file through the layer. */
static int op_log(struct build *b, const struct cv_plan_op *op)
{
	(void)b;
	(void)op;
	return 0;
}

typedef int op_handler(struct build *b, const struct cv_plan_op *op);

static op_handler *const handler[CV_PLAN_OP_COUNT] = {
	[CV_PLAN_ROOT_MEMORY] = op_root_memory,
	[CV_PLAN_ROOT_OVERLAY] = op_root_overlay,
	[CV_PLAN_MEMORY] = op_memory,
	[CV_PLAN_DIR] = op_dir,
	[CV_PLAN_LINK] = op_link,
	[CV_PLAN_FILE] = op_file,
	[CV_PLAN_COPY] = op_copy,
	[CV_PLAN_BIND] = op_bind,
	[CV_PLAN_OVER] = op_over,
	[CV_PLAN_KEEP] = op_keep,
	[CV_PLAN_PROC] = op_proc,
	[CV_PLAN_MASK] = op_mask,
	[CV_PLAN_NODE] = op_node,
	[CV_PLAN_PTS] = op_pts,
	[CV_PLAN_PROTECT] = op_keep,
	[CV_PLAN_LOG] = op_log,
	[CV_PLAN_HOSTNAME] = op_hostname,
	[CV_PLAN_SEAL] = op_seal,
};

/* A plan that begins or ends otherwise would work on the host's tree. */
static bool is_framed(const struct cv_plan *plan)
{
	if (plan->op_count < 2 || plan->ops[plan->op_count - 1].type != CV_PLAN_SEAL)
		return false;
	for (uint32_t i = 0; i < plan->op_count; i++) {
		const uint32_t type = plan->ops[i].type;
		const bool is_root = type == CV_PLAN_ROOT_MEMORY || type == CV_PLAN_ROOT_OVERLAY;

		if (is_root != (i == 0) || (type == CV_PLAN_SEAL) != (i == plan->op_count - 1))
			return false;
	}
	return true;
}

cv_code build_run(struct build *b, const struct cv_plan *plan, struct cv_err *err)
{
	*b = (struct build){ .plan = plan, .host = -1, .root = -1, .layer = -1, .parent = -1 };
	if (!is_framed(plan))
		return cv_fail(err, CV_PROTO, "the plan does not begin with a root and end sealed");
	umask(0);
	for (uint32_t i = 0; i < plan->op_count; i++) {
		const struct cv_plan_op *op = &plan->ops[i];

		if (handler[op->type](b, op) < 0)
			return cv_fail_errno(err, "%s %.*s%s%.*s", cv_plan_op_name(op->type),
				CV_STR_ARG(op->dst), op->src.n ? " from " : "",
				CV_STR_ARG(op->src));
	}
	return CV_OK;
}
