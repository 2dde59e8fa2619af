/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - cove-keeper: the process that holds the run's CA key and credentials
 *
 * Started by the supervisor with its control link as descriptor 3 and nothing else: no arguments,
 * no environment, no files.  Its stages:
 *
 *   1. harden      not dumpable, no core: the key must not leave through a crash
 *   2. make        the CA key and certificate
 *   3. start       SECRETS, where the run has any: its credentials; AGAIN, after another keeper;
 *                  UPSTREAM: what the upstream proxy has to be shown
 *                  START: the proxy's link in, the CA certificate out
 *      then memory that only the start needed is given back
 *   4. confine     no new privileges, then a filter that leaves only messages, memory and time
 *   5. serve       leaves and credentials for the proxy, credentials for the broker's tools, renewals
 *                  by the courier; until the supervisor closes the control link
 *
 * One whose first message is VAULT is no run's keeper but the gateway's vault: it holds the keys of
 * what the store keeps (seal.c), is confined in the same way, and serves that link alone.
 *
 * It never touches network or files.  A message that the link's table does not allow ends the
 * link it came on: the proxy's, and leaves stop; or the supervisor's, and the keeper ends.
 */
#include "keeper/keeper.h"
#include "sys/clock.h"
#include "sys/fd.h"
#include "sys/proc.h"
#include "sys/seccomp.h"
#include "sys/trim.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

/* One line to the supervisor, then the end: nothing here can be repaired. */
CV_NORETURN static void die(const struct cv_err *err)
{
	(void)!cv_ipc_send(CV_KEEPER_CONTROL_FD, CV_KEEPER_CONTROL_REPLY_FATAL, cv_str_of(err->msg),
		NULL, 0, NULL);
	_exit(cv_code_row(err->code)->exit);
}

static cv_code start_answer(struct keeper *k, struct cv_ipc_msg *m, struct cv_err *err)
{
	struct cv_ipc_reader r = { .rest = m->body };
	const struct cv_str run = cv_ipc_get_str(&r);
	struct cv_buf pem, body;
	cv_code code;

	if (!cv_ipc_reader_is_done(&r))
		return cv_fail(err, CV_PROTO, "START: bad body");
	cv_buf_init(&pem, KEEPER_PEM_BYTES_MAX);
	cv_buf_init(&body, KEEPER_PEM_BYTES_MAX);
	k->proxy = cv_take_fd(m->fds[0]);
	code = keeper_catalog_send(k, err);
	if (code == CV_OK && !k->ca)
		code = cv_ca_begin(&k->ca, err);
	if (code == CV_OK)
		code = cv_ca_name(k->ca, run, cv_clock_unix_s(), err);
	if (code == CV_OK)
		code = cv_ca_pem(k->ca, &pem, err);
	if (code == CV_OK) {
		cv_ipc_put_str(&body, cv_buf_str(&pem));
		code = cv_ipc_send(CV_KEEPER_CONTROL_FD, CV_KEEPER_CONTROL_REPLY_CA,
			cv_buf_str(&body), NULL, 0, err);
	}
	cv_buf_fini(&pem);
	cv_buf_fini(&body);
	k->control.state = k->leaves.state = CV_KEEPER_READY;
	return code;
}

/* From here on this process is a vault: nothing of a run came before, and nothing will. */
static cv_code vault_start(struct keeper *k, int fd, struct cv_err *err)
{
	if (k->control.seen != 1u << CV_KEEPER_CONTROL_VAULT)
		return cv_fail(err, CV_PROTO, "VAULT: not the first message");
	k->control.state = CV_KEEPER_READY;
	return keeper_seal_start(k, fd, err);
}

/* SECRETS, where the run has any, then START. */
static void start(struct keeper *k)
{
	struct cv_ipc_msg m;
	struct cv_err err;
	cv_code code = CV_OK;

	while (code == CV_OK && k->control.state == CV_KEEPER_NEW) {
		code = cv_ipc_recv(CV_KEEPER_CONTROL_FD, &k->control, k->buf, &m, &err);
		if (code != CV_OK)
			break;
		if (m.type == CV_KEEPER_CONTROL_SECRETS)
			code = keeper_secrets_take(k, m.fds[0], &err);
		else if (m.type == CV_KEEPER_CONTROL_UPSTREAM)
			code = keeper_upstream_take(k, m.fds[0], &err);
		else if (m.type == CV_KEEPER_CONTROL_START)
			code = start_answer(k, &m, &err);
		else if (m.type == CV_KEEPER_CONTROL_BROKER)
			keeper_broker_take(k, cv_take_fd(m.fds[0]));
		else if (m.type == CV_KEEPER_CONTROL_VAULT)
			code = vault_start(k, m.fds[0], &err);
		else if (m.type == CV_KEEPER_CONTROL_NURSERY)
			code = keeper_nursery_serve(k, &err); /* goes on as a child, NEW again */
		else if (k->vault)
			cv_vault_again(k->vault, NULL);
		cv_ipc_msg_fini(&m);
	}
	if (code != CV_OK)
		die(&err);
}

static void confine(void)
{
	struct cv_err err;

	if (cv_proc_no_new_privs_set(&err) != CV_OK ||
		cv_seccomp_install(CV_SECCOMP_KEEPER, NULL, &err) != CV_OK)
		die(&err);
}

void keeper_proxy_drop(struct keeper *k)
{
	if (k->proxy >= 0)
		close(k->proxy);
	k->proxy = -1;
	k->is_kept = false;
	keeper_waits_drop(k);
}

static void proxy_take(struct keeper *k, int link)
{
	struct cv_err err;

	keeper_proxy_drop(k);
	k->proxy = link;
	k->leaves.seen = 0;
	if (keeper_catalog_send(k, &err) != CV_OK || keeper_minted_send(k, &err) != CV_OK)
		keeper_proxy_drop(k);
	cv_fd_cleanup(&k->former);
	k->former = -1;
}

/* No question of the former catalog is answered by the next one, and what was answered holds no more.  The
 * link stays open until the proxy gets another: its end would be a keeper's death to it, and requests
 * that wait would be refused. */
static void proxy_park(struct keeper *k)
{
	keeper_change_tell(k);
	cv_fd_cleanup(&k->former);
	k->former = cv_take_fd(k->proxy);
	keeper_proxy_drop(k);
}

static void secrets_anew(struct keeper *k, int fd)
{
	struct cv_err err = { 0 };
	struct cv_buf b;
	const cv_code code = keeper_secrets_anew(k, fd, &err);

	if (code == CV_OK)
		proxy_park(k);
	cv_buf_init(&b, 4096);
	cv_ipc_put_u32(&b, code);
	cv_ipc_put_u32(&b, k->renewals.n > 0);
	cv_ipc_put_str(&b, cv_str_of(code == CV_OK ? "" : err.msg));
	if (cv_ipc_send(CV_KEEPER_CONTROL_FD, CV_KEEPER_CONTROL_REPLY_SECRETS_RESULT,
		    cv_buf_str(&b), NULL, 0, &err) != CV_OK)
		die(&err);
	cv_buf_fini(&b);
}

static void control_serve(struct keeper *k)
{
	struct cv_ipc_msg m;
	struct cv_err err;

	const cv_code code = cv_ipc_recv(CV_KEEPER_CONTROL_FD, &k->control, k->buf, &m, &err);
	if (code == CV_NOT_FOUND)
		exit(0); /* the run is over */
	if (code != CV_OK)
		die(&err);
	if (m.type == CV_KEEPER_CONTROL_COURIER)
		keeper_renewals_courier(&k->renewals, cv_take_fd(m.fds[0]), cv_clock_unix_s());
	else if (m.type == CV_KEEPER_CONTROL_BROKER)
		keeper_broker_take(k, cv_take_fd(m.fds[0]));
	else if (m.type == CV_KEEPER_CONTROL_SECRETS_ANEW)
		secrets_anew(k, m.fds[0]);
	else
		proxy_take(k, cv_take_fd(m.fds[0]));
	cv_ipc_msg_fini(&m);
}

static cv_code request_answer(
	struct keeper *k, enum cv_keeper_req type, struct cv_str body, struct cv_err *err)
{
	switch (type) {
	case CV_KEEPER_REQ_LEAF: return keeper_leaf_answer(k, body, err);
	case CV_KEEPER_REQ_RELEASE: return keeper_release_answer(k, body, err);
	case CV_KEEPER_REQ_REJECTED: return keeper_rejected_take(k, body, err);
	case CV_KEEPER_REQ_MINT: return keeper_mint_answer(k, body, err);
	case CV_KEEPER_REQ_UPSTREAM: return keeper_upstream_answer(k, body, err);
	case CV_KEEPER_REQ_RELEASES: return keeper_releases_answer(k, body, err);
	case CV_KEEPER_REQ_COUNT: break;
	}
	return cv_fail(err, CV_PROTO, "no such request");
}

/* What the proxy wants.  One that sends what it must not, or can't take the answer, loses its link. */
static void proxy_serve(struct keeper *k)
{
	struct cv_ipc_msg m;
	struct cv_err err;
	cv_code code = cv_ipc_recv(k->proxy, &k->leaves, k->buf, &m, &err);

	if (code == CV_OK)
		code = request_answer(k, (enum cv_keeper_req)m.type, m.body, &err);
	if (code != CV_OK)
		keeper_proxy_drop(k);
}

static int wait_ms(const struct keeper *k)
{
	const int a = keeper_waits_ms(k),
		  b = keeper_renewals_wait_ms(&k->renewals, cv_clock_unix_s());

	return a < 0 || (b >= 0 && b < a) ? b : a;
}

static void serve(struct keeper *k)
{
	struct cv_err err;

	for (;;) {
		struct pollfd p[] = {
			{ .fd = CV_KEEPER_CONTROL_FD, .events = POLLIN },
			{ .fd = k->proxy, .events = POLLIN }, /* a negative one is left out */
			{ .fd = k->renewals.courier, .events = POLLIN },
			{ .fd = k->broker, .events = POLLIN },
		};

		if (poll(p, CV_ARRAY_LEN(p), wait_ms(k)) < 0) {
			if (errno == EINTR)
				continue;
			exit(1);
		}
		if (p[2].revents)
			keeper_renewals_read(&k->renewals, k->buf, cv_clock_unix_s());
		if (p[1].revents)
			proxy_serve(k);
		if (p[3].revents)
			keeper_broker_serve(k);
		if (p[0].revents)
			control_serve(k);
		keeper_renewals_step(&k->renewals, cv_clock_unix_s());
		if (keeper_waits_look(k, &err) != CV_OK)
			keeper_proxy_drop(k);
		keeper_broker_look(k);
		keeper_change_tell(k);
		keeper_renewals_tell(&k->renewals, k->proxy);
	}
}

int main(void)
{
	static struct keeper k = {
		.control = { .rules = cv_keeper_control_rule,
			.rule_count = CV_KEEPER_CONTROL_COUNT,
			.state = CV_KEEPER_NEW },
		.leaves = { .rules = cv_keeper_req_rule,
			.rule_count = CV_KEEPER_REQ_COUNT,
			.state = CV_KEEPER_NEW },
		.proxy = -1,
		.former = -1,
		.broker = -1,
		.renewals = { .courier = -1 },
	};
	struct cv_err err;

	if (cv_proc_harden(&err) != CV_OK)
		die(&err);
	OPENSSL_init_crypto(
		OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_LOAD_CRYPTO_STRINGS, NULL);
	start(&k);
	cv_trim();
	keeper_wait_for_turn(false);
	confine();
	if (k.seal)
		keeper_seal_serve(&k);
	serve(&k);
}
