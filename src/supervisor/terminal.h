/* SPDX-License-Identifier: Apache-2.0 */
/*
 * terminal.h - the user's terminal joined to one inside the sandbox
 */
#pragma once
#include "base/buf.h"

#include <stdint.h>

struct terminal {
	int outer;        /* the sandbox's terminal, our end; -1: none */
	struct cv_buf in; /* typed, not yet written to it */
	bool is_raw;      /* the user's terminal was changed and must be restored */
	bool is_in_done;  /* our stdin ended */
	bool is_out_done; /* the sandbox's terminal ended */
};

void terminal_init(struct terminal *t);
/* rows << 16 | columns of the user's terminal; 0 when there is none. */
uint32_t terminal_size(void);
/* Takes the sandbox's terminal over and makes the user's raw. */
void terminal_attach(struct terminal *t, int outer);
void terminal_resize(struct terminal *t);
/* poll() interest; 0: none. */
short terminal_stdin_interest(const struct terminal *t);
short terminal_outer_interest(const struct terminal *t);
void terminal_stdin_read(struct terminal *t);
void terminal_outer_serve(struct terminal *t, short events);
/* All that is left of the output, for at most a moment; the sandbox must be dead. */
void terminal_drain(struct terminal *t);
/* The user's terminal as it was.  Async-signal-safe; called at every end. */
void terminal_restore(void);
