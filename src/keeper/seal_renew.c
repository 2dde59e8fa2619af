/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seal_renew.c - a renewal by the vault: sealed materials in, sealed values out
 *
 * For what belongs to a gateway and not to one sandbox: one renews, and all sandboxes get the result;
 * so an issuer that takes the refresh token of each answer back never sees two who use one.  The
 * gateway starts a vault for this alone, and a courier beside it, because an issuer may take its time:
 * this waits for it.
 *
 * The set has one renewal whose materials are references.  Its credentials say what becomes of the
 * answer: the output, and, as a reference without an envelope of use, the context under which it is
 * sealed.  A refresh token that the issuer put in the place of ours is sealed as that material, also
 * when the rest of the answer is of no use.
 */
#include "keeper/seal_int.h"

#include "cred/carry.h"
#include "cred/limits_profile.h"
#include "sys/clock.h"
#include "sys/fd.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/random.h>

#define SCRATCH_BYTES_MAX (4u << 20) /* as renew.c */
#define ANSWER_MS         60000      /* the courier gives up earlier */
#define TAG               1

struct renewing {
	const struct keeper_seal *seal;
	struct cv_cred_set set;
	struct cv_arena scratch;
	struct cv_refresh_result result;
	const char *slug, *text;
};

/* ---- the errand ---- */

static cv_code context_of(struct cv_str reference, struct cv_buf *ret, struct cv_err *err)
{
	struct cv_buf ignored;

	cv_buf_init(&ignored, CV_VAULT_ENVELOPE_BYTES_MAX);
	const bool is_one = cv_vault_ref_get(reference, ret, &ignored);
	cv_buf_fini(&ignored);
	return is_one ? CV_OK : cv_fail(err, CV_INVALID, "a value that is not sealed");
}

static cv_code plan_open(struct renewing *x, struct cv_buf *ret_context, struct cv_err *err)
{
	struct cv_cred_refresh *plan = &x->set.refreshes[0];
	cv_code code = CV_OK;

	for (size_t i = 0; i < plan->material_count && code == CV_OK; i++) {
		struct cv_cred_material *m = &plan->materials[i];

		if (cv_str_eq(m->name, CV_STR("refresh_token")))
			code = context_of(m->value, ret_context, err);
		if (code == CV_OK)
			code = keeper_seal_open(x->seal, &x->set.arena, &m->value, err);
		if (code != CV_OK)
			return cv_wrap(err, "material %.*s", CV_STR_ARG(m->name));
	}
	return code == CV_OK ? cv_refresh_check(plan, err) : code;
}

static cv_code errand_send(struct renewing *x, int64_t now_s, struct cv_err *err)
{
	const struct cv_cred_refresh *plan = &x->set.refreshes[0];
	unsigned char random[CV_REFRESH_RANDOM_BYTES];
	struct cv_refresh_request request;
	enum cv_courier_req type;
	struct cv_buf b;

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return cv_fail_errno(err, "getrandom");
	cv_code code = cv_refresh_request(plan, now_s, random, &x->scratch, &request, err);
	if (code == CV_OK && request.is_command)
		code = cv_fail(err, CV_INVALID, "a gateway renews by no command");
	if (code != CV_OK)
		return code;
	cv_buf_init(&b, CV_IPC_BODY_BYTES_MAX);
	code = cv_carry_put(plan, &request, TAG, &b, &type, err);
	if (code == CV_OK)
		code = cv_ipc_send(x->seal->courier, type, cv_buf_str(&b), NULL, 0, err);
	cv_buf_wipe(&b);
	return code;
}

static cv_code answer_wait(int fd, struct cv_err *err)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int n;

	do
		n = poll(&p, 1, ANSWER_MS);
	while (n < 0 && errno == EINTR);
	return n == 1 ? CV_OK : cv_fail(err, CV_UNAVAILABLE, "the courier does not answer");
}

static cv_code answer_take(struct renewing *x, char *buf, int64_t now_s, struct cv_err *err)
{
	struct cv_ipc_link link = { cv_courier_reply_rule, CV_COURIER_REPLY_COUNT, CV_COURIER_READY,
		0 };
	struct cv_carry_reply reply;
	struct cv_ipc_msg m;
	char *body = NULL;
	size_t n = 0;
	cv_code code = answer_wait(x->seal->courier, err);

	if (code == CV_OK)
		code = cv_ipc_recv(x->seal->courier, &link, buf, &m, err);
	if (code != CV_OK)
		return code;
	code = cv_carry_get((enum cv_courier_reply)m.type, m.body, &reply, err);
	if (code == CV_OK && m.fd_count &&
		cv_ipc_fd_read_all(m.fds[0], CV_COURIER_BODY_BYTES_MAX, &body, &n, NULL) != CV_OK)
		n = 0; /* an answer without a body can't be read, which is said */
	if (code == CV_OK) {
		const struct cv_str text = cv_arena_str(&x->scratch, (struct cv_str){ body, n });

		cv_carry_result(&x->set.refreshes[0], &reply, text, now_s, &x->scratch, &x->result);
		x->slug = reply.is_failed ? cv_courier_failure_row[reply.failure].slug
					  : cv_refresh_reason_row(x->result.reason)->slug;
		x->text = reply.is_failed ? cv_courier_failure_row[reply.failure].text
					  : cv_refresh_reason_row(x->result.reason)->text;
	}
	if (body)
		explicit_bzero(body, n);
	free(body);
	cv_ipc_msg_fini(&m);
	return code;
}

/* ---- what comes of it ---- */

static cv_code sealed_put(struct renewing *x, struct cv_str context, struct cv_str value,
	struct cv_buf *out, struct cv_err *err)
{
	struct cv_buf envelope;

	cv_buf_init(&envelope, CV_VAULT_ENVELOPE_BYTES_MAX);
	const cv_code code = cv_seal(&x->seal->key[0], context, value, &envelope, err);
	if (code == CV_OK)
		cv_ipc_put_str(out, cv_buf_str(&envelope));
	cv_buf_fini(&envelope);
	return code;
}

static bool has_all(const struct renewing *x)
{
	bool has = x->result.verdict == CV_REFRESH_RENEWED;

	for (size_t i = 0; i < x->set.cred_count && has; i++)
		has = cv_refresh_output(&x->result, x->set.creds[i].output).n > 0;
	return has;
}

/* u32 n; n x (str key, str envelope); str envelope of a new refresh token, or empty. */
static cv_code outputs_put(
	struct renewing *x, struct cv_str rotated_context, struct cv_buf *out, struct cv_err *err)
{
	const uint32_t n = has_all(x) ? (uint32_t)x->set.cred_count : 0;
	cv_code code = CV_OK;

	cv_ipc_put_u32(out, n);
	for (uint32_t i = 0; i < n && code == CV_OK; i++) {
		const struct cv_cred *c = &x->set.creds[i];
		struct cv_buf context;

		cv_buf_init(&context, CV_VAULT_CONTEXT_BYTES_MAX);
		cv_ipc_put_str(out, c->key);
		code = context_of(c->value, &context, err);
		if (code == CV_OK)
			code = sealed_put(x, cv_buf_str(&context),
				cv_refresh_output(&x->result, c->output), out, err);
		cv_buf_fini(&context);
	}
	if (code == CV_OK && x->result.rotated.n && rotated_context.n)
		code = sealed_put(x, rotated_context, x->result.rotated, out, err);
	else
		cv_ipc_put_str(out, CV_STR_NONE);
	return code;
}

static void reply_put(const struct renewing *x, struct cv_buf *reply)
{
	const bool is_short = x->result.verdict == CV_REFRESH_RENEWED && !has_all(x);
	const struct cv_refresh_reason_row *bad = cv_refresh_reason_row(CV_REFRESH_REASON_ANSWER);

	cv_ipc_put_u32(reply, is_short ? CV_REFRESH_LATER : x->result.verdict);
	cv_ipc_put_u64(reply, (uint64_t)x->result.expires_s);
	cv_ipc_put_u64(reply, (uint64_t)x->result.retry_s);
	cv_ipc_put_str(reply, cv_str_of(is_short ? bad->slug : x->slug));
	cv_ipc_put_str(reply, cv_str_of(is_short ? bad->text : x->text));
}

static cv_code set_read(int fd, struct cv_cred_set *ret, struct cv_err *err)
{
	char *text;
	size_t n;
	cv_code code = cv_ipc_fd_read_all(fd, CV_CRED_SET_BYTES_MAX, &text, &n, err);

	if (code != CV_OK)
		return code;
	code = cv_cred_set_read((struct cv_str){ text, n }, ret, err);
	free(text);
	if (code == CV_OK && (ret->refresh_count != 1 || !ret->cred_count)) {
		cv_cred_set_fini(ret);
		code = cv_fail(err, CV_INVALID, "a set with another number of renewals than one");
	}
	return code;
}

cv_code keeper_seal_renew(const struct keeper_seal *s, int in, int out, char *buf,
	struct cv_buf *reply, struct cv_err *err)
{
	struct renewing x = { .seal = s };
	const int64_t now_s = cv_clock_unix_s();
	struct cv_buf context, outputs;
	cv_code code = set_read(in, &x.set, err);

	if (code != CV_OK)
		return code;
	cv_arena_init(&x.scratch, SCRATCH_BYTES_MAX);
	cv_buf_init(&context, CV_VAULT_CONTEXT_BYTES_MAX);
	cv_buf_init(&outputs, CV_CRED_SET_BYTES_MAX);
	if (s->courier < 0)
		code = cv_fail(err, CV_INVALID, "no courier");
	if (code == CV_OK)
		code = plan_open(&x, &context, err);
	if (code == CV_OK)
		code = errand_send(&x, now_s, err);
	if (code == CV_OK)
		code = answer_take(&x, buf, now_s, err);
	if (code == CV_OK)
		code = outputs_put(&x, cv_buf_str(&context), &outputs, err);
	if (code == CV_OK && outputs.is_overflown)
		code = cv_fail(err, CV_LIMIT, "values that are too large");
	if (code == CV_OK)
		code = keeper_seal_write(out, cv_buf_str(&outputs), err);
	if (code == CV_OK)
		reply_put(&x, reply);
	cv_buf_fini(&context);
	cv_buf_fini(&outputs);
	cv_arena_wipe(&x.scratch);
	cv_cred_set_fini(&x.set);
	explicit_bzero(&x.result, sizeof(x.result));
	return code;
}
