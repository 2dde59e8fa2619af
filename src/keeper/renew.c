/* SPDX-License-Identifier: Apache-2.0 */
/*
 * renew.c - see renew.h
 *
 * Requests and answers are made in an arena of their own and wiped with it.
 */
#include "keeper/renew.h"

#include "base/arena.h"
#include "sys/fd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* A request of 40 KiB with what it is made of; an answer of 1 MiB and its values. */
#define SCRATCH_BYTES_MAX (4u << 20)

#define WAIT_MS_MAX       60000 /* the clock may be set, or the machine sleep: look again */

/* ---- life ---- */

static cv_code materials_own(struct keeper_renewal *r, struct cv_err *err)
{
	struct cv_cred_material *own = calloc(r->plan.material_count + 1, sizeof(*own));

	if (!own)
		return cv_fail(err, CV_LIMIT, "no memory for renewals");
	for (size_t i = 0; i < r->plan.material_count; i++)
		own[i] = r->plan.materials[i];
	r->plan.materials = own;
	return CV_OK;
}

/* Its credentials come and go together: one that is missing, or expires first, counts for all. */
static void schedule_make(
	struct keeper_renewal *r, const struct cv_cred_set *set, uint32_t index, int64_t now_s)
{
	bool has_value = true;
	int64_t expires_s = 0;

	for (size_t i = 0; i < set->cred_count; i++) {
		const struct cv_cred *c = &set->creds[i];

		if (c->refresh != index)
			continue;
		r->is_used = true;
		has_value &= c->value.n > 0;
		if (c->expires_s && (!expires_s || c->expires_s < expires_s))
			expires_s = c->expires_s;
	}
	cv_schedule_init(&r->schedule, r->plan.before_s, has_value, expires_s, now_s);
}

static cv_code check(const struct cv_cred_set *set, uint32_t index, struct cv_err *err)
{
	if (cv_refresh_check(&set->refreshes[index], err) == CV_OK)
		return CV_OK;
	for (size_t i = 0; i < set->cred_count; i++)
		if (set->creds[i].refresh == index)
			return cv_wrap(err, "provider %.*s",
				CV_STR_ARG(set->providers[set->creds[i].provider].name));
	return err->code;
}

cv_code keeper_renewals_init(
	struct keeper_renewals *r, struct cv_vault *v, int64_t now_s, struct cv_err *err)
{
	const struct cv_cred_set *set = v ? cv_vault_set(v) : NULL;
	cv_code code = CV_OK;

	*r = (struct keeper_renewals){ .vault = v, .courier = -1 };
	if (!set || !set->refresh_count)
		return CV_OK;
	r->v = calloc(set->refresh_count, sizeof(r->v[0]));
	if (!r->v)
		return cv_fail(err, CV_LIMIT, "no memory for renewals");
	r->n = set->refresh_count;
	for (uint32_t i = 0; i < r->n && code == CV_OK; i++) {
		r->v[i].plan = set->refreshes[i];
		schedule_make(&r->v[i], set, i, now_s);
		code = materials_own(&r->v[i], err);
		if (code == CV_OK && r->v[i].is_used)
			code = check(set, i, err);
	}
	return code;
}

/* ---- failures ---- */

static uint32_t jitter(void)
{
	uint32_t n = 0;

	(void)!getrandom(&n, sizeof(n), 0);
	return n;
}

static void ended(struct keeper_renewal *r, enum cv_renewal end, const char *slug, const char *text)
{
	r->slug = slug;
	r->text = text;
	r->end = end;
	r->has_news = true;
}

static void failed(struct keeper_renewal *r, int64_t now_s, int64_t retry_s, const char *slug,
	const char *text)
{
	ended(r, CV_RENEWAL_FAILED, slug, text);
	cv_schedule_failed(&r->schedule, now_s, retry_s, jitter());
}

/* Whoever was asked is gone, and the answers with him. */
static void courier_drop(struct keeper_renewals *r, int64_t now_s)
{
	if (r->courier >= 0)
		close(r->courier);
	r->courier = -1;
	for (size_t i = 0; i < r->n; i++)
		if (r->v[i].schedule.state == CV_SCHEDULE_ASKED)
			failed(&r->v[i], now_s, 0, "courier_gone",
				"the courier ended; it is asked again");
}

void keeper_renewals_courier(struct keeper_renewals *r, int link, int64_t now_s)
{
	courier_drop(r, now_s);
	r->courier = link;
	r->answers = (struct cv_ipc_link){
		.rules = cv_courier_reply_rule,
		.rule_count = CV_COURIER_REPLY_COUNT,
		.state = CV_COURIER_READY,
	};
}

/* ---- asking ---- */

static cv_code errand_put(struct keeper_renewals *r, struct keeper_renewal *one, int64_t now_s,
	struct cv_arena *arena, struct cv_buf *b, enum cv_courier_req *ret_type, struct cv_err *err)
{
	unsigned char random[CV_REFRESH_RANDOM_BYTES];
	struct cv_refresh_request request;

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return cv_fail_errno(err, "getrandom");
	cv_code code = cv_refresh_request(&one->plan, now_s, random, arena, &request, err);
	if (++r->tag == 0)
		r->tag = 1;
	one->tag = r->tag;
	if (code == CV_OK)
		code = cv_carry_put(&one->plan, &request, one->tag, b, ret_type, err);
	return code;
}

static void ask(struct keeper_renewals *r, struct keeper_renewal *one, int64_t now_s)
{
	enum cv_courier_req type;
	struct cv_arena arena;
	struct cv_err err;
	struct cv_buf b;

	cv_arena_init(&arena, SCRATCH_BYTES_MAX);
	cv_buf_init(&b, CV_IPC_BODY_BYTES_MAX);
	one->cause = one->schedule.is_rejected ? "refused"
		     : one->schedule.has_value ? "expiry"
					       : "missing";
	cv_schedule_ask(&one->schedule, now_s);
	if (errand_put(r, one, now_s, &arena, &b, &type, &err) != CV_OK)
		failed(one, now_s, 0, "no_request", "the request can't be made");
	/* A courier that does not read is as good as none, and must not keep us waiting. */
	else if (cv_ipc_send_now(r->courier, type, cv_buf_str(&b), &err) != CV_OK)
		courier_drop(r, now_s);
	if (b.data)
		explicit_bzero(b.data, b.cap);
	cv_buf_fini(&b);
	cv_arena_wipe(&arena);
}

static bool can_ask(const struct keeper_renewals *r)
{
	size_t under_way = 0;

	for (size_t i = 0; i < r->n; i++)
		under_way += r->v[i].schedule.state == CV_SCHEDULE_ASKED;
	return r->courier >= 0 && under_way < KEEPER_ERRANDS_MAX;
}

/* What a server refused is not released while another is asked for. */
static void refused_tell(struct keeper_renewals *r, uint32_t index, int64_t now_s)
{
	const struct cv_cred_set *set = cv_vault_set(r->vault);
	const bool is_refused = cv_schedule_is_refused(&r->v[index].schedule, now_s);

	for (uint32_t i = 0; i < set->cred_count; i++)
		if (set->creds[i].refresh == index)
			cv_vault_refuse(r->vault, i, is_refused);
}

void keeper_renewals_rejected(
	struct keeper_renewals *r, uint32_t cred, uint64_t epoch, int64_t now_s)
{
	if (!r->vault || !cv_vault_is_present(r->vault, cred, epoch))
		return;
	const uint32_t index = cv_vault_set(r->vault)->creds[cred].refresh;
	if (index == CV_CRED_NONE)
		return;
	cv_schedule_rejected(&r->v[index].schedule, now_s);
	refused_tell(r, index, now_s);
}

void keeper_renewals_step(struct keeper_renewals *r, int64_t now_s)
{
	for (size_t i = 0; i < r->n; i++) {
		struct keeper_renewal *one = &r->v[i];

		if (!one->is_used)
			continue;
		const bool was_asked = one->schedule.state == CV_SCHEDULE_ASKED;
		const bool is_due = cv_schedule_is_due(&one->schedule, now_s);
		if (was_asked && one->schedule.state != CV_SCHEDULE_ASKED)
			ended(one, CV_RENEWAL_FAILED, "timeout", "no whole answer in time");
		if (is_due && can_ask(r))
			ask(r, one, now_s);
		refused_tell(r, (uint32_t)i, now_s);
	}
}

/* One that is due and can't be asked for waits for a link, or for an answer: both wake us. */
int keeper_renewals_wait_ms(const struct keeper_renewals *r, int64_t now_s)
{
	int64_t wait_s = CV_SCHEDULE_NEVER;

	for (size_t i = 0; i < r->n; i++)
		if (r->v[i].is_used && r->v[i].schedule.state != CV_SCHEDULE_DUE)
			wait_s = CV_MIN(wait_s,
				CV_MAX(cv_schedule_wake_s(&r->v[i].schedule) - now_s, (int64_t)0));
	if (!r->n)
		return -1;
	return (int)CV_MIN(wait_s, (int64_t)WAIT_MS_MAX / 1000) * 1000;
}

/* ---- answers ---- */

static bool rotate(struct keeper_renewal *r, struct cv_str token)
{
	char *copy = malloc(token.n);

	if (!copy)
		return false;
	memcpy(copy, token.p, token.n);
	for (size_t i = 0; i < r->plan.material_count; i++)
		if (cv_str_eq(r->plan.materials[i].name, CV_STR("refresh_token")))
			r->plan.materials[i].value = (struct cv_str){ copy, token.n };
	if (r->rotated) {
		explicit_bzero(r->rotated, r->rotated_bytes);
		free(r->rotated);
	}
	r->rotated = copy;
	r->rotated_bytes = token.n;
	return true;
}

/* All values or none: an answer without one of them is not what was asked for. */
static bool values_take(
	struct keeper_renewals *r, uint32_t index, const struct cv_refresh_result *result)
{
	const struct cv_cred_set *set = cv_vault_set(r->vault);
	bool is_good = true;

	for (size_t i = 0; i < set->cred_count; i++)
		if (set->creds[i].refresh == index)
			is_good &= cv_refresh_output(result, set->creds[i].output).n > 0;
	for (uint32_t i = 0; i < set->cred_count && is_good; i++)
		if (set->creds[i].refresh == index)
			is_good = cv_vault_renew(r->vault, i,
					  cv_refresh_output(result, set->creds[i].output),
					  result->expires_s, NULL) == CV_OK;
	return is_good;
}

static void result_take(struct keeper_renewals *r, struct keeper_renewal *one,
	const struct cv_carry_reply *reply, struct cv_refresh_result *result, int64_t now_s)
{
	/* Whatever else is wrong with the answer: the token before this one holds no more. */
	if (result->rotated.n && !rotate(one, result->rotated))
		result->verdict = CV_REFRESH_LATER;
	if (result->verdict == CV_REFRESH_RENEWED &&
		values_take(r, (uint32_t)(one - r->v), result)) {
		ended(one, CV_RENEWAL_RENEWED, NULL, NULL);
		cv_schedule_renewed(&one->schedule, now_s, result->expires_s, jitter());
		return;
	}
	const struct cv_refresh_reason_row *row = cv_refresh_reason_row(
		result->verdict == CV_REFRESH_RENEWED ? CV_REFRESH_REASON_ANSWER : result->reason);
	const struct cv_courier_failure_row *failure = &cv_courier_failure_row[reply->failure];

	if (reply->is_failed) {
		failed(one, now_s, 0, failure->slug, failure->text);
		return;
	}
	failed(one, now_s, result->retry_s, row->slug, row->text);
	if (result->verdict == CV_REFRESH_DEAD) {
		cv_schedule_dead(&one->schedule);
		one->end = CV_RENEWAL_DEAD;
	}
}

static void answer_take(struct keeper_renewals *r, struct keeper_renewal *one,
	const struct cv_carry_reply *reply, int fd, int64_t now_s)
{
	struct cv_refresh_result result;
	struct cv_arena arena;
	char *body = NULL;
	size_t n = 0;

	if (fd >= 0 && cv_ipc_fd_read_all(fd, CV_COURIER_BODY_BYTES_MAX, &body, &n, NULL) != CV_OK)
		n = 0; /* an answer without a body can't be read, which is said */
	cv_arena_init(&arena, SCRATCH_BYTES_MAX);
	cv_carry_result(&one->plan, reply, (struct cv_str){ body, n }, now_s, &arena, &result);
	one->tag = 0;
	result_take(r, one, reply, &result, now_s);
	cv_arena_wipe(&arena);
	if (body)
		explicit_bzero(body, n);
	free(body);
	explicit_bzero(&result, sizeof(result));
}

void keeper_renewals_read(struct keeper_renewals *r, char *buf, int64_t now_s)
{
	struct cv_carry_reply reply;
	struct cv_ipc_msg m;
	struct cv_err err;

	if (cv_ipc_recv(r->courier, &r->answers, buf, &m, &err) != CV_OK) {
		courier_drop(r, now_s);
		return;
	}
	if (cv_carry_get((enum cv_courier_reply)m.type, m.body, &reply, &err) != CV_OK) {
		courier_drop(r, now_s);
	} else {
		for (size_t i = 0; i < r->n; i++)
			if (reply.tag && r->v[i].tag == reply.tag)
				answer_take(r, &r->v[i], &reply, m.fd_count ? m.fds[0] : -1, now_s);
	}
	cv_ipc_msg_fini(&m);
}

/* ---- who is told ---- */

/* Names of its credentials, with commas, as many as fit the message with all else. */
static void keys_put(const struct cv_cred_set *set, uint32_t index, struct cv_buf *b)
{
	char text[1024];
	size_t n = 0;

	for (size_t i = 0; i < set->cred_count; i++) {
		const struct cv_str key = set->creds[i].key;

		if (set->creds[i].refresh != index || n + key.n + 2 > sizeof(text))
			continue;
		n += (size_t)snprintf(
			text + n, sizeof(text) - n, "%s%.*s", n ? "," : "", CV_STR_ARG(key));
	}
	cv_ipc_put_str(b, (struct cv_str){ text, n });
}

static struct cv_str word(const char *s)
{
	return s ? cv_str_of(s) : CV_STR_NONE;
}

static void news_put(const struct keeper_renewals *r, uint32_t index, struct cv_buf *b)
{
	const struct cv_cred_set *set = cv_vault_set(r->vault);
	const struct keeper_renewal *one = &r->v[index];
	struct cv_str provider = CV_STR_NONE;

	for (size_t i = 0; i < set->cred_count; i++)
		if (set->creds[i].refresh == index)
			provider = set->providers[set->creds[i].provider].name;
	cv_ipc_put_u32(b, one->end);
	cv_ipc_put_str(b, cv_str_slice(provider, 0, 256));
	keys_put(set, index, b);
	cv_ipc_put_str(b, cv_str_slice(one->plan.strategy, 0, 256));
	cv_ipc_put_str(b, word(one->cause));
	cv_ipc_put_str(b, word(one->slug));
	cv_ipc_put_str(b, word(one->text));
	cv_ipc_put_u64(b, (uint64_t)one->schedule.expires_s);
}

void keeper_renewals_tell(struct keeper_renewals *r, int proxy)
{
	for (uint32_t i = 0; i < r->n && proxy >= 0; i++) {
		struct cv_buf b;

		if (!r->v[i].has_news)
			continue;
		cv_buf_init(&b, 4096); /* as the link takes it */
		news_put(r, i, &b);
		if (!b.is_overflown && cv_ipc_send_now(proxy, CV_KEEPER_REPLY_RENEWAL,
					       cv_buf_str(&b), NULL) == CV_OK)
			r->v[i].has_news = false;
		cv_buf_fini(&b);
	}
}

/* ---- who waits ---- */

bool keeper_renewals_is_hopeful(const struct keeper_renewals *r, uint32_t cred, int64_t until_s,
	char *ret_why, size_t why_bytes)
{
	const uint32_t index = cv_vault_set(r->vault)->creds[cred].refresh;
	const struct keeper_renewal *one = &r->v[index];
	const enum cv_schedule_state state = one->schedule.state;

	snprintf(ret_why, why_bytes, "%s: %s", one->slug ? one->slug : "timeout",
		one->slug ? one->text : "the issuer has not answered yet");
	return state != CV_SCHEDULE_DEAD &&
	       (state != CV_SCHEDULE_BACKOFF || cv_schedule_wake_s(&one->schedule) <= until_s);
}

/* ---- another set ---- */

static bool materials_are_same(const struct cv_cred_refresh *a, const struct cv_cred_refresh *b)
{
	bool is_same = a->material_count == b->material_count;

	for (size_t i = 0; is_same && i < a->material_count; i++)
		is_same = cv_str_eq(a->materials[i].name, b->materials[i].name) &&
			  cv_str_eq(a->materials[i].value, b->materials[i].value);
	return is_same;
}

bool keeper_refresh_is_same(const struct cv_cred_refresh *a, const struct cv_cred_refresh *b)
{
	return cv_str_eq(a->strategy, b->strategy) && cv_str_eq(a->token_url, b->token_url) &&
	       cv_str_eq(a->scopes, b->scopes) && materials_are_same(a, b);
}

void keeper_renewals_fini(struct keeper_renewals *r)
{
	for (size_t i = 0; i < r->n; i++) {
		if (r->v[i].rotated) {
			explicit_bzero(r->v[i].rotated, r->v[i].rotated_bytes);
			free(r->v[i].rotated);
		}
		free(r->v[i].plan.materials);
	}
	free(r->v);
	r->v = NULL;
	r->n = 0;
}

/* One that is under way stays so: its answer may bring the only token that holds. */
static cv_code follow(
	struct keeper_renewal *one, const struct keeper_renewal *former, struct cv_err *err)
{
	if (former->rotated &&
		!rotate(one, (struct cv_str){ former->rotated, former->rotated_bytes }))
		return cv_fail(err, CV_LIMIT, "no memory for renewals");
	if (former->tag) {
		one->tag = former->tag;
		one->schedule = former->schedule;
		one->cause = former->cause;
	}
	return CV_OK;
}

cv_code keeper_renewals_succeed(
	struct keeper_renewals *r, struct keeper_renewals *former, struct cv_err *err)
{
	const struct cv_cred_set *set = cv_vault_set(r->vault),
				 *before = former->vault ? cv_vault_set(former->vault) : NULL;
	cv_code code = CV_OK;

	for (size_t i = 0; i < r->n && code == CV_OK; i++)
		for (size_t k = 0; k < former->n && code == CV_OK; k++)
			if (keeper_refresh_is_same(&set->refreshes[i], &before->refreshes[k]))
				code = follow(&r->v[i], &former->v[k], err);
	if (code != CV_OK)
		return code;
	r->courier = former->courier;
	r->answers = former->answers;
	r->tag = former->tag;
	former->courier = -1;
	return CV_OK;
}
