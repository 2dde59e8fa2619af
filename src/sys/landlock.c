/* SPDX-License-Identifier: Apache-2.0 */
/*
 * landlock.c - Landlock by raw system calls; see landlock.h
 *
 * Negotiation: wanted rights AND the rights of the ABI.  Each row of the table below says what an
 * ABI added; the mask of an ABI is the OR of the rows up to it.  A directory right on something
 * that is not a directory is EINVAL, so such rules keep the file rights only.
 */
#include "sys/landlock.h"

#include "sys/fd.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define NR_CREATE_RULESET 444
#define NR_ADD_RULE       445
#define NR_RESTRICT_SELF  446

#define CREATE_VERSION    (1u << 0)
#define CREATE_ERRATA     (1u << 1)
#define RULE_PATH         1
#define SCOPE_ABSTRACT    (1ull << 0)
#define SCOPE_SIGNAL      (1ull << 1)
#define NET_BIND          (1ull << 0)
#define NET_CONNECT       (1ull << 1)

enum {
	FS_EXECUTE = 1 << 0,
	FS_WRITE_FILE = 1 << 1,
	FS_READ_FILE = 1 << 2,
	FS_READ_DIR = 1 << 3,
	FS_REMOVE_TO_MAKE =
		0x1ff << 4, /* remove dir, file; make char, dir, reg, sock, fifo, block, sym */
	FS_REFER = 1 << 13,
	FS_TRUNCATE = 1 << 14,
	FS_IOCTL_DEV = 1 << 15,
	FS_OF_FILES = FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV,
};

struct ruleset_attr { /* landlock_ruleset_attr of ABI 6 */
	uint64_t fs, net, scoped;
};

struct path_attr {
	uint64_t access;
	int32_t parent;
} CV_PACKED;

static const struct {
	uint64_t fs, net, scoped;
	size_t attr_bytes;
} abi_row[CV_LANDLOCK_ABI_MAX + 1] = {
	[1] = { 0x1fff, 0, 0, 8 },
	[2] = { FS_REFER, 0, 0, 8 },
	[3] = { FS_TRUNCATE, 0, 0, 8 },
	[4] = { 0, NET_BIND | NET_CONNECT, 0, 16 },
	[5] = { FS_IOCTL_DEV, 0, 0, 16 },
	[6] = { 0, 0, SCOPE_ABSTRACT | SCOPE_SIGNAL, 24 },
	[7] = { 0, 0, 0, 24 },
};

static const uint64_t access_fs[CV_LANDLOCK_ACCESS_COUNT] = {
	[CV_LANDLOCK_READ] = FS_EXECUTE | FS_READ_FILE | FS_READ_DIR,
	[CV_LANDLOCK_WRITE] = 0xffff,
	[CV_LANDLOCK_DEVICE] =
		FS_READ_FILE | FS_WRITE_FILE | FS_READ_DIR | FS_IOCTL_DEV | FS_TRUNCATE,
	[CV_LANDLOCK_LIST] = FS_READ_DIR,
};

struct cv_landlock_caps cv_landlock_probe(void)
{
	const long abi = syscall(NR_CREATE_RULESET, NULL, 0, CREATE_VERSION);
	const long errata = syscall(NR_CREATE_RULESET, NULL, 0, CREATE_ERRATA);

	return (struct cv_landlock_caps){ .abi = abi > 0 ? (int)abi : 0,
		.errata = errata > 0 ? (unsigned)errata : 0 };
}

const char *cv_landlock_missing(int abi)
{
	static const char *const missing[] = {
		"everything: files, TCP ports, devices, abstract sockets, signals",
		"rename between directories, truncate, TCP ports, ioctl on devices, abstract sockets, signals",
		"truncate, TCP ports, ioctl on devices, abstract sockets, signals",
		"TCP ports, ioctl on devices, abstract sockets, signals",
		"ioctl on devices, abstract sockets, signals",
		"abstract sockets, signals",
	};

	return abi < (int)CV_ARRAY_LEN(missing) ? missing[CV_MAX(abi, 0)] : "";
}

static struct ruleset_attr handled(int abi, size_t *ret_bytes)
{
	struct ruleset_attr a = { 0 };

	for (int i = 1; i <= CV_MIN(abi, CV_LANDLOCK_ABI_MAX); i++) {
		a.fs |= abi_row[i].fs;
		a.net |= abi_row[i].net;
		a.scoped |= abi_row[i].scoped;
		*ret_bytes = abi_row[i].attr_bytes;
	}
	return a;
}

static cv_code rule_add(
	int ruleset, uint64_t handled_fs, const struct cv_landlock_rule *rule, struct cv_err *err)
{
	CV_AUTO_FD int fd = open(rule->path, O_PATH | O_CLOEXEC);
	struct path_attr attr = { .access = access_fs[rule->access] & handled_fs, .parent = fd };
	struct stat st;

	if (fd < 0 && errno == ENOENT)
		return CV_OK;
	if (fd < 0 || fstat(fd, &st) < 0)
		return cv_fail_errno(err, "landlock: open %s", rule->path);
	if (!S_ISDIR(st.st_mode))
		attr.access &= FS_OF_FILES;
	if (syscall(NR_ADD_RULE, ruleset, RULE_PATH, &attr, 0) < 0)
		return cv_fail_errno(err, "landlock: rule for %s", rule->path);
	return CV_OK;
}

static cv_code ruleset_make(
	int abi, const struct ruleset_attr *attr, size_t bytes, int *ret, struct cv_err *err)
{
	*ret = (int)syscall(NR_CREATE_RULESET, attr, bytes, 0);
	return *ret < 0 ? cv_fail_errno(err, "landlock: create rules of ABI %d", abi) : CV_OK;
}

static cv_code ruleset_apply(int ruleset, struct cv_err *err)
{
	return syscall(NR_RESTRICT_SELF, ruleset, 0) < 0 ? cv_fail_errno(err, "landlock: restrict")
							 : CV_OK;
}

cv_code cv_landlock_scope(struct cv_landlock_caps caps, struct cv_err *err)
{
	size_t bytes = 0;
	const struct ruleset_attr attr = { .scoped = handled(caps.abi, &bytes).scoped };
	CV_AUTO_FD int ruleset = -1;

	if (!attr.scoped)
		return CV_OK;
	const cv_code code = ruleset_make(caps.abi, &attr, bytes, &ruleset, err);
	return code == CV_OK ? ruleset_apply(ruleset, err) : code;
}

cv_code cv_landlock_apply(struct cv_landlock_caps caps, const struct cv_landlock_rule *rules,
	size_t count, struct cv_err *err)
{
	size_t bytes = 0;
	struct ruleset_attr attr = handled(caps.abi, &bytes);

	if (caps.abi <= 0)
		return cv_fail(err, CV_UNAVAILABLE,
			"Landlock is not there; boot with lsm=landlock,... or a kernel that has it");
	/* No port rules: every port of the sandbox's own network ends at the proxy, which decides,
	 * answers and records; a port refused here would leave no trace. */
	attr.net = 0;
	CV_AUTO_FD int ruleset = -1;
	if (ruleset_make(caps.abi, &attr, bytes, &ruleset, err) != CV_OK)
		return err->code;
	for (size_t i = 0; i < count; i++)
		if (rule_add(ruleset, attr.fs, &rules[i], err) != CV_OK)
			return err->code;
	return ruleset_apply(ruleset, err);
}

cv_code cv_landlock_deny_files(struct cv_landlock_caps caps, struct cv_err *err)
{
	return cv_landlock_apply(caps, NULL, 0, err);
}
