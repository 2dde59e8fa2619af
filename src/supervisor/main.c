/* SPDX-License-Identifier: Apache-2.0 */
#include "ipc/init_link.h"
#include "plan/limits.h"
#include "supervisor/limits.h"
#include "supervisor/sandbox.h"
#include "sys/fd.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <errno.h>

static char message[8 + CV_IPC_BODY_BYTES_MAX];

static cv_code command_send(int link, struct cv_str bytes, struct cv_err *err)
{
	cv_code code = CV_OK;
	for (size_t at = 0; code == CV_OK && at < bytes.n; at += CV_IPC_BODY_BYTES_MAX)
		code = cv_ipc_send(link, CV_INIT_REQ_PART,
			cv_str_slice(bytes, at, at + CV_IPC_BODY_BYTES_MAX), NULL, 0, err);
	return code;
}

int main(void)
{
	struct cv_err err;
	char *bytes;
	size_t n;
	struct cv_arena arena;
	struct cv_plan plan;
	struct sandbox sb;

	cv_arena_init(&arena, SUP_ARENA_MAX);
	if (cv_ipc_fd_read_all(3, CV_PLAN_BYTES_MAX, &bytes, &n, &err) != CV_OK ||
		cv_plan_get((struct cv_str){ bytes, n }, &arena, &plan, &err) != CV_OK) {
		fprintf(stderr, "cove: %s\n", err.msg);
		return 125;
	}
	dup2(3, 4);
	int initfd = open(plan.exe_init.p, O_RDONLY | O_CLOEXEC);
	if (sandbox_start(&plan, initfd, &sb, &err) != CV_OK) {
		fprintf(stderr, "cove: %s\n", err.msg);
		return 125;
	}
	struct cv_buf b;
	cv_buf_init(&b, 64);
	cv_ipc_put_u32(&b, 1);
	int std[3] = { 0, 1, 2 };
	if (command_send(sb.link, plan.command_bytes, &err) != CV_OK ||
		cv_ipc_send(sb.link, CV_INIT_REQ_RUN, cv_buf_str(&b), std, 3, &err) != CV_OK) {
		fprintf(stderr, "cove: %s\n", err.msg);
		return 125;
	}
	struct cv_ipc_link link = { cv_init_reply_rule, CV_INIT_REPLY_COUNT, CV_INIT_BUILD, 0 };
	for (;;) {
		struct cv_ipc_msg m;
		if (cv_ipc_recv(sb.link, &link, message, &m, &err) != CV_OK) {
			fprintf(stderr, "cove: %s\n", err.msg);
			return 125;
		}
		struct cv_ipc_reader r = { .rest = m.body };
		if (m.type == CV_INIT_REPLY_BUILT)
			link.state = CV_INIT_READY;
		if (m.type == CV_INIT_REPLY_FAILED) {
			cv_ipc_get_u32(&r);
			cv_ipc_get_u32(&r);
			int e = cv_ipc_get_u32(&r);
			struct cv_str s = cv_ipc_get_str(&r);
			fprintf(stderr, "cove: FAILED %.*s %s\n", CV_STR_ARG(s), strerror(e));
		}
		if (m.type == CV_INIT_REPLY_EXITED) {
			cv_ipc_get_u32(&r);
			int st = cv_ipc_get_u32(&r);
			return WIFEXITED(st) ? WEXITSTATUS(st) : 128 + WTERMSIG(st);
		}
		cv_ipc_msg_fini(&m);
	}
}
