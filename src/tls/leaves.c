/* SPDX-License-Identifier: Apache-2.0 */
/*
 * leaves.c - leaves by name; see leaves.h
 *
 * A plain array searched from one end: 256 names of which a run uses a handful, compared by
 * length first, and only on new connections, where a handshake costs a thousand times more.
 */
#include "tls/leaves.h"

#include "tls/limits.h"

#include <openssl/err.h>
#include <stdlib.h>

#define VALID_S_MIN \
	300 /* a leaf that ends during a client's handshake or first request is no use */

struct leaf {
	char host[CV_TLS_HOST_BYTES_MAX];
	size_t n;
	X509 *cert;
	int64_t not_after_s;
	uint64_t used; /* by the clock below */
	uint32_t ca;   /* who signed it */
};

struct cv_leaves {
	struct leaf leaf[CV_TLS_LEAVES_MAX];
	size_t count;
	uint64_t clock; /* counts uses */
	uint32_t ca, ca_oldest;
};

cv_code cv_leaves_new(struct cv_leaves **ret, struct cv_err *err)
{
	struct cv_leaves *l = calloc(1, sizeof(*l));

	if (!l)
		return cv_fail(err, CV_LIMIT, "no memory for leaves");
	*ret = l;
	return CV_OK;
}

void cv_leaves_free(struct cv_leaves *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < l->count; i++)
		X509_free(l->leaf[i].cert);
	free(l);
}

static struct leaf *slot_of(struct cv_leaves *l, struct cv_str host)
{
	for (size_t i = 0; i < l->count; i++)
		if (cv_str_eq((struct cv_str){ l->leaf[i].host, l->leaf[i].n }, host))
			return &l->leaf[i];
	return NULL;
}

X509 *cv_leaves_find(struct cv_leaves *l, struct cv_str host, int64_t now_s)
{
	struct leaf *leaf = slot_of(l, host);

	if (!leaf || leaf->ca < l->ca_oldest || leaf->not_after_s < now_s + VALID_S_MIN)
		return NULL;
	leaf->used = ++l->clock;
	return leaf->cert;
}

void cv_leaves_ca_next(struct cv_leaves *l, uint32_t former_max)
{
	l->ca++;
	l->ca_oldest = l->ca > former_max ? l->ca - former_max : 0;
}

static struct leaf *slot_for(struct cv_leaves *l, struct cv_str host)
{
	struct leaf *slot = slot_of(l, host);

	if (slot)
		return slot;
	if (l->count < CV_TLS_LEAVES_MAX)
		return &l->leaf[l->count++];
	slot = &l->leaf[0];
	for (size_t i = 1; i < l->count; i++)
		if (l->leaf[i].used < slot->used)
			slot = &l->leaf[i];
	return slot;
}

cv_code cv_leaves_put(struct cv_leaves *l, struct cv_str host, struct cv_str der,
	int64_t not_after_s, struct cv_err *err)
{
	const unsigned char *at = (const unsigned char *)der.p;

	if (host.n > CV_TLS_HOST_BYTES_MAX)
		return cv_fail(err, CV_INVALID, "a leaf's name is too long");
	X509 *cert = d2i_X509(NULL, &at, (long)der.n);
	ERR_clear_error();
	if (!cert)
		return cv_fail(err, CV_PROTO, "the keeper sent no certificate");
	struct leaf *slot = slot_for(l, host);
	X509_free(slot->cert);
	*slot = (struct leaf){
		.n = host.n,
		.cert = cert,
		.not_after_s = not_after_s,
		.used = ++l->clock,
		.ca = l->ca,
	};
	memcpy(slot->host, host.p, host.n);
	return CV_OK;
}
