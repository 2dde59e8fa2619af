/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sha256.h - SHA-256 (FIPS 180-4) of bytes that arrive in pieces
 *
 * For telling files and records apart without a cryptographic library.  Where the CPU has
 * instructions for it (x86 SHA extensions) they are used: about 2 GB/s instead of 0.3.
 */
#pragma once
#include "base/attr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CV_SHA256_BYTES       32
#define CV_SHA256_BLOCK_BYTES 64

struct cv_sha256 {
	uint32_t h[8];
	uint64_t bytes;                             /* so far */
	unsigned char block[CV_SHA256_BLOCK_BYTES]; /* holds bytes % 64 that wait for more */
	bool is_asked, has_instructions;            /* of the CPU */
};

void cv_sha256_init(struct cv_sha256 *s);
/* Asks now what the CPU can do, and not when some KiB are there: for one that is copied for each
 * hash. */
void cv_sha256_ask(struct cv_sha256 *s);
void cv_sha256_update(struct cv_sha256 *s, const void *bytes, size_t n);

/* The digest of all that was given; s must be initialised again before it is used again. */
void cv_sha256_final(struct cv_sha256 *s, unsigned char ret[CV_SHA256_BYTES]);
