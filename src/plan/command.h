/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command.h - one command in a sandbox, as data: what cove-init needs to start it
 *
 * A command travels as bytes from the plan through the supervisor to cove-init.  Strings of a
 * command that was read are borrowed from those bytes and end in a NUL there, so they are C
 * strings as they stand; arrays are in the arena.
 */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

/* clang-format off */
#define CV_ACCESSES(X) /* what Landlock allows beneath a path; enum, text */                 \
	X(LIST, "list")               /* names in directories, no contents */                \
	X(READ, "read")               /* read and execute */                                 \
	X(WRITE, "write")             /* read, execute, write, create, remove */             \
	X(DEVICE, "device")           /* read, write, ioctl of one node */
/* clang-format on */
#define CV_ACCESS_KIND_ENUM(name, text) CV_ACCESS_KIND_##name,
enum cv_access_kind { CV_ACCESSES(CV_ACCESS_KIND_ENUM) CV_ACCESS_KIND_COUNT };
#undef CV_ACCESS_KIND_ENUM
const char *cv_access_kind_name(uint32_t kind);

struct cv_plan_command_rule {
	struct cv_str path;
	uint32_t access; /* cv_access_kind */
};

struct cv_plan_command_rlimit {
	uint32_t resource; /* RLIMIT_... of this machine's ABI */
	uint64_t soft, hard;
};

enum {
	CV_COMMAND_LAST = 1 << 0,              /* the sandbox ends with this command */
	CV_COMMAND_LANDLOCK_REQUIRED = 1 << 1, /* no Landlock, no command */
	CV_COMMAND_NOTIFY = 1 << 2,            /* connect() is reported to the supervisor */
	CV_COMMAND_NESTED = 1 << 3,            /* may make namespaces: no file rules by Landlock */
	CV_COMMAND_IDS =
		1 << 4, /* begins as root of a user namespace of its own, with CV_PLAN_IDS */
};

struct cv_plan_command {
	struct cv_str *argv, *env; /* argv may be empty where others are made of it (exec.h) */
	uint32_t argc, envc;
	struct cv_str cwd;
	uint32_t flags;
	struct cv_plan_command_rule *rules;
	uint32_t rule_count;
	struct cv_plan_command_rlimit *rlimits;
	uint32_t rlimit_count;
};

/* Appends the command; false when it does not fit. */
CV_MUST bool cv_plan_command_put(struct cv_buf *b, const struct cv_plan_command *c);
/* CV_PROTO when bytes are not exactly one command within limits. */
CV_MUST cv_code cv_plan_command_get(struct cv_str bytes, struct cv_arena *arena,
	struct cv_plan_command *ret, struct cv_err *err);
