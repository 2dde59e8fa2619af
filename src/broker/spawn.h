/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spawn.h - a command, its shepherd, and the broker's ends of its pipes
 *
 * Between the broker and a command stands a shepherd, a fork of the broker that does nothing but
 * wait (shepherd.c): what the command leaves behind becomes its child, so it finds all of it, and it
 * sees the broker die.  Where there can be cells (sys/cell.h) it is the first process of one, and the
 * kernel ends the rest with it.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"
#include "tools/catalog.h"

#include <sys/types.h>

#define SPAWN_GROUPS_MAX 64

struct spawn_user {
	bool is_set; /* else the broker's own */
	uid_t uid;
	gid_t gid, groups[SPAWN_GROUPS_MAX];
	int group_count;
};

struct spawn_plan {
	char **argv, **env;  /* NULL behind the last */
	const char *workdir; /* absolute */
	const char *remove;  /* a directory that goes when all has ended; NULL: none */
	struct spawn_user user;
	/* What it sees and how much its directory may take; NULL: a program of ours, which sees all. */
	const struct cv_tool_room *room;
	bool owns_workdir; /* else it is somebody's, and nothing bounds it */
	bool has_stdin;    /* else it is /dev/null */
	/* When its first process is killed the rest ends by itself and takes away what it made, for
	 * which there is BROKER_CLEAN_MS (a sandbox: its janitor).  Only then the rest is killed
	 * too. */
	bool cleans_up;
	/* In place of argv: work of our own that may take long.  In the child, whose stdout and stderr
	 * are as a command's; gives its exit status. */
	int (*run)(const void *arg);
	const void *arg;
	int keep; /* a descriptor that run() finds as SPAWN_KEEP_FD */
	int pass; /* or one that argv does; 0 or -1: none */
	/* From room, by spawn(). */
	bool is_in_cell, is_in_memory,
		is_weak;     /* weak: in a user namespace, where nobody has rights */
	uint64_t file_bytes; /* of each file that it writes; 0: unbounded */
};

#define SPAWN_KEEP_FD 8
#define SPAWN_SELF    "/proc/self/exe" /* as argv[0]: this program */

struct spawned {
	pid_t pid;        /* of the shepherd */
	int control;      /* to the shepherd */
	int in, out, err; /* -1: none, or closed */
};

enum spawn_report_kind {
	SPAWN_REPORT_FAILED, /* it could not be started: errno; the end follows */
	SPAWN_REPORT_ENDED,  /* it ended, and all that it left: status as wait(2) has it */
	SPAWN_REPORT_FULL,   /* its directory was seen full; value: 1 when it is ended for that */
};

struct spawn_report {
	uint32_t kind;
	int32_t value;
};

#define SPAWN_TERM 'T' /* on control: ask all of it to end */
#define SPAWN_KILL 'K' /* end all of it */

/* ret_children: readable when one of ours has ended; then call spawn_reap(). */
CV_MUST cv_code spawn_init(int *ret_children, struct cv_err *err);
void spawn_reap(void);
CV_MUST cv_code spawn(const struct spawn_plan *plan, struct spawned *ret, struct cv_err *err);
/* Makes the directory that the plan's command owns, unless that will be in memory; has_made: it is
 * there now, on the disk. */
CV_MUST cv_code spawn_workdir_make(
	const struct spawn_plan *plan, bool *ret_has_made, struct cv_err *err);
/* Of a user of this machine. */
CV_MUST cv_code spawn_user_find(struct cv_str name, struct spawn_user *ret, struct cv_err *err);

/* A signal for its shepherd, as long as there is one. */
void spawn_signal(const struct spawned *s, int signal_number);
/* SPAWN_TERM or SPAWN_KILL, for its shepherd; one that its herd has stopped goes on first. */
void spawn_tell(const struct spawned *s, char word);
/* Closes what is open; the shepherd, if there is one, ends everything and then itself. */
void spawn_close(struct spawned *s);
/* A shepherd was killed: what it kept is ours now, and ends.  False: some is left, or may come yet;
 * call again soon. */
CV_MUST bool spawn_orphans_kill(void);
/* Removes a directory in a process of its own; nobody waits for it. */
void spawn_remove(const char *path);
void spawn_wait_all(void); /* every shepherd has ended, or two seconds are over */

/* Removes what calls of an earlier broker left in our directory. */
void spawn_clean(int state_dir, const char *state_path);

/* ---- cell.c ---- */
void spawn_hide(const char *dir); /* from every cell */
/* Once, behind the last spawn_hide().  Not CV_OK: there are none here, and err says why. */
CV_MUST cv_code spawn_cells_open(struct cv_err *err);
CV_MUST bool spawn_has_cells(void);
/* Fills what spawn() fills. */
void spawn_place(struct spawn_plan *plan);
CV_MUST pid_t spawn_cell_fork(void);
/* In the shepherd: the view that its plan has. */
CV_MUST cv_code spawn_cell_enter(const struct spawn_plan *plan, struct cv_err *err);

/* ---- shepherd.c ---- */
CV_NORETURN void shepherd_run(const struct spawn_plan *plan, int control, int in, int out, int err);
/* A directory and all beneath it, following no link. */
void tree_remove(int at, const char *name);
