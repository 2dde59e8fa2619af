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
void report_exited(int link, uint32_t id, int status);
/* NOTIFY or TTY: a descriptor for the supervisor. */
void report_fd(int link, enum cv_init_reply type, uint32_t id, int fd);
