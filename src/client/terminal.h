/* SPDX-License-Identifier: Apache-2.0 */
/*
 * terminal.h - our own terminal, while a command in a sandbox has it
 *
 * It becomes raw, and is put back at the end, whatever the end is but SIGKILL.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

void cl_terminal_raw(void); /* nothing, where stdin is none */
void cl_terminal_restore(void);
void cl_terminal_size(uint32_t *ret_cols, uint32_t *ret_rows); /* 80, 24 where it is not known */
bool cl_terminal_was_resized(void);                            /* since it was asked last */
