/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg_sql.h - which commands a text of SQL statements holds, told from its words alone
 *
 * A text is what one Query or Parse message of PostgreSQL carries: any number of statements.  The
 * result is the union of all their commands, never too few of them as far as words can tell:
 *   - what is not understood, or could be read in two ways, is OTHER
 *   - a word that could be a data-modifying part counts as one
 *   - what a called function does can't be seen; functions that run a text or change settings
 *     (set_config, query_to_xml, dblink ...) make the statement OTHER, others don't
 */
#pragma once
#include "policy/pg_command.h"

#include <stdint.h>

struct cv_pg_sql {
	uint32_t commands;   /* bits 1 << CV_PG_COMMAND_...; 0: no statement at all */
	uint32_t statements; /* that are not empty */
	const char *problem; /* why OTHER is among them; NULL when it is not */
};

#define CV_PG_BIT(name) (1u << CV_PG_COMMAND_##name)

/* Linear in the length of text, which may hold anything but is best without NUL. */
struct cv_pg_sql cv_pg_sql_classify(struct cv_str text);

/* Client encodings in which a byte below 0x80 always is that ASCII character: only with them do
 * words mean to the server what they mean here. */
bool cv_pg_encoding_is_safe(struct cv_str name);
