/* SPDX-License-Identifier: Apache-2.0 */
/*
 * build_int.h - what the files of the backend `build` share
 *
 * A call is a row of steps, each a process under a shepherd: work on files (build_files.c), or
 * buildah, or podman, in a sandbox of its own (build_plan.c, build_conf.c, build_policy.c).  build.c
 * goes from one to the next.
 */
#pragma once
#include "broker/broker.h"
#include "broker/call_end.h"
#include "broker/keys.h"
#include "broker/spawn.h"
#include "tools/containerfile.h"
#include "tools/image_ref.h"

enum build_step {
	BUILD_CONTEXT, /* the sandbox's files are copied */
	BUILD_PULL,    /* a base image is fetched; once for each */
	BUILD_BUILD,
	BUILD_EXPORT,  /* the image becomes an archive, which has a digest and a size */
	BUILD_DELIVER, /* ...which the sandbox gets */
	BUILD_PUSH,
	BUILD_LIST,
	BUILD_CLEAN,
	BUILD_STEP_COUNT
};

struct build_run {
	enum build_step step;
	struct spawned p, look; /* of the step; who looks at the disk meanwhile */
	struct cv_arena arena;
	const struct cv_tool_build *tool;
	char dir[PATH_MAX];   /* of this call */
	char store[PATH_MAX]; /* images and layers of the sandbox */
	char bases[PATH_MAX]; /* base images; what builds may only read */
	struct cv_str image;  /* with the space of the sandbox */
	struct cv_str space;
	struct cv_str context_dir, dockerfile, dest, push, target; /* push: whole, with its tag */
	struct cv_str file, text; /* the Containerfile, in context; what it says */
	const struct cv_value *build_args, *labels;
	int login[CV_TOOL_BUILD_LOGINS_MAX]; /* as the tool has them: memfds; -1: none */
	struct cv_str pull[CV_CONTAINERFILE_IMAGES_MAX];
	size_t pull_count, pull_at;

	struct cv_buf said; /* on stdout, of this step */
	struct cv_buf last; /* on stderr, of this step: its first line is the reason */
	uint64_t log_bytes;
	bool has_ids;    /* the host gives its user a range of them: build_ids.c */
	bool has_policy; /* the step: it has a network, by a proxy of its own */
	bool is_too_large, is_flooding, is_killed;
	int start_errno;

	uint64_t size; /* of the archive */
	char digest[80], pushed[80];
	enum call_outcome outcome;
	int status; /* an answer of its own, with code; 0: outcome's */
	const char *code;
	char detail[400];
};

/* What call() says may be built: checked without a sandbox.  CV_INVALID, and which argument. */
CV_MUST cv_code build_arguments_check(const struct cv_tool *t, const struct cv_value *arguments,
	struct cv_arena *arena, struct cv_str *ret_pointer, struct cv_err *err);

/* ---- build_end.c ---- */

const char *build_step_word(enum build_step step);
/* Why it will fail; status 0: as outcome has it, and no code. */
CV_PRINTF(5, 6)
void build_refuse(struct build_run *r, enum call_outcome outcome, int status, const char *code,
	const char *fmt, ...);
/* Why a step failed, as one sentence, unless it was said.  NULL: its process was lost. */
void build_failure_tell(struct build_run *r, const struct spawn_report *report);
void build_finish(struct broker *b, struct job *j); /* the answer; the run is freed */
void build_run_free(struct build_run *r);

/* ---- build_plan.c ---- */

struct build_engine {
	const char *path;       /* on the host, and so in the sandbox of a step */
	const char *options[3]; /* before the operation; NULL ends them */
	const char *list;       /* of `images`: as JSON, in the engine's own words */
	bool has_pull_policy;   /* else a pull asks the registry each time */
};
/* NULL: none of ours can be built with it. */
const struct build_engine *build_engine_of(enum cv_tool_build_engine engine);

struct build_words {
	char *v[BUILD_WORDS_MAX + 1];
	size_t n;
	struct cv_arena *arena;
	bool is_full;
};

/* Writes the files that the step's engine reads, and makes its command line. */
CV_MUST cv_code build_plan_make(struct broker *b, const struct sandbox *box, struct build_run *r,
	struct build_words *ret, struct cv_err *err);
/* Where base images of this call are kept; made if need be. */
CV_MUST cv_code build_bases_find(
	struct broker *b, struct build_run *r, const char *own, struct cv_err *err);

/* ---- build_conf.c ---- */

struct cv_str build_registry(const struct build_run *r); /* that the step is about; empty: none */
bool build_is_plain_http(const struct build_run *r, struct cv_str registry);
const struct cv_tool_login *build_login(const struct build_run *r); /* for it; NULL: none */
/* The values of the tool's logins, while the call still has them. */
CV_MUST cv_code build_logins_take(struct build_run *r, const struct keys *keys, struct cv_err *err);
void build_logins_drop(struct build_run *r);
/* What the step may read one of them from; -1 when it needs none. */
CV_MUST cv_code build_login_open(const struct build_run *r, int *ret, struct cv_err *err);
/* Files that the step's engine, and its `cove run`, read. */
CV_MUST cv_code build_conf_write(const struct build_run *r, struct cv_err *err);
/* A file of the step's directory, at once: whoever reads it meanwhile has the one or the other. */
CV_MUST cv_code build_file_write(
	const struct build_run *r, const char *name, struct cv_str text, struct cv_err *err);

/* ---- build_policy.c ---- */

CV_MUST cv_code build_policy_write(
	const struct sandbox *box, const struct build_run *r, bool *ret_has, struct cv_err *err);
/* The sandbox has another policy: the proxy of a BUILD that runs reads this file anew. */
CV_MUST cv_code build_policy_again(
	const struct sandbox *box, const struct build_run *r, struct cv_err *err);

/* ---- build_files.c: in a process of their own ---- */

int build_context_run(const void *run); /* SPAWN_KEEP_FD: the sandbox's root */
int build_deliver_run(const void *run);
int build_look_run(const void *run);
#define BUILD_LOOK_TOO_MUCH 1 /* how it ends */
int build_look(const char *store_path, const char *own_path, uint64_t max, uint64_t extra);
int build_clean_run(const void *run);

/* What the proxies of the steps decided, as events of the run; a line too many is counted. */
void build_audit_tell(struct broker *b, const struct job *j, const struct build_run *r);
/* The Containerfile of the copied context, read; which images it needs. */
CV_MUST cv_code build_bases_read(struct build_run *r, struct cv_err *err);
bool build_push_is_allowed(struct build_run *r, const struct cv_image_ref *ref);
/* What the engine wrote, which it did in a sandbox with strangers: a small regular file. */
CV_MUST cv_code build_digest_read(
	const struct build_run *r, const char *name, char ret[80], struct cv_err *err);
CV_MUST cv_code build_size_read(struct build_run *r, struct cv_err *err);
