/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_seal.c - the vault as a process
 *
 * Goal: what goes in as a value comes out as an envelope, and again as a value only in a set that was
 * written to a descriptor; nothing that is wrong in the store gets into a set; the process is
 * confined.  Method: the real cove-keeper (argument 1), spoken to as the gateway does.
 */
#include "base/buf.h"
#include "cred/set.h"
#include "ipc/keeper_link.h"
#include "ipc/vault_link.h"
#include "unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define CONTEXT CV_STR("default/p1/TOKEN")

static const char *exe;
static char buf[CV_IPC_BODY_BYTES_MAX + 8];

struct vault {
	pid_t pid;
	int link;
	struct cv_ipc_link rules;
};

static void vault_open(struct vault *v, struct cv_str keys)
{
	int pair[2], fd;

	assert_int_equal(cv_ipc_pair(pair, NULL), CV_OK);
	v->pid = fork();
	if (v->pid == 0) {
		dup2(pair[1], CV_KEEPER_CONTROL_FD);
		close_range(CV_KEEPER_CONTROL_FD + 1, ~0U, 0);
		execle(exe, "cove-keeper", NULL, (char *[]){ NULL });
		_exit(127);
	}
	close(pair[1]);
	v->link = pair[0];
	v->rules =
		(struct cv_ipc_link){ cv_vault_reply_rule, CV_VAULT_REPLY_COUNT, CV_VAULT_OPEN, 0 };
	assert_int_equal(cv_ipc_memfd("keys", keys, &fd, NULL), CV_OK);
	assert_int_equal(
		cv_ipc_send(v->link, CV_KEEPER_CONTROL_VAULT, CV_STR_NONE, &fd, 1, NULL), CV_OK);
	close(fd);
}

/* The type of the next reply; its body is in m until the next one. */
static int reply(struct vault *v, struct cv_ipc_msg *m)
{
	return cv_ipc_recv(v->link, &v->rules, buf, m, NULL) == CV_OK ? (int)m->type : -1;
}

static int vault_close(struct vault *v)
{
	int status;

	close(v->link);
	assert_int_equal(waitpid(v->pid, &status, 0), v->pid);
	return status;
}

static struct cv_str key_of(char c, char keys[CV_VAULT_KEY_BYTES])
{
	memset(keys, c, CV_VAULT_KEY_BYTES);
	return (struct cv_str){ keys, CV_VAULT_KEY_BYTES };
}

static void vault_start(struct vault *v, char key)
{
	char bytes[CV_VAULT_KEY_BYTES];
	struct cv_ipc_msg m;

	vault_open(v, key_of(key, bytes));
	assert_int_equal(reply(v, &m), CV_VAULT_REPLY_STARTED);
}

/* SEAL or REWRAP; false: refused. */
static bool asked(struct vault *v, enum cv_vault_req what, struct cv_str context,
	struct cv_str bytes, struct cv_buf *ret)
{
	struct cv_ipc_reader r;
	struct cv_ipc_msg m;
	struct cv_buf b;

	cv_buf_init(&b, CV_IPC_BODY_BYTES_MAX);
	cv_ipc_put_u32(&b, 17);
	cv_ipc_put_str(&b, context);
	cv_ipc_put_str(&b, bytes);
	assert_int_equal(cv_ipc_send(v->link, what, cv_buf_str(&b), NULL, 0, NULL), CV_OK);
	cv_buf_fini(&b);
	const int type = reply(v, &m);
	r.rest = m.body;
	r.is_bad = false;
	assert_int_equal(cv_ipc_get_u32(&r), 17);
	if (type == CV_VAULT_REPLY_REFUSED)
		return false;
	assert_int_equal(
		type, what == CV_VAULT_REQ_SEAL ? CV_VAULT_REPLY_SEALED : CV_VAULT_REPLY_REWRAPPED);
	cv_buf_init(ret, CV_VAULT_ENVELOPE_BYTES_MAX);
	assert_true(cv_buf_put(ret, cv_ipc_get_str(&r)));
	return cv_ipc_reader_is_done(&r);
}

/* A set with one credential of this value, as a memfd. */
static int set_memfd(struct cv_str value)
{
	struct cv_cred_provider provider = { .name = CV_STR("github"), .type = CV_STR("github") };
	struct cv_cred cred = { .key = CV_STR("TOKEN"),
		.placeholder = CV_STR("cove-placeholder-TOKEN"),
		.value = value,
		.refresh = CV_CRED_NONE };
	const struct cv_cred_set set = {
		.providers = &provider, .provider_count = 1, .creds = &cred, .cred_count = 1
	};
	struct cv_buf b;
	int fd;

	cv_buf_init(&b, 1 << 20);
	assert_int_equal(cv_cred_set_write(&set, &b, NULL), CV_OK);
	assert_int_equal(cv_ipc_memfd("set", cv_buf_str(&b), &fd, NULL), CV_OK);
	cv_buf_fini(&b);
	return fd;
}

/* CV_OK and the one value, or how it was refused; then nothing was written. */
static cv_code composed(struct vault *v, struct cv_str value, char *ret, size_t size)
{
	const int in = set_memfd(value), out = memfd_create("out", MFD_CLOEXEC);
	struct cv_ipc_msg m;
	struct cv_buf b;
	char *text;
	size_t n;

	cv_buf_init(&b, 16);
	cv_ipc_put_u32(&b, 4);
	assert_int_equal(cv_ipc_send(v->link, CV_VAULT_REQ_COMPOSE, cv_buf_str(&b),
				 (int[]){ in, out }, 2, NULL),
		CV_OK);
	cv_buf_fini(&b);
	const int type = reply(v, &m);
	struct cv_ipc_reader r = { .rest = m.body };
	assert_int_equal(cv_ipc_get_u32(&r), 4);
	cv_code code = type == CV_VAULT_REPLY_COMPOSED ? CV_OK : (cv_code)cv_ipc_get_u32(&r);
	assert_int_equal(cv_ipc_fd_read_all(out, 1 << 20, &text, &n, NULL), CV_OK);
	if (code == CV_OK) {
		struct cv_cred_set set;

		assert_int_equal(cv_cred_set_read((struct cv_str){ text, n }, &set, NULL), CV_OK);
		assert_int_equal(set.cred_count, 1);
		assert_true(cv_str_to_cstr(set.creds[0].value, ret, size));
		cv_cred_set_fini(&set);
	} else {
		assert_int_equal(n, 0);
	}
	free(text);
	close(in);
	close(out);
	return code;
}

static cv_code composed_from(
	struct vault *v, struct cv_str context, struct cv_str envelope, char *ret, size_t size)
{
	struct cv_buf b;

	cv_buf_init(&b, 1 << 20);
	assert_true(cv_vault_ref_put(&b, context, envelope));
	const cv_code code = composed(v, cv_buf_str(&b), ret, size);
	cv_buf_fini(&b);
	return code;
}

static void test_seal_and_compose(void **state)
{
	struct vault v;
	struct cv_buf e;
	char got[64];

	(void)state;
	vault_start(&v, 'k');
	assert_true(asked(&v, CV_VAULT_REQ_SEAL, CONTEXT, CV_STR("ghp_secret"), &e));
	assert_int_equal(composed_from(&v, CONTEXT, cv_buf_str(&e), got, sizeof(got)), CV_OK);
	assert_string_equal(got, "ghp_secret");
	assert_int_equal(vault_close(&v), 0);

	vault_start(&v, 'k'); /* another process with the same key */
	assert_int_equal(composed_from(&v, CONTEXT, cv_buf_str(&e), got, sizeof(got)), CV_OK);
	assert_string_equal(got, "ghp_secret");
	vault_close(&v);
	cv_buf_fini(&e);
}

static void test_what_is_not_composed(void **state)
{
	struct vault v;
	struct cv_buf e;
	char got[64];

	(void)state;
	vault_start(&v, 'k');
	assert_true(asked(&v, CV_VAULT_REQ_SEAL, CONTEXT, CV_STR("ghp_secret"), &e));
	assert_int_equal(composed(&v, CV_STR("plain"), got, sizeof(got)), CV_INVALID);
	assert_int_equal(
		composed_from(&v, CV_STR("default/p2/TOKEN"), cv_buf_str(&e), got, sizeof(got)),
		CV_DENIED);
	for (size_t i = 0; i < e.end; i++) {
		e.data[i] ^= 1;
		assert_int_not_equal(
			composed_from(&v, CONTEXT, cv_buf_str(&e), got, sizeof(got)), CV_OK);
		e.data[i] ^= 1;
	}
	vault_close(&v);
	vault_start(&v, 'x');
	assert_int_equal(
		composed_from(&v, CONTEXT, cv_buf_str(&e), got, sizeof(got)), CV_NOT_FOUND);
	vault_close(&v);
	cv_buf_fini(&e);
}

static void test_rotation(void **state)
{
	char keys[2 * CV_VAULT_KEY_BYTES], got[64];
	struct cv_buf e, now;
	struct cv_ipc_msg m;
	struct vault v;

	(void)state;
	vault_start(&v, 'o');
	assert_true(asked(&v, CV_VAULT_REQ_SEAL, CONTEXT, CV_STR("ghp_secret"), &e));
	assert_false(asked(&v, CV_VAULT_REQ_REWRAP, CV_STR("other"), cv_buf_str(&e), &now));
	vault_close(&v);
	key_of('n', keys);
	key_of('o', keys + CV_VAULT_KEY_BYTES);
	vault_open(&v, (struct cv_str){ keys, sizeof(keys) });
	assert_int_equal(reply(&v, &m), CV_VAULT_REPLY_STARTED);
	assert_int_equal(composed_from(&v, CONTEXT, cv_buf_str(&e), got, sizeof(got)), CV_OK);
	assert_true(asked(&v, CV_VAULT_REQ_REWRAP, CONTEXT, cv_buf_str(&e), &now));
	vault_close(&v);
	vault_start(&v, 'n');
	assert_int_equal(composed_from(&v, CONTEXT, cv_buf_str(&now), got, sizeof(got)), CV_OK);
	assert_string_equal(got, "ghp_secret");
	assert_int_equal(
		composed_from(&v, CONTEXT, cv_buf_str(&e), got, sizeof(got)), CV_NOT_FOUND);
	vault_close(&v);
	cv_buf_fini(&e);
	cv_buf_fini(&now);
}

static void test_bad_keys(void **state)
{
	static const struct cv_str bad[] = { CV_STR(""), CV_STR("short"),
		CV_STR("0123456789abcdef0123456789abcdef0") };
	struct cv_ipc_msg m;
	struct vault v;

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(bad); i++) {
		vault_open(&v, bad[i]);
		assert_int_equal(reply(&v, &m), CV_VAULT_REPLY_FATAL);
		assert_int_not_equal(vault_close(&v), 0);
	}
}

/* A vault is never a run's keeper, and the other way round. */
static void test_roles_do_not_mix(void **state)
{
	struct cv_ipc_msg m;
	struct vault v;

	(void)state;
	vault_start(&v, 'k');
	assert_int_equal(cv_ipc_send(v.link, 200, CV_STR_NONE, NULL, 0, NULL), CV_OK);
	assert_int_equal(reply(&v, &m), CV_VAULT_REPLY_FATAL);
	assert_int_not_equal(vault_close(&v), 0);
}

/* The filter of a keeper is on it, and its memory is nobody's. */
static void test_it_is_confined(void **state)
{
	char path[64], line[256];
	bool is_filtered = false, has_no_new_privs = false;
	struct cv_buf e;
	struct vault v;

	(void)state;
	vault_start(&v, 'k');
	assert_true(asked(&v, CV_VAULT_REQ_SEAL, CONTEXT, CV_STR("x"), &e));
	snprintf(path, sizeof(path), "/proc/%d/status", (int)v.pid);
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		is_filtered |= strcmp(line, "Seccomp:\t2\n") == 0;
		has_no_new_privs |= strcmp(line, "NoNewPrivs:\t1\n") == 0;
	}
	fclose(f);
	assert_true(is_filtered);
	assert_true(has_no_new_privs);
	cv_buf_fini(&e);
	vault_close(&v);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_seal_and_compose),
		cmocka_unit_test(test_what_is_not_composed),
		cmocka_unit_test(test_rotation),
		cmocka_unit_test(test_bad_keys),
		cmocka_unit_test(test_roles_do_not_mix),
		cmocka_unit_test(test_it_is_confined),
	};

	/* From the tree the one without sanitizers, which confines itself as it should. */
	exe = argc > 1 ? argv[1] : "build/src/keeper/cove-keeper";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
