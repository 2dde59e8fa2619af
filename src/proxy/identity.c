/* SPDX-License-Identifier: Apache-2.0 */
/*
 * identity.c - see identity.h
 *
 * Slots are used in a circle, so the oldest record makes place for the newest; a hash of cookies
 * leads to them.  Cookies are the kernel's (SO_COOKIE counts up), so no stranger can choose them
 * to collide.
 */
#include "proxy/identity.h"

#include "base/assert.h"

#include <stdlib.h>

static uint16_t *bucket_of(struct cv_identities *ids, uint64_t cookie)
{
	return &ids->bucket[cookie % CV_IDENTITY_BUCKETS];
}

static void slot_free(struct cv_identities *ids, size_t i)
{
	struct cv_identity_slot *s = &ids->slot[i];
	uint16_t *at = bucket_of(ids, s->cookie);

	while (*at != i + 1) {
		cv_assert(*at);
		at = &ids->slot[*at - 1].next;
	}
	*at = s->next;
	free(s->who);
	*s = (struct cv_identity_slot){ 0 };
}

void cv_identities_fini(struct cv_identities *ids)
{
	for (size_t i = 0; i < CV_PROXY_IDENTITIES_MAX; i++)
		if (ids->slot[i].who)
			slot_free(ids, i);
}

static struct cv_str text_keep(char **at, struct cv_str s)
{
	char *p = *at;

	if (s.n)
		memcpy(p, s.p, s.n);
	*at += s.n;
	return (struct cv_str){ p, s.n };
}

static struct cv_who *who_new(const struct cv_proxy_identity *id)
{
	size_t bytes = id->exe.n + id->unknown_reason.n + id->changed_path.n;

	for (size_t i = 0; i < id->ancestor_count; i++)
		bytes += id->ancestors[i].n;
	struct cv_who *who = malloc(sizeof(*who) + bytes);
	if (!who)
		return NULL;
	char *at = (char *)(who + 1);
	who->pid = id->pid;
	who->unknown_reason = text_keep(&at, id->unknown_reason);
	who->changed_path = text_keep(&at, id->changed_path);
	for (size_t i = 0; i < id->ancestor_count; i++)
		who->ancestor[i] = text_keep(&at, id->ancestors[i]);
	who->facts = (struct cv_facts_who){
		.is_known = id->unknown_reason.n == 0 && id->changed_path.n == 0 && id->exe.n > 0,
		.exe = text_keep(&at, id->exe),
		.ancestors = who->ancestor,
		.ancestor_count = id->ancestor_count,
	};
	return who;
}

bool cv_identities_put(
	struct cv_identities *ids, const struct cv_proxy_identity *id, int64_t now_ms)
{
	const size_t i = ids->next;
	struct cv_identity_slot *s = &ids->slot[i];
	struct cv_who *who = who_new(id);

	if (!who)
		return false;
	/* a second connect() on the same socket replaces the record of the first */
	free(cv_identities_take(ids, id->cookie, now_ms));
	if (s->who)
		slot_free(ids, i);
	*s = (struct cv_identity_slot){
		.cookie = id->cookie,
		.expires_ms = now_ms + CV_PROXY_IDENTITY_MS,
		.who = who,
		.next = *bucket_of(ids, id->cookie),
	};
	*bucket_of(ids, id->cookie) = (uint16_t)(i + 1);
	ids->next = (i + 1) % CV_PROXY_IDENTITIES_MAX;
	return true;
}

struct cv_who *cv_identities_take(struct cv_identities *ids, uint64_t cookie, int64_t now_ms)
{
	for (uint16_t at = *bucket_of(ids, cookie); at; at = ids->slot[at - 1].next) {
		struct cv_identity_slot *s = &ids->slot[at - 1];

		if (s->cookie != cookie)
			continue;
		struct cv_who *who = s->expires_ms >= now_ms ? s->who : NULL;
		if (who)
			s->who = NULL;
		slot_free(ids, at - 1u);
		return who;
	}
	return NULL;
}
