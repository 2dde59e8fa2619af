/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_postgres.c - a database that goes, comes back, and says nothing
 *
 * Goal: each call ends in bounded time and says CV_UNAVAILABLE, later ones work again, nothing is half
 * done, and a write whose answer was lost is known all the same.  Method: a real server that is
 * stopped, restarted, and frozen.
 */
#include "store/pg_link.c"
#include "store/postgres.c"
#include "unit/store/pg.h"
#include "unit/test.h"

#define KIND CV_STR("job")

static struct pg_server server;

static int setup(void **state)
{
	struct cv_store *s;

	if (!pg_server_start(&server))
		return -1;
	pg_server_sql(&server, "SET client_min_messages = warning; "
			       "DROP TABLE IF EXISTS cove_record, cove_schema_version");
	if (cv_store_open_postgres(server.url, &s, NULL) != CV_OK)
		return -1;
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	cv_store_close(*state);
	return 0;
}

static cv_code put(struct cv_store *s, const char *key, uint64_t expected, struct cv_err *err)
{
	return cv_store_put(s, KIND, cv_str_of(key), CV_STR("x"), expected, NULL, err);
}

static cv_code get(struct cv_store *s, const char *key)
{
	struct cv_buf b;

	cv_buf_init(&b, 100);
	const cv_code code = cv_store_get(s, KIND, cv_str_of(key), &b, NULL, NULL);
	cv_buf_fini(&b);
	return code;
}

static void test_gone_and_back(void **state)
{
	struct cv_store *s = *state;
	struct cv_err err;

	assert_int_equal(put(s, "a", CV_STORE_NEW, &err), CV_OK);
	pg_server_down(&server);
	const int64_t from = cv_clock_ms();
	for (int i = 0; i < 5; i++) {
		struct cv_store_batch *b = cv_store_batch_begin();

		cv_store_batch_put(b, KIND, CV_STR("b"), CV_STR("x"), CV_STORE_NEW);
		assert_int_equal(cv_store_batch_commit(s, b, &err), CV_UNAVAILABLE);
		assert_int_equal(get(s, "a"), CV_UNAVAILABLE);
		assert_int_equal(put(s, "c", CV_STORE_NEW, &err), CV_UNAVAILABLE);
		cv_store_batch_free(b);
	}
	assert_true(cv_clock_ms() - from < 2000);
	assert_non_null(strstr(err.msg, "the database postgres at"));
	assert_true(pg_server_up(&server));
	poll(NULL, 0, RETRY_MS + 50);
	assert_int_equal(get(s, "a"), CV_OK);
	assert_int_equal(get(s, "b"), CV_NOT_FOUND);
	assert_int_equal(put(s, "c", CV_STORE_NEW, &err), CV_OK);
}

/* The connection is dead when the next call comes: that call already works. */
static void test_restarted_meanwhile(void **state)
{
	struct cv_store *s = *state;
	struct cv_err err;

	assert_int_equal(put(s, "a", CV_STORE_NEW, &err), CV_OK);
	pg_server_down(&server);
	assert_true(pg_server_up(&server));
	assert_int_equal(put(s, "a", 1, &err), CV_OK);
	pg_server_down(&server);
	assert_true(pg_server_up(&server));
	assert_int_equal(get(s, "a"), CV_OK);
}

/* In the middle of a batch. */
static void test_lost_in_a_batch(void **state)
{
	struct cv_store *s = *state;
	struct cv_err err;

	assert_int_equal(pg_begin(s, &err), CV_OK);
	assert_int_equal(put(s, "a", CV_STORE_NEW, &err), CV_OK);
	pg_server_sql(&server, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
			       "WHERE state LIKE 'idle in%'");
	assert_int_equal(put(s, "b", CV_STORE_NEW, &err), CV_UNAVAILABLE);
	assert_int_equal(pg_end(s, true, &err), CV_UNAVAILABLE);
	assert_int_equal(get(s, "a"), CV_NOT_FOUND);
	assert_int_equal(put(s, "b", CV_STORE_NEW, &err), CV_OK);
}

/* COMMIT was sent, and its answer never came. */
static void test_lost_at_commit(void **state)
{
	struct cv_store *s = *state;
	struct pg *q = (struct pg *)s;
	struct cv_err err;

	for (int is_heard = 0; is_heard < 2; is_heard++) {
		assert_int_equal(pg_begin(s, &err), CV_OK);
		assert_int_equal(put(s, "a", CV_STORE_NEW, &err), CV_OK);
		assert_true(q->xid > 0);
		if (is_heard)
			assert_int_equal(pg_command(&q->link, "COMMIT", &err), CV_OK);
		pg_drop(&q->link);
		cv_fail(&err, CV_UNAVAILABLE, "lost");
		assert_int_equal(inquire(q, &err), is_heard ? CV_OK : CV_UNAVAILABLE);
		assert_int_equal(get(s, "a"), is_heard ? CV_OK : CV_NOT_FOUND);
	}
	/* And through the door: the backend dies while COMMIT is on its way. */
	assert_int_equal(pg_begin(s, &err), CV_OK);
	assert_int_equal(put(s, "b", CV_STORE_NEW, &err), CV_OK);
	pg_server_sql(&server, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
			       "WHERE state LIKE 'idle in%'");
	assert_int_equal(pg_end(s, true, &err), CV_UNAVAILABLE);
	assert_null(strstr(err.msg, "not known"));
	assert_int_equal(get(s, "b"), CV_NOT_FOUND);
}

/* A server that is there and says nothing. */
static void test_silence_is_bounded(void **state)
{
	struct cv_store *s = *state;
	struct cv_err err;
	const int pid = PQbackendPID(link_of(s)->c);

	assert_int_equal(kill(pid, SIGSTOP), 0);
	const int64_t from = cv_clock_ms();
	assert_int_equal(get(s, "a"), CV_NOT_FOUND); /* by another connection */
	assert_in_range(cv_clock_ms() - from, PG_STATEMENT_MS - 10, PG_STATEMENT_MS + CONNECT_MS);
	kill(pid, SIGKILL); /* the server starts again by itself */
	for (int i = 0; i < 600 && put(s, "a", CV_STORE_NEW, &err) != CV_OK; i++)
		poll(NULL, 0, 100);
	assert_int_equal(get(s, "a"), CV_OK);
}

static void test_a_newer_schema_is_refused(void **state)
{
	struct cv_store *s;
	struct cv_err err;

	(void)state;
	pg_server_sql(&server, "UPDATE cove_schema_version SET version = 7");
	assert_int_equal(cv_store_open_postgres(server.url, &s, &err), CV_INVALID);
	assert_non_null(strstr(err.msg, "has schema 7"));
	assert_non_null(strstr(err.msg, "schemas up to 1:"));
}

static void test_steps(void **state)
{
	struct pg_link *q = link_of(*state);
	struct store_step steps[] = {
		store_steps[0],
		{ .postgres = "CREATE TABLE second (x int)" },
		{ .postgres = "CREATE TABLE third (x int); CREATE TABLE nonsense" },
	};
	struct cv_err err;
	uint32_t version;

	pg_server_sql(
		&server, "SET client_min_messages = warning; DROP TABLE IF EXISTS second, third");
	assert_int_equal(migrate(q, steps, 3, &err), CV_SYSTEM);
	assert_int_equal(schema_version(q, &version, &err), CV_OK);
	assert_int_equal(version, 1);
	steps[2].postgres = "CREATE TABLE third (x int)";
	assert_int_equal(migrate(q, steps, 3, &err), CV_OK);
	assert_int_equal(schema_version(q, &version, &err), CV_OK);
	assert_int_equal(version, 3);
}

/* ---- the claim ---- */

static void test_a_claim_is_for_one(void **state)
{
	struct cv_store *first = *state, *second;
	struct cv_err err;
	bool is_ours = true;

	assert_int_equal(cv_store_claim(first, &err), CV_OK);
	assert_int_equal(cv_store_open_postgres(server.url, &second, &err), CV_OK);
	assert_int_equal(cv_store_claim(second, &err), CV_UNAVAILABLE);
	assert_non_null(strstr(err.msg, "is another gateway's"));
	/* Of a session that was ended it is taken with the next call. */
	pg_server_sql(&server, "SELECT pg_terminate_backend(pid) FROM pg_locks "
			       "WHERE locktype = 'advisory' AND classid = " CLAIM_CLASS);
	assert_int_equal(get(first, "a"), CV_NOT_FOUND);
	assert_int_equal(claim_try((struct pg *)second, &is_ours, &err), CV_OK);
	assert_false(is_ours);
	cv_store_close(second);
}

/* The server takes the session for alive, and nobody hears of it any more. */
static void test_a_claim_outlives_a_broken_line(void **state)
{
	struct cv_store *s = *state;
	struct pg *q = (struct pg *)s;
	struct cv_err err;

	assert_int_equal(cv_store_claim(s, &err), CV_OK);
	PGconn *lost = q->link.c;
	q->link.c = NULL;
	assert_int_equal(get(s, "a"), CV_NOT_FOUND);
	assert_ptr_not_equal(q->link.c, lost);
	PQfinish(lost);
}

static void test_a_claim_of_another_is_left_alone(void **state)
{
	struct cv_store *first = *state, *second;
	struct cv_err err;

	assert_int_equal(cv_store_claim(first, &err), CV_OK);
	pg_drop(link_of(first));
	assert_int_equal(cv_store_open_postgres(server.url, &second, &err), CV_OK);
	assert_int_equal(cv_store_claim(second, &err), CV_OK);
	const PGconn *has_it = link_of(second)->c;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(get(first, "a"), CV_UNAVAILABLE);
		assert_int_equal(put(first, "a", CV_STORE_NEW, &err), CV_UNAVAILABLE);
		link_of(first)->retry_ms = 0;
	}
	assert_int_equal(put(second, "a", CV_STORE_NEW, &err), CV_OK);
	assert_ptr_equal(link_of(second)->c, has_it);
	cv_store_close(second);
	link_of(first)->retry_ms = 0;
	assert_int_equal(get(first, "a"), CV_OK);
}

/* Somebody's lock on the table is over some day. */
static void test_a_lock_is_waited_for(void **state)
{
	struct cv_store *s = *state;
	PGconn *c = PQconnectdb(server.url);
	struct cv_err err;

	PQclear(PQexec(c, "BEGIN; LOCK TABLE cove_record IN EXCLUSIVE MODE"));
	assert_int_equal(get(s, "a"), CV_NOT_FOUND);
	assert_int_equal(put(s, "a", CV_STORE_NEW, &err), CV_UNAVAILABLE);
	PQfinish(c);
	assert_int_equal(put(s, "a", CV_STORE_NEW, &err), CV_OK);
}

static void test_bad_urls(void **state)
{
	struct cv_store *s;
	struct cv_err err;

	(void)state;
	assert_int_equal(cv_store_open_postgres("host", &s, &err), CV_INVALID);
	assert_int_equal(
		cv_store_open_postgres("postgres://u:hunter2@[::1/x", &s, &err), CV_INVALID);
	assert_null(strstr(err.msg, "hunter2"));
	assert_int_equal(cv_store_open_postgres("postgresql://u:hunter2@127.0.0.1:1/x", &s, &err),
		CV_UNAVAILABLE);
	assert_null(strstr(err.msg, "hunter2"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_gone_and_back),
		TEST(test_restarted_meanwhile),
		TEST(test_lost_in_a_batch),
		TEST(test_lost_at_commit),
		TEST(test_a_newer_schema_is_refused),
		TEST(test_steps),
		TEST(test_a_claim_is_for_one),
		TEST(test_a_claim_outlives_a_broken_line),
		TEST(test_a_claim_of_another_is_left_alone),
		TEST(test_a_lock_is_waited_for),
		TEST(test_bad_urls),
		TEST(test_silence_is_bounded),
	};
	const int failed = cmocka_run_group_tests(tests, NULL, NULL);

	pg_server_stop(&server);
	return failed;
}
