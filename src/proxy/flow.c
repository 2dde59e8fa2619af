/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flow.c - the pool of flows, and the one function that moves them between states
 *
 * The pool is one mapping, zero and untouched until a flow uses its slot, so that an idle proxy
 * pays for none of it.  Free slots are a stack: the hot one is used next.  A slot that was never
 * used has generation 0, and its successor in the stack is the one behind it.
 */
#include "proxy/flow.h"

#include "base/assert.h"

#include <stdlib.h>
#include <sys/mman.h>

#define BIT(s)            (1u << CV_FLOW_##s)
#define ROW(name, ms, to) [CV_FLOW_##name] = { #name, ms, to },
static const struct {
	const char *name;
	int64_t ms;
	uint32_t to;
} state_row[] = { CV_FLOW_STATES(ROW) };

const char *cv_flow_state_name(enum cv_flow_state s)
{
	return state_row[s].name;
}

cv_code cv_flow_pool_init(struct cv_flow_pool *pool, uint32_t max, struct cv_err *err)
{
	void *p = mmap(NULL, max * sizeof(struct cv_flow), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return cv_fail_errno(err, "map the pool of connections");
	*pool = (struct cv_flow_pool){ .v = p, .max = max, .accepted_max = max };
	return CV_OK;
}

void cv_flow_pool_fini(struct cv_flow_pool *pool)
{
	if (pool->v)
		munmap(pool->v, pool->max * sizeof(struct cv_flow));
	pool->v = NULL;
}

struct cv_flow *cv_flow_new(struct cv_flow_pool *pool)
{
	const uint32_t i = pool->free;

	if (i >= pool->max)
		return NULL;
	struct cv_flow *f = &pool->v[i];
	pool->free = f->gen ? f->next_free : i + 1;
	pool->used++;
	pool->high = CV_MAX(pool->high, i + 1);
	*f = (struct cv_flow){ .index = i, .gen = f->gen + 1, .client.fd = -1, .server.fd = -1 };
	if (f->gen == 0)
		f->gen = 1;
	return f;
}

struct cv_flow *cv_flow_new_inner(struct cv_flow_pool *pool)
{
	struct cv_flow *f = cv_flow_new(pool);

	if (f) {
		f->is_inner = true;
		pool->inner++;
	}
	return f;
}

void cv_flow_free(struct cv_flow_pool *pool, struct cv_flow *f)
{
	cv_assert(f->state == CV_FLOW_DYING && !f->is_queued);
	pool->inner -= f->is_inner;
	cv_flow_set_state(f, CV_FLOW_FREE, 0);
	f->next_free = pool->free;
	pool->free = f->index;
	pool->used--;
}

struct cv_flow *cv_flow_get(struct cv_flow_pool *pool, struct cv_ref ref)
{
	if (ref.index >= pool->max)
		return NULL;
	struct cv_flow *f = &pool->v[ref.index];
	return f->gen == ref.gen && f->state != CV_FLOW_FREE ? f : NULL;
}

void cv_flow_set_state(struct cv_flow *f, enum cv_flow_state next, int64_t now_ms)
{
	uint32_t to = state_row[f->state].to;

	cv_assert(next < CV_FLOW_STATE_COUNT);
	if (f->state != CV_FLOW_FREE && f->state != CV_FLOW_DYING)
		to |= BIT(CLOSING) | BIT(DYING);
	cv_assert(to & (1u << next));
	f->state = next;
	f->deadline_ms = state_row[next].ms ? now_ms + state_row[next].ms : INT64_MAX;
}
