/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keeper.h - what cove-keeper holds
 */
#pragma once
#include "ipc/keeper_link.h"
#include "keeper/ca.h"
#include "keeper/renew.h"
#include "keeper/vault.h"

#define KEEPER_WAITS_MAX     64    /* of requests at once for a renewal; few programs send more */
#define KEEPER_WAIT_MS       10000 /* an issuer takes less; CV_PROXY_KEEPER_MS is longer */
#define KEEPER_WHY_BYTES     128
#define KEEPER_PEM_BYTES_MAX 4096

struct keeper_wait { /* a RELEASE whose credential is being renewed */
	char *body;  /* of the message; NULL: this place is free */
	size_t bytes;
	int64_t until_ms;
};

struct keeper {
	struct cv_ca *ca;
	struct cv_vault *vault; /* NULL: a run without credentials */
	struct cv_ipc_link control, leaves;
	struct keeper_renewals renewals;
	struct keeper_wait wait[KEEPER_WAITS_MAX]; /* of the proxy's link */
	int proxy;                                 /* the proxy's link, -1 when there is none */
	int former; /* that of before, answered no more; open until there is another, or -1 */
	struct cv_buf out;      /* a reply that holds values */
	struct cv_buf answers;  /* ... and those to one RELEASES */
	bool is_gathering;      /* into answers */
	bool is_kept;           /* the proxy may keep some answer of: */
	uint64_t version;       /* ... what it was told last */
	uint32_t wait_count;    /* used places of wait */
	struct cv_buf upstream; /* value of Proxy-Authorization, for the upstream proxy */
	struct keeper_wait tool_wait[KEEPER_WAITS_MAX]; /* of the broker's link */
	uint32_t tool_wait_count;
	int broker; /* its link, -1 when there is none */
	struct cv_ipc_link tools;
	struct keeper_seal *seal; /* NULL: this is a run's keeper, not a vault */
	char buf[CV_IPC_BODY_BYTES_MAX + 8];
};

void keeper_proxy_drop(struct keeper *k); /* main.c; its link ends, and with it what it was given */

/* leaf.c: LEAF is answered.  A failure ends the proxy's link. */
CV_MUST cv_code keeper_leaf_answer(struct keeper *k, struct cv_str body, struct cv_err *err);

/* release.c: what the proxy may know of the credentials, and RELEASE. */
CV_MUST cv_code keeper_catalog_send(struct keeper *k, struct cv_err *err);
CV_MUST cv_code keeper_release_answer(struct keeper *k, struct cv_str body, struct cv_err *err);
/* What was answered may be kept by the proxy, and holds no more: CHANGED, before anybody else hears of
 * the change. */
void keeper_change_tell(struct keeper *k);
/* RELEASES: each of its questions is answered as if it had come alone. */
CV_MUST cv_code keeper_releases_answer(struct keeper *k, struct cv_str body, struct cv_err *err);
CV_MUST cv_code keeper_rejected_take(struct keeper *k, struct cv_str body, struct cv_err *err);
/* Requests that wait for a renewal: those that it has come for, or that waited too long, are
 * answered.  A failure ends the proxy's link. */
CV_MUST cv_code keeper_waits_look(struct keeper *k, struct cv_err *err);
CV_MUST int keeper_waits_ms(const struct keeper *k); /* until the first is too long; -1: none */
void keeper_waits_drop(struct keeper *k);
/* mint.c: MINT; and, behind the catalog, what was minted before. */
CV_MUST cv_code keeper_mint_answer(struct keeper *k, struct cv_str body, struct cv_err *err);
CV_MUST cv_code keeper_minted_send(struct keeper *k, struct cv_err *err);
/* upstream.c: the control link's UPSTREAM, and the proxy's. */
CV_MUST cv_code keeper_upstream_take(struct keeper *k, int fd, struct cv_err *err);
CV_MUST cv_code keeper_upstream_answer(struct keeper *k, struct cv_str body, struct cv_err *err);
/* SECRETS: the set in fd becomes the vault. */
CV_MUST cv_code keeper_secrets_take(struct keeper *k, int fd, struct cv_err *err);

/* anew.c: SECRETS_ANEW: the set in fd is the vault from now on.  A failure changes nothing. */
CV_MUST cv_code keeper_secrets_anew(struct keeper *k, int fd, struct cv_err *err);

/* tools.c: the link of a broker, instead of an earlier one; a message on it; and its requests that
 * wait for a renewal, as keeper_waits_look(). */
void keeper_broker_take(struct keeper *k, int link);
void keeper_broker_serve(struct keeper *k);
void keeper_broker_look(struct keeper *k);

/* nursery.c: the role of a nursery, which ends with its link.  Returns in each child, which is a keeper
 * that nobody has told anything yet. */
CV_MUST cv_code keeper_nursery_serve(struct keeper *k, struct cv_err *err);
/* While it is on, being woken takes the processor from nobody (sched(7), SCHED_BATCH). */
void keeper_wait_for_turn(bool is_on);

/* seal.c: the role of a vault.  fd: the keys; serve() ends the process with its link. */
CV_MUST cv_code keeper_seal_start(struct keeper *k, int fd, struct cv_err *err);
CV_NORETURN void keeper_seal_serve(struct keeper *k);
