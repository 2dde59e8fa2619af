/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guards.c - whether what is read-only in the working directory was so all the time
 *
 * The kernel takes a mount away with the file that it lies on: when a program of the host puts another
 * one in its place (rename(2), as `git config` does), the new one is the sandbox's to write.  Nobody
 * can be kept from that, so it is said at the end, as is what was not there at the beginning.  A file
 * is another one when its number or its birth is; an old number may come round again.
 */
#include "supervisor/supervisor.h"

#include <fcntl.h>
#include <linux/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool is_guard(const struct supervisor *s, const struct cv_plan_op *op)
{
	const struct cv_str workdir = s->plan.command.cwd;

	return op->type == CV_PLAN_PROTECT && !(op->flags & (CV_PLAN_OPTIONAL | CV_PLAN_POLICY)) &&
	       cv_str_has_prefix(op->dst, workdir) && op->dst.n > workdir.n &&
	       op->dst.p[workdir.n] == '/';
}

static struct guard_mark mark_of(const char *path)
{
	struct statx st;

	if (syscall(SYS_statx, AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_INO | STATX_BTIME, &st) <
		0)
		return (struct guard_mark){ 0 };
	return (struct guard_mark){
		.ino = st.stx_ino,
		.born_s = st.stx_mask & STATX_BTIME ? st.stx_btime.tv_sec : 0,
		.born_ns = st.stx_mask & STATX_BTIME ? st.stx_btime.tv_nsec : 0,
	};
}

void guards_note(struct supervisor *s)
{
	s->guard = cv_arena_array(&s->arena, s->plan.op_count, sizeof(s->guard[0]));
	for (uint32_t i = 0; s->guard && i < s->plan.op_count; i++)
		if (is_guard(s, &s->plan.ops[i]))
			s->guard[i] = mark_of(s->plan.ops[i].dst.p);
}

void guards_tell(const struct supervisor *s)
{
	for (uint32_t i = 0; s->guard && i < s->plan.op_count; i++) {
		const struct guard_mark was = s->guard[i];
		const struct guard_mark is =
			was.ino ? mark_of(s->plan.ops[i].dst.p) : (struct guard_mark){ 0 };

		if (is.ino &&
			(is.ino != was.ino || is.born_s != was.born_s || is.born_ns != was.born_ns))
			say("look before you use it: %.*s was replaced on the host while the run went "
			    "on, so the run could write it",
				CV_STR_ARG(s->plan.ops[i].dst));
	}
}
