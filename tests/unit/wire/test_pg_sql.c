/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: a statement's commands are never fewer than what the server would do.
 * Method: texts and the commands that each must have, as words; `!` means OTHER with a problem.
 */
#include "unit/test.h"

#include "base/buf.h"
#include "wire/pg_sql.c"

static struct cv_str words_of(uint32_t commands, struct cv_buf *out)
{
	cv_buf_reset(out);
	for (unsigned i = 0; i < CV_PG_COMMAND_COUNT; i++)
		if (commands & 1u << i) {
			cv_buf_put(out, cv_buf_len(out) ? CV_STR(" ") : CV_STR_NONE);
			cv_buf_put(out, cv_pg_command_row((enum cv_pg_command)i)->name);
		}
	return cv_buf_str(out);
}

static const struct {
	const char *sql, *want;
} row[] = {
	{ "", "" },
	{ " ; ;; -- nothing\n", "" },
	{ "/* only /* a nested */ comment */", "" },
	{ "SELECT 1", "SELECT" },
	{ "select 1;", "SELECT" },
	{ "(SELECT 1) UNION (SELECT 2)", "SELECT" },
	{ "VALUES (1)", "SELECT" },
	{ "TABLE t", "SELECT" },
	{ "WITH a AS (SELECT 1) SELECT * FROM a", "SELECT" },
	{ "SELECT 1; DROP TABLE t", "SELECT DROP" },
	{ "SELECT 1;DELETE FROM t;INSERT INTO t VALUES (1)", "SELECT INSERT DELETE" },
	{ "BEGIN; UPDATE t SET a = 1; COMMIT", "BEGIN UPDATE" },
	/* commands hidden from who does not read as the server does */
	{ "/* SELECT */ DELETE FROM t", "DELETE" },
	{ "/* /* */ SELECT */ DELETE FROM t", "DELETE" },
	{ "-- SELECT\rDELETE FROM t", "DELETE" },
	{ "SELECT ';'; DELETE FROM t", "SELECT DELETE" },
	{ "SELECT '; DELETE FROM t'", "SELECT" },
	{ "SELECT ''';DELETE FROM t;'", "SELECT" },
	{ "SELECT E'\\';DELETE FROM t;'", "SELECT" },
	{ "SELECT e'\\\\';DELETE FROM t", "SELECT DELETE" },
	{ "SELECT '\\\\';DELETE FROM t", "SELECT DELETE" },
	{ "SELECT '\\';DELETE FROM t;--'", "SELECT DELETE OTHER" },
	{ "SELECT 'a\\''", "SELECT OTHER" },
	{ "SELECT E'a'\n'\\'; DELETE FROM t; --'", "SELECT DELETE OTHER" },
	{ "SELECT E'a' -- x\n 'b'", "SELECT OTHER" },
	{ "SELECT nice'\\';DELETE FROM t;--'", "SELECT DELETE OTHER" },
	{ "SELECT $$;DELETE FROM t;$$", "SELECT" },
	{ "SELECT $a$ $b$; $$ DELETE $a$", "SELECT" },
	{ "SELECT a$b$; DELETE FROM t; --$b$", "SELECT DELETE" },
	{ "SELECT $1$b$; DELETE FROM t; $b$", "SELECT" },
	{ "SELECT $1; DELETE FROM t", "SELECT DELETE" },
	{ "SELECT $a$ no end", "SELECT OTHER" },
	{ "SELECT \";\"\"--\"; DELETE FROM t", "SELECT DELETE" },
	{ "SELECT U&'d\\0061t'", "SELECT" },
	{ "SELECT U&\"d\\0061t\"", "SELECT OTHER" },
	{ "SELECT B'01', X'ff', N'a'", "SELECT" },
	{ "SELECT 1 /* no end", "SELECT OTHER" },
	{ "SELECT 'no end", "SELECT OTHER" },
	{ "SELECT 1 */* comment */; DROP TABLE t", "SELECT DROP" },
	{ "SELECT 1+--x\n2; DROP TABLE t", "SELECT DROP" },
	/* what a query may also do */
	{ "WITH a AS (DELETE FROM t RETURNING *) SELECT * FROM a", "SELECT DELETE" },
	{ "WITH a AS (INSERT INTO t VALUES (1) RETURNING *), b AS (UPDATE t SET a = 1) SELECT 1",
		"SELECT INSERT UPDATE" },
	{ "WITH a AS MATERIALIZED (MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE) SELECT 1",
		"SELECT DELETE MERGE" },
	{ "SELECT * FROM (WITH a AS (DELETE FROM t) SELECT 1) x", "SELECT DELETE" },
	{ "SELECT * INTO n FROM t", "SELECT CREATE" },
	{ "SELECT * FROM t FOR UPDATE", "SELECT LOCK" },
	{ "SELECT * FROM t FOR NO KEY UPDATE", "SELECT LOCK" },
	{ "SELECT * FROM t FOR KEY SHARE", "SELECT LOCK" },
	{ "SELECT update FROM t", "SELECT" },
	{ "SELECT set_config('default_transaction_read_only', 'off', false)", "SELECT OTHER" },
	{ "SELECT pg_catalog.\"set_config\"('a', 'b', false)", "SELECT OTHER" },
	{ "SELECT query_to_xml('SELECT 1', true, true, '')", "SELECT OTHER" },
	{ "SELECT dblink_exec('DROP TABLE t')", "SELECT OTHER" },
	{ "UPDATE pg_settings SET setting = 'off'", "UPDATE OTHER" },
	{ "SELECT * FROM pg_settings", "SELECT" },
	{ "INSERT INTO t SELECT * FROM s", "INSERT" },
	{ "INSERT INTO t VALUES (1) ON CONFLICT DO UPDATE SET a = 1", "INSERT UPDATE" },
	{ "MERGE INTO t USING s ON true WHEN MATCHED THEN UPDATE SET a = 1", "UPDATE MERGE" },
	{ "CREATE TABLE n AS WITH a AS (DELETE FROM t RETURNING *) SELECT * FROM a",
		"DELETE CREATE" },
	{ "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END", "BEGIN CREATE" },
	/* explain, prepare, cursors */
	{ "EXPLAIN SELECT 1", "EXPLAIN" },
	{ "EXPLAIN DELETE FROM t", "EXPLAIN" },
	{ "EXPLAIN ANALYZE DELETE FROM t", "EXPLAIN DELETE" },
	{ "EXPLAIN (ANALYZE, BUFFERS) DELETE FROM t", "EXPLAIN DELETE" },
	{ "EXPLAIN (buffers, \"analyze\" on) DELETE FROM t", "EXPLAIN DELETE" },
	{ "EXPLAIN (\"analyze\") DELETE FROM t", "EXPLAIN DELETE" },
	{ "EXPLAIN VERBOSE ANALYZE WITH a AS (DELETE FROM t) SELECT 1", "SELECT EXPLAIN DELETE" },
	{ "EXPLAIN ANALYZE VERBOSE SELECT 1", "SELECT EXPLAIN" },
	{ "EXPLAIN ANALYZE EXECUTE p", "EXECUTE EXPLAIN" },
	{ "EXPLAIN (SELECT 1)", "EXPLAIN" },
	{ "PREPARE p AS SELECT 1", "EXECUTE SELECT" },
	{ "PREPARE p (int, text) AS DELETE FROM t WHERE a = $1", "EXECUTE DELETE" },
	{ "PREPARE p", "EXECUTE OTHER" },
	{ "PREPARE TRANSACTION 'x'", "EXECUTE OTHER" },
	{ "COMMIT PREPARED 'x'", "BEGIN OTHER" },
	{ "EXECUTE p(1)", "EXECUTE" },
	{ "DEALLOCATE ALL", "EXECUTE" },
	{ "DECLARE c CURSOR WITH HOLD FOR SELECT 1", "CURSOR SELECT" },
	{ "DECLARE c CURSOR FOR SELECT * FROM t FOR UPDATE", "CURSOR SELECT LOCK" },
	{ "FETCH 10 FROM c", "CURSOR" },
	/* copy */
	{ "COPY t TO STDOUT", "COPY_TO" },
	{ "COPY t (a, b) FROM STDIN WITH (FORMAT csv)", "COPY_FROM" },
	{ "COPY (SELECT 1) TO STDOUT", "COPY_TO" },
	{ "COPY (DELETE FROM t RETURNING *) TO STDOUT", "COPY_TO DELETE" },
	{ "COPY (WITH a AS (UPDATE t SET a=1 RETURNING *) SELECT * FROM a) TO STDOUT",
		"COPY_TO UPDATE" },
	{ "COPY t TO '/tmp/x'", "COPY_SERVER" },
	{ "COPY t FROM '/etc/passwd'", "COPY_SERVER" },
	{ "COPY t FROM PROGRAM 'id'", "COPY_SERVER" },
	{ "COPY t TO PROGRAM 'sh'", "COPY_SERVER" },
	{ "COPY t", "OTHER" },
	/* settings and transactions */
	{ "SET search_path = a", "SET" },
	{ "SET default_transaction_read_only = off", "SET READ_WRITE" },
	{ "SET SESSION \"default_transaction_read_only\" TO 'off'", "SET READ_WRITE" },
	{ "SET LOCAL transaction_read_only TO false", "SET READ_WRITE" },
	{ "SET default_transaction_read_only = on", "SET" },
	{ "SET default_transaction_read_only TO DEFAULT", "SET READ_WRITE" },
	{ "SET client_encoding = 'UTF8'", "SET" },
	{ "SET NAMES 'SJIS'", "SET OTHER" },
	{ "SET client_encoding TO big5", "SET OTHER" },
	{ "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE", "BEGIN READ_WRITE" },
	{ "SET TRANSACTION READ WRITE", "BEGIN READ_WRITE" },
	{ "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY", "BEGIN" },
	{ "BEGIN READ WRITE", "BEGIN READ_WRITE" },
	{ "START TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE", "BEGIN READ_WRITE" },
	{ "BEGIN TRANSACTION READ/**/WRITE", "BEGIN READ_WRITE" },
	{ "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY", "BEGIN" },
	{ "ROLLBACK TO SAVEPOINT a", "BEGIN" },
	{ "RESET ALL", "READ_WRITE" },
	{ "RESET default_transaction_read_only", "READ_WRITE" },
	{ "RESET search_path", "SET" },
	{ "DISCARD ALL", "READ_WRITE" },
	{ "DISCARD PLANS", "SET" },
	{ "SHOW ALL", "SHOW" },
	/* the rest */
	{ "TRUNCATE t", "TRUNCATE" },
	{ "GRANT SELECT ON t TO a", "GRANT" },
	{ "CALL p()", "CALL" },
	{ "DO $$ BEGIN DELETE FROM t; END $$", "DO" },
	{ "VACUUM t", "MAINTAIN" },
	{ "LOCK TABLE t", "LOCK" },
	{ "LISTEN a", "LISTEN" },
	{ "NOTIFY a, 'b'", "NOTIFY" },
	{ "LOAD 'x'", "OTHER" },
	{ "frobnicate", "OTHER" },
	{ "'SELECT'", "OTHER" },
	{ "\"SELECT\" 1", "OTHER" },
	{ "EXPLAIN ANALYZE EXPLAIN ANALYZE EXPLAIN ANALYZE EXPLAIN ANALYZE DELETE FROM t",
		"EXPLAIN OTHER" },
};

static void commands(void **state)
{
	struct cv_buf out;

	(void)state;
	cv_buf_init(&out, 4096);
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		const struct cv_pg_sql r = cv_pg_sql_classify(cv_str_of(row[i].sql));
		const struct cv_str got = words_of(r.commands, &out);

		if (!cv_str_eq(got, cv_str_of(row[i].want)))
			fail_msg("%s: got %.*s, want %s", row[i].sql, CV_STR_ARG(got), row[i].want);
		assert_int_equal(!!(r.commands & CV_PG_BIT(OTHER)), r.problem != NULL);
	}
	cv_buf_fini(&out);
}

static void zero_byte(void **state)
{
	(void)state;
	assert_true(cv_pg_sql_classify(CV_STR("SELECT 1 \0 ; DROP TABLE t")).commands &
		    CV_PG_BIT(OTHER));
	assert_int_equal(cv_pg_sql_classify(CV_STR_NONE).commands, 0);
}

static void encodings(void **state)
{
	static const char *const safe[] = { "UTF8", "utf-8", "UNICODE", "SQL_ASCII", "latin1",
		"ISO_8859_5", "WIN1252", "KOI8R" };
	static const char *const unsafe[] = { "", "SJIS", "BIG5", "GBK", "UHC", "GB18030", "JOHAB",
		"EUC_JIS_2004", "SHIFT_JIS_2004" };

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(safe); i++)
		assert_true(cv_pg_encoding_is_safe(cv_str_of(safe[i])));
	for (size_t i = 0; i < CV_ARRAY_LEN(unsafe); i++)
		assert_false(cv_pg_encoding_is_safe(cv_str_of(unsafe[i])));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands),
		cmocka_unit_test(zero_byte),
		cmocka_unit_test(encodings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
