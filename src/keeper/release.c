/* SPDX-License-Identifier: Apache-2.0 */
/*
 * release.c - credentials for one request at a time
 *
 * The proxy says what the request is and which placeholders stand in it; the vault judges.  With
 * the values that were asked for go those that were ever released to the same host and port, so
 * that the proxy can take them out of what comes back.
 *
 *     RELEASE -> judged -> RELEASED, REFUSED
 *                   |
 *                   +-- stale --> waits --> judged again, after each renewal and at its end
 *
 * The questions of one turn of the proxy come in one message, RELEASES, and each is judged on its own.
 * Only the way is shared: their answers go back in one, ANSWERS, as far as they fit.
 */
#include "keeper/keeper.h"
#include "sys/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECRETS_BYTES_MAX (16u << 20) /* 128 credentials of 64 KiB, twice */

cv_code keeper_secrets_take(struct keeper *k, int fd, struct cv_err *err)
{
	char *text;
	size_t n;
	cv_code code = cv_ipc_fd_read_all(fd, SECRETS_BYTES_MAX, &text, &n, err);

	if (code != CV_OK)
		return cv_wrap(err, "read the credentials");
	code = cv_vault_new((struct cv_str){ text, n }, &k->vault, err);
	explicit_bzero(text, n);
	free(text);
	return code == CV_OK ? keeper_renewals_init(&k->renewals, k->vault, cv_clock_unix_s(), err)
			     : code;
}

cv_code keeper_catalog_send(struct keeper *k, struct cv_err *err)
{
	const struct cv_cred_set *set = k->vault ? cv_vault_set(k->vault) : NULL;
	struct cv_buf b;

	cv_buf_init(&b, CV_IPC_BODY_BYTES_MAX);
	const uint32_t n = set ? cv_vault_minted_first(k->vault) : 0;
	cv_ipc_put_u32(&b, n);
	for (size_t i = 0; i < n; i++) {
		cv_ipc_put_str(&b, set->creds[i].key);
		cv_ipc_put_str(&b, set->creds[i].placeholder);
		cv_ipc_put_str(&b, set->providers[set->creds[i].provider].name);
	}
	const cv_code code = b.is_overflown
				     ? cv_fail(err, CV_LIMIT, "too many credentials for one run")
				     : cv_ipc_send(k->proxy, CV_KEEPER_REPLY_CATALOG,
					       cv_buf_str(&b), NULL, 0, err);
	cv_buf_fini(&b);
	return code;
}

static bool is_asked(const struct cv_keeper_release *r, uint32_t cred)
{
	for (size_t i = 0; i < r->count; i++)
		if (r->creds[i] == cred)
			return true;
	return false;
}

/* How long the same answer may be given to the same question by who has it.  A second is what the clock
 * of expiry tells: the present one may be nearly over. */
static uint32_t keep_ms(const struct keeper *k, const struct cv_keeper_release *r)
{
	const int64_t lasts_s =
		k->vault ? cv_vault_lasts_s(k->vault, r, cv_clock_unix_s()) : INT64_MAX;

	return lasts_s > 1 + CV_KEEPER_KEEP_MS / 1000 ? CV_KEEPER_KEEP_MS : 0;
}

void keeper_change_tell(struct keeper *k)
{
	const uint64_t version = k->vault ? cv_vault_version(k->vault) : 0;
	struct cv_buf b;

	if (!k->is_kept || version == k->version || k->proxy < 0)
		return;
	cv_buf_init(&b, 8);
	cv_ipc_put_u64(&b, version);
	/* to who does not take it nothing else is given either */
	if (cv_ipc_send(k->proxy, CV_KEEPER_REPLY_CHANGED, cv_buf_str(&b), NULL, 0, NULL) != CV_OK)
		keeper_proxy_drop(k);
	cv_buf_fini(&b);
	k->is_kept = false;
	k->version = version;
}

static bool released_put(
	struct keeper *k, const struct cv_keeper_release *r, uint32_t flags, struct cv_buf *b)
{
	const size_t n = k->vault ? cv_vault_set(k->vault)->cred_count : 0;
	const uint64_t version = k->vault ? cv_vault_version(k->vault) : 0;
	const uint32_t ms = keep_ms(k, r);
	uint32_t count = 0;

	for (uint32_t i = 0; i < n; i++)
		if (cv_vault_is_scrubbed(k->vault, i, r))
			count += cv_vault_former(k->vault, i).n ? 2 : 1;
	cv_ipc_put_u32(b, r->tag);
	cv_ipc_put_u64(b, version);
	cv_ipc_put_u32(b, ms);
	cv_ipc_put_u32(b, flags);
	cv_ipc_put_u64(b, k->vault ? cv_vault_epoch(k->vault) : 0);
	cv_ipc_put_u32(b, count);
	for (uint32_t i = 0; i < n; i++) {
		if (!cv_vault_is_scrubbed(k->vault, i, r))
			continue;
		cv_ipc_put_u32(b, i);
		cv_ipc_put_u32(b, is_asked(r, i));
		cv_ipc_put_str(b, cv_vault_value(k->vault, i));
		if (!cv_vault_former(k->vault, i).n)
			continue;
		cv_ipc_put_u32(b, i);
		cv_ipc_put_u32(b, false);
		cv_ipc_put_str(b, cv_vault_former(k->vault, i));
	}
	if (b->is_overflown)
		return false;
	k->version = version;
	k->is_kept |= ms > 0;
	return true;
}

static void refused_put(const struct keeper *k, const struct cv_keeper_release *r,
	const struct cv_vault_answer *a, const char *why, struct cv_buf *b)
{
	const struct cv_cred_set *set = k->vault ? cv_vault_set(k->vault) : NULL;
	const struct cv_cred *c = set && a->cred < set->cred_count ? &set->creds[a->cred] : NULL;

	cv_buf_reset(b);
	cv_ipc_put_u32(b, r->tag);
	cv_ipc_put_u32(b, a->release);
	cv_ipc_put_str(b, c ? cv_str_slice(c->key, 0, 256) : CV_STR_NONE);
	cv_ipc_put_str(b, c ? cv_str_slice(set->providers[c->provider].name, 0, 256) : CV_STR_NONE);
	cv_ipc_put_str(b, cv_str_of(why));
}

/* Values pass through two buffers, which never move and are wiped. */
static cv_code buf_make(struct cv_buf *b, struct cv_err *err)
{
	if (b->data)
		return CV_OK;
	cv_buf_init(b, CV_IPC_BODY_BYTES_MAX);
	return cv_buf_reserve(b, CV_IPC_BODY_BYTES_MAX) ? CV_OK
							: cv_fail(err, CV_LIMIT, "no memory");
}

static cv_code buf_send(
	struct keeper *k, enum cv_keeper_reply type, struct cv_buf *b, struct cv_err *err)
{
	const cv_code code = cv_ipc_send(k->proxy, type, cv_buf_str(b), NULL, 0, err);

	explicit_bzero(b->data, b->end);
	cv_buf_reset(b);
	return code;
}

/* At once; or into answers, which go when they are full. */
static cv_code out_send(struct keeper *k, enum cv_keeper_reply type, struct cv_err *err)
{
	const size_t n = cv_buf_len(&k->out) + 8;
	cv_code code = CV_OK;

	if (!k->is_gathering)
		return buf_send(k, type, &k->out, err);
	if (cv_buf_len(&k->answers) + n > CV_IPC_BODY_BYTES_MAX)
		code = buf_send(k, CV_KEEPER_REPLY_ANSWERS, &k->answers, err);
	if (code != CV_OK || n > CV_IPC_BODY_BYTES_MAX)
		return code == CV_OK ? buf_send(k, type, &k->out, err) : code;
	cv_ipc_put_u32(&k->answers, type);
	cv_ipc_put_str(&k->answers, cv_buf_str(&k->out));
	explicit_bzero(k->out.data, k->out.end);
	cv_buf_reset(&k->out);
	return CV_OK;
}

/* ---- waiting for a renewal ---- */

static struct keeper_wait *wait_new(struct keeper *k)
{
	for (size_t i = 0; i < KEEPER_WAITS_MAX; i++)
		if (!k->wait[i].body)
			return &k->wait[i];
	return NULL;
}

static bool wait_put(struct keeper *k, struct cv_str body)
{
	struct keeper_wait *w = wait_new(k);
	char *copy = w ? malloc(body.n) : NULL;

	if (!copy)
		return false;
	memcpy(copy, body.p, body.n);
	*w = (struct keeper_wait){ copy, body.n, cv_clock_ms() + KEEPER_WAIT_MS };
	k->wait_count++;
	return true;
}

static void wait_end(struct keeper *k, struct keeper_wait *w)
{
	if (w->body)
		k->wait_count--;
	free(w->body);
	*w = (struct keeper_wait){ 0 };
}

void keeper_waits_drop(struct keeper *k)
{
	for (size_t i = 0; i < KEEPER_WAITS_MAX; i++)
		wait_end(k, &k->wait[i]);
}

int keeper_waits_ms(const struct keeper *k)
{
	int64_t until_ms = INT64_MAX;

	if (!k->wait_count && !k->tool_wait_count)
		return -1;
	for (size_t i = 0; i < KEEPER_WAITS_MAX; i++)
		if (k->wait[i].body)
			until_ms = CV_MIN(until_ms, k->wait[i].until_ms);
	for (size_t i = 0; i < KEEPER_WAITS_MAX; i++)
		if (k->tool_wait[i].body)
			until_ms = CV_MIN(until_ms, k->tool_wait[i].until_ms);
	if (until_ms == INT64_MAX)
		return -1;
	return (int)CV_MAX(CV_MIN(until_ms - cv_clock_ms(), (int64_t)KEEPER_WAIT_MS), (int64_t)0);
}

/* ---- the answer ---- */

static void judge(struct keeper *k, const struct cv_keeper_release *r, struct cv_vault_answer *ret)
{
	*ret = (struct cv_vault_answer){ .release = CV_RELEASE_OK };
	if (k->vault)
		cv_vault_release(k->vault, r, cv_clock_unix_s(), ret);
	else if (r->count)
		ret->release = CV_RELEASE_UNKNOWN;
}

static cv_code answer(struct keeper *k, const struct cv_keeper_release *r,
	struct cv_vault_answer *a, const char *why, struct cv_err *err)
{
	if (buf_make(&k->out, err) != CV_OK)
		return err->code;
	if (a->release == CV_RELEASE_OK && !released_put(k, r, a->flags, &k->out))
		a->release = CV_RELEASE_LARGE;
	if (a->release != CV_RELEASE_OK)
		refused_put(k, r, a, why, &k->out);
	return out_send(k,
		a->release == CV_RELEASE_OK ? CV_KEEPER_REPLY_RELEASED : CV_KEEPER_REPLY_REFUSED,
		err);
}

/* Whether r is to wait wait_ms longer: what it needs is not there and may come by then.  If not,
 * *ret_why says what is wrong with the renewal. */
static bool has_to_wait(struct keeper *k, struct cv_vault_answer *a, int64_t wait_ms,
	char ret_why[KEEPER_WHY_BYTES])
{
	ret_why[0] = '\0';
	if (a->release != CV_RELEASE_STALE)
		return false;
	if (keeper_renewals_is_hopeful(&k->renewals, a->cred, cv_clock_unix_s() + wait_ms / 1000,
		    ret_why, KEEPER_WHY_BYTES) &&
		wait_ms > 0)
		return true;
	a->release = CV_RELEASE_RENEWAL;
	return false;
}

cv_code keeper_waits_look(struct keeper *k, struct cv_err *err)
{
	cv_code code = CV_OK;

	for (size_t i = 0; k->wait_count && i < KEEPER_WAITS_MAX && code == CV_OK; i++) {
		struct keeper_wait *w = &k->wait[i];
		struct cv_keeper_release r;
		struct cv_vault_answer a;
		char why[KEEPER_WHY_BYTES];

		if (!w->body)
			continue;
		if (!cv_keeper_release_get((struct cv_str){ w->body, w->bytes }, &r))
			return cv_fail(err, CV_PROTO, "RELEASE: bad body");
		judge(k, &r, &a);
		if (has_to_wait(k, &a, w->until_ms - cv_clock_ms(), why))
			continue;
		code = answer(k, &r, &a, why, err);
		wait_end(k, w);
	}
	return code;
}

cv_code keeper_release_answer(struct keeper *k, struct cv_str body, struct cv_err *err)
{
	struct cv_keeper_release r;
	struct cv_vault_answer a;
	char why[KEEPER_WHY_BYTES];

	if (!cv_keeper_release_get(body, &r))
		return cv_fail(err, CV_PROTO, "RELEASE: bad body");
	judge(k, &r, &a);
	if (has_to_wait(k, &a, KEEPER_WAIT_MS, why)) {
		if (wait_put(k, body))
			return CV_OK;
		a.release = CV_RELEASE_RENEWAL;
		snprintf(why, sizeof(why), "busy: too many requests wait for a renewal");
	}
	return answer(k, &r, &a, why, err);
}

cv_code keeper_releases_answer(struct keeper *k, struct cv_str body, struct cv_err *err)
{
	struct cv_ipc_reader r = { .rest = body };
	cv_code code = buf_make(&k->answers, err);

	k->is_gathering = true;
	while (code == CV_OK && r.rest.n) {
		const struct cv_str one = cv_ipc_get_str(&r);

		code = r.is_bad ? cv_fail(err, CV_PROTO, "RELEASES: bad body")
				: keeper_release_answer(k, one, err);
	}
	k->is_gathering = false;
	if (code == CV_OK && cv_buf_len(&k->answers))
		code = buf_send(k, CV_KEEPER_REPLY_ANSWERS, &k->answers, err);
	if (k->answers.data)
		explicit_bzero(k->answers.data, k->answers.end);
	cv_buf_reset(&k->answers);
	return code;
}

/* The server of a request that had this credential answered 401. */
cv_code keeper_rejected_take(struct keeper *k, struct cv_str body, struct cv_err *err)
{
	struct cv_ipc_reader r = { .rest = body };
	const uint32_t cred = cv_ipc_get_u32(&r);
	const uint64_t epoch = cv_ipc_get_u64(&r);

	if (!cv_ipc_reader_is_done(&r))
		return cv_fail(err, CV_PROTO, "REJECTED: bad body");
	keeper_renewals_rejected(&k->renewals, cred, epoch, cv_clock_unix_s());
	return CV_OK;
}
