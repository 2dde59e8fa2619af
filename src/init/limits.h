/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limits.h - what cove-init holds
 */
#pragma once

#define INIT_COMMANDS_MAX 1025 /* commands running at once in one sandbox: one and its exec'd */
#define INIT_ARENA_MAX    (1u << 20) /* argv, env and rule arrays of one command, 16384 strings each */
#define INIT_PATH_MAX     4096       /* PATH_MAX: one candidate of the PATH search */
