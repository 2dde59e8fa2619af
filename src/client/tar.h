/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tar.h - archives as streams: heads written, and archives of strangers read
 *
 * Written is POSIX.1-2001 (pax): ustar heads, and before them an extended one where a name is longer
 * than 100 bytes or a size beyond 8 GiB.  Read are pax, ustar, and GNU's long names.  No size is
 * limited; names are.
 *
 * Pure: bytes in, calls out.  What a name may do is the caller's to judge.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

#define CL_TAR_BLOCK     512
#define CL_TAR_NAME_MAX  4096        /* PATH_MAX: longer ones could not be made */
#define CL_TAR_EXTRA_MAX (64u << 10) /* of an extended head: names, and what we don't use */

enum cl_tar_type { CL_TAR_FILE = '0', CL_TAR_HARD = '1', CL_TAR_LINK = '2', CL_TAR_DIR = '5' };

struct cl_tar_entry {
	char type; /* enum cl_tar_type, or another of tar's: skip it */
	struct cv_str name, link;
	uint32_t mode; /* permissions */
	uint64_t size;
	int64_t mtime_s;
};

/* Appends what stands before the entry's bytes; behind them cl_tar_pad(), and cl_tar_end() last. */
void cl_tar_head(struct cv_buf *out, const struct cl_tar_entry *e);
void cl_tar_pad(struct cv_buf *out, uint64_t size);
void cl_tar_end(struct cv_buf *out);

struct cl_tar_events {
	/* CV_OK: go on. */
	cv_code (*entry)(void *arg, const struct cl_tar_entry *e, struct cv_err *err);
	cv_code (*bytes)(
		void *arg, struct cv_str bytes, struct cv_err *err); /* of the last entry */
	cv_code (*done)(void *arg, struct cv_err *err);              /* the last entry is whole */
};

struct cl_tar_reader {
	const struct cl_tar_events *events;
	void *arg;
	unsigned char head[CL_TAR_BLOCK];
	size_t head_n;
	uint64_t left; /* bytes of the entry, or of an extended head */
	uint32_t padding;
	char pending;    /* type of the extended head that is being read; 0: an entry */
	bool is_ended;   /* an empty block was seen */
	bool is_between; /* nothing of an entry is left out */
	struct cv_buf extra, name, link;
	bool has_size;
	uint64_t size;
};

void cl_tar_reader_init(struct cl_tar_reader *r, const struct cl_tar_events *events, void *arg);
void cl_tar_reader_fini(struct cl_tar_reader *r);
/* CV_PROTO: no archive. */
CV_MUST cv_code cl_tar_read(struct cl_tar_reader *r, struct cv_str bytes, struct cv_err *err);
/* CV_PROTO: cut off. */
CV_MUST cv_code cl_tar_finish(const struct cl_tar_reader *r, struct cv_err *err);
