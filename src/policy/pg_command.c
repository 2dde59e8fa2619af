/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg_command.c - see pg_command.h
 */
#include "policy/pg_command.h"

#include "base/assert.h"

#define ROW(name, level) [CV_PG_COMMAND_##name] = { CV_STR(#name), CV_PG_##level },
static const struct cv_pg_command_row rows[] = { CV_PG_COMMANDS(ROW) };
#undef ROW

const struct cv_pg_command_row *cv_pg_command_row(enum cv_pg_command c)
{
	cv_assert(c < CV_PG_COMMAND_COUNT);
	return &rows[c];
}

enum cv_pg_command cv_pg_command_of(struct cv_str name)
{
	unsigned i = 0;

	while (i < CV_PG_COMMAND_COUNT && !cv_str_eq_nocase(rows[i].name, name))
		i++;
	return (enum cv_pg_command)i;
}
