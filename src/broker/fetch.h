/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fetch.h - one request to a server of the host's, on the broker's loop
 *
 * Plain http goes to this host only, https is verified against the roots that the supervisor gave;
 * no redirects, no cookies, no proxy of the environment; addresses of metadata services and of this
 * link are refused whatever name led there.  Connections are kept for the next request.
 *
 * Ownership: whoever started a fetch drops it, in or after its end; nothing is called after that.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct broker;
struct fetch;

struct fetch_header {
	struct cv_str name, value;
};

struct fetch_end {
	int status;          /* 0: there was no answer */
	const char *failure; /* a sentence; NULL: a whole answer came */
	bool is_cut;         /* data() had enough */
};

struct fetch_plan {
	struct cv_str method, url; /* the URL whole, with its query */
	struct cv_str socket;      /* path of a Unix socket; empty: none */
	const struct fetch_header *header;
	size_t header_count;
	struct cv_str body;
	bool has_body;
	uint32_t timeout_ms; /* 0: the caller ends it */

	/* Of an answer; any may be NULL.  data(): false when no more is wanted. */
	void (*head)(void *arg, struct cv_str name, struct cv_str value);
	bool (*data)(void *arg, struct cv_str piece);
	void (*end)(
		struct broker *b, void *arg, const struct fetch_end *e); /* never within start */
	void *arg;
};

/* All of the plan is copied.  CV_INVALID: the URL may not be asked; CV_LIMIT; CV_UNAVAILABLE: no libcurl. */
CV_MUST cv_code fetch_start(
	struct broker *b, const struct fetch_plan *plan, struct fetch **ret, struct cv_err *err);
/* The status that came so far, or 0. */
int fetch_status(const struct fetch *f);
void fetch_drop(struct fetch *f); /* NULL is fine */

/* ---- for the loop ---- */
void fetch_roots_set(struct broker *b, char *pem, size_t bytes); /* taken */
CV_MUST bool fetch_pin_add(
	struct broker *b, struct cv_str host, uint32_t port, struct cv_str address);
void fetch_event(struct broker *b, int fd, uint32_t events);
void fetch_due(struct broker *b);
