/* SPDX-License-Identifier: Apache-2.0 */
/*
 * temporary.h - a sandbox that ends with us (`sandbox create --no-keep`)
 */
#pragma once
#include "client/client.h"

/* Before it is asked for: a signal that would end us waits until there is a sandbox to delete. */
void cl_temporary_begin(void);
/* There it is.  From now on it is deleted however we end: by exit(), SIGHUP, SIGINT or SIGTERM. */
void cl_temporary_is(struct cl *c, const char *name);
/* It is gone already. */
void cl_temporary_end(void);
