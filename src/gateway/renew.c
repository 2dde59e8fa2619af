/* SPDX-License-Identifier: Apache-2.0 */
/*
 * renew.c - see renew.h
 */
#include "gateway/renew.h"

#include "base/base64.h"
#include "cred/limits_profile.h"
#include "driver/host.h"
#include "driver/spawn.h"
#include "gateway/config.h"
#include "gateway/upstream.h"
#include "ipc/courier_link.h"
#include "ipc/vault_link.h"
#include "sys/child.h"
#include "sys/fd.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define ROOTS_BYTES_MAX (4u << 20) /* a host's bundle has 200 KiB */
#define ARENA_MAX       (1u << 20)

/* ---- the courier ---- */

static cv_code file_append(struct cv_buf *b, struct cv_str path, struct cv_err *err)
{
	CV_AUTO_FD int fd = open(path.p, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char part[16384];
	ssize_t n;

	if (fd < 0)
		return cv_fail_errno(err, "open %s", path.p);
	while ((n = read(fd, part, sizeof(part))) > 0)
		cv_buf_put(b, (struct cv_str){ part, (size_t)n });
	cv_buf_put_byte(b, '\n');
	if (n < 0)
		return cv_fail_errno(err, "read %s", path.p);
	return b->is_overflown ? cv_fail(err, CV_LIMIT, "too many authorities") : CV_OK;
}

static cv_code roots_send(const struct cv_gw_renewal *r, struct cv_err *err)
{
	const struct cv_gw_config *c = r->g->config;
	const struct cv_str host = cv_driver_roots();
	struct cv_buf b;

	cv_buf_init(&b, ROOTS_BYTES_MAX);
	cv_code code = host.n ? file_append(&b, host, err) : CV_OK;
	for (size_t i = 0; i < c->upstream_ca.n && code == CV_OK; i++)
		code = file_append(&b, c->upstream_ca.v[i], err);
	if (code == CV_OK)
		code = cv_ipc_send_text(
			r->courier_link, CV_COURIER_CONTROL_ROOTS, "roots", cv_buf_str(&b), err);
	cv_buf_fini(&b);
	return code;
}

static cv_code pins_send(const struct cv_gw_renewal *r, struct cv_err *err)
{
	const struct cv_spec_pin *pins = NULL;
	struct cv_arena arena;
	size_t n = 0;

	cv_arena_init(&arena, ARENA_MAX);
	cv_code code = cv_gw_upstream_pins(r->g->config, &arena, &pins, &n, err);
	for (size_t i = 0; i < n && code == CV_OK; i++) {
		struct cv_buf b;

		cv_buf_init(&b, 1024);
		cv_ipc_put_str(&b, pins[i].host);
		cv_ipc_put_u32(&b, pins[i].port);
		cv_ipc_put_str(&b, pins[i].addr);
		code = b.is_overflown ? cv_fail(err, CV_LIMIT, "resolve: the name is too long")
				      : cv_ipc_send(r->courier_link, CV_COURIER_CONTROL_PIN,
						cv_buf_str(&b), NULL, 0, err);
		cv_buf_fini(&b);
	}
	cv_arena_fini(&arena);
	return code;
}

static cv_code go_send(const struct cv_gw_renewal *r, int link, struct cv_err *err)
{
	struct cv_buf b;

	cv_buf_init(&b, 8);
	cv_ipc_put_u32(&b, r->takes_http ? CV_COURIER_HTTP : 0);
	const cv_code code =
		cv_ipc_send(r->courier_link, CV_COURIER_CONTROL_GO, cv_buf_str(&b), &link, 1, err);
	cv_buf_fini(&b);
	return code;
}

static cv_code courier_start(struct cv_gw_renewal *r, const char *exe, int link, struct cv_err *err)
{
	int pair[2];
	cv_code code = cv_ipc_pair(pair, err);

	if (code != CV_OK)
		return code;
	r->courier_link = pair[0];
	code = cv_driver_spawn(
		exe, (const int[]){ -1, -1, 2, pair[1] }, 4, &r->courier, &r->courier_pidfd, err);
	close(pair[1]);
	if (code != CV_OK) {
		r->courier = 0;
		return cv_wrap(err, "start the courier");
	}
	code = roots_send(r, err);
	if (code == CV_OK)
		code = pins_send(r, err);
	return code == CV_OK ? go_send(r, link, err) : code;
}

/* ---- the renewal ---- */

static cv_code both_start(
	struct cv_gw_renewal *r, const struct cv_cred_set *set, struct cv_err *err)
{
	struct cv_plan_files files = { 0 };
	struct cv_str supervisor;
	struct cv_arena arena;
	int link[2];
	cv_code code;

	cv_arena_init(&arena, 64 << 10);
	code = cv_driver_programs_find(&files, &arena, &supervisor, err);
	if (code == CV_OK)
		code = cv_ipc_pair(link, err);
	if (code == CV_OK) {
		code = courier_start(r, files.exe_courier.p, link[0], err);
		if (code == CV_OK)
			code = cv_gw_vault_new(files.exe_keeper.p, r->g, &r->vault, err);
		if (code == CV_OK)
			code = cv_gw_vault_renew(r->vault, set, link[1], &r->out, err);
		close(link[0]);
		close(link[1]);
	}
	cv_arena_fini(&arena);
	return code;
}

cv_code cv_gw_renewal_begin(struct cv_gw_renewal *r, struct cv_gateway *g,
	const struct cv_cred_set *set, bool takes_http, struct cv_watch w, struct cv_err *err)
{
	*r = (struct cv_gw_renewal){
		.g = g, .courier_pidfd = -1, .courier_link = -1, .out = -1, .takes_http = takes_http
	};
	r->until_ms = g->loop.now_ms + CV_GW_RENEWAL_MS;
	cv_code code = both_start(r, set, err);
	if (code == CV_OK)
		code = cv_loop_add(&g->loop, cv_gw_vault_fd(r->vault), EPOLLIN, w, err);
	if (code != CV_OK)
		cv_gw_renewal_end(r);
	return code;
}

static struct cv_str base64(struct cv_arena *arena, struct cv_str bytes)
{
	struct cv_buf b;

	cv_buf_init(&b, 2 * CV_VAULT_ENVELOPE_BYTES_MAX);
	cv_buf_put_base64(&b, bytes, CV_BASE64_STD);
	const struct cv_str s = cv_arena_str(arena, cv_buf_str(&b));
	cv_buf_fini(&b);
	return s;
}

cv_code cv_gw_renewal_read(struct cv_gw_renewal *r, struct cv_arena *arena,
	struct cv_gw_renewal_result *ret, struct cv_err *err)
{
	char *text = NULL;
	size_t n = 0;

	*ret = (struct cv_gw_renewal_result){ .n = 0 };
	cv_code code = cv_gw_vault_renewed(r->vault, &ret->said, err);
	if (code == CV_OK && lseek(r->out, 0, SEEK_SET) < 0)
		code = cv_fail_errno(err, "read a renewal");
	if (code == CV_OK)
		code = cv_ipc_fd_read_all(r->out, CV_CRED_SET_BYTES_MAX, &text, &n, err);
	if (code != CV_OK)
		return code;
	struct cv_ipc_reader in = { .rest = { text, n } };
	const uint32_t count = cv_ipc_get_u32(&in);
	if (count > CV_ARRAY_LEN(ret->v))
		in.is_bad = true;
	for (uint32_t i = 0; i < count && !in.is_bad; i++) {
		const struct cv_str key = cv_ipc_get_str(&in), envelope = cv_ipc_get_str(&in);

		ret->v[ret->n++] = (struct cv_gw_renewal_output){ cv_arena_str(arena, key),
			base64(arena, envelope) };
	}
	const struct cv_str rotated = cv_ipc_get_str(&in);
	if (rotated.n)
		ret->rotated = base64(arena, rotated);
	if (!cv_ipc_reader_is_done(&in) || arena->is_overflown)
		code = cv_fail(err, CV_UNAVAILABLE, "the vault speaks out of turn");
	free(text);
	return code;
}

void cv_gw_renewal_end(struct cv_gw_renewal *r)
{
	if (r->vault && cv_gw_vault_fd(r->vault) >= 0)
		cv_loop_remove(&r->g->loop, cv_gw_vault_fd(r->vault));
	cv_gw_vault_free(r->vault);
	r->vault = NULL;
	cv_child_kill(r->courier); /* it runs no commands, which alone would outlive it */
	r->courier = 0;
	cv_fd_cleanup(&r->courier_pidfd);
	cv_fd_cleanup(&r->courier_link);
	cv_fd_cleanup(&r->out);
	r->courier_pidfd = r->courier_link = r->out = -1;
}
