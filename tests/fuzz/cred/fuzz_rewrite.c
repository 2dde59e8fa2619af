/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_rewrite.c - hostile request heads with placeholders
 *
 * Properties: what collect lets pass, apply either refuses or makes a head of that can be written
 * and has no placeholder in it, in any of the scanner's readings; spans lie in their texts.
 */
#include "fuzz/fuzz.h"

#include "cred/rewrite.h"
#include "fuzz/cred/ph_seed.h"
#include "wire/h1_write.h"
#include "wire/path.h"

static void uses_check(const struct cv_rewrite_head *head, const struct cv_rewrite_plan *plan)
{
	for (size_t i = 0; i < plan->count; i++) {
		const struct cv_rewrite_use *u = &plan->use[i];
		size_t n = 0;

		cv_assert(u->entry < CV_ARRAY_LEN(ph_entries) && u->n > 0);
		if (u->place == CV_REWRITE_IN_PATH)
			n = head->path.n;
		else if (u->place == CV_REWRITE_IN_QUERY)
			n = head->query.n;
		else
			n = head->request->header[u->header].value.n;
		cv_assert(u->at <= n && u->n <= n - u->at);
	}
}

static void write_check(struct cv_rewrite_head *head, struct cv_h1_request *r,
	const struct cv_rewrite_plan *plan, struct cv_arena *arena)
{
	struct cv_h1_request_edit e = { .authority = &r->authority, .port_default = 443 };
	struct cv_rewrite w;
	struct cv_buf b;

	if (cv_rewrite_apply(ph_set(), head, plan, ph_values, arena, &w) != CV_REWRITE_OK)
		return;
	cv_rewrite_put(&w, r);
	cv_h1_edit_of_request(&e.common, r);
	e.path = w.path;
	e.query = w.query;
	cv_buf_init(&b, 1 << 20);
	if (r->authority.host.n) {
		cv_assert(cv_h1_write_request(&b, r, &e));
		cv_assert(!cv_ph_is_in(ph_set(), cv_buf_str(&b)));
	}
	cv_buf_fini(&b);
	cv_rewrite_wipe(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct cv_h1_request r;
	static struct cv_rewrite_plan plan;
	static struct cv_path path;
	const struct cv_str text = { (const char *)data, size };
	struct cv_arena arena;
	size_t scanned = 0;

	if (cv_h1_request_parse(text, CV_H1_TUNNEL_HEAD_BYTES_MAX, &scanned, &r) != CV_H1_OK ||
		r.form == CV_H1_FORM_AUTHORITY)
		return 0;
	struct cv_rewrite_head head = { .request = &r, .path = CV_STR("*"), .query = r.query };
	if (r.form != CV_H1_FORM_ASTERISK) {
		if (cv_path_canonical(r.path, true, &path) != CV_PATH_OK)
			return 0;
		head.path = cv_path_str(&path);
	}
	cv_arena_init(&arena, CV_REWRITE_ARENA_BYTES);
	const enum cv_rewrite_rc rc = cv_rewrite_collect(ph_set(), &head, &arena, &plan);
	cv_assert(rc < CV_REWRITE_RC_COUNT && rc != CV_REWRITE_MEMORY);
	if (rc == CV_REWRITE_OK) {
		uses_check(&head, &plan);
		write_check(&head, &r, &plan, &arena);
	}
	(void)cv_ph_redact(ph_set(), r.target, &arena);
	cv_arena_fini(&arena);
	return 0;
}
