/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mint.c - MINT: tokens that a server minted for the sandbox stay here
 *
 * The proxy found them in the answer of a token endpoint.  Each becomes a credential of the provider
 * that is bound there, as if it had been given at the start: judged, released, scrubbed and shown in
 * the catalog like any other.  They live as long as this process.
 */
#include "keeper/keeper.h"

#include "cred/limits.h"
#include "sys/clock.h"

#include <string.h>
#include <sys/random.h>

static void entry_put(const struct keeper *k, uint32_t cred, struct cv_buf *b)
{
	const struct cv_cred_set *set = cv_vault_set(k->vault);

	cv_ipc_put_u32(b, cred);
	cv_ipc_put_str(b, set->creds[cred].key);
	cv_ipc_put_str(b, set->creds[cred].placeholder);
	cv_ipc_put_str(b, set->providers[set->creds[cred].provider].name);
}

/* count creds of the set, which were asked for by tag, with all that was minted behind them. */
static cv_code minted_send(struct keeper *k, uint32_t tag, const uint32_t *creds, size_t count,
	const uint32_t *entries, size_t entry_count, struct cv_err *err)
{
	struct cv_buf b;

	cv_buf_init(&b, CV_IPC_BODY_BYTES_MAX);
	cv_ipc_put_u32(&b, tag);
	cv_ipc_put_u32(&b, (uint32_t)count);
	for (size_t i = 0; i < count; i++)
		cv_ipc_put_u32(&b, creds[i]);
	cv_ipc_put_u32(&b, (uint32_t)entry_count);
	for (size_t i = 0; i < entry_count; i++)
		entry_put(k, entries[i], &b);
	const cv_code code = b.is_overflown ? cv_fail(err, CV_LIMIT, "MINTED: too long")
					    : cv_ipc_send(k->proxy, CV_KEEPER_REPLY_MINTED,
						      cv_buf_str(&b), NULL, 0, err);
	cv_buf_fini(&b);
	return code;
}

cv_code keeper_minted_send(struct keeper *k, struct cv_err *err)
{
	uint32_t all[CV_PH_MINTED_MAX];
	size_t n = 0;

	for (uint32_t i = k->vault ? cv_vault_minted_first(k->vault) : 0;
		k->vault && i < cv_vault_set(k->vault)->cred_count; i++)
		all[n++] = i;
	return n ? minted_send(k, 0, NULL, 0, all, n, err) : CV_OK;
}

static int64_t expires_of(uint64_t lives_s, int64_t now_s)
{
	int64_t expires_s;

	if (!lives_s || lives_s > INT64_MAX ||
		__builtin_add_overflow(now_s, (int64_t)lives_s, &expires_s))
		return 0;
	return expires_s;
}

/* All of them, or none: an answer with one token in it must not be handed on. */
static size_t all_mint(
	struct keeper *k, const struct cv_keeper_mint *m, uint32_t creds[CV_KEEPER_TOKENS_MAX])
{
	const uint32_t provider =
		k->vault ? cv_vault_token_provider(k->vault, &m->request) : CV_CRED_NONE;

	for (size_t i = 0; i < m->count; i++) {
		unsigned char seed[CV_SHAPE_SEED_BYTES];

		if (provider == CV_CRED_NONE || getrandom(seed, sizeof(seed), 0) != sizeof(seed))
			return 0;
		creds[i] = cv_vault_mint(k->vault, provider, m->token[i].kind, m->token[i].value,
			expires_of(m->token[i].lives_s, cv_clock_unix_s()), cv_clock_unix_s(),
			seed);
		if (creds[i] == CV_CRED_NONE)
			return 0;
	}
	return m->count;
}

cv_code keeper_mint_answer(struct keeper *k, struct cv_str body, struct cv_err *err)
{
	uint32_t creds[CV_KEEPER_TOKENS_MAX], made[CV_KEEPER_TOKENS_MAX];
	struct cv_keeper_mint m;
	size_t n, made_count = 0;

	if (!cv_keeper_mint_get(body, &m))
		return cv_fail(err, CV_PROTO, "MINT: bad body");
	const uint32_t tag = m.request.tag;
	n = all_mint(k, &m, creds);
	explicit_bzero(k->buf, sizeof(k->buf)); /* m borrows from it */
	if (!n) { /* what some of them made is in the list all the same */
		const cv_code code = keeper_minted_send(k, err);

		return code == CV_OK ? minted_send(k, tag, NULL, 0, NULL, 0, err) : code;
	}
	for (size_t i = 0; i < n; i++)
		if (creds[i] >= cv_vault_minted_first(k->vault))
			made[made_count++] = creds[i];
	return minted_send(k, tag, creds, n, made, made_count, err);
}
