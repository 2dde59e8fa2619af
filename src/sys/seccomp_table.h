/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seccomp_table.h - which system calls each profile permits, and why: the list to review
 *
 * Read by tools/seccomp-gen.c, which makes the BPF programs at build time, and by the tests, which
 * run those programs against these rows for every number.  No program of cove includes it.
 *
 * A profile has three kinds of row:
 *
 *   calls    by name, whatever the arguments: permitted, refused with EPERM, or ENOSYS
 *   permits  by argument: permitted if all comparisons of one row hold, else the default
 *   refusals by argument: EPERM if all comparisons hold, before anything else is looked at
 *
 * A name appears in one kind only, save that a refusal may restrict a permitted call.  A profile
 * that differs from another in a few calls has rows of its own for those, which stand instead of
 * every row that the other has for the name.  A comparison
 * looks at the low 32 bits of an argument, as the kernel does for int, unsigned int and enum: with
 * 64 bits compared, ioctl(fd, 0x100005412) would be another request to the filter and the same one
 * to the kernel.  Pointers are never compared, except with NULL (all 64 bits).
 *
 * The default of AGENT is EPERM, so a call that is forgotten here is refused; the generator fails
 * if the AGENT table lacks a number that libseccomp knows, so that nothing is refused by oversight.
 * Numbers after CV_SECCOMP_NR_MAX get ENOSYS: programs then do what they do on an older kernel.
 * The default of our own processes is death: none of them makes such a call unless it has been
 * taken over, or is wrong about itself, and then it should neither go on nor try again.
 */
#pragma once
#include <stdint.h>

#define CV_SECCOMP_NR_MAX  467 /* open_tree_attr, Linux 6.15: the last number reviewed here */
#define CV_SECCOMP_CMP_MAX 3   /* comparisons in a row: socket() needs all its arguments */
#define CV_SECCOMP_LOW32   UINT32_MAX

enum cv_seccomp_verdict {
	CV_SECCOMP_PERMIT,
	CV_SECCOMP_EPERM,
	CV_SECCOMP_ENOSYS,
	CV_SECCOMP_PRETEND, /* nothing is done, and 0 is returned */
};

struct cv_seccomp_call_row {
	enum cv_seccomp_verdict verdict;
	const char *names; /* separated by blanks */
	const char *why;
};

/* Holds if (args[arg] & mask) == value. */
struct cv_seccomp_cmp {
	uint8_t arg;
	uint64_t mask, value;
};

struct cv_seccomp_arg_row {
	const char *name; /* NULL ends a list */
	struct cv_seccomp_cmp cmp[CV_SECCOMP_CMP_MAX];
	uint8_t cmp_count;
	const char *why;
};

/* clang-format off */
/* How rows and comparisons are written. */
#define CV_SC_1(name, why, a)       { name, { a }, 1, why }
#define CV_SC_2(name, why, a, b)    { name, { a, b }, 2, why }
#define CV_SC_3(name, why, a, b, c) { name, { a, b, c }, 3, why }
#define CV_SC_EQ(i, v)              { i, CV_SECCOMP_LOW32, (uint32_t)(v) }
#define CV_SC_NONE(i, bits)         { i, (uint32_t)(bits), 0 }                /* none of the bits */
#define CV_SC_ALL(i, bits)          { i, (uint32_t)(bits), (uint32_t)(bits) } /* all of them */
#define CV_SC_NULL(i)               { i, UINT64_MAX, 0 }
#define CV_SC_SOCK_TYPE(i, type) \
	{ i, CV_SECCOMP_LOW32 & ~(uint32_t)(SOCK_NONBLOCK | SOCK_CLOEXEC), type }
/* clang-format on */

/* Calls of the newest kernels, which the libseccomp of a build host may not know.  From 424 on a
 * number is the same on every architecture. */
struct cv_seccomp_number {
	const char *name;
	int nr;
};

static const struct cv_seccomp_number cv_seccomp_new_numbers[] = {
	{ "futex_waitv", 449 },
	{ "set_mempolicy_home_node", 450 },
	{ "cachestat", 451 },
	{ "fchmodat2", 452 },
	{ "map_shadow_stack", 453 },
	{ "futex_wake", 454 },
	{ "futex_wait", 455 },
	{ "futex_requeue", 456 },
	{ "statmount", 457 },
	{ "listmount", 458 },
	{ "lsm_get_self_attr", 459 },
	{ "lsm_set_self_attr", 460 },
	{ "lsm_list_modules", 461 },
	{ "mseal", 462 },
	{ "setxattrat", 463 },
	{ "getxattrat", 464 },
	{ "listxattrat", 465 },
	{ "removexattrat", 466 },
	{ "open_tree_attr", 467 },
};
