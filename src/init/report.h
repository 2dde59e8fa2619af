/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report.h - what cove-init and its unborn commands tell the supervisor
 *
 * All of it is fire and forget: when the link is gone the sandbox is about to end anyway.
 */
#pragma once
#include "ipc/init_link.h"

void report_failed(int link, uint32_t id, enum cv_init_stage stage, int error, const char *what);
void report_weaker(int link, uint32_t id, const char *what);
/* EXITED or STARTED. */
void report_number(int link, enum cv_init_reply type, uint32_t id, uint32_t number);
/* NOTIFY, TTY or SOCKET: a descriptor for the supervisor. */
void report_fd(int link, enum cv_init_reply type, uint32_t id, int fd);
