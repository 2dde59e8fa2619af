/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signals.c - see signals.h
 */
#include "ssh/signals.h"

#include "base/attr.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>

static const struct {
	int number;
	const char *name;
} rows[] = { { SIGABRT, "ABRT" }, { SIGALRM, "ALRM" }, { SIGFPE, "FPE" }, { SIGHUP, "HUP" },
	{ SIGILL, "ILL" }, { SIGINT, "INT" }, { SIGKILL, "KILL" }, { SIGPIPE, "PIPE" },
	{ SIGQUIT, "QUIT" }, { SIGSEGV, "SEGV" }, { SIGTERM, "TERM" }, { SIGUSR1, "USR1" },
	{ SIGUSR2, "USR2" } };

const char *signal_name(int number)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++)
		if (rows[i].number == number)
			return rows[i].name;
	return NULL;
}

int signal_number(const char *name)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++)
		if (strcmp(rows[i].name, name) == 0)
			return rows[i].number;
	return 0;
}
