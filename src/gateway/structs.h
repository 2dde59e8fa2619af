/* SPDX-License-Identifier: Apache-2.0 */
/*
 * structs.h - looking into a google.protobuf.Struct: JSON that came in a message
 *
 * What is not there, is null or is of another kind is NULL: who must tell these apart asks struct_get().
 * Borrowed from the message.
 */
#pragma once
#include "openshell.pb-c.h"

#include <stdbool.h>

/* Any of them may be NULL, and has nothing then. */
const Google__Protobuf__Value *struct_get(const Google__Protobuf__Struct *s, const char *name);
bool value_is_null(const Google__Protobuf__Value *v); /* or absent */
const Google__Protobuf__Struct *value_struct(const Google__Protobuf__Value *v);
const Google__Protobuf__ListValue *value_list(const Google__Protobuf__Value *v);
const char *value_text(const Google__Protobuf__Value *v);
