/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cell.c - which commands are in a cell (sys/cell.h), and what they see there
 *
 * All are, whose catalog does not say otherwise, where this host lets us make any.  Not seen are the
 * directories that whoever started us named, in which every run of the user has its own, and ours
 * among them: a call sees its own directory and nothing beside it.  One of them may come to be
 * later, by a run that has its own elsewhere, or never.
 *
 * `cove run` as a tool is in none: it makes its own, and has a janitor that must outlive it.  Nor is a
 * command of another user where we have that one user only.
 */
#include "broker/limits.h"
#include "broker/spawn.h"
#include "sys/cell.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct cv_cells cells = { .userns = -1 };
static bool is_lacking; /* there could be none: files are bounded one by one then */
static const char *hidden[BROKER_HIDDEN_MAX];
static size_t hidden_count;

void spawn_hide(const char *dir)
{
	char *kept;

	for (size_t i = 0; i < hidden_count; i++)
		if (cv_cell_is_beneath(dir, hidden[i]))
			return;
	kept = hidden_count < BROKER_HIDDEN_MAX ? strdup(dir) : NULL;
	if (kept)
		hidden[hidden_count++] = kept;
}

cv_code spawn_cells_open(struct cv_err *err)
{
	const cv_code code = cv_cells_open(&cells, err);

	is_lacking = code != CV_OK;
	return code;
}

bool spawn_has_cells(void)
{
	return cells.is_open;
}

void spawn_place(struct spawn_plan *p)
{
	const struct cv_tool_room *room = p->room;

	p->is_in_cell = room && room->is_private && cells.is_open && !p->cleans_up &&
			!(p->user.is_set && cells.userns >= 0);
	p->is_in_memory =
		p->is_in_cell && p->owns_workdir && room->bytes <= CV_TOOL_ROOM_MEMORY_MAX;
	p->is_weak = p->is_in_cell && cells.userns >= 0;
	/* A sandbox writes files of its own that are no part of the directory. */
	p->file_bytes = room && p->owns_workdir && is_lacking && room->is_private && !p->cleans_up
				? room->bytes
				: 0;
}

cv_code spawn_workdir_make(const struct spawn_plan *plan, bool *ret_has_made, struct cv_err *err)
{
	struct spawn_plan p = *plan;

	spawn_place(&p);
	*ret_has_made = false;
	if (p.is_in_memory)
		return CV_OK;
	if (mkdir(p.workdir, 0700) < 0)
		return cv_fail_errno(err, "mkdir %s", p.workdir);
	*ret_has_made = true;
	if (p.user.is_set && chown(p.workdir, p.user.uid, p.user.gid) < 0)
		return cv_fail_errno(err, "chown %s", p.workdir);
	return CV_OK;
}

pid_t spawn_cell_fork(void)
{
	return cv_cell_fork(&cells);
}

/* In /tmp anybody can make a directory, or a link, of that name: these are none of ours. */
static bool is_ours(const char *dir)
{
	struct stat st;

	return lstat(dir, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid();
}

cv_code spawn_cell_enter(const struct spawn_plan *p, struct cv_err *err)
{
	const char *hide[BROKER_HIDDEN_MAX];
	size_t n = 0;

	for (size_t i = 0; i < hidden_count; i++)
		if (is_ours(hidden[i]))
			hide[n++] = hidden[i];
	const struct cv_cell_view view = {
		.hide = hide,
		.hide_count = n,
		.own = p->owns_workdir ? p->workdir : NULL,
		.is_kept = !p->is_in_memory,
		.bytes = p->room->bytes,
		.files = p->room->files,
		.uid = p->user.is_set ? p->user.uid : geteuid(),
		.gid = p->user.is_set ? p->user.gid : getegid(),
	};

	return cv_cell_enter(&view, err);
}
