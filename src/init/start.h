/* SPDX-License-Identifier: Apache-2.0 */
/*
 * start.h - from a command as data to a running process
 */
#pragma once
#include "plan/command.h"

#include <sys/types.h>

struct start {
	uint32_t id;
	const struct cv_plan_command *command;
	struct cv_arena *arena; /* for what exec wants as arrays */
	int link;               /* to the supervisor; the child reports on it until its exec */
	int stdio[3];           /* without a terminal */
	int tty;                /* the terminal's inner end, or -1 */
};

/* Forks (the parent waits until the child is the command or gone); the child confines itself and
 * becomes the command, or sends FAILED and exits.  Returns its process id, or -1 with errno. */
pid_t start_command(const struct start *s);

/* A new terminal of rows << 16 | columns: its inner end, and its outer end in *ret_outer. */
int start_tty_open(uint32_t size, int *ret_outer);
