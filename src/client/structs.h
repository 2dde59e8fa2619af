/* SPDX-License-Identifier: Apache-2.0 */
/*
 * structs.h - JSON as google.protobuf.Struct
 */
#pragma once
#include "client/client.h"

/* what: the flag, for the message.  Dies when text is no object. */
Google__Protobuf__Struct *cl_struct_of_json(struct cl *c, const char *what, struct cv_str text);
