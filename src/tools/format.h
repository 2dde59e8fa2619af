/* SPDX-License-Identifier: Apache-2.0 */
/*
 * format.h - the values of JSON Schema's `format` that are looked at
 *
 *     date-time date time duration   RFC 3339, durations by its appendix A
 *     email hostname                 RFC 5321 without comments; RFC 1123, 253 bytes at most
 *     ipv4 ipv6                      base/ip.h, so without zones
 *     uri uri-reference              RFC 3986
 *     uuid                           RFC 9562, any version
 *     json-pointer relative-json-pointer
 *
 * The names of the specification that are not in this list (regex, uri-template, and what is
 * written beyond ASCII: iri, idn-email, ...) are annotations, as unknown ones are.  Pure.
 */
#pragma once
#include "base/str.h"

typedef bool cv_format_is(struct cv_str text);

struct cv_format {
	const char *name;
	cv_format_is *is;
};

const struct cv_format *cv_format_find(struct cv_str name); /* NULL: not looked at */
