/* SPDX-License-Identifier: Apache-2.0 */
/*
 * top_usage.h - processors and memory of sandboxes, where we can see them
 */
#pragma once
#include "client/top.h"

/* Fills in the sandboxes that run on this machine, as processes that we may look at. */
void cl_top_usage(struct cl_top *t, int64_t now_ms);
