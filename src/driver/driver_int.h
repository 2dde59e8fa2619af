/* SPDX-License-Identifier: Apache-2.0 */
/*
 * driver_int.h - the parts of local.c: starting (local.c), finding again (adopt.c), removing
 * (remove.c)
 */
#pragma once
#include "driver/driver.h"

#include "base/arena.h"
#include "base/buf.h"
#include "driver/standby.h"

#define CV_DRIVER_ID_BYTES_MAX  64  /* UUIDs have 36 */
#define CV_DRIVER_RUN_BYTES_MAX 256 /* two ids, a token and two numbers */

struct cv_driver {
	struct cv_arena arena;
	struct cv_str path; /* STATE/sandboxes */
	int sandboxes;      /* the same, open */
	struct cv_plan_files programs;
	struct cv_str supervisor;
	struct cv_buf shape; /* of the spares that were started last (plan/claim.h) */
	uint64_t shape_number;
	struct cv_driver_standby nursery, blank;
	int recycled;            /* STATE/recycled, open; -1: there is none */
	uint32_t recycled_count; /* directories in it: 0, 1, ... */
	pid_t remover;           /* 0: none runs */
	bool has_removed;        /* there may be directories that wait for one */
};

/* A single component of a path that is no hidden name: letters, digits, dots and dashes. */
bool cv_driver_id_is_plain(struct cv_str id);
/* In clock ticks since the machine's start (proc(5), field 22); 0: it is gone, or no supervisor. */
uint64_t cv_driver_pid_started(pid_t pid);

cv_code cv_driver_local_adopt(
	struct cv_driver *d, struct cv_str id, struct cv_driver_process *ret, struct cv_err *err);

/* The second line of `run` while a new sandbox is not confirmed; the process' takes its place. */
#define CV_DRIVER_RUN_NEW "new\n"
void cv_driver_local_confirm(
	struct cv_driver *d, struct cv_str id, const struct cv_driver_process *p);
void cv_driver_local_sweep(
	struct cv_driver *d, bool (*is_known)(void *arg, struct cv_str id), void *arg);

cv_code cv_driver_local_remove(struct cv_driver *d, struct cv_str id, struct cv_err *err);
/* recycle.c: a directory of which only our own files are left, instead of its removal: false: it is
 * still there.  And one of these for id, if there is any, and id has none yet: true. */
void cv_driver_recycle_open(struct cv_driver *d, struct cv_str state);
bool cv_driver_recycle_put(struct cv_driver *d, struct cv_str id);
bool cv_driver_recycle_take(struct cv_driver *d, struct cv_str id);
/* Spares of an earlier owner, which end with its links: their directories go. */
void cv_driver_spares_remove(struct cv_driver *d);
void cv_driver_remover_turn(struct cv_driver *d);
