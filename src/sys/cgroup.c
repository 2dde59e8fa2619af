/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroup.c - looks at the host's cgroups, makes a group, kills and removes it; see cgroup.h
 *
 * v2: a group with processes of its own can't hand controllers to groups below it, so the place
 * for ours is searched from our own group upwards: the nearest directory that we may write and
 * that offers the most controllers.  Its cgroup.procs must be writable too, since moving a process
 * needs that of the common ancestor.  v1 has neither rule: a group goes below our own.
 */
#include "sys/cgroup.h"

#include "base/assert.h"
#include "base/buf.h"
#include "sys/fd.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#define PROC_BYTES_MAX   (1u << 20) /* mountinfo of a host with thousands of mounts */
#define NAME_BYTES_MAX   64
#define STALE_S_MIN      60 /* another pid namespace's process may have made its group just now */
#define CPU_PERIOD_US    100000 /* the kernel's own default */
#define CPU_QUOTA_US_MIN 1000   /* the kernel refuses less */
#define REMOVE_TRIES     200
#define REMOVE_PAUSE_NS  10000000L /* 200 of them are two seconds */
#define KILL_ROUNDS      20        /* a group that forks faster than that is frozen, or v2 */
#define DIRS_MAX         (CV_CGROUP_LIMIT_COUNT + 2)

struct cv_cgroup {
	char dir[DIRS_MAX][PATH_MAX]; /* different hierarchies of one group */
	size_t dir_count;
	char freezer[PATH_MAX]; /* the dir that freezes (v1), or empty */
	bool is_v2;             /* dir[0] is of v2 */
};

static const struct {
	const char *name, *words[CV_CGROUP_MEANS_COUNT];
} limit_row[CV_CGROUP_LIMIT_COUNT] = {
	[CV_CGROUP_MEMORY] = { "memory",
		{ "nothing", "RLIMIT_AS, which bounds each process by itself, not all together",
			"cgroup v1 memory.limit_in_bytes", "cgroup v2 memory.max" } },
	[CV_CGROUP_CPU] = { "cpu",
		{ "nothing", "nothing", "cgroup v1 cpu.cfs_quota_us", "cgroup v2 cpu.max" } },
	[CV_CGROUP_PIDS] = { "pids", { "nothing", "RLIMIT_NPROC, counted for the user namespace",
					     "cgroup v1 pids.max", "cgroup v2 pids.max" } },
};

const char *cv_cgroup_limit_name(enum cv_cgroup_limit limit)
{
	cv_assert(limit < CV_CGROUP_LIMIT_COUNT);
	return limit_row[limit].name;
}

const char *cv_cgroup_means_name(enum cv_cgroup_means means)
{
	static const char *const name[CV_CGROUP_MEANS_COUNT] = { "none", "rlimit", "cgroup v1",
		"cgroup v2" };

	cv_assert(means < CV_CGROUP_MEANS_COUNT);
	return name[means];
}

const char *cv_cgroup_means_words(enum cv_cgroup_limit limit, enum cv_cgroup_means means)
{
	cv_assert(limit < CV_CGROUP_LIMIT_COUNT && means < CV_CGROUP_MEANS_COUNT);
	return limit_row[limit].words[means];
}

const char *cv_cgroup_remedy(void)
{
	return "systemd-run --user --scope -p Delegate=yes cove ...";
}

/* --- Files -------------------------------------------------------------------------------- */

/* The text of a small file of the kernel, appended to b. */
static bool file_read(const char *path, struct cv_buf *b)
{
	CV_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);

	for (;;) {
		char *room = fd < 0 ? NULL : cv_buf_reserve(b, 4096);
		const ssize_t n = room ? read(fd, room, 4096) : -1;

		if (n < 0)
			return false;
		if (n == 0)
			return true;
		cv_buf_commit(b, (size_t)n);
	}
}

static bool join(char to[PATH_MAX], const char *dir, const char *name)
{
	const int n = snprintf(to, PATH_MAX, "%s/%s", dir, name);

	return n > 0 && n < PATH_MAX;
}

static cv_code file_write(const char *dir, const char *name, const char *text, struct cv_err *err)
{
	char path[PATH_MAX];

	if (!join(path, dir, name))
		return cv_fail(err, CV_INVALID, "%s: path too long", dir);
	CV_AUTO_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return cv_fail_errno(err, "open %s", path);
	if (write(fd, text, strlen(text)) < 0)
		return cv_fail_errno(err, "write %s to %s", text, path);
	return CV_OK;
}

static bool may_write(const char *dir, const char *name)
{
	char path[PATH_MAX];

	return join(path, dir, name) && access(path, W_OK) == 0;
}

/* Whether the words of a file have this one. */
static bool file_has_word(const char *dir, const char *name, const char *word)
{
	char path[PATH_MAX];
	bool has = false;
	struct cv_buf b;

	cv_buf_init(&b, PROC_BYTES_MAX);
	if (join(path, dir, name) && file_read(path, &b)) {
		struct cv_str text = cv_buf_str(&b);

		text = cv_str_slice(text, 0, cv_str_find_byte(text, '\n'));
		while (text.p && !has)
			has = cv_str_eq(cv_str_cut(&text, ' '), cv_str_of(word));
	}
	cv_buf_fini(&b);
	return has;
}

/* --- The host ----------------------------------------------------------------------------- */

static bool is_empty(const char *dir, const char *name)
{
	char path[PATH_MAX];
	struct cv_buf b;

	cv_buf_init(&b, PROC_BYTES_MAX);
	const bool is = join(path, dir, name) && file_read(path, &b) && cv_buf_len(&b) == 0;
	cv_buf_fini(&b);
	return is;
}

/* A group below dir can have this controller. */
static bool v2_offers(const char *dir, const char *controller)
{
	char type[PATH_MAX];

	if (file_has_word(dir, "cgroup.subtree_control", controller))
		return true;
	if (!file_has_word(dir, "cgroup.controllers", controller) ||
		!may_write(dir, "cgroup.subtree_control"))
		return false;
	/* It can be switched on where no process is in the way; the root has no type, and may. */
	return is_empty(dir, "cgroup.procs") ||
	       (join(type, dir, "cgroup.type") && access(type, F_OK) < 0);
}

static void v2_look(const struct cv_cgroup_places *at, struct cv_cgroup_host *ret)
{
	char dir[PATH_MAX];
	int best = 0;

	memcpy(dir, at->v2, sizeof(dir));
	for (;;) {
		bool offers[CV_CGROUP_LIMIT_COUNT];
		int count = 0;

		for (int i = 0; i < CV_CGROUP_LIMIT_COUNT; i++) {
			offers[i] = access(dir, W_OK) == 0 && may_write(dir, "cgroup.procs") &&
				    v2_offers(dir, limit_row[i].name);
			count += offers[i];
		}
		if (count > best) {
			best = count;
			memcpy(ret->v2, dir, sizeof(dir));
			for (int i = 0; i < CV_CGROUP_LIMIT_COUNT; i++)
				ret->means[i] = offers[i] ? CV_CGROUP_V2 : CV_CGROUP_NONE;
		}
		char *slash = strrchr(dir, '/');
		if (!slash || strlen(dir) <= strlen(at->v2_mount))
			return;
		*slash = '\0';
	}
}

static bool v1_is_usable(const char *dir)
{
	return dir[0] && access(dir, W_OK) == 0 && may_write(dir, "cgroup.procs");
}

static void host_from(const struct cv_cgroup_places *at, struct cv_cgroup_host *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (at->v2[0])
		v2_look(at, ret);
	for (int i = 0; i < CV_CGROUP_LIMIT_COUNT; i++)
		if (ret->means[i] == CV_CGROUP_NONE && v1_is_usable(at->v1[i])) {
			ret->means[i] = CV_CGROUP_V1;
			memcpy(ret->v1[i], at->v1[i], PATH_MAX);
		}
	if (v1_is_usable(at->v1_freezer))
		memcpy(ret->v1_freezer, at->v1_freezer, PATH_MAX);
	if (ret->means[CV_CGROUP_MEMORY] == CV_CGROUP_NONE)
		ret->means[CV_CGROUP_MEMORY] = CV_CGROUP_RLIMIT;
	if (ret->means[CV_CGROUP_PIDS] == CV_CGROUP_NONE)
		ret->means[CV_CGROUP_PIDS] = CV_CGROUP_RLIMIT;
}

cv_code cv_cgroup_host_look(struct cv_cgroup_host *ret, struct cv_err *err)
{
	struct cv_cgroup_places *at = calloc(1, sizeof(*at));
	struct cv_buf cgroup, mounts;
	cv_code code = CV_OK;

	if (!at)
		return cv_fail(err, CV_SYSTEM, "out of memory");
	cv_buf_init(&cgroup, PROC_BYTES_MAX);
	cv_buf_init(&mounts, PROC_BYTES_MAX);
	if (!file_read("/proc/self/cgroup", &cgroup) ||
		!file_read("/proc/self/mountinfo", &mounts)) {
		code = cv_fail_errno(err, "read /proc/self/cgroup and mountinfo");
	} else {
		cv_cgroup_places_parse(cv_buf_str(&cgroup), cv_buf_str(&mounts), at);
		host_from(at, ret);
	}
	cv_buf_fini(&cgroup);
	cv_buf_fini(&mounts);
	free(at);
	return code;
}

/* --- Making a group ----------------------------------------------------------------------- */

static bool is_name(struct cv_str s)
{
	for (size_t i = 0; i < s.n; i++) {
		const char c = s.p[i], l = cv_ascii_lower(c);

		if (!(l >= 'a' && l <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_')
			return false;
	}
	return s.n > 0 && s.n <= NAME_BYTES_MAX;
}

/* Makes base/cove-NAME, or finds the one made a moment ago in the same hierarchy. */
static cv_code dir_make(struct cv_cgroup *cg, const char *base, struct cv_str name,
	const char **ret, struct cv_err *err)
{
	char *dir = cg->dir[cg->dir_count];

	cv_assert(cg->dir_count < DIRS_MAX);
	const int n = snprintf(dir, PATH_MAX, "%s/cove-%.*s", base, CV_STR_ARG(name));
	if (n < 0 || n >= PATH_MAX)
		return cv_fail(err, CV_INVALID, "%s: path too long", base);
	for (size_t i = 0; i < cg->dir_count; i++)
		if (strcmp(cg->dir[i], dir) == 0) {
			*ret = cg->dir[i];
			return CV_OK;
		}
	if (mkdir(dir, 0755) < 0)
		return cv_fail_errno(err, "mkdir %s", dir);
	cg->dir_count++;
	*ret = dir;
	return CV_OK;
}

static cv_code memory_set(const char *dir, bool is_v2, uint64_t bytes, struct cv_err *err)
{
	char text[24];
	struct cv_err ignored;

	snprintf(text, sizeof(text), "%llu", (unsigned long long)bytes);
	const cv_code code =
		file_write(dir, is_v2 ? "memory.max" : "memory.limit_in_bytes", text, err);
	/* Swap is memory too, where the kernel counts it. */
	if (code == CV_OK)
		(void)file_write(dir, is_v2 ? "memory.swap.max" : "memory.memsw.limit_in_bytes",
			is_v2 ? "0" : text, &ignored);
	return code;
}

static cv_code cpu_set(const char *dir, bool is_v2, uint32_t milli, struct cv_err *err)
{
	const uint64_t quota =
		CV_MAX((uint64_t)milli * (CPU_PERIOD_US / 1000), (uint64_t)CPU_QUOTA_US_MIN);
	char text[48];

	snprintf(text, sizeof(text), "%llu %d", (unsigned long long)quota, CPU_PERIOD_US);
	if (is_v2)
		return file_write(dir, "cpu.max", text, err);
	*strchr(text, ' ') = '\0';
	const cv_code code = file_write(dir, "cpu.cfs_period_us", "100000", err);
	return code != CV_OK ? code : file_write(dir, "cpu.cfs_quota_us", text, err);
}

static cv_code pids_set(const char *dir, uint32_t pids, struct cv_err *err)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", pids);
	return file_write(dir, "pids.max", text, err);
}

static cv_code limit_set(const char *dir, enum cv_cgroup_limit limit, bool is_v2,
	const struct cv_cgroup_limits *limits, struct cv_err *err)
{
	switch (limit) {
	case CV_CGROUP_MEMORY: return memory_set(dir, is_v2, limits->memory_bytes, err);
	case CV_CGROUP_CPU: return cpu_set(dir, is_v2, limits->cpu_milli, err);
	case CV_CGROUP_PIDS: return pids_set(dir, limits->pids, err);
	case CV_CGROUP_LIMIT_COUNT: break;
	}
	cv_unreachable();
}

static bool is_asked(const struct cv_cgroup_limits *limits, enum cv_cgroup_limit limit)
{
	switch (limit) {
	case CV_CGROUP_MEMORY: return limits->memory_bytes != 0;
	case CV_CGROUP_CPU: return limits->cpu_milli != 0;
	case CV_CGROUP_PIDS: return limits->pids != 0;
	case CV_CGROUP_LIMIT_COUNT: break;
	}
	cv_unreachable();
}

static cv_code limit_apply(struct cv_cgroup *cg, const struct cv_cgroup_host *host,
	enum cv_cgroup_limit limit, struct cv_str name, const struct cv_cgroup_limits *limits,
	struct cv_err *err)
{
	const char *controller = limit_row[limit].name, *dir;
	const bool is_v2 = host->means[limit] == CV_CGROUP_V2;
	char enable[16];

	if (host->means[limit] == CV_CGROUP_NONE)
		return cv_fail(err, CV_UNAVAILABLE,
			"no writable cgroup with the %s controller; run as root, or: %s",
			controller, cv_cgroup_remedy());
	if (host->means[limit] == CV_CGROUP_RLIMIT)
		return CV_OK; /* cv_cgroup_rlimits_set() */
	if (is_v2 && !file_has_word(host->v2, "cgroup.subtree_control", controller)) {
		snprintf(enable, sizeof(enable), "+%s", controller);
		if (file_write(host->v2, "cgroup.subtree_control", enable, err) != CV_OK)
			return err->code;
	}
	const cv_code code = dir_make(cg, is_v2 ? host->v2 : host->v1[limit], name, &dir, err);
	cg->is_v2 |= is_v2 && dir == cg->dir[0];
	return code != CV_OK ? code : limit_set(dir, limit, is_v2, limits, err);
}

static cv_code group_make(struct cv_cgroup *cg, const struct cv_cgroup_host *host,
	struct cv_str name, const struct cv_cgroup_limits *limits, struct cv_err *err)
{
	const char *freezer;

	/* v2 first: it is then dir[0], which can kill. */
	for (int turn = 0; turn < 2; turn++)
		for (int i = 0; i < CV_CGROUP_LIMIT_COUNT; i++) {
			if (!is_asked(limits, i) || (host->means[i] == CV_CGROUP_V2) != (turn == 0))
				continue;
			if (limit_apply(cg, host, i, name, limits, err) != CV_OK)
				return cv_wrap(err, "limit %s", limit_row[i].name);
		}
	if (!cg->dir_count || cg->is_v2 || !host->v1_freezer[0])
		return CV_OK;
	if (dir_make(cg, host->v1_freezer, name, &freezer, err) != CV_OK)
		return err->code;
	memcpy(cg->freezer, freezer, PATH_MAX);
	return CV_OK;
}

cv_code cv_cgroup_new(const struct cv_cgroup_host *host, struct cv_str name,
	const struct cv_cgroup_limits *limits, struct cv_cgroup **ret, struct cv_err *err)
{
	struct cv_err ignored;

	if (!is_name(name))
		return cv_fail(err, CV_INVALID, "not a name for a cgroup: %.*s", CV_STR_ARG(name));
	struct cv_cgroup *cg = calloc(1, sizeof(*cg));
	if (!cg)
		return cv_fail(err, CV_SYSTEM, "out of memory");
	const cv_code code = group_make(cg, host, name, limits, err);
	if (code != CV_OK) {
		(void)!cv_cgroup_remove(cg, &ignored);
		cv_cgroup_free(cg);
		return code;
	}
	*ret = cg;
	return CV_OK;
}

void cv_cgroup_free(struct cv_cgroup *cg)
{
	free(cg);
}

/* --- Using it ----------------------------------------------------------------------------- */

cv_code cv_cgroup_add(const struct cv_cgroup *cg, pid_t pid, struct cv_err *err)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", (int)pid);
	for (size_t i = 0; i < cg->dir_count; i++)
		if (file_write(cg->dir[i], "cgroup.procs", text, err) != CV_OK)
			return err->code;
	return CV_OK;
}

/* Signals each process that the list has now; false when there was none. */
static bool kill_listed(const char *dir)
{
	char path[PATH_MAX];
	bool was_any = false;
	struct cv_buf b;

	cv_buf_init(&b, PROC_BYTES_MAX);
	if (join(path, dir, "cgroup.procs") && file_read(path, &b)) {
		struct cv_str text = cv_buf_str(&b);
		uint64_t pid;

		while (text.p)
			if (cv_str_to_u64(cv_str_cut(&text, '\n'), INT_MAX, &pid) && pid > 0) {
				was_any = true;
				kill((pid_t)pid, SIGKILL);
			}
	}
	cv_buf_fini(&b);
	return was_any;
}

cv_code cv_cgroup_kill(const struct cv_cgroup *cg, struct cv_err *err)
{
	struct cv_err ignored;
	char path[PATH_MAX];

	if (!cg->dir_count)
		return CV_OK;
	if (cg->is_v2 && join(path, cg->dir[0], "cgroup.kill") && access(path, F_OK) == 0)
		return file_write(cg->dir[0], "cgroup.kill", "1", err);
	for (int i = 0; i < KILL_ROUNDS; i++)
		if (!kill_listed(cg->dir[0]))
			return CV_OK;
	if (!cg->freezer[0])
		return CV_OK;
	/* They fork faster than we read.  Frozen processes can't; the signal acts when they thaw.  Only
	 * now: whoever is killed between the two leaves a group that can't die. */
	if (file_write(cg->freezer, "freezer.state", "FROZEN", err) != CV_OK)
		return err->code;
	(void)kill_listed(cg->dir[0]);
	if (file_write(cg->freezer, "freezer.state", "THAWED", &ignored) != CV_OK) {
		*err = ignored;
		return cv_wrap(err, "the group stays frozen");
	}
	return CV_OK;
}

cv_code cv_cgroup_remove(const struct cv_cgroup *cg, struct cv_err *err)
{
	const struct timespec pause = { .tv_nsec = REMOVE_PAUSE_NS };
	cv_code code = CV_OK;

	for (size_t i = 0; i < cg->dir_count; i++) {
		int failed = rmdir(cg->dir[i]);

		for (int n = 0; failed && errno == EBUSY && n < REMOVE_TRIES; n++) {
			nanosleep(&pause, NULL);
			failed = rmdir(cg->dir[i]);
		}
		if (failed && errno != ENOENT) /* go on: leave as little behind as possible */
			code = cv_fail_errno(err, "rmdir %s", cg->dir[i]);
	}
	return code;
}

/* Whether dir/name is a group of ours, old enough, of a process that is gone. */
static bool is_stale(int dir, const char *name, time_t now)
{
	struct cv_str rest = cv_str_of(name);
	struct stat st;
	uint64_t n;

	return cv_str_eq(cv_str_cut(&rest, '-'), CV_STR("cove")) &&
	       cv_str_to_u64(cv_str_cut(&rest, '-'), INT_MAX, &n) && n > 0 &&
	       kill((pid_t)n, 0) < 0 && errno == ESRCH &&
	       fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) &&
	       now - st.st_mtime > STALE_S_MIN;
}

void cv_cgroup_sweep(const struct cv_cgroup *cg)
{
	const time_t now = time(NULL);

	for (size_t i = 0; i < cg->dir_count; i++) {
		const char *slash = strrchr(cg->dir[i], '/');
		char base[PATH_MAX];

		snprintf(base, sizeof(base), "%.*s", (int)(slash - cg->dir[i]), cg->dir[i]);
		DIR *d = opendir(base);
		for (const struct dirent *e; d && (e = readdir(d));)
			if (is_stale(dirfd(d), e->d_name, now))
				unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR);
		if (d)
			closedir(d);
	}
}

static cv_code rlimit_set(int what, uint64_t value, const char *name, struct cv_err *err)
{
	struct rlimit now;

	if (getrlimit(what, &now) < 0)
		return cv_fail_errno(err, "getrlimit %s", name);
	if (now.rlim_max != RLIM_INFINITY && now.rlim_max < value)
		value = now.rlim_max; /* already stricter */
	const struct rlimit both = { value, value };
	if (setrlimit(what, &both) < 0)
		return cv_fail_errno(err, "setrlimit %s", name);
	return CV_OK;
}

cv_code cv_cgroup_rlimits_set(const struct cv_cgroup_host *host,
	const struct cv_cgroup_limits *limits, struct cv_err *err)
{
	if (limits->memory_bytes && host->means[CV_CGROUP_MEMORY] == CV_CGROUP_RLIMIT &&
		rlimit_set(RLIMIT_AS, limits->memory_bytes, "RLIMIT_AS", err) != CV_OK)
		return err->code;
	if (limits->pids && host->means[CV_CGROUP_PIDS] == CV_CGROUP_RLIMIT &&
		rlimit_set(RLIMIT_NPROC, limits->pids, "RLIMIT_NPROC", err) != CV_OK)
		return err->code;
	return CV_OK;
}
