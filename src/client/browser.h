/* SPDX-License-Identifier: Apache-2.0 */
/*
 * browser.h - the person's browser
 */
#pragma once
#include "client/client.h"

/* Whether there is one that this environment leads to, and nobody said that it is not to be used. */
CV_MUST bool cl_browser_is_there(void);
/* Opens the address, if there is one.  Whether it does or not is not known: print the address, too. */
void cl_browser_open(struct cl *c, const char *url);
