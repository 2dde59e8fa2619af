/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg_command.h - what a SQL statement does to a PostgreSQL server, as rules name it
 *
 * `protocol: postgres` decides each statement by its commands: the words below, in a rule's
 * `command`, or by what an access preset includes.  One statement may have several (an INSERT
 * within a WITH in front of a SELECT); every one must be allowed.  The classifier (wire/pg_sql.h)
 * sets the bits, policy reads the words; so both take them from here.
 */
#pragma once
#include "base/str.h"

/* clang-format off */
/* Least preset that includes it.  ALWAYS: no rule needs to name it, because it only goes on with
 * something that was decided, or ends it; a deny rule can still take it away. */
#define CV_PG_COMMANDS(X)                                                                   \
	X(BEGIN,       ALWAYS) /* START, COMMIT, ROLLBACK, SAVEPOINT, SET TRANSACTION ... */ \
	X(EXECUTE,     ALWAYS) /* PREPARE (besides what it prepares), DEALLOCATE */          \
	X(CURSOR,      ALWAYS) /* DECLARE (besides its query), FETCH, MOVE, CLOSE */         \
	X(SELECT,      READ)   /* VALUES, TABLE; SELECT of any function */                   \
	X(SHOW,        READ)                                                                 \
	X(EXPLAIN,     READ)   /* without ANALYZE; with it, also what it runs */             \
	X(SET,         READ)   /* RESET, DISCARD; of settings that decide nothing here */    \
	X(LISTEN,      READ)   /* UNLISTEN */                                                \
	X(COPY_TO,     READ)   /* COPY ... TO STDOUT */                                      \
	X(INSERT,      WRITE)                                                                \
	X(UPDATE,      WRITE)                                                                \
	X(DELETE,      WRITE)                                                                \
	X(MERGE,       WRITE)                                                                \
	X(COPY_FROM,   WRITE)  /* COPY ... FROM STDIN */                                     \
	X(LOCK,        WRITE)  /* SELECT ... FOR UPDATE (SHARE ...) */                       \
	X(NOTIFY,      WRITE)                                                                \
	X(READ_WRITE,  WRITE)  /* what may lift a read-only: BEGIN READ WRITE, RESET ALL ... */ \
	X(TRUNCATE,    FULL)                                                                 \
	X(CREATE,      FULL)   /* SELECT INTO, IMPORT */                                     \
	X(ALTER,       FULL)   /* COMMENT, SECURITY LABEL */                                 \
	X(DROP,        FULL)                                                                 \
	X(GRANT,       FULL)   /* REVOKE, REASSIGN */                                        \
	X(CALL,        FULL)                                                                 \
	X(DO,          FULL)                                                                 \
	X(MAINTAIN,    FULL)   /* VACUUM, ANALYZE, REINDEX, CLUSTER, REFRESH, CHECKPOINT */  \
	X(COPY_SERVER, FULL)   /* COPY to or from a file or program of the server */         \
	X(OTHER,       FULL)   /* everything that is not understood, or is ambiguous */
/* clang-format on */

enum cv_pg_level { CV_PG_ALWAYS, CV_PG_READ, CV_PG_WRITE, CV_PG_FULL };

#define CV_PG_COMMAND_ENUM(name, level) CV_PG_COMMAND_##name,
enum cv_pg_command { CV_PG_COMMANDS(CV_PG_COMMAND_ENUM) CV_PG_COMMAND_COUNT };
#undef CV_PG_COMMAND_ENUM

struct cv_pg_command_row {
	struct cv_str name;
	enum cv_pg_level level;
};

const struct cv_pg_command_row *cv_pg_command_row(enum cv_pg_command c);
enum cv_pg_command cv_pg_command_of(struct cv_str name); /* without case; COUNT for none */
