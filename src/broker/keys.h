/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keys.h - credentials that a call, or a server, is using
 *
 * Asked for one by one from the keeper, by the name of who will use them (cred/set.h); kept for as
 * long as that lasts, wiped when it ends.  What comes back from whoever got them passes
 * keys_scrub_*() before anybody sees it.
 *
 * Nobody who needs no credential has keys; every function takes NULL for that.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "cred/scrub.h"
#include "sys/loop.h"
#include "tools/catalog.h"

#define KEYS_WHO_BYTES (CV_TOOL_NAME_BYTES_MAX + 16)

struct broker;

enum keys_for { KEYS_JOB, KEYS_SERVER, KEYS_MCP };

struct key {
	struct cv_str name;   /* the catalog's */
	uint32_t tag;         /* of its request; 0: it has come */
	struct cv_str value;  /* malloc'd */
	struct cv_str former; /* the value before; scrubbed too */
};

struct keys {
	struct keys *next, **at; /* in the list of those that wait; at NULL: it does not */
	enum keys_for kind;
	struct cv_ref owner;
	char who[KEYS_WHO_BYTES]; /* "tool:NAME" */
	struct key *v;
	size_t n, missing;
	int64_t due_ms;
	struct cv_scrub_set *set; /* once all have come */
};

/* Asks for all; NULL without memory.  keys_come() of the owner is called later, in this turn or
 * another: the caller is not yet told anything here. */
struct keys *keys_ask(struct broker *b, enum keys_for kind, struct cv_ref owner, const char *who,
	struct cv_str name, const struct cv_tool_uses *uses);
void keys_free(struct keys *k); /* wipes */
/* Whoever needed the values has them: only what scrubbing needs stays. */
void keys_values_drop(struct keys *k);
/* One more, that is known already; *k may be NULL and is then made. */
CV_MUST cv_code keys_add(
	struct keys **k, struct cv_str name, struct cv_str value, struct cv_err *err);

/* For cv_template_values: arg is the keys. */
bool keys_get(void *arg, struct cv_str name, struct cv_str *ret);
/* The same before there are any: every credential is "". */
bool keys_get_empty(void *arg, struct cv_str name, struct cv_str *ret);

/* One stream of what comes back, without what the keys (up to two of them) hold. */
struct keys_scrub {
	struct cv_scrub *v[2];
	struct cv_buf between;
};

CV_MUST bool keys_scrub_init(struct keys_scrub *s, const struct keys *a, const struct keys *b);
void keys_scrub_fini(struct keys_scrub *s);
/* Appends what is known to be clean.  False: no memory, and the stream is of no more use. */
CV_MUST bool keys_scrub_feed(struct keys_scrub *s, struct cv_str in, struct cv_buf *out);
CV_MUST bool keys_scrub_end(struct keys_scrub *s, struct cv_buf *out);

/* ---- for the loop ---- */
void keys_link_set(
	struct broker *b, int fd); /* a keeper, or another one: everything is asked again */
void keys_read(struct broker *b);
void keys_due(struct broker *b);
