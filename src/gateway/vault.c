/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault.c - see vault.h
 */
#include "gateway/vault.h"

#include "cred/limits_profile.h"
#include "cred/set.h"
#include "driver/spawn.h"
#include "gateway/config.h"
#include "gateway/gateway.h"
#include "gateway/metrics.h"
#include "gateway/vault_keys.h"
#include "ipc/keeper_link.h"
#include "ipc/vault_link.h"
#include "sys/child.h"
#include "sys/clock.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_MS 2000 /* a set of the largest size takes 50 */

struct cv_gw_vault {
	char *exe;
	struct cv_gateway *g;
	pid_t pid; /* 0: none */
	int link, pidfd;
	struct cv_ipc_link rules;
	uint32_t tag;
	char buf[CV_IPC_BODY_BYTES_MAX + 8];
};

cv_code cv_gw_vault_new(
	const char *exe, struct cv_gateway *g, struct cv_gw_vault **ret, struct cv_err *err)
{
	struct cv_gw_vault *v = calloc(1, sizeof(*v));

	if (v)
		v->exe = strdup(exe);
	if (!v || !v->exe) {
		free(v);
		return cv_fail(err, CV_LIMIT, "no memory for the vault");
	}
	v->g = g;
	v->link = v->pidfd = -1;
	*ret = v;
	return CV_OK;
}

static void vault_end(struct cv_gw_vault *v)
{
	cv_child_kill(v->pid);
	if (v->link >= 0)
		close(v->link);
	if (v->pidfd >= 0)
		close(v->pidfd);
	v->pid = 0;
	v->link = v->pidfd = -1;
}

void cv_gw_vault_look(struct cv_gw_vault *v)
{
	struct pollfd p = { .fd = v->pidfd, .events = POLLIN };

	if (v->pidfd >= 0 && poll(&p, 1, 0) == 1)
		vault_end(v);
}

void cv_gw_vault_restart(struct cv_gw_vault *v)
{
	vault_end(v);
}

void cv_gw_vault_free(struct cv_gw_vault *v)
{
	if (!v)
		return;
	vault_end(v);
	free(v->exe);
	free(v);
}

bool cv_gw_vault_context(
	struct cv_buf *b, struct cv_str workspace, struct cv_str provider_id, struct cv_str key)
{
	cv_buf_put(b, workspace);
	cv_buf_put_byte(b, '/');
	cv_buf_put(b, provider_id);
	cv_buf_put_byte(b, '/');
	return cv_buf_put(b, key);
}

/* ---- the process ---- */

/* The next message, or the end of this vault. */
static cv_code message_wait(struct cv_gw_vault *v, struct cv_ipc_msg *ret, struct cv_err *err)
{
	const int64_t until = cv_clock_ms() + ANSWER_MS;
	struct pollfd p = { .fd = v->link, .events = POLLIN };
	int n;

	do {
		const int64_t left = until - cv_clock_ms();

		n = poll(&p, 1, left > 0 ? (int)left : 0);
	} while (n < 0 && errno == EINTR);
	cv_code code = n == 1 ? cv_ipc_recv(v->link, &v->rules, v->buf, ret, err)
			      : cv_fail(err, CV_UNAVAILABLE, "the vault does not answer");
	if (code == CV_OK && ret->type == CV_VAULT_REPLY_FATAL)
		code = cv_fail(err, CV_UNAVAILABLE, "the vault ended: %.*s", CV_STR_ARG(ret->body));
	else if (code != CV_OK && n == 1)
		code = cv_fail(err, CV_UNAVAILABLE, "the vault ended");
	if (code != CV_OK)
		vault_end(v);
	return code;
}

static cv_code process_start(struct cv_gw_vault *v, struct cv_err *err)
{
	int pair[2];
	cv_code code = cv_ipc_pair(pair, err);

	if (code != CV_OK)
		return code;
	code = cv_driver_spawn(
		v->exe, (const int[]){ -1, -1, 2, pair[1] }, 4, &v->pid, &v->pidfd, err);
	close(pair[1]);
	if (code != CV_OK) {
		close(pair[0]);
		v->pid = 0;
		return cv_wrap(err, "start the vault");
	}
	v->link = pair[0];
	v->rules =
		(struct cv_ipc_link){ cv_vault_reply_rule, CV_VAULT_REPLY_COUNT, CV_VAULT_OPEN, 0 };
	return CV_OK;
}

static cv_code keys_send(struct cv_gw_vault *v, struct cv_str keys, struct cv_err *err)
{
	return cv_ipc_send_text(v->link, CV_KEEPER_CONTROL_VAULT, "keys", keys, err);
}

static cv_code started(struct cv_gw_vault *v, struct cv_err *err)
{
	struct cv_ipc_msg m;
	struct cv_buf keys;

	if (v->pid > 0)
		return CV_OK;
	const int64_t began = cv_clock_us();
	cv_buf_init(&keys, CV_VAULT_KEYS_MAX * CV_VAULT_KEY_BYTES);
	cv_code code =
		cv_gw_keys_read(v->g->state_fd, v->g->config->key_command, v->g->env, &keys, err);
	if (code == CV_OK)
		code = process_start(v, err);
	if (code == CV_OK)
		code = keys_send(v, cv_buf_str(&keys), err);
	cv_buf_wipe(&keys);
	if (code == CV_OK)
		code = message_wait(v, &m, err);
	if (code == CV_OK && m.type != CV_VAULT_REPLY_STARTED)
		code = cv_fail(err, CV_UNAVAILABLE, "the vault speaks out of turn");
	if (code != CV_OK)
		vault_end(v);
	cv_metric_add(CV_METRIC_KEEPER_STARTS, 1, code == CV_OK ? "ok" : "failed");
	cv_metric_observe(CV_METRIC_KEEPER_SECONDS, (double)(cv_clock_us() - began) / 1e6, "start");
	return code;
}

/* ret_rest is what follows the tag in the answer, in the vault's buffer. */
static cv_code answer_read(struct cv_gw_vault *v, struct cv_str *ret_rest, struct cv_err *err)
{
	struct cv_ipc_reader r;
	struct cv_ipc_msg m;
	cv_code code = message_wait(v, &m, err);

	if (code != CV_OK)
		return code;
	r = (struct cv_ipc_reader){ .rest = m.body };
	const bool is_ours = cv_ipc_get_u32(&r) == v->tag && m.type > CV_VAULT_REPLY_FATAL;
	if (!is_ours) {
		vault_end(v);
		return cv_fail(err, CV_UNAVAILABLE, "the vault speaks out of turn");
	}
	if (m.type == CV_VAULT_REPLY_REFUSED) {
		const uint32_t why = cv_ipc_get_u32(&r);
		const struct cv_str text = cv_ipc_get_str(&r);

		return cv_fail(err, why && why < CV_CODE_COUNT ? (cv_code)why : CV_SYSTEM, "%.*s",
			CV_STR_ARG(text));
	}
	*ret_rest = r.rest;
	return CV_OK;
}

/* Asks and waits. */
static cv_code asked_once(struct cv_gw_vault *v, enum cv_vault_req req, struct cv_buf *body,
	const int *fds, size_t fd_count, struct cv_str *ret_rest, struct cv_err *err)
{
	cv_code code = started(v, err);

	if (code != CV_OK)
		return code;
	code = cv_ipc_send(v->link, req, cv_buf_str(body), fds, fd_count, err);
	if (code != CV_OK) {
		vault_end(v);
		return cv_fail(err, CV_UNAVAILABLE, "the vault ended");
	}
	return answer_read(v, ret_rest, err);
}

/* Once more with a new vault, when the old one had died or dies over it: nothing that is asked
 * changes the vault.  What it had written to the second descriptor is gone then. */
static cv_code asked_twice(struct cv_gw_vault *v, enum cv_vault_req req, struct cv_buf *body,
	const int *fds, size_t fd_count, struct cv_str *ret_rest, struct cv_err *err)
{
	struct pollfd p = { .fd = v->link, .events = 0 };

	if (v->link >= 0 && poll(&p, 1, 0) == 1)
		vault_end(v);
	const bool was_there = v->pid > 0;
	const cv_code code = asked_once(v, req, body, fds, fd_count, ret_rest, err);
	if (code != CV_UNAVAILABLE || !was_there || v->pid > 0)
		return code;
	if (fd_count > 1 && (ftruncate(fds[1], 0) < 0 || lseek(fds[1], 0, SEEK_SET) < 0))
		return cv_fail_errno(err, "memory for credentials");
	return asked_once(v, req, body, fds, fd_count, ret_rest, err);
}

static cv_code asked(struct cv_gw_vault *v, enum cv_vault_req req, struct cv_buf *body,
	const int *fds, size_t fd_count, struct cv_str *ret_rest, struct cv_err *err)
{
	const char *name = req == CV_VAULT_REQ_SEAL     ? "seal"
			   : req == CV_VAULT_REQ_REWRAP ? "rewrap"
							: "compose";
	const int64_t began = cv_clock_us();
	const cv_code code = asked_twice(v, req, body, fds, fd_count, ret_rest, err);

	cv_metric_add(
		CV_METRIC_KEEPER_REQUESTS, 1, name, code == CV_OK ? "ok" : cv_code_row(code)->name);
	cv_metric_observe(CV_METRIC_KEEPER_SECONDS, (double)(cv_clock_us() - began) / 1e6, name);
	return code;
}

static cv_code enveloped(struct cv_gw_vault *v, enum cv_vault_req req, struct cv_str context,
	struct cv_str bytes, struct cv_buf *ret, struct cv_err *err)
{
	struct cv_str rest = CV_STR_NONE;
	struct cv_buf body;

	cv_buf_init(&body, CV_IPC_BODY_BYTES_MAX);
	cv_ipc_put_u32(&body, ++v->tag);
	cv_ipc_put_str(&body, context);
	cv_ipc_put_str(&body, bytes);
	cv_code code = body.is_overflown ? cv_fail(err, CV_LIMIT, "a value of %zu bytes", bytes.n)
					 : asked(v, req, &body, NULL, 0, &rest, err);
	cv_buf_wipe(&body);
	if (code != CV_OK)
		return code;
	struct cv_ipc_reader r = { .rest = rest };
	const struct cv_str envelope = cv_ipc_get_str(&r);
	if (!cv_ipc_reader_is_done(&r) || !cv_buf_put(ret, envelope))
		return cv_fail(err, CV_LIMIT, "no room for an envelope");
	return CV_OK;
}

cv_code cv_gw_vault_seal(struct cv_gw_vault *v, struct cv_str context, struct cv_str value,
	struct cv_buf *ret_envelope, struct cv_err *err)
{
	if (value.n > CV_VAULT_VALUE_BYTES_MAX) /* the vault's table would end it */
		return cv_fail(err, CV_LIMIT, "a value of %zu bytes; at most %u are sealed",
			value.n, CV_VAULT_VALUE_BYTES_MAX);
	return enveloped(v, CV_VAULT_REQ_SEAL, context, value, ret_envelope, err);
}

cv_code cv_gw_vault_rewrap(struct cv_gw_vault *v, struct cv_str context, struct cv_str envelope,
	struct cv_buf *ret_envelope, struct cv_err *err)
{
	if (envelope.n > CV_VAULT_ENVELOPE_BYTES_MAX)
		return cv_fail(err, CV_LIMIT, "an envelope of %zu bytes", envelope.n);
	return enveloped(v, CV_VAULT_REQ_REWRAP, context, envelope, ret_envelope, err);
}

cv_code cv_gw_vault_compose(
	struct cv_gw_vault *v, const struct cv_cred_set *set, int *ret_fd, struct cv_err *err)
{
	CV_AUTO_FD int in = -1;
	CV_AUTO_FD int out = memfd_create("credentials", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct cv_buf bytes, body;
	struct cv_str rest;

	if (out < 0)
		return cv_fail_errno(err, "memory for credentials");
	cv_buf_init(&bytes, CV_CRED_SET_BYTES_MAX);
	cv_buf_init(&body, 16);
	cv_ipc_put_u32(&body, ++v->tag);
	cv_code code = cv_cred_set_write(set, &bytes, err);
	if (code == CV_OK)
		code = cv_ipc_memfd("references", cv_buf_str(&bytes), &in, err);
	if (code == CV_OK)
		code = asked(
			v, CV_VAULT_REQ_COMPOSE, &body, (const int[]){ in, out }, 2, &rest, err);
	if (code == CV_OK && fcntl(out, F_ADD_SEALS,
				     F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
		code = cv_fail_errno(err, "seal credentials");
	cv_buf_fini(&bytes);
	cv_buf_fini(&body);
	if (code == CV_OK)
		*ret_fd = cv_take_fd(out);
	return code;
}

/* ---- renewals ---- */

cv_code cv_gw_vault_renew(struct cv_gw_vault *v, const struct cv_cred_set *set, int courier,
	int *ret_fd, struct cv_err *err)
{
	CV_AUTO_FD int in = -1;
	CV_AUTO_FD int out = memfd_create("renewed", MFD_CLOEXEC);
	struct cv_buf bytes, body;

	if (out < 0)
		return cv_fail_errno(err, "memory for a renewal");
	cv_buf_init(&bytes, CV_CRED_SET_BYTES_MAX);
	cv_buf_init(&body, 16);
	cv_ipc_put_u32(&body, ++v->tag);
	cv_code code = cv_cred_set_write(set, &bytes, err);
	if (code == CV_OK)
		code = cv_ipc_memfd("references", cv_buf_str(&bytes), &in, err);
	if (code == CV_OK)
		code = started(v, err);
	if (code == CV_OK)
		code = cv_ipc_send(v->link, CV_VAULT_REQ_COURIER, CV_STR_NONE, &courier, 1, err);
	if (code == CV_OK)
		code = cv_ipc_send(v->link, CV_VAULT_REQ_RENEW, cv_buf_str(&body),
			(const int[]){ in, out }, 2, err);
	cv_buf_fini(&bytes);
	cv_buf_fini(&body);
	if (code == CV_OK)
		*ret_fd = cv_take_fd(out);
	return code;
}

int cv_gw_vault_fd(const struct cv_gw_vault *v)
{
	return v->link;
}

static void text_take(struct cv_ipc_reader *r, char *ret, size_t bytes)
{
	const struct cv_str s = cv_ipc_get_str(r);

	if (!cv_str_to_cstr(cv_str_slice(s, 0, CV_MIN(s.n, bytes - 1)), ret, bytes))
		ret[0] = '\0';
}

cv_code cv_gw_vault_renewed(struct cv_gw_vault *v, struct cv_gw_renewed *ret, struct cv_err *err)
{
	struct cv_str rest = CV_STR_NONE;
	cv_code code = answer_read(v, &rest, err);
	struct cv_ipc_reader r = { .rest = rest };

	if (code != CV_OK)
		return code;
	const uint32_t verdict = cv_ipc_get_u32(&r);
	ret->verdict = (enum cv_refresh_verdict)CV_MIN(verdict, (uint32_t)CV_REFRESH_LATER);
	ret->expires_s = (int64_t)cv_ipc_get_u64(&r);
	ret->retry_s = (int64_t)cv_ipc_get_u64(&r);
	text_take(&r, ret->slug, sizeof(ret->slug));
	text_take(&r, ret->text, sizeof(ret->text));
	return cv_ipc_reader_is_done(&r)
		       ? CV_OK
		       : cv_fail(err, CV_UNAVAILABLE, "the vault speaks out of turn");
}
