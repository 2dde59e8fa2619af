/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schema.c - the shape of the database, and how an older one becomes this one
 *
 * The shape has a number, which is in the database; each step of the table leads from one number to
 * the next, and a database is led forward when it is opened, in one transaction.  There is no way
 * back: a program that finds a number that it does not know refuses, since it can't know what the
 * newer one relies on.
 *
 * Files from before there were numbers have the table of records and no number: the first step makes
 * what is missing.  Steps are never changed once released, only added.
 */
#include "store/store_int.h"

#include <stdio.h>

const struct store_step store_steps[] = {
	{
		.sqlite = "CREATE TABLE IF NOT EXISTS record ("
			  "  kind BLOB NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL,"
			  "  version INTEGER NOT NULL, PRIMARY KEY (kind, key)) STRICT;"
			  "CREATE TABLE schema_version (version INTEGER NOT NULL) STRICT;"
			  "INSERT INTO schema_version VALUES (0);",
		.postgres = "CREATE TABLE cove_record ("
			    "  kind BYTEA NOT NULL, key BYTEA NOT NULL, value BYTEA NOT NULL,"
			    "  version BIGINT NOT NULL, PRIMARY KEY (kind, key));"
			    "CREATE TABLE cove_schema_version (version INTEGER NOT NULL);"
			    "INSERT INTO cove_schema_version VALUES (0);",
	},
};
const uint32_t store_step_count = CV_ARRAY_LEN(store_steps);

static cv_code steps_run(const struct store_schema *m, const struct store_step *steps,
	uint32_t from, uint32_t to, struct cv_err *err)
{
	char sql[96];
	cv_code code = CV_OK;

	for (uint32_t i = from; i < to && code == CV_OK; i++) {
		code = m->run(m->arg, m->is_postgres ? steps[i].postgres : steps[i].sqlite, err);
		if (code != CV_OK)
			cv_wrap(err, "step %u of the schema", i + 1);
	}
	snprintf(sql, sizeof(sql), "UPDATE %sschema_version SET version = %u",
		m->is_postgres ? "cove_" : "", to);
	return code == CV_OK ? m->run(m->arg, sql, err) : code;
}

cv_code store_migrate(const struct store_schema *m, const struct store_step *steps, uint32_t count,
	struct cv_err *err)
{
	struct cv_err ignored;
	uint32_t version;
	cv_code code = m->version(m->arg, &version, err);

	if (code != CV_OK || version == count)
		return code;
	if (version < count) {
		/* Once more, where nobody else can lead it forward at the same time. */
		code = m->run(m->arg, m->begin, err);
		if (code != CV_OK)
			return code;
		code = m->version(m->arg, &version, err);
		if (code == CV_OK && version < count)
			code = steps_run(m, steps, version, count, err);
		if (code == CV_OK && version <= count)
			return m->run(m->arg, "COMMIT", err);
		(void)m->run(m->arg, "ROLLBACK", &ignored);
		if (code != CV_OK)
			return code;
	}
	return cv_fail(err, CV_INVALID,
		"%s has schema %u, and this version of cove knows schemas up to %u: it was written by "
		"a newer version",
		m->name, version, count);
}
