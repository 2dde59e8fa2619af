/* SPDX-License-Identifier: Apache-2.0 */
/*
 * top_draw.h - a terminal for `cove top`
 */
#pragma once
#include "client/top.h"

/* False: the terminal can't be used.  It is given back when the program ends, however. */
bool cl_top_screen_open(bool has_colour);
void cl_top_screen_close(void);
void cl_top_screen_size(size_t *ret_width, size_t *ret_height);
void cl_top_screen_show(const struct cl_top_frame *f);
/* A key of top.h, CL_TOP_SCREEN_RESIZED, or -1: none was pressed. */
#define CL_TOP_SCREEN_RESIZED 1024
int cl_top_screen_key(void);
