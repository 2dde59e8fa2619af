/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault_keys.h - where the vault's keys come from
 *
 * The file `key` of the state directory (0600), which is made at the first start; or the output of a
 * command (`key_command`), for keys that a vault of the house or a hardware module keeps.  Both are
 * lines of base64, 32 bytes each: the present key first, then those that something is still under.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"

#define CV_GW_KEY_COMMAND_MS \
	15000 /* the gateway waits for it: a key service answers in one second */

/* Appends the bytes of the keys; the caller wipes.  command: empty: the file. */
CV_MUST cv_code cv_gw_keys_read(
	int dir, struct cv_str command, char **env, struct cv_buf *ret, struct cv_err *err);
/* A new key stands first in the file from now on. */
CV_MUST cv_code cv_gw_keys_add(int dir, struct cv_err *err);
/* Nothing is under the others any more. */
CV_MUST cv_code cv_gw_keys_keep_first(int dir, struct cv_err *err);
