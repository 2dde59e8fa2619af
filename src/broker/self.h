/* SPDX-License-Identifier: Apache-2.0 */
/*
 * self.h - where our own launcher is, for what the broker runs in a sandbox of its own
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

/* The path of `cove`, with its NUL.  False: it is not where it belongs. */
bool self_find(char *ret, size_t size);
