/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sts_xml.h - the answer of AWS STS to AssumeRole
 *
 * Reads the few elements that matter from the XML that STS writes, and nothing that XML can do
 * besides: elements, attributes (skipped), text, the five predefined entities and a declaration at
 * the start.  A document type, a comment, CDATA, a processing instruction and any other entity are
 * refused, as are elements that stand twice.
 *
 * Ownership: text is decoded into the caller's arena.
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"

struct cv_sts_answer {
	struct cv_str key_id, secret, session_token, expiration; /* of AssumeRole */
	struct cv_str error_code;                                /* of an error */
};

/* CV_PROTO: not such a document.  Fields that are not there are CV_STR_NONE.  Messages never quote
 * the text. */
CV_MUST cv_code cv_sts_xml_parse(
	struct cv_str text, struct cv_arena *arena, struct cv_sts_answer *ret, struct cv_err *err);
