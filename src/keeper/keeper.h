/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keeper.h - what cove-keeper holds
 */
#pragma once
#include "ipc/keeper_link.h"
#include "keeper/ca.h"
#include "keeper/vault.h"

struct keeper {
	struct cv_ca *ca;
	struct cv_vault *vault; /* NULL: a run without credentials */
	struct cv_ipc_link control, leaves;
	int proxy;         /* the proxy's link, -1 when there is none */
	struct cv_buf out; /* a reply that holds values */
	char buf[CV_IPC_BODY_BYTES_MAX + 8];
};

int64_t keeper_now_s(void); /* main.c */

/* leaf.c: LEAF is answered.  A failure ends the proxy's link. */
CV_MUST cv_code keeper_leaf_answer(struct keeper *k, struct cv_str body, struct cv_err *err);

/* release.c: what the proxy may know of the credentials, and RELEASE. */
CV_MUST cv_code keeper_catalog_send(struct keeper *k, struct cv_err *err);
CV_MUST cv_code keeper_release_answer(struct keeper *k, struct cv_str body, struct cv_err *err);
/* SECRETS: the set in fd becomes the vault. */
CV_MUST cv_code keeper_secrets_take(struct keeper *k, int fd, struct cv_err *err);
