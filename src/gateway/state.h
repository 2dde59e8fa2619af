/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.h - the state directory: 0700, ours, locked, so that two gateways never share it
 *
 * Files in it are 0600 and written whole: under another name, then renamed.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"

#define CV_GW_PATH_BYTES_MAX 4096
#define CV_GW_FILE_BYTES_MAX (1u << 20) /* certificates, keys, configuration */

/* Makes the directory and those above it.  CV_SYSTEM; CV_DENIED: another's, or a symlink. */
CV_MUST cv_code cv_gw_dir_open(const char *path, int *ret_fd, struct cv_err *err);
/* A directory in fd, 0700; made if there is none. */
CV_MUST cv_code cv_gw_dir_open_at(int fd, const char *name, int *ret_fd, struct cv_err *err);
/* CV_UNAVAILABLE: another process has the lock.  Held until *ret_fd is closed. */
CV_MUST cv_code cv_gw_dir_lock(int dir_fd, int *ret_fd, struct cv_err *err);

/* CV_NOT_FOUND, CV_LIMIT, CV_SYSTEM.  Appends. */
CV_MUST cv_code cv_gw_file_read(
	int dir_fd, const char *name, struct cv_buf *ret, struct cv_err *err);
/* Whole or not at all; mode e.g. 0600. */
CV_MUST cv_code cv_gw_file_write(
	int dir_fd, const char *name, struct cv_str bytes, unsigned mode, struct cv_err *err);

/* The same, but it need not outlive the machine: nobody waits for the disk. */
CV_MUST cv_code cv_gw_file_put(
	int dir_fd, const char *name, struct cv_str bytes, unsigned mode, struct cv_err *err);

/* The id that tokens name: configured, or made once and kept in the file `id`. */
CV_MUST cv_code cv_gw_id_read(
	int dir_fd, struct cv_str configured, char ret[64], struct cv_err *err);
