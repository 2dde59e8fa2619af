/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h1_int.h - what the files of the HTTP/1 codec share: byte classes, lines, framing fields
 */
#pragma once
#include "wire/h1.h"

enum {
	H1_TOKEN = 1 << 0,  /* tchar, RFC 9110 5.6.2 */
	H1_VALUE = 1 << 1,  /* field-vchar, SP, HTAB: no other control byte */
	H1_TARGET = 1 << 2, /* printable ASCII without space and # */
};

extern const uint8_t cv_h1_class[256];

static inline bool h1_is(char c, unsigned mask)
{
	return cv_h1_class[(unsigned char)c] & mask;
}

static inline bool h1_all_are(struct cv_str s, unsigned mask)
{
	for (size_t i = 0; i < s.n; i++)
		if (!h1_is(s.p[i], mask))
			return false;
	return true;
}

/* Where a line is being read; end stands behind the whole head, which ends in CR LF CR LF. */
struct h1_at {
	const char *p, *end;
};

/* Fields that the meaning of a head depends on, and how often they were there. */
struct h1_seen {
	const struct cv_h1_header *host, *length, *coding, *upgrade, *expect;
	uint16_t host_count, length_count, coding_count, upgrade_count, expect_count;
	bool is_overriding;
};

struct h1_connection {
	bool has_close, has_upgrade;
};

/* Seeks the empty line that ends a head; OK sets *ret_end behind it.  Refuses LF without CR. */
enum cv_h1_rc cv_h1_head_end(
	struct cv_str bytes, size_t head_max, size_t *scanned, size_t *ret_end);

/* Reads field lines up to the empty line and counts the fields of seen. */
enum cv_h1_rc cv_h1_fields_read(struct h1_at *at, struct cv_h1_header *headers, size_t max,
	size_t *ret_count, struct h1_seen *seen);

/* Reads all Connection fields and marks what they name with CV_H1_NAMED. */
enum cv_h1_rc cv_h1_connection_read(
	struct cv_h1_header *headers, size_t count, struct h1_connection *ret);

/* Content-Length and Transfer-Encoding as framing, when there is one or neither of them. */
enum cv_h1_rc cv_h1_framing_read(
	const struct h1_seen *seen, uint8_t minor, enum cv_h1_body *ret_body, uint64_t *ret_length);

/* True if the text is a comma-separated list of name[/version]. */
bool cv_h1_upgrade_is_plain(struct cv_str value);
