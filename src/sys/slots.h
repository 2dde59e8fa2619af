/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slots.h - at most so many at once, among processes that know nothing of each other
 *
 * All of them name the same file.  A slot is a lock on one byte of it, and a name's slots are the bytes
 * from where its hash says; nothing is ever written.  The lock is the open file description's (fcntl(2),
 * "Open file description locks"), so a slot is given back when its descriptor is closed, and whoever
 * dies, in whatever way, gives back all of his.  Who waits for a slot looks again: nobody is woken.
 *
 * It counts among those who play by it.  Who may open the file can also keep others out.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

#define CV_SLOTS_MAX 65536 /* of one name */

/* One of the name's max slots, in the user's own file at path, which is made where there is none.
 * *ret_fd: held until it is closed; -1 with CV_OK: all are taken.  CV_DENIED: the file is not the
 * user's own alone. */
CV_MUST cv_code cv_slot_take(
	const char *path, struct cv_str name, uint32_t max, int *ret_fd, struct cv_err *err);
