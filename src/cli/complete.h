/* SPDX-License-Identifier: Apache-2.0 */
/*
 * complete.h - `complete -- WORD...`, which the scripts of `cove completions` ask
 */
#pragma once
#include "cli/options.h"

/* Prints what may stand in the place of the last word, as client/complete.c says it: of our own
 * commands, and of those that the client has.  argv is the program's. */
int cv_complete(const struct cv_command *const *commands, size_t n, int argc, char **argv);
