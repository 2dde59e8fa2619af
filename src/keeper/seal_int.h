/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seal_int.h - what the two files of the vault share: seal.c and seal_renew.c
 */
#pragma once
#include "cred/set.h"
#include "keeper/envelope.h"
#include "keeper/keeper.h"

struct keeper_seal {
	struct cv_seal_key key[CV_VAULT_KEYS_MAX]; /* the present one, then former ones */
	size_t n;
	int courier; /* the link of who carries renewals; -1: none */
};

/* The reference in *v becomes what it stands for, in the arena. */
CV_MUST cv_code keeper_seal_open(
	const struct keeper_seal *s, struct cv_arena *arena, struct cv_str *v, struct cv_err *err);
CV_MUST cv_code keeper_seal_write(int fd, struct cv_str bytes, struct cv_err *err);

/* seal_renew.c: RENEW, whole: returns when the issuer has answered, or did not.  reply: the rest of
 * RENEWAL behind its tag. */
CV_MUST cv_code keeper_seal_renew(const struct keeper_seal *s, int in, int out, char *buf,
	struct cv_buf *reply, struct cv_err *err);
