/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_changed.c - answers that the proxy may keep, and the end of that
 *
 * Goal: the keeper says with an answer how long it holds, not beyond the value's own life; and where it
 * holds no more the proxy is told before anybody else has anything of what changed.
 * Method: the real cove-keeper (argument 1), spoken to as supervisor, proxy and broker.
 */
#include "base/buf.h"
#include "cred/set.h"
#include "ipc/keeper_link.h"
#include "unit/test.h"

#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *exe;
static char buf[CV_IPC_BODY_BYTES_MAX + 8];

struct run {
	pid_t pid;
	int control, proxy, broker;
	struct cv_ipc_link replies, tools, controls;
};

enum { STATIC, OF_TOOL, BRIEF, CREDS };

static int set_memfd(struct cv_str value)
{
	static uint16_t port = 443;
	struct cv_cred_binding bound = {
		.host = CV_STR("api.test"), .ports = &port, .port_count = 1
	};
	struct cv_cred_provider provider = { CV_STR("p"), CV_STR("p"), &bound, 1 };
	struct cv_cred creds[CREDS] = {
		{ .key = CV_STR("A"), .placeholder = CV_STR("p-a"), .value = value },
		{ .key = CV_STR("B"), .placeholder = CV_STR("p-b"), .value = CV_STR("value-of-b") },
		{ .key = CV_STR("C"), .placeholder = CV_STR("p-c"), .value = CV_STR("value-of-c") },
	};
	struct cv_cred_grant grant = { CV_STR("tool:t"), CV_STR("KEY"), OF_TOOL };
	const struct cv_cred_set set = { .providers = &provider,
		.provider_count = 1,
		.creds = creds,
		.cred_count = CREDS,
		.grants = &grant,
		.grant_count = 1 };
	struct cv_buf b;
	int fd;

	for (size_t i = 0; i < CREDS; i++)
		creds[i].refresh = CV_CRED_NONE;
	creds[BRIEF].expires_s = time(NULL) + 2;
	cv_buf_init(&b, 1 << 20);
	assert_int_equal(cv_cred_set_write(&set, &b, NULL), CV_OK);
	assert_int_equal(cv_ipc_memfd("set", cv_buf_str(&b), &fd, NULL), CV_OK);
	cv_buf_fini(&b);
	return fd;
}

static void control_send(struct run *r, uint32_t type, struct cv_str body, int fd)
{
	assert_int_equal(cv_ipc_send(r->control, type, body, &fd, 1, NULL), CV_OK);
	close(fd);
}

/* The type of the next message on a link, whose body is in m; -1: its end. */
static int next(int link, struct cv_ipc_link *rules, struct cv_ipc_msg *m)
{
	return cv_ipc_recv(link, rules, buf, m, NULL) == CV_OK ? (int)m->type : -1;
}

static const struct cv_ipc_link new_replies = { cv_keeper_reply_rule, CV_KEEPER_REPLY_COUNT,
	CV_KEEPER_READY, 0 };

static void start(struct run *r)
{
	int control[2], proxy[2], broker[2];
	struct cv_ipc_msg m;
	struct cv_buf b;

	assert_int_equal(cv_ipc_pair(control, NULL), CV_OK);
	assert_int_equal(cv_ipc_pair(proxy, NULL), CV_OK);
	assert_int_equal(cv_ipc_pair(broker, NULL), CV_OK);
	r->pid = fork();
	if (r->pid == 0) {
		dup2(control[1], CV_KEEPER_CONTROL_FD);
		close_range(CV_KEEPER_CONTROL_FD + 1, ~0U, 0);
		execle(exe, "cove-keeper", NULL, (char *[]){ NULL });
		_exit(127);
	}
	close(control[1]);
	r->control = control[0];
	r->proxy = proxy[0];
	r->broker = broker[0];
	r->replies = new_replies;
	r->tools = (struct cv_ipc_link){ cv_keeper_tool_reply_rule, CV_KEEPER_TOOL_REPLY_COUNT,
		CV_KEEPER_READY, 0 };
	r->controls = (struct cv_ipc_link){ cv_keeper_control_reply_rule,
		CV_KEEPER_CONTROL_REPLY_COUNT, CV_KEEPER_NEW, 0 };
	cv_buf_init(&b, 64);
	cv_ipc_put_str(&b, CV_STR("run"));
	control_send(r, CV_KEEPER_CONTROL_SECRETS, CV_STR_NONE, set_memfd(CV_STR("value-of-a")));
	control_send(r, CV_KEEPER_CONTROL_BROKER, CV_STR_NONE, broker[1]);
	control_send(r, CV_KEEPER_CONTROL_START, cv_buf_str(&b), proxy[1]);
	cv_buf_fini(&b);
	assert_int_equal(next(r->control, &r->controls, &m), CV_KEEPER_CONTROL_REPLY_CA);
	r->controls.state = CV_KEEPER_READY;
	assert_int_equal(next(r->proxy, &r->replies, &m), CV_KEEPER_REPLY_CATALOG);
}

static void finish(struct run *r)
{
	int status;

	close(r->control);
	close(r->proxy);
	close(r->broker);
	assert_int_equal(waitpid(r->pid, &status, 0), r->pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void question_put(struct cv_buf *b, uint32_t cred)
{
	const struct cv_keeper_release ask = { .tag = 7 + cred,
		.host = CV_STR("api.test"),
		.method = CV_STR("GET"),
		.path = CV_STR("/"),
		.port = 443,
		.creds = { cred },
		.count = 1 };

	assert_true(cv_keeper_release_put(b, &ask));
}

struct answer {
	uint64_t version;
	uint32_t tag, keep_ms, values;
};

static struct answer answer_read(struct cv_str body)
{
	struct cv_ipc_reader r = { .rest = body };
	struct answer a = { 0 };

	a.tag = cv_ipc_get_u32(&r);
	a.version = cv_ipc_get_u64(&r);
	a.keep_ms = cv_ipc_get_u32(&r);
	cv_ipc_get_u32(&r);
	cv_ipc_get_u64(&r);
	a.values = cv_ipc_get_u32(&r);
	assert_false(r.is_bad);
	return a;
}

static void question_send(struct run *r, uint32_t cred)
{
	struct cv_buf b;

	cv_buf_init(&b, 1024);
	question_put(&b, cred);
	assert_int_equal(
		cv_ipc_send(r->proxy, CV_KEEPER_REQ_RELEASE, cv_buf_str(&b), NULL, 0, NULL), CV_OK);
	cv_buf_fini(&b);
}

static struct answer ask(struct run *r, uint32_t cred)
{
	struct cv_ipc_msg m;

	question_send(r, cred);
	assert_int_equal(next(r->proxy, &r->replies, &m), CV_KEEPER_REPLY_RELEASED);
	return answer_read(m.body);
}

static bool is_silent(int link)
{
	char byte;

	return recv(link, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0;
}

static void c1_the_same_answer_has_the_same_version(void **state)
{
	struct run r;

	(void)state;
	start(&r);
	const struct answer a = ask(&r, STATIC), again = ask(&r, STATIC), brief = ask(&r, BRIEF);
	assert_int_equal(a.tag, 7);
	assert_int_equal(a.keep_ms, CV_KEEPER_KEEP_MS);
	assert_int_equal(again.version, a.version);
	assert_int_equal(again.values, 1);
	assert_int_not_equal(brief.version, a.version);
	assert_int_equal(brief.keep_ms, 0); /* it expires first */
	assert_int_equal(brief.values, 2);
	assert_true(is_silent(r.proxy));
	finish(&r);
}

/* Of the questions in one message the first is judged before the second is released. */
static void c1_in_one_message(void **state)
{
	struct cv_buf all, one;
	struct cv_ipc_msg m;
	struct run r;

	(void)state;
	start(&r);
	cv_buf_init(&all, 4096);
	for (uint32_t i = STATIC; i <= OF_TOOL; i++) {
		cv_buf_init(&one, 1024);
		question_put(&one, i);
		cv_ipc_put_str(&all, cv_buf_str(&one));
		cv_buf_fini(&one);
	}
	assert_int_equal(
		cv_ipc_send(r.proxy, CV_KEEPER_REQ_RELEASES, cv_buf_str(&all), NULL, 0, NULL),
		CV_OK);
	cv_buf_fini(&all);
	assert_int_equal(next(r.proxy, &r.replies, &m), CV_KEEPER_REPLY_ANSWERS);
	struct cv_ipc_reader reader = { .rest = m.body };
	assert_int_equal(cv_ipc_get_u32(&reader), CV_KEEPER_REPLY_RELEASED);
	const struct answer first = answer_read(cv_ipc_get_str(&reader));
	assert_int_equal(cv_ipc_get_u32(&reader), CV_KEEPER_REPLY_RELEASED);
	const struct answer second = answer_read(cv_ipc_get_str(&reader));
	assert_true(second.version > first.version);
	assert_int_equal(first.values, 1);
	assert_int_equal(second.values, 2);
	finish(&r);
}

static uint64_t change_read(struct run *r)
{
	struct cv_ipc_msg m;

	assert_int_equal(next(r->proxy, &r->replies, &m), CV_KEEPER_REPLY_CHANGED);
	struct cv_ipc_reader reader = { .rest = m.body };
	const uint64_t version = cv_ipc_get_u64(&reader);
	assert_true(cv_ipc_reader_is_done(&reader));
	return version;
}

/* A tool has the value, and may send it where the sandbox reads it. */
static void c10_told_before_a_tool_has_a_value(void **state)
{
	struct cv_ipc_msg m;
	struct cv_buf b;
	struct run r;

	(void)state;
	start(&r);
	const struct answer a = ask(&r, STATIC);
	cv_buf_init(&b, 256);
	cv_ipc_put_u32(&b, 3);
	cv_ipc_put_str(&b, CV_STR("tool:t"));
	cv_ipc_put_str(&b, CV_STR("KEY"));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(cv_ipc_send(r.broker, CV_KEEPER_TOOL_REQ_RELEASE_TOOL,
					 cv_buf_str(&b), NULL, 0, NULL),
			CV_OK);
		assert_int_equal(next(r.broker, &r.tools, &m), CV_KEEPER_TOOL_REPLY_RELEASED);
		assert_int_equal(is_silent(r.proxy), i == 1); /* once */
		if (i == 1)
			break;
		const uint64_t version = change_read(&r);
		assert_true(version > a.version);
		const struct answer next_one = ask(&r, STATIC);
		assert_int_equal(next_one.version, version);
		assert_int_equal(next_one.values, 2);
	}
	cv_buf_fini(&b);
	finish(&r);
}

/* When the supervisor hears of it, the proxy was told; and no question of the former set is answered. */
static void c1_another_set(void **state)
{
	struct cv_ipc_msg m;
	struct run r;
	int pair[2];

	(void)state;
	start(&r);
	const struct answer former = ask(&r, STATIC);
	control_send(&r, CV_KEEPER_CONTROL_SECRETS_ANEW, CV_STR_NONE,
		set_memfd(CV_STR("another-value")));
	assert_int_equal(next(r.control, &r.controls, &m), CV_KEEPER_CONTROL_REPLY_SECRETS_RESULT);
	assert_false(is_silent(r.proxy));
	assert_true(change_read(&r) > former.version);

	question_send(&r, STATIC);
	assert_int_equal(cv_ipc_pair(pair, NULL), CV_OK);
	control_send(&r, CV_KEEPER_CONTROL_PROXY, CV_STR_NONE, pair[1]);
	assert_int_equal(next(r.proxy, &r.replies, &m), -1);
	close(r.proxy);
	r.proxy = pair[0];
	r.replies = new_replies;
	assert_int_equal(next(r.proxy, &r.replies, &m), CV_KEEPER_REPLY_CATALOG);
	assert_true(ask(&r, STATIC).version > former.version);
	finish(&r);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(c1_the_same_answer_has_the_same_version),
		cmocka_unit_test(c1_in_one_message),
		cmocka_unit_test(c10_told_before_a_tool_has_a_value),
		cmocka_unit_test(c1_another_set),
	};

	exe = argc > 1 ? argv[1] : "build/src/keeper/cove-keeper";
	return cmocka_run_group_tests_name("keeper/changed", tests, NULL, NULL);
}
