/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit_proc.h - processes as /proc has them, and what is searched of each
 *
 * A process of a sandbox chooses its own name, arguments and variables; which process is whose is
 * told by parents and pid namespaces only.
 */
#pragma once
#include "cli/audit_search.h"

struct audit_proc {
	pid_t pid, ppid, sid;
	uid_t euid;
	unsigned levels; /* of pid namespaces, as seen from here */
	uint64_t start;  /* tells a process from a later one of the same number */
	char comm[16];
};

struct audit_table {
	struct audit_proc *v;
	size_t count, cap;
};

/* Who is there now.  The table is filled anew; fini frees it. */
CV_MUST cv_code audit_table_read(struct audit_table *t, struct cv_err *err);
void audit_table_fini(struct audit_table *t);

const struct audit_proc *audit_table_find(const struct audit_table *t, pid_t pid); /* or NULL */
/* Whether p is `above` or has it for an ancestor. */
bool audit_proc_is_below(
	const struct audit_table *t, const struct audit_proc *p, const struct audit_proc *above);
/* A supervisor that no other is above. */
bool audit_proc_is_run(const struct audit_table *t, const struct audit_proc *p);

enum audit_role { /* in a run */
	AUDIT_ROLE_SUPERVISOR,
	/* The courier with the commands it starts, and host tools: values are there */
	AUDIT_ROLE_KEEPER,
	AUDIT_ROLE_HELPER,  /* proxy, init and other processes of ours */
	AUDIT_ROLE_SANDBOX, /* the agent's */
};

enum audit_role audit_proc_role(const struct audit_table *t, const struct audit_proc *p,
	const struct audit_proc *supervisor);

/* One process of a run: arguments, environment, memory, and files that have no name any more. */
void audit_proc_search(struct audit_search *s, struct audit_report *r, pid_t run,
	const struct audit_proc *p, enum audit_role role);

/* Into rows that are shared by all processes of the host; a process that ended is no loss. */
void audit_proc_search_argv(
	struct audit_search *s, struct audit_row *row, const struct audit_proc *p);
void audit_proc_search_environ(
	struct audit_search *s, struct audit_row *row, const struct audit_proc *p);

/* What a crash of a process of ours would write, and core_pattern. */
void audit_core_look(struct audit_report *r, pid_t run, const struct audit_proc *p);
