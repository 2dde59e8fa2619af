/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netlink.h - netlink messages written into a fixed buffer, sent and acknowledged
 *
 * A batch holds several messages; nests are opened and closed in order.  Running out of room is
 * sticky and shows in cv_nl_send().  netlink(7).
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

#include <linux/netlink.h>
#include <stdbool.h>
#include <stdint.h>

#define CV_NL_BATCH_BYTES 8192 /* both families' tables, chains and rules take under 4 KiB */

struct cv_nl_batch {
	_Alignas(struct nlmsghdr) char buf[CV_NL_BATCH_BYTES];
	size_t bytes;
	struct nlmsghdr *msg; /* the one being written */
	uint32_t seq;         /* of the newest message */
	uint32_t ack_count;   /* messages that asked for an acknowledgement */
	bool is_overflown;
};

void cv_nl_init(struct cv_nl_batch *b);

/* Starts a message with its fixed header (copied); later attributes belong to it. */
void cv_nl_message(
	struct cv_nl_batch *b, uint16_t type, uint16_t flags, const void *head, size_t bytes);
void cv_nl_attr(struct cv_nl_batch *b, uint16_t type, const void *data, size_t bytes);
void cv_nl_attr_str(struct cv_nl_batch *b, uint16_t type, const char *z); /* with its NUL */
void cv_nl_attr_be32(struct cv_nl_batch *b, uint16_t type, uint32_t v);
void cv_nl_attr_u32(struct cv_nl_batch *b, uint16_t type, uint32_t v); /* host order */

/* A nest: the mark goes to the matching end. */
CV_MUST size_t cv_nl_nest(struct cv_nl_batch *b, uint16_t type);
void cv_nl_nest_end(struct cv_nl_batch *b, size_t mark);

/* A netlink socket of the given family, in the present network namespace. */
CV_MUST cv_code cv_nl_open(int family, int *ret, struct cv_err *err);

/* Sends the batch in one datagram and reads an acknowledgement for each message that asked for
 * one; the first refusal is CV_SYSTEM with the kernel's errno. */
CV_MUST cv_code cv_nl_send(int sock, struct cv_nl_batch *b, const char *what, struct cv_err *err);
