/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scrub_unit_int.h - text with escapes, as the bytes that it stands for
 *
 * A unit is one byte and the place in the stream where it is written: `a` takes one byte there,
 * `%61` three, `\u0061` six.  A chain decodes in up to four steps, each of which reads units and
 * gives units, so that escapes inside escapes keep their place.  Nothing is lost: what only looked
 * like an escape comes out as the bytes it is.  Pure; a chain is a few hundred bytes of plain data.
 */
#pragma once
#include "base/str.h"

#include <stdint.h>

struct cv_scrub_unit {
	uint32_t at; /* modulo 2^32; streams may be longer, what is compared is near */
	uint16_t len;
	uint8_t byte;
};

enum cv_scrub_step {
	CV_SCRUB_STEP_PERCENT, /* %61 */
	CV_SCRUB_STEP_JSON,    /* \u0061, \/ and so on, and \x61 as programs print it */
};

#define CV_SCRUB_STEPS_MAX  4
#define CV_SCRUB_ESCAPE_MAX 5 /* units of an escape that are kept until the last one comes */

struct cv_scrub_decoder {
	uint8_t step;  /* enum cv_scrub_step */
	uint8_t count; /* of kept */
	uint16_t high; /* first half of a surrogate pair, or 0 */
	struct cv_scrub_unit high_unit;
	struct cv_scrub_unit kept[CV_SCRUB_ESCAPE_MAX];
};

struct cv_scrub_chain {
	size_t count;
	struct cv_scrub_decoder decoder[CV_SCRUB_STEPS_MAX];
};

typedef void cv_scrub_unit_fn(const struct cv_scrub_unit *u, void *arg);

void cv_scrub_chain_init(
	struct cv_scrub_chain *c, const enum cv_scrub_step *steps, size_t step_count);
void cv_scrub_chain_push(
	struct cv_scrub_chain *c, const struct cv_scrub_unit *u, cv_scrub_unit_fn *give, void *arg);

/* The stream has ended: what is kept comes out. */
void cv_scrub_chain_flush(struct cv_scrub_chain *c, cv_scrub_unit_fn *give, void *arg);

bool cv_scrub_chain_is_empty(const struct cv_scrub_chain *c); /* keeps nothing */

/* The place of the first byte kept, if that is before `at`; else `at`. */
uint32_t cv_scrub_chain_live(const struct cv_scrub_chain *c, uint32_t at);

/* The character that the escape at p stands for, whichever chain reads it (a half of a surrogate pair
 * counts as itself); -1 when that depends, on the chain or on bytes behind the n. */
int cv_scrub_escape_value(const char *p, size_t n);
