/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit_files.h - the files of a sandbox, as its first process sees them
 */
#pragma once
#include "cli/audit_proc.h"

/* Every mount of the sandbox, but for the kernel's own and what of the host's system is read-only:
 * names, targets of links and contents, bytes_max together, the rest is a row that was not
 * searched.  `in` is a process of the sandbox. */
void audit_files_search(struct audit_search *s, struct audit_report *r, pid_t run,
	const struct audit_proc *in, uint64_t bytes_max);

/* One file of the host, with what it is in the report. */
void audit_file_search(
	struct audit_search *s, struct audit_report *r, const char *place, const char *path);
