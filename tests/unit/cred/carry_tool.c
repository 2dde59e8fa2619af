/* SPDX-License-Identifier: Apache-2.0 */
/*
 * carry_tool.c - the keeper's part of a renewal, a step at a time, for tests/wire/test_issuers.py
 *
 *     carry_tool ask  NOW STRATEGY URL SCOPES [NAME=VALUE...]    prints type and errand in hex
 *     carry_tool read NOW STRATEGY URL SCOPES [NAME=VALUE...]    reads three lines: type, message in
 *                                                                hex, body in hex; prints the result
 */
#include "base/hex.h"
#include "cred/carry.h"

#include <stdio.h>
#include <stdlib.h>

#define LINE_BYTES_MAX (1 << 20)

static int ask(const struct cv_cred_refresh *plan, int64_t now_s, struct cv_arena *arena)
{
	static const unsigned char random[CV_REFRESH_RANDOM_BYTES] = { 1 };
	struct cv_refresh_request request;
	enum cv_courier_req type;
	struct cv_buf b, hex;
	struct cv_err err;

	cv_buf_init(&b, CV_IPC_BODY_BYTES_MAX);
	cv_buf_init(&hex, 2 * CV_IPC_BODY_BYTES_MAX);
	if (cv_refresh_request(plan, now_s, random, arena, &request, &err) != CV_OK ||
		cv_carry_put(plan, &request, 1, &b, &type, &err) != CV_OK) {
		printf("error %s\n", err.msg);
		return 1;
	}
	cv_buf_put_hex(&hex, cv_buf_str(&b));
	printf("%d %.*s\n", (int)type, CV_STR_ARG(cv_buf_str(&hex)));
	cv_buf_fini(&b);
	cv_buf_fini(&hex);
	return 0;
}

/* A line of hex digits from stdin, decoded into the arena. */
static struct cv_str hex_read(struct cv_arena *arena)
{
	static char line[LINE_BYTES_MAX];
	struct cv_str text = cv_str_of(fgets(line, sizeof(line), stdin));

	text.n -= text.n && text.p[text.n - 1] == '\n';
	char *const bytes = cv_arena_alloc(arena, text.n / 2 + 1);
	if (!bytes || !cv_hex_decode(text, bytes, text.n / 2))
		exit(2);
	return (struct cv_str){ bytes, text.n / 2 };
}

static int result_read(const struct cv_cred_refresh *plan, int64_t now_s, struct cv_arena *arena)
{
	const struct cv_str type = hex_read(arena);
	const struct cv_str message = hex_read(arena), body = hex_read(arena);
	struct cv_carry_reply reply;
	struct cv_refresh_result r;
	struct cv_err err;

	if (cv_carry_get((enum cv_courier_reply)type.p[0], message, &reply, &err) != CV_OK) {
		printf("error %s\n", err.msg);
		return 1;
	}
	cv_carry_result(plan, &reply, body, now_s, arena, &r);
	printf("%s %lld %lld\n", cv_refresh_reason_row(r.reason)->slug,
		r.output_count ? (long long)(r.expires_s - now_s) : 0, (long long)r.retry_s);
	for (size_t i = 0; i < r.output_count; i++)
		printf("%.*s %.*s\n", CV_STR_ARG(r.outputs[i].name),
			CV_STR_ARG(r.outputs[i].value));
	if (r.rotated.n)
		printf("rotated %.*s\n", CV_STR_ARG(r.rotated));
	return 0;
}

int main(int argc, char **argv)
{
	struct cv_cred_material materials[16];
	struct cv_cred_refresh plan = { .materials = materials };
	struct cv_arena arena;
	uint64_t now_s;

	if (argc < 6 || !cv_str_to_u64(cv_str_of(argv[2]), INT32_MAX, &now_s))
		return 2;
	plan.strategy = cv_str_of(argv[3]);
	plan.token_url = cv_str_of(argv[4]);
	plan.scopes = cv_str_of(argv[5]);
	for (int i = 6; i < argc && plan.material_count < CV_ARRAY_LEN(materials); i++) {
		struct cv_str value = cv_str_of(argv[i]);
		const struct cv_str name = cv_str_cut(&value, '=');

		materials[plan.material_count++] = (struct cv_cred_material){ name, value };
	}
	cv_arena_init(&arena, 8 << 20);
	const int status = argv[1][0] == 'a' ? ask(&plan, (int64_t)now_s, &arena)
					     : result_read(&plan, (int64_t)now_s, &arena);
	cv_arena_fini(&arena);
	return status;
}
