/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image_ref.h - names of container images: REGISTRY/PATH:TAG@DIGEST
 *
 * The grammar is that of the OCI distribution specification, without its leniences: no upper case, no
 * empty parts, and so nothing that begins with '-' or has a transport in front ("dir:", "docker://").
 */
#pragma once
#include "base/arena.h"
#include "base/str.h"

#include <stdbool.h>

#define CV_IMAGE_REF_BYTES_MAX 512 /* the longest path is 255, a digest 71 */

struct cv_image_ref {           /* parts of the text, which they live as long as */
	struct cv_str registry; /* "docker.io", "registry.test:5000"; empty: none was written */
	struct cv_str path;     /* "library/debian" */
	struct cv_str tag;      /* empty: none */
	struct cv_str digest;   /* "sha256:..."; empty: none */
};

/* False: it is none. */
CV_MUST bool cv_image_ref_parse(struct cv_str s, struct cv_image_ref *ret);

/* "registry.test:5000": what stands before the first '/' of a reference, if that names a registry. */
CV_MUST bool cv_image_registry_is_good(struct cv_str s);

/* "debian" as "docker.io/library/debian:latest", as builders read it. */
struct cv_str cv_image_ref_whole(const struct cv_image_ref *ref, struct cv_arena *arena);

/* The same without tag and digest: what lists of allowed images are matched with too. */
struct cv_str cv_image_ref_name(const struct cv_image_ref *ref, struct cv_arena *arena);

/* Where images of the sandbox of this name are: "localhost/NAME/", where NAME is as the sandbox's if
 * it can stand there, else a digest of it. */
struct cv_str cv_image_ref_space(struct cv_str sandbox, struct cv_arena *arena);

/* An image of the sandbox, as a call names it: "app", "team/app:1", or all of it with the space.
 * CV_STR_NONE: it is no name, or another's. */
struct cv_str cv_image_ref_own(struct cv_str tag, struct cv_str space, struct cv_arena *arena);

/* "sha256:" and 64 digits. */
CV_MUST bool cv_image_digest_is_good(struct cv_str s);
