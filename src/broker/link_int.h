/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link_int.h - what the parts of the control link share: link.c, configure.c, sandbox.c
 */
#pragma once
#include "broker/broker.h"

void link_nonblocking_set(int fd);
/* All that a descriptor has, which is the caller's to free; more than max ends the broker. */
char *link_text_take(int fd, size_t max, size_t *ret_n, const char *what);

/* A message each, of CV_BROKER_CONTROLS; false: it makes no sense. */

/* ---- configure.c ---- */
bool take_catalog(struct broker *b, struct cv_ipc_msg *m);
bool take_state(struct broker *b, struct cv_ipc_msg *m);
bool take_env(struct broker *b, struct cv_ipc_msg *m);
bool take_sink(struct broker *b, struct cv_ipc_msg *m);
bool take_pin(struct broker *b, struct cv_ipc_msg *m);
bool take_roots(struct broker *b, struct cv_ipc_msg *m);
bool take_hide(struct broker *b, struct cv_ipc_msg *m);
bool take_hold(struct broker *b, struct cv_ipc_msg *m);
bool take_slots(struct broker *b, struct cv_ipc_msg *m);
bool take_go(struct broker *b, struct cv_ipc_msg *m);

/* ---- sandbox.c ---- */
bool take_sandbox(struct broker *b, struct cv_ipc_msg *m);
bool take_link(struct broker *b, struct cv_ipc_msg *m);
bool take_policy(struct broker *b, struct cv_ipc_msg *m);
bool take_root(struct broker *b, struct cv_ipc_msg *m);
bool take_about(struct broker *b, struct cv_ipc_msg *m);
bool take_end(struct broker *b, struct cv_ipc_msg *m);
