/* SPDX-License-Identifier: Apache-2.0 */
/*
 * courier.h - what the files of cove-courier share
 *
 * An errand is a request of the keeper's that is under way: a transfer (fetch.c) or a command
 * (command.c).  It ends in errand_carried() or errand_failed(), which also frees its place.
 */
#pragma once
#include "courier/limits.h"
#include "ipc/courier_link.h"

#include <curl/curl.h>
#include <sys/types.h>

struct courier_kept {
	const char *name; /* as the table in fetch.c has it */
	char value[COURIER_HEAD_BYTES_MAX];
};

#define COURIER_KEPT_MAX 3 /* Retry-After, X-RateLimit-Remaining, Content-Type */

struct errand {
	bool is_used;
	uint32_t tag;
	struct cv_buf body; /* what came back; wiped when the errand ends */
	int64_t until_ms;   /* of a command; curl keeps its own time */

	/* fetch.c */
	CURL *easy;
	struct curl_slist *headers;
	struct cv_buf text; /* method, URL and body as C strings */
	struct courier_kept kept[COURIER_KEPT_MAX];
	size_t kept_count;

	/* command.c */
	pid_t pid;
	int pidfd, pipe;
};

struct courier {
	struct cv_ipc_link control, errands;
	int keeper; /* the keeper's link, -1 when there is none */
	uint32_t flags;

	char *roots; /* PEM */
	size_t root_bytes;
	struct curl_slist *pins;
	char *env[COURIER_ENV_MAX]; /* NAME=value */
	size_t env_count;

	CURLM *multi;
	struct errand errand[COURIER_ERRANDS_MAX];
	char buf[CV_IPC_BODY_BYTES_MAX + 8];
};

/* ---- main.c ---- */
void errand_carried(struct courier *c, struct errand *e, int status);
void errand_failed(struct courier *c, struct errand *e, enum cv_courier_failure why);

/* ---- fetch.c ---- */
CV_MUST cv_code fetch_open(struct courier *c, struct cv_err *err);
/* FETCH's body behind the tag.  CV_PROTO: it is malformed; every other failure ends the errand. */
CV_MUST cv_code fetch_start(
	struct courier *c, struct errand *e, struct cv_ipc_reader *r, struct cv_err *err);
void fetch_step(struct courier *c); /* lets curl work, and ends errands that are done */
void fetch_drop(struct courier *c, struct errand *e);

/* ---- command.c ---- */
CV_MUST cv_code command_start(
	struct courier *c, struct errand *e, struct cv_ipc_reader *r, struct cv_err *err);
/* After poll(): reads, and ends the errand when the command has or its time is over. */
void command_step(struct courier *c, struct errand *e);
void command_drop(struct errand *e);
