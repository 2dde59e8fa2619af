/* SPDX-License-Identifier: Apache-2.0 */
/*
 * name.h - host names in the one form that is compared
 *
 * Canonical text: lower-case labels of letters, digits, '-' and '_', joined by dots, without a
 * dot at the end, 1 to 253 bytes, no label empty or above 63 bytes or with '-' at an end.  '_' is
 * no host name letter by RFC 952, but service names and real hosts have it.  Names in other
 * scripts are compared as their A-labels (xn--...), so anything above ASCII is refused.
 * A text that some resolver would read as an IPv4 address (127.1, 0x7f000001) is not a name.
 */
#pragma once
#include "wire/limits_net.h"

#include "base/str.h"

struct cv_name {
	uint8_t n;                        /* 0: no name */
	char text[CV_NAME_BYTES_MAX + 1]; /* NUL at text[n] */
};

static inline struct cv_str cv_name_str(const struct cv_name *name) /* lives as long as *name */
{
	return (struct cv_str){ name->text, name->n };
}

/* Canonical form of text, which may be in any case but has no dot at its end. */
CV_MUST bool cv_name_parse(struct cv_str text, struct cv_name *ret_name);

/* Whether the last label is all digits, or 0x and hex digits: what inet_aton() and browsers try
 * to read as IPv4 (T4, A5). */
bool cv_name_is_numeric(struct cv_str text);
