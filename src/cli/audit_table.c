/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit_table.c - which processes there are, and whose they are; see audit_proc.h
 */
#include "cli/audit_proc.h"

#include "sys/fd.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#define STAT_BYTES    4096    /* stat and status have a line of known fields each; 1.5 KiB in all */
#define PROCESSES_MAX 1000000 /* more than a machine runs */
#define ANCESTORS_MAX 10000   /* a table read while pids are reused may have a ring in it */
#define FIELD_PPID    1       /* of stat, counted from 0 behind the name; proc_pid_stat(5) */
#define FIELD_SESSION 3
#define FIELD_START   19
#define KEEPER_NAME   "cove-keeper"
#define COURIER_NAME  "cove-courier"
#define BROKER_NAME   "cove-broker"
#define RUN_NAME      "cove-supervisor"

static bool text_read(pid_t pid, const char *name, char text[STAT_BYTES], struct cv_str *ret)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	CV_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	const ssize_t n = fd < 0 ? -1 : read(fd, text, STAT_BYTES);
	*ret = (struct cv_str){ text, n > 0 ? (size_t)n : 0 };
	return n > 0;
}

/* A name may hold anything, also ") R 1"; what follows the last bracket is the kernel's. */
static bool stat_parse(struct cv_str text, struct audit_proc *p)
{
	const size_t open = cv_str_find_byte(text, '('), close = cv_str_rfind_byte(text, ')');
	struct cv_str rest = cv_str_slice(text, close + 2, text.n);
	bool is_ok = open < close && close < text.n;

	if (!is_ok)
		return false;
	const struct cv_str comm = cv_str_slice(text, open + 1, close);
	memcpy(p->comm, comm.p, CV_MIN(comm.n, sizeof(p->comm) - 1));
	for (size_t i = 0; rest.p && i <= FIELD_START && is_ok; i++) {
		const struct cv_str field = cv_str_cut(&rest, ' ');
		uint64_t v = 0;

		if (i == FIELD_PPID || i == FIELD_SESSION || i == FIELD_START)
			is_ok = cv_str_to_u64(field, UINT64_MAX, &v);
		if (i == FIELD_PPID)
			p->ppid = (pid_t)v;
		if (i == FIELD_SESSION)
			p->sid = (pid_t)v;
		if (i == FIELD_START)
			p->start = v;
	}
	return is_ok;
}

static unsigned words_count(struct cv_str s)
{
	unsigned n = 0;

	while (s.p)
		n += cv_str_cut(&s, '\t').n > 0;
	return n;
}

static bool status_parse(struct cv_str text, struct audit_proc *p)
{
	bool has_uid = false;

	while (text.p) {
		struct cv_str rest = cv_str_cut(&text, '\n');
		const struct cv_str key = cv_str_cut(&rest, '\t');
		uint64_t v = 0;

		if (cv_str_eq(key, CV_STR("NSpid:")))
			p->levels = words_count(rest);
		if (!cv_str_eq(key, CV_STR("Uid:")))
			continue;
		(void)cv_str_cut(&rest, '\t'); /* the real one */
		has_uid = cv_str_to_u64(cv_str_cut(&rest, '\t'), UINT32_MAX, &v);
		p->euid = (uid_t)v;
	}
	return has_uid;
}

static bool proc_read(pid_t pid, struct audit_proc *p)
{
	char bytes[STAT_BYTES];
	struct cv_str text;

	*p = (struct audit_proc){ .pid = pid };
	return text_read(pid, "stat", bytes, &text) && stat_parse(text, p) &&
	       text_read(pid, "status", bytes, &text) && status_parse(text, p);
}

static bool table_put(struct audit_table *t, const struct audit_proc *p)
{
	if (t->count == t->cap) {
		const size_t cap = t->cap ? 2 * t->cap : 256;
		struct audit_proc *v =
			cap <= PROCESSES_MAX ? realloc(t->v, cap * sizeof(*v)) : NULL;

		if (!v)
			return false;
		t->v = v;
		t->cap = cap;
	}
	t->v[t->count++] = *p;
	return true;
}

cv_code audit_table_read(struct audit_table *t, struct cv_err *err)
{
	DIR *dir = opendir("/proc");
	bool is_ok = true;

	if (!dir)
		return cv_fail_errno(err, "/proc");
	t->count = 0;
	for (const struct dirent *e; is_ok && (e = readdir(dir));) {
		struct audit_proc p;
		uint64_t pid;

		if (cv_str_to_u64(cv_str_of(e->d_name), INT32_MAX, &pid) &&
			proc_read((pid_t)pid, &p))
			is_ok = table_put(t, &p);
	}
	closedir(dir);
	return is_ok ? CV_OK : cv_fail(err, CV_LIMIT, "no memory for the processes");
}

void audit_table_fini(struct audit_table *t)
{
	free(t->v);
	*t = (struct audit_table){ 0 };
}

const struct audit_proc *audit_table_find(const struct audit_table *t, pid_t pid)
{
	for (size_t i = 0; i < t->count; i++)
		if (t->v[i].pid == pid)
			return &t->v[i];
	return NULL;
}

bool audit_proc_is_below(
	const struct audit_table *t, const struct audit_proc *p, const struct audit_proc *above)
{
	for (int i = 0; p && i < ANCESTORS_MAX; i++) {
		if (p->pid == above->pid)
			return true;
		p = p->ppid ? audit_table_find(t, p->ppid) : NULL;
	}
	return false;
}

static bool has_name(const struct audit_proc *p, const char *name)
{
	return cv_str_eq(cv_str_of(p->comm), cv_str_of(name));
}

bool audit_proc_is_run(const struct audit_table *t, const struct audit_proc *p)
{
	if (!has_name(p, RUN_NAME))
		return false;
	for (size_t i = 0; i < t->count; i++)
		if (t->v[i].pid != p->pid && has_name(&t->v[i], RUN_NAME) &&
			audit_proc_is_below(t, p, &t->v[i]))
			return false; /* its name is another's choice: something in that sandbox */
	return true;
}

/* Deeper in namespaces than the supervisor because a shepherd of its broker made some for a tool.  The
 * first that is deeper tells: a sandbox's is its init, whose parent is a supervisor. */
static bool is_in_cell(const struct audit_table *t, const struct audit_proc *p,
	const struct audit_proc *supervisor)
{
	const struct audit_proc *above = p;

	for (int i = 0; above && above->levels > supervisor->levels && i < ANCESTORS_MAX; i++)
		above = audit_table_find(t, above->ppid);
	return above && above->ppid == supervisor->pid && above->levels == supervisor->levels &&
	       has_name(above, BROKER_NAME);
}

enum audit_role audit_proc_role(const struct audit_table *t, const struct audit_proc *p,
	const struct audit_proc *supervisor)
{
	const struct audit_proc *child = p;

	if (p->pid == supervisor->pid)
		return AUDIT_ROLE_SUPERVISOR;
	/* What is deeper in namespaces is the sandbox's, whatever it calls itself. */
	if (p->levels > supervisor->levels)
		return is_in_cell(t, p, supervisor) ? AUDIT_ROLE_KEEPER : AUDIT_ROLE_SANDBOX;
	for (int i = 0; child->ppid != supervisor->pid && i < ANCESTORS_MAX; i++) {
		child = audit_table_find(t, child->ppid);
		if (!child)
			return AUDIT_ROLE_HELPER;
	}
	/* What a tool is given is in it, and in the shepherd that waits for it; not in the broker. */
	if (has_name(child, BROKER_NAME))
		return p->pid == child->pid ? AUDIT_ROLE_HELPER : AUDIT_ROLE_KEEPER;
	return has_name(child, KEEPER_NAME) || has_name(child, COURIER_NAME) ? AUDIT_ROLE_KEEPER
									     : AUDIT_ROLE_HELPER;
}
