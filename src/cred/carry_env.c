/* SPDX-License-Identifier: Apache-2.0 */
/*
 * carry_env.c - the variables that commands get
 *
 * In a file of its own: the user's program needs these names, and must not have the library of
 * ciphers, and its 20,000 relocations at each start, for them.
 */
#include "cred/carry.h"

#include <stddef.h>

/* What programs that log in need to find their own files and agents. */
const char *const cv_carry_env[] = { "HOME", "PATH", "USER", "LOGNAME", "LANG", "XDG_CONFIG_HOME",
	"XDG_CACHE_HOME", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", NULL };
