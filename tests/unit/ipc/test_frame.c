/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: a link carries what its table says and nothing else; bodies survive the trip; hostile
 * frames close nothing but themselves and leak no descriptor.  Method: real socket pairs.
 */
#include "unit/test.h"

#include "ipc/frame.c"
#include "ipc/proxy_link.h"

enum { TEXT, PAIR };
static const struct cv_ipc_rule rule[] = {
	[TEXT] = { "TEXT", 100, 0, 1u << 0 | 1u << 1, 0 },
	[PAIR] = { "PAIR", 0, 2, 1u << 1, CV_IPC_ONCE },
};

static char buf[HEAD_BYTES + CV_IPC_BODY_BYTES_MAX];

static struct cv_ipc_link link_new(uint32_t state)
{
	return (struct cv_ipc_link){ .rules = rule, .rule_count = 2, .state = state };
}

static int lowest_free_fd(void)
{
	const int fd = dup(0);

	close(fd);
	return fd;
}

static void carries_body_and_descriptors(void **state)
{
	struct cv_ipc_link link = link_new(1);
	struct cv_ipc_msg m;
	struct cv_err err;
	int pair[2];
	const int two[] = { 0, 1 };

	(void)state;
	assert_int_equal(cv_ipc_pair(pair, &err), CV_OK);
	assert_int_equal(cv_ipc_send(pair[0], TEXT, CV_STR("hello"), NULL, 0, &err), CV_OK);
	assert_int_equal(cv_ipc_send(pair[0], PAIR, CV_STR_NONE, two, 2, &err), CV_OK);
	assert_int_equal(cv_ipc_recv(pair[1], &link, buf, &m, &err), CV_OK);
	assert_str(m.body, "hello");
	assert_int_equal(cv_ipc_recv(pair[1], &link, buf, &m, &err), CV_OK);
	assert_int_equal(m.fd_count, 2);
	assert_true(fcntl(m.fds[0], F_GETFD) & FD_CLOEXEC);
	cv_ipc_msg_fini(&m);
	close(pair[0]);
	assert_int_equal(cv_ipc_recv(pair[1], &link, buf, &m, &err), CV_NOT_FOUND);
	close(pair[1]);
}

/* A peer that dies with messages unread: its last words come first. */
static void last_words_are_heard(void **state)
{
	struct cv_ipc_link link = link_new(1);
	struct cv_ipc_msg m;
	struct cv_err err;
	int pair[2];

	(void)state;
	assert_int_equal(cv_ipc_pair(pair, &err), CV_OK);
	assert_int_equal(cv_ipc_send(pair[1], TEXT, CV_STR("unread"), NULL, 0, &err), CV_OK);
	assert_int_equal(cv_ipc_send(pair[0], TEXT, CV_STR("why"), NULL, 0, &err), CV_OK);
	close(pair[0]);
	assert_int_equal(cv_ipc_recv(pair[1], &link, buf, &m, &err), CV_OK);
	assert_str(m.body, "why");
	assert_int_equal(cv_ipc_recv(pair[1], &link, buf, &m, &err), CV_NOT_FOUND);
	close(pair[1]);
}

static void refuses_what_the_table_does_not_say(void **state)
{
	const int two[] = { 0, 1 };
	char big[101];
	const struct {
		uint32_t state, type, seen;
		struct cv_str body;
		size_t fds;
		const char *why;
	} row[] = {
		{ 0, 7, 0, CV_STR_NONE, 0, "unknown message" },
		{ 0, PAIR, 0, CV_STR_NONE, 2, "not allowed in this state" },
		{ 1, PAIR, 1u << PAIR, CV_STR_NONE, 2, "repeated" },
		{ 1, TEXT, 0, { big, sizeof(big) }, 0, "too large" },
		{ 1, TEXT, 0, CV_STR("x"), 1, "wrong number of descriptors" },
		{ 1, PAIR, 0, CV_STR_NONE, 1, "wrong number of descriptors" },
	};

	(void)state;
	memset(big, 'x', sizeof(big));
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		struct cv_ipc_link link = link_new(row[i].state);
		struct cv_ipc_msg m;
		struct cv_err err;
		int pair[2];

		link.seen = row[i].seen;
		assert_int_equal(cv_ipc_pair(pair, &err), CV_OK);
		const int before = lowest_free_fd();
		assert_int_equal(
			cv_ipc_send(pair[0], row[i].type, row[i].body, two, row[i].fds, &err),
			CV_OK);
		assert_int_equal(cv_ipc_recv(pair[1], &link, buf, &m, &err), CV_PROTO);
		assert_non_null(strstr(err.msg, row[i].why));
		assert_int_equal(lowest_free_fd(), before);
		close(pair[0]);
		close(pair[1]);
	}
}

static void a_cut_frame_is_refused(void **state)
{
	static const char frame[] = { 0, 0, 0, 0, 9, 0, 0, 0, 'x' }; /* says nine, brings one */

	(void)state;
	for (size_t n = 1; n <= sizeof(frame); n++) {
		struct cv_ipc_link link = link_new(0);
		struct cv_ipc_msg m;
		struct cv_err err;
		int pair[2];

		assert_int_equal(cv_ipc_pair(pair, &err), CV_OK);
		assert_int_equal(write(pair[0], frame, n), n);
		assert_int_equal(cv_ipc_recv(pair[1], &link, buf, &m, &err), CV_PROTO);
		close(pair[0]);
		close(pair[1]);
	}
}

static void reader_shortage_is_sticky(void **state)
{
	struct cv_buf b;

	(void)state;
	cv_buf_init(&b, 1024);
	cv_ipc_put_u64(&b, 0x0123456789abcdef);
	cv_ipc_put_str(&b, CV_STR("name"));
	struct cv_ipc_reader r = { .rest = cv_buf_str(&b) };
	assert_true(cv_ipc_get_u64(&r) == 0x0123456789abcdef);
	assert_false(cv_ipc_reader_is_done(&r));
	assert_str(cv_ipc_get_str(&r), "name");
	assert_true(cv_ipc_reader_is_done(&r));
	assert_int_equal(cv_ipc_get_u32(&r), 0);
	assert_false(cv_ipc_reader_is_done(&r));
	cv_buf_fini(&b);
}

static void identity_survives_the_trip(void **state)
{
	struct cv_proxy_identity id = { .cookie = 7,
		.pid = 12,
		.exe = CV_STR("/usr/bin/git"),
		.ancestors = { CV_STR("/usr/bin/bash"), CV_STR("/cove-init") },
		.ancestor_count = 2 };
	struct cv_proxy_identity got;
	struct cv_buf b;

	(void)state;
	cv_buf_init(&b, 4096);
	assert_true(cv_proxy_identity_put(&b, &id));
	assert_true(cv_proxy_identity_get(cv_buf_str(&b), &got));
	assert_int_equal(got.ancestor_count, 2);
	assert_str(got.exe, "/usr/bin/git");
	assert_str(got.ancestors[1], "/cove-init");
	for (size_t n = 0; n < cv_buf_len(&b); n++) /* no prefix of it is an identity */
		assert_false(cv_proxy_identity_get(cv_str_slice(cv_buf_str(&b), 0, n), &got));
	cv_buf_fini(&b);
}

static void memfd_is_sealed_and_read_whole(void **state)
{
	struct cv_err err;
	size_t n;
	char *p;
	int fd;

	(void)state;
	assert_int_equal(cv_ipc_memfd("t", CV_STR("policy text"), &fd, &err), CV_OK);
	assert_int_equal(write(fd, "x", 1), -1);
	assert_int_equal(cv_ipc_fd_read_all(fd, 5, &p, &n, &err), CV_LIMIT);
	assert_int_equal(cv_ipc_fd_read_all(fd, 100, &p, &n, &err), CV_OK);
	assert_string_equal(p, "policy text");
	free(p);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(carries_body_and_descriptors),
		cmocka_unit_test(last_words_are_heard),
		cmocka_unit_test(refuses_what_the_table_does_not_say),
		cmocka_unit_test(a_cut_frame_is_refused),
		cmocka_unit_test(reader_shortage_is_sticky),
		cmocka_unit_test(identity_survives_the_trip),
		cmocka_unit_test(memfd_is_sealed_and_read_whole),
	};

	return cmocka_run_group_tests_name("ipc/frame", tests, NULL, NULL);
}
