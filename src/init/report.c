/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report.c - see report.h
 */
#include "init/report.h"

#define REPORT_BYTES_MAX 4096 /* the table's limit for FAILED and WEAKER */

/* Nobody is left to be told when this fails. */
static void send_it(int link, enum cv_init_reply type, const struct cv_buf *b, const int *fd)
{
	if (cv_ipc_send(link, type, cv_buf_str(b), fd, fd ? 1 : 0, NULL) != CV_OK)
		return;
}

void report_failed(int link, uint32_t id, enum cv_init_stage stage, int error, const char *what)
{
	struct cv_buf b;

	cv_buf_init(&b, REPORT_BYTES_MAX);
	cv_ipc_put_u32(&b, id);
	cv_ipc_put_u32(&b, stage);
	cv_ipc_put_u32(&b, (uint32_t)error);
	cv_ipc_put_str(&b, cv_str_slice(cv_str_of(what), 0, REPORT_BYTES_MAX - 16));
	send_it(link, CV_INIT_REPLY_FAILED, &b, NULL);
	cv_buf_fini(&b);
}

void report_weaker(int link, uint32_t id, const char *what)
{
	struct cv_buf b;

	cv_buf_init(&b, REPORT_BYTES_MAX);
	cv_ipc_put_u32(&b, id);
	cv_ipc_put_str(&b, cv_str_slice(cv_str_of(what), 0, REPORT_BYTES_MAX - 8));
	send_it(link, CV_INIT_REPLY_WEAKER, &b, NULL);
	cv_buf_fini(&b);
}

void report_number(int link, enum cv_init_reply type, uint32_t id, uint32_t number)
{
	struct cv_buf b;

	cv_buf_init(&b, REPORT_BYTES_MAX);
	cv_ipc_put_u32(&b, id);
	cv_ipc_put_u32(&b, number);
	send_it(link, type, &b, NULL);
	cv_buf_fini(&b);
}

void report_fd(int link, enum cv_init_reply type, uint32_t id, int fd)
{
	struct cv_buf b;

	cv_buf_init(&b, REPORT_BYTES_MAX);
	cv_ipc_put_u32(&b, id);
	send_it(link, type, &b, &fd);
	cv_buf_fini(&b);
}
