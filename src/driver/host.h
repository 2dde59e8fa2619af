/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host.h - what a plan must know about this host, for whoever starts a run
 *
 * The command line and the gateway fill the same spec by the same functions, so that a sandbox of
 * the one is a sandbox of the other.  All look and change nothing; strings go into the arena.
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "plan/plan.h"

/* path as the host has it: absolute, links resolved.  CV_NOT_FOUND, CV_SYSTEM. */
CV_MUST cv_code cv_driver_path_resolve(const char *what, struct cv_str path, struct cv_arena *arena,
	struct cv_str *ret, struct cv_err *err);
/* What is at path, without following a final link. */
enum cv_path_kind cv_driver_path_kind(const char *path);

/* The host's part of the spec and files: ids, layout, date, trusted roots, what is to be protected
 * in the working directory. */
CV_MUST cv_code cv_driver_host_fill(struct cv_run_spec *s, struct cv_plan_files *files,
	struct cv_arena *arena, struct cv_err *err);
/* The shell of a root file system, or of the host: bash, or sh, since a small image has no bash; empty: it
 * has neither. */
struct cv_str cv_driver_shell(struct cv_str rootfs_dir);
/* The bundle of trusted roots (PEM) that this host has; empty: none. */
struct cv_str cv_driver_roots(void);
/* Our own programs, all of them there. */
CV_MUST cv_code cv_driver_programs_find(struct cv_plan_files *files, struct cv_arena *arena,
	struct cv_str *ret_supervisor, struct cv_err *err);
/* One that only the gateway starts: src/FOLDER/NAME of a build, or where they are installed.  In the
 * arena, with a NUL. */
CV_MUST cv_code cv_driver_program_path(const char *folder, const char *name, struct cv_arena *arena,
	struct cv_str *ret, struct cv_err *err);

/* Which means enforces each limit that was asked for; said on stderr unless quiet.
 * CV_UNAVAILABLE when nothing does. */
CV_MUST cv_code cv_driver_limits_fill(struct cv_run_spec *s, struct cv_err *err);

/* A policy's static sections: paths as this host has them, Landlock, identity; and its ports. */
CV_MUST cv_code cv_driver_sections_take(struct cv_run_spec *s, const struct cv_policy_doc *doc,
	struct cv_arena *arena, struct cv_err *err);
