/* SPDX-License-Identifier: Apache-2.0 */
/*
 * build_ids.h - work on files of ids that are not the broker's own; see build_ids.c
 */
#pragma once

#include "base/err.h"

/* Whether there are more ids than one.  CV_UNAVAILABLE: why not. */
CV_MUST cv_code build_ids_find(struct cv_err *err);

/* cove-broker with words: that work, and nothing else.  Gives its exit status. */
int build_ids_main(char **words);
