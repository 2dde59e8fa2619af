/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grpc_text.h - what gRPC writes into header fields (doc/PROTOCOL-HTTP2.md of grpc); pure
 */
#pragma once
#include "base/buf.h"

/* Appends s as grpc-message has it: bytes outside of 0x20..0x7e, and %, as %XX. */
void cv_rpc_percent_encode(struct cv_buf *to, struct cv_str s);

/* "100m" of grpc-timeout, at most 8 digits and H M S m u n; parts of a millisecond count as one. */
CV_MUST bool cv_rpc_timeout_parse(struct cv_str s, int64_t *ret_ms);
