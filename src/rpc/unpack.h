/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unpack.h - bytes of a stranger as a message
 */
#pragma once
#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"

#include <protobuf-c/protobuf-c.h>

/* bytes as a message in memory of a.  CV_INVALID: they are none, or messages in it are too
 * deep; CV_LIMIT: the arena is full. */
CV_MUST cv_code cv_rpc_unpack(const ProtobufCMessageDescriptor *d, struct cv_str bytes,
	struct cv_arena *a, ProtobufCMessage **ret, struct cv_err *err);
