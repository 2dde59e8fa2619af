/* SPDX-License-Identifier: Apache-2.0 */
/*
 * top_usage.c - processors and memory of sandboxes on this machine; see top_usage.h
 *
 * The gateway does not say what a sandbox uses.  Where its processes are ours to look at, /proc does: a
 * supervisor's stderr is .../sandboxes/ID/log, and everything of the sandbox descends from it.
 * Memory is the sum of resident sets, so what processes share counts for each.  Supervisors are not
 * dumpable, so that link is root's to read: others see no numbers.
 */
#include "client/top_usage.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROCESSES_MAX   65536 /* a walk of more would take too long to be repeated */
#define DEPTH_MAX       64 /* of a tree; a cycle cannot be, but /proc is not read at one moment */
#define SUPERVISOR      "(cove-supervisor"
#define FIELDS_TO_PPID  1 /* behind the name: state, ppid, ... (proc_pid_stat(5)) */
#define FIELDS_TO_UTIME 11
#define FIELDS_TO_RSS   21

struct process {
	uint64_t pid, parent, ticks, pages;
	bool is_supervisor;
	struct cl_top_box *box; /* a supervisor's */
};

static uint64_t field(struct cv_str s, size_t n)
{
	uint64_t v = 0;

	while (n--)
		(void)cv_str_cut(&s, ' ');
	return cv_str_to_u64(cv_str_cut(&s, ' '), UINT64_MAX, &v) ? v : 0;
}

static bool process_read(const char *pid, struct process *ret)
{
	char path[64], text[1024];

	snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	const ssize_t n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	const char *name = strchr(text, '('), *end = strrchr(text, ')'); /* names hold anything */
	if (!name || !end || end[1] != ' ')
		return false;
	const struct cv_str rest = cv_str_of(end + 2);
	*ret = (struct process){ .parent = field(rest, FIELDS_TO_PPID),
		.ticks = field(rest, FIELDS_TO_UTIME) + field(rest, FIELDS_TO_UTIME + 1),
		.pages = field(rest, FIELDS_TO_RSS),
		.is_supervisor = cv_str_has_prefix(cv_str_of(name), CV_STR(SUPERVISOR)) };
	return cv_str_to_u64(cv_str_of(pid), UINT32_MAX, &ret->pid);
}

static struct cl_top_box *box_of(struct cl_top *t, const char *pid)
{
	static const char before[] = "/sandboxes/";
	char path[64], target[4096];

	snprintf(path, sizeof(path), "/proc/%.20s/fd/2", pid);
	const ssize_t n = readlink(path, target, sizeof(target) - 1);
	if (n <= 0)
		return NULL;
	target[n] = '\0';
	char *id = strstr(target, before);
	for (char *next = id; next; next = strstr(next + 1, before))
		id = next;
	if (!id)
		return NULL;
	id += sizeof(before) - 1;
	id[strcspn(id, "/")] = '\0';
	return cl_top_box(t, id);
}

static int by_pid(const void *a, const void *b)
{
	const struct process *x = a, *y = b;

	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

static size_t processes_read(struct cl_top *t, struct process *v)
{
	DIR *d = opendir("/proc");
	size_t n = 0;

	if (!d)
		return 0;
	for (struct dirent *e; n < PROCESSES_MAX && (e = readdir(d)) != NULL;) {
		if (e->d_name[0] < '1' || e->d_name[0] > '9' || !process_read(e->d_name, &v[n]))
			continue;
		if (v[n].is_supervisor)
			v[n].box = box_of(t, e->d_name);
		n++;
	}
	closedir(d);
	qsort(v, n, sizeof(*v), by_pid);
	return n;
}

static struct cl_top_box *owner(const struct process *v, size_t n, const struct process *p)
{
	for (int depth = 0; p && depth < DEPTH_MAX; depth++) {
		const struct process parent = { .pid = p->parent };

		if (p->box)
			return p->box;
		p = bsearch(&parent, v, n, sizeof(*v), by_pid);
	}
	return NULL;
}

void cl_top_usage(struct cl_top *t, int64_t now_ms)
{
	struct process *v = t->box_count ? calloc(PROCESSES_MAX, sizeof(*v)) : NULL;
	const size_t n = v ? processes_read(t, v) : 0;
	uint64_t *ticks = calloc(CL_TOP_BOXES_MAX, sizeof(*ticks));
	const double hz = (double)sysconf(_SC_CLK_TCK);
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	for (size_t i = 0; i < t->box_count; i++) {
		t->boxes[i].has_usage = false;
		t->boxes[i].memory_bytes = 0;
	}
	for (size_t i = 0; ticks && i < n; i++) {
		struct cl_top_box *b = owner(v, n, &v[i]);

		if (!b)
			continue;
		b->has_usage = true;
		b->memory_bytes += v[i].pages * page;
		ticks[b - t->boxes] += v[i].ticks;
	}
	for (size_t i = 0; ticks && i < t->box_count; i++) {
		struct cl_top_box *b = &t->boxes[i];
		const int64_t ms = now_ms - b->usage_ms;
		const bool has_before = b->usage_ms && ms > 0 && ticks[i] >= b->ticks;

		/* processes that ended took their ticks with them: unknown, this once */
		b->cpu = has_before ? (double)(ticks[i] - b->ticks) / hz * 1000 / (double)ms : -1;
		b->ticks = ticks[i];
		b->usage_ms = now_ms;
	}
	free(ticks);
	free(v);
}
