/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dialect.h - the messages of March 2026, for clients that were built then
 *
 *     request:  its bytes --cv_dialect_request()--> bytes of today's message
 *     answer:   today's bytes --cv_dialect_answer()--> bytes of the older message
 *
 * Services, methods and most numbers are today's.  What differs: a sandbox and a provider had their
 * names beside their parts and not in a head, a sandbox its phase and version, `gpu` was a truth
 * value, and a template's pod_template is now one of the blocks of its driver_config.  No bytes can be read as both, so which of the two is spoken is a property of the listener.
 *
 * Pure; bytes that make no sense are refused, what is not known passes as it is.
 */
#pragma once
#include "base/attr.h"
#include "base/buf.h"

/* Appends; type is the message's full name.  False: malformed, or out is full. */
CV_MUST bool cv_dialect_request(const char *type, struct cv_str in, struct cv_buf *out);
CV_MUST bool cv_dialect_answer(const char *type, struct cv_str in, struct cv_buf *out);

/* To delete what is not there was no failure. */
bool cv_dialect_may_lack(const char *method);
