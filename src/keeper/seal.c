/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seal.c - the vault: what the gateway's store keeps of secrets is opened and closed here only
 *
 * Its keys came with VAULT, the present one first, and live in a locked page; they are in no file,
 * argument or environment of this process, and it has no way to ask for others.  Requests are
 * answered one by one, in order.  A request that can't be done is REFUSED with a reason that quotes
 * no value; one that the table does not allow ends the process.
 *
 * COMPOSE reads a set whose values are references, puts what is in them in their place, and writes
 * the set to the descriptor that came along: a memfd of the gateway, which seals it and hands it to
 * the sandbox's keeper.  If any reference fails, nothing is written: a sandbox does not start with a
 * part of its credentials.  Everything that held a value is wiped before the reply is sent.
 */
#include "keeper/seal_int.h"

#include "cred/limits_profile.h"
#include "sys/fd.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define LINK_FD CV_KEEPER_CONTROL_FD

cv_code keeper_seal_start(struct keeper *k, int fd, struct cv_err *err)
{
	struct cv_buf b;
	char *text;
	size_t n;
	cv_code code =
		cv_ipc_fd_read_all(fd, CV_VAULT_KEYS_MAX * CV_VAULT_KEY_BYTES, &text, &n, err);

	if (code != CV_OK)
		return cv_wrap(err, "read the keys");
	void *page = mmap(
		NULL, sizeof(*k->seal), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (n == 0 || n % CV_VAULT_KEY_BYTES)
		code = cv_fail(
			err, CV_INVALID, "keys of %zu bytes: each has %d", n, CV_VAULT_KEY_BYTES);
	else if (page == MAP_FAILED)
		code = cv_fail_errno(err, "memory for keys");
	if (code == CV_OK) {
		(void)mlock(page, sizeof(*k->seal)); /* without the right to, swap may see it */
		k->seal = page;
		k->seal->n = n / CV_VAULT_KEY_BYTES;
		k->seal->courier = -1;
		for (size_t i = 0; i < k->seal->n; i++)
			cv_seal_key_set(&k->seal->key[i],
				(const unsigned char *)text + i * CV_VAULT_KEY_BYTES);
	}
	explicit_bzero(text, n);
	free(text);
	if (code != CV_OK)
		return code;
	cv_buf_init(&b, 64);
	cv_ipc_put_u32(&b, (uint32_t)k->seal->n);
	cv_ipc_put_u64(&b, k->seal->key[0].id);
	code = cv_ipc_send(LINK_FD, CV_VAULT_REPLY_STARTED, cv_buf_str(&b), NULL, 0, err);
	cv_buf_fini(&b);
	return code;
}

/* ---- COMPOSE ---- */

cv_code keeper_seal_open(
	const struct keeper_seal *s, struct cv_arena *arena, struct cv_str *v, struct cv_err *err)
{
	struct cv_buf context, envelope, value;
	cv_code code = CV_OK;

	if (!v->n)
		return CV_OK; /* is refreshed before its first use */
	cv_buf_init(&context, CV_VAULT_CONTEXT_BYTES_MAX);
	cv_buf_init(&envelope, CV_VAULT_ENVELOPE_BYTES_MAX);
	cv_buf_init(&value, CV_VAULT_ENVELOPE_BYTES_MAX);
	if (!cv_vault_ref_get(*v, &context, &envelope))
		code = cv_fail(err, CV_INVALID, "a value that is not sealed");
	else
		code = cv_unseal(
			s->key, s->n, cv_buf_str(&context), cv_buf_str(&envelope), &value, err);
	if (code == CV_OK) {
		*v = cv_arena_str(arena, cv_buf_str(&value));
		if (!v->p)
			code = cv_fail(err, CV_LIMIT, "no memory for the values");
	}
	cv_buf_fini(&context);
	cv_buf_fini(&envelope);
	cv_buf_wipe(&value);
	return code;
}

static cv_code values_open(const struct keeper_seal *s, struct cv_cred_set *set, struct cv_err *err)
{
	cv_code code = CV_OK;

	for (size_t i = 0; i < set->cred_count; i++) {
		code = keeper_seal_open(s, &set->arena, &set->creds[i].value, err);
		if (code != CV_OK)
			return cv_wrap(err, "%.*s", CV_STR_ARG(set->creds[i].key));
	}
	for (size_t i = 0; i < set->refresh_count; i++)
		for (size_t m = 0; m < set->refreshes[i].material_count; m++) {
			struct cv_cred_material *x = &set->refreshes[i].materials[m];

			code = keeper_seal_open(s, &set->arena, &x->value, err);
			if (code != CV_OK)
				return cv_wrap(err, "material %.*s", CV_STR_ARG(x->name));
		}
	return CV_OK;
}

cv_code keeper_seal_write(int fd, struct cv_str bytes, struct cv_err *err)
{
	while (bytes.n) {
		const ssize_t n = write(fd, bytes.p, bytes.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return cv_fail_errno(err, "write the credentials");
		bytes = cv_str_slice(bytes, (size_t)n, bytes.n);
	}
	return CV_OK;
}

static cv_code composed(const struct keeper_seal *s, int in, int out, struct cv_err *err)
{
	struct cv_cred_set set;
	struct cv_buf bytes;
	char *text;
	size_t n;
	cv_code code = cv_ipc_fd_read_all(in, CV_CRED_SET_BYTES_MAX, &text, &n, err);

	if (code != CV_OK)
		return code;
	code = cv_cred_set_read((struct cv_str){ text, n }, &set, err);
	free(text);
	if (code != CV_OK)
		return code;
	cv_buf_init(&bytes, CV_CRED_SET_BYTES_MAX);
	code = values_open(s, &set, err);
	if (code == CV_OK)
		code = cv_cred_set_write(&set, &bytes, err);
	cv_cred_set_fini(&set);
	if (code == CV_OK)
		code = keeper_seal_write(out, cv_buf_str(&bytes), err);
	cv_buf_wipe(&bytes);
	return code;
}

/* ---- requests ---- */

static void wiped(struct cv_str s)
{
	explicit_bzero((char *)(uintptr_t)s.p, s.n);
}

/* SEAL and REWRAP: from the bytes of the message to an envelope. */
static cv_code sealed(const struct keeper_seal *s, enum cv_vault_req type, struct cv_ipc_reader *r,
	struct cv_buf *ret, struct cv_err *err)
{
	const struct cv_str context = cv_ipc_get_str(r), bytes = cv_ipc_get_str(r);
	cv_code code;

	if (!cv_ipc_reader_is_done(r))
		code = cv_fail(err, CV_PROTO, "a request that is cut off");
	else if (type == CV_VAULT_REQ_SEAL)
		code = cv_seal(&s->key[0], context, bytes, ret, err);
	else
		code = cv_seal_rewrap(s->key, s->n, context, bytes, ret, err);
	return code;
}

static void courier_take(struct keeper *k, struct cv_ipc_msg *m)
{
	if (k->seal->courier >= 0)
		close(k->seal->courier);
	k->seal->courier = cv_take_fd(m->fds[0]);
}

static cv_code answer(struct keeper *k, struct cv_ipc_msg *m, struct cv_err *err)
{
	static const enum cv_vault_reply reply[] = {
		[CV_VAULT_REQ_SEAL] = CV_VAULT_REPLY_SEALED,
		[CV_VAULT_REQ_COMPOSE] = CV_VAULT_REPLY_COMPOSED,
		[CV_VAULT_REQ_REWRAP] = CV_VAULT_REPLY_REWRAPPED,
		[CV_VAULT_REQ_RENEW] = CV_VAULT_REPLY_RENEWAL,
	};
	struct cv_ipc_reader r = { .rest = m->body };
	const uint32_t tag = cv_ipc_get_u32(&r);
	const enum cv_vault_req type = (enum cv_vault_req)m->type;
	struct cv_buf envelope, rest, out;
	struct cv_err why;
	cv_code code;

	cv_buf_init(&rest, 1024);
	cv_buf_init(&envelope, CV_VAULT_ENVELOPE_BYTES_MAX);
	cv_buf_init(&out, CV_IPC_BODY_BYTES_MAX);
	if (type == CV_VAULT_REQ_COMPOSE)
		code = composed(k->seal, m->fds[0], m->fds[1], &why);
	else if (type == CV_VAULT_REQ_RENEW) /* the message was read: its buffer is free */
		code = keeper_seal_renew(k->seal, m->fds[0], m->fds[1], k->buf, &rest, &why);
	else
		code = sealed(k->seal, type, &r, &envelope, &why);
	wiped(m->body);
	cv_ipc_put_u32(&out, tag);
	if (code != CV_OK) {
		cv_ipc_put_u32(&out, code);
		cv_ipc_put_str(&out, cv_str_of(why.msg));
	} else if (type == CV_VAULT_REQ_RENEW) {
		cv_buf_put(&out, cv_buf_str(&rest));
	} else if (type != CV_VAULT_REQ_COMPOSE) {
		cv_ipc_put_str(&out, cv_buf_str(&envelope));
	}
	code = cv_ipc_send(LINK_FD, code == CV_OK ? reply[type] : CV_VAULT_REPLY_REFUSED,
		cv_buf_str(&out), NULL, 0, err);
	cv_buf_fini(&envelope);
	cv_buf_fini(&rest);
	cv_buf_fini(&out);
	return code;
}

void keeper_seal_serve(struct keeper *k)
{
	struct cv_ipc_link link = { cv_vault_req_rule, CV_VAULT_REQ_COUNT, CV_VAULT_OPEN, 0 };
	struct cv_ipc_msg m;
	struct cv_err err;

	for (;;) {
		cv_code code = cv_ipc_recv(LINK_FD, &link, k->buf, &m, &err);

		if (code == CV_NOT_FOUND)
			_exit(0); /* nothing to flush: the gateway ended, or wants another */
		if (code == CV_OK) {
			if (m.type == CV_VAULT_REQ_COURIER)
				courier_take(k, &m);
			else
				code = answer(k, &m, &err);
			cv_ipc_msg_fini(&m);
		}
		if (code != CV_OK) {
			(void)!cv_ipc_send(
				LINK_FD, CV_VAULT_REPLY_FATAL, cv_str_of(err.msg), NULL, 0, NULL);
			_exit(1);
		}
	}
}
