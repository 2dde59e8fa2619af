/* SPDX-License-Identifier: Apache-2.0 */
/*
 * containerfile.h - which images a Containerfile builds on, known before anything is built
 *
 * They are fetched in a step of their own, so this has to find all of them; what it can't tell is
 * refused, never guessed.  It need not be believed for security: the build itself can fetch nothing.
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#define CV_CONTAINERFILE_BYTES_MAX  (1u << 20)
#define CV_CONTAINERFILE_IMAGES_MAX 32
#define CV_CONTAINERFILE_STAGES_MAX 128
#define CV_CONTAINERFILE_ARGS_MAX   256

struct cv_containerfile_arg {
	struct cv_str name, value;
};

struct cv_containerfile {
	struct cv_str
		image[CV_CONTAINERFILE_IMAGES_MAX]; /* as written, ARGs filled in; each once */
	uint32_t line[CV_CONTAINERFILE_IMAGES_MAX];
	size_t image_count;
	struct cv_str stage[CV_CONTAINERFILE_STAGES_MAX]; /* names; empty: it has none */
	size_t stage_count;
};

/* Images are of the machine that builds them, so this is the only platform that there is. */
#if defined(__x86_64__)
#define CV_CONTAINERFILE_PLATFORM "linux/amd64"
#elif defined(__aarch64__)
#define CV_CONTAINERFILE_PLATFORM "linux/arm64"
#elif defined(__riscv)
#define CV_CONTAINERFILE_PLATFORM "linux/riscv64"
#elif defined(__powerpc64__)
#define CV_CONTAINERFILE_PLATFORM "linux/ppc64le"
#elif defined(__s390x__)
#define CV_CONTAINERFILE_PLATFORM "linux/s390x"
#else
#define CV_CONTAINERFILE_PLATFORM "linux"
#endif

/* A stage by its name, in any case, or by its number. */
bool cv_containerfile_has_stage(const struct cv_containerfile *c, struct cv_str name);

/* Names of FROM, of COPY --from and of RUN --mount=...,from=, that are neither `scratch` nor a stage.
 * args: what the call sets.  CV_INVALID: with the line. */
CV_MUST cv_code cv_containerfile_read(struct cv_str text, const struct cv_containerfile_arg *args,
	size_t arg_count, struct cv_arena *arena, struct cv_containerfile *ret, struct cv_err *err);
