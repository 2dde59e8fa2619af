/* SPDX-License-Identifier: Apache-2.0 */
/*
 * named.h - files of the host that a run was told of, where the sandbox would have them too
 *
 * A policy is read again when it changes, a catalog says what runs on the host, an instance file where
 * values come from: who writes these decides.  They often lie where the sandbox works.  So each is
 * read-only in there, under directories that can't be renamed away, and a file that holds a secret
 * is empty in there.  That a policy still is what nobody inside could write is asked once more when it
 * is read (CV_PLAN_POLICY; supervisor/reload.c): a program of the host that puts another file in its
 * place takes the mount away with the old one.
 */
#pragma once
#include "base/arena.h"
#include "plan/spec.h"

enum cv_named_step {
	CV_NAMED_PIN,   /* a directory on the way: a mount of its own */
	CV_NAMED_GUARD, /* read-only */
	CV_NAMED_HIDE,  /* nothing to be seen */
};

struct cv_named_place {
	struct cv_str path; /* in the sandbox */
	enum cv_named_step step;
	bool is_policy;
};

/* What cove makes by itself in a sandbox: of the host's files nothing is seen there. */
bool cv_plan_is_made_here(const struct cv_run_spec *s, struct cv_str path);

/* The steps for all of s->named, in order, in arena.  False: no memory. */
CV_MUST bool cv_plan_named_places(const struct cv_run_spec *s, struct cv_arena *arena,
	struct cv_named_place **ret, size_t *ret_n);
