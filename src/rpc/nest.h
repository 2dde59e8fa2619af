/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nest.h - whether bytes of a stranger may be unpacked
 *
 * protobuf-c recurses once for each message within a message and knows no end of it, and takes
 * a whole struct for each two bytes of an empty one.  So the bytes are walked first, without memory and
 * without recursion: nesting has a limit, and so has the memory that unpacking would take.  Pure.
 */
#pragma once
#include "base/attr.h"
#include "base/str.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

#define CV_RPC_NEST_DEPTH_MAX 64 /* our messages need 8, a Struct in one what its author likes */
/* Bytes of memory for a message, for each byte of it: what real ones take is below 20. */
#define CV_RPC_NEST_MEMORY_FACTOR 32
#define CV_RPC_NEST_MEMORY_BASE   (1u << 20) /* and for what is small anyway */

/* False: messages nest too deep, or take too much memory, or the bytes are no message at all. */
CV_MUST bool cv_rpc_nest_is_safe(const ProtobufCMessageDescriptor *type, struct cv_str bytes);

/* The first field whose text holds a NUL or is no UTF-8, or NULL; of bytes that are safe.  protobuf-c
 * would take the one for its end, so that "a\0b" became "a", and what is not UTF-8 no client could
 * read again, nor the list it is in. */
const char *cv_rpc_nest_bad_text(const ProtobufCMessageDescriptor *type, struct cv_str bytes);
