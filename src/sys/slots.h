/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slots.h - at most so many at once, among processes that know nothing of each other
 *
 * All of them name the same file.  A slot is a lock on one byte of it, and a name's slots are the bytes
 * behind where its hash says; nothing is ever written.  Each asks with a limit of its own, and gets one
 * where fewer than that are held, whoever holds them: to count and to take is one step, under a lock on the
 * byte before them.  The lock is the open file description's (fcntl(2),
 * "Open file description locks"), so a slot is given back when its descriptor is closed, and whoever
 * dies, in whatever way, gives back all of his.  Who waits for a slot looks again: nobody is woken.
 *
 * It counts among those who play by it.  Who may open the file can also keep others out.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

#define CV_SLOTS_MAX 4096 /* of one name */

/* A slot of the name, if fewer than max are held, in the user's own file at path, which is made where
 * there is none.  *ret_fd: held until it is closed; -1 with CV_OK: there is none now.  CV_DENIED: the file is not the
 * user's own alone. */
CV_MUST cv_code cv_slot_take(
	const char *path, struct cv_str name, uint32_t max, int *ret_fd, struct cv_err *err);

/* Gives it back, and closes it: at once, also where a process that was forked and has not come to close
 * what it does not need still has a copy.  -1 is fine. */
void cv_slot_give(int fd);
