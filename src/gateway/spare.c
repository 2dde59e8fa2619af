/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spare.c - the warm pool: sandboxes that stand before anybody asks for them
 *
 *     warm_pool: N --start()--> dials, READY --a sandbox is to be started that fits--> its own
 *         ^                                                                              |
 *         +------------------------------ one more is made -----------------------------+
 *
 * A spare is of the host's image, without limits, command, policy or credentials; the driver compares
 * what a sandbox would be built as with what was built (plan/claim.h), and a spare that differs is
 * left alone.  Name, policy, environment, command, directory and what its keeper is to know are given
 * when it is claimed.  No command has run in it by then, and none does before the keeper knows; each
 * is claimed once.
 *
 * They are made one at a time and while nobody waits for a sandbox.  One that is old is replaced,
 * since the host and its own log's date change.  They end with the gateway: their links close.
 */
#include "gateway/sandbox_int.h"

#include "gateway/config.h"
#include "gateway/log.h"
#include "gateway/objects.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#define SPARES_MAX     64      /* what one machine builds in a third of a second */
#define SPARE_PAUSE_MS 20      /* after a claim: whoever claimed goes first */
#define SPARE_RETRY_MS 10000   /* after one that could not be made */
#define SPARE_AGE_MS   3600000 /* then it is replaced */
#define SPARE_ID_BYTES (sizeof(CV_DRIVER_SPARE_PREFIX) + CV_OBJECT_ID_BYTES)

struct cv_gw_spare {
	struct cv_ref ref;
	char id[SPARE_ID_BYTES];
	struct cv_driver_process process;
	struct cv_gw_link *link; /* NULL: none yet */
	bool is_ready, is_ending;
	int64_t born_ms;
};

static void end(struct cv_gateway *g, struct cv_gw_spare *p)
{
	struct cv_gw_sandboxes *s = g->sandboxes;
	struct cv_err err;

	p->is_ending = true;
	if (s->driver->kill(s->d, p->process.pidfd, &err) != CV_OK)
		cv_log(CV_LOG_ERROR, "spare", CV_LOG_NONE, "%s", err.msg);
}

/* ---- a spare is made ---- */

static cv_code start(struct cv_gateway *g, struct cv_gw_spare *p, struct cv_err *err)
{
	struct cv_gw_sandboxes *s = g->sandboxes;
	unsigned char token[CV_PLAN_GATEWAY_TOKEN_BYTES];
	char instance[CV_OBJECT_ID_BYTES + 1];
	const struct cv_driver_sandbox d = { .id = cv_str_of(p->id),
		.name = cv_str_of(p->id),
		.instance = { instance, CV_OBJECT_ID_BYTES },
		.token = token,
		.socket = cv_str_of(s->socket),
		.credentials = -1,
		.interception = cv_gw_config_interception(g->config),
		.ca_files = g->config->upstream_ca.v, /* in the sandbox's bundle */
		.ca_count = g->config->upstream_ca.n,
		.is_spare = true };

	if (getrandom(token, sizeof(token), 0) != sizeof(token))
		return cv_fail_errno(err, "getrandom");
	cv_object_id_make(instance);
	cv_code code = s->driver->start(s->d, &d, &p->process, err);
	explicit_bzero(token, sizeof(token));
	if (code == CV_OK)
		code = cv_loop_add(&g->loop, p->process.pidfd, EPOLLIN,
			(struct cv_watch){ CV_GW_WATCH(CV_GW_PART_SANDBOX, WATCH_SPARE), p->ref },
			err);
	return code;
}

static void make(struct cv_gateway *g)
{
	struct cv_gw_sandboxes *s = g->sandboxes;
	struct cv_gw_spare *p = calloc(1, sizeof(*p));
	struct cv_err err;

	if (!p || !cv_slots_add(&s->spares, p, &p->ref)) {
		free(p);
		s->spare_after_ms = g->loop.now_ms + SPARE_RETRY_MS;
		return;
	}
	p->process.pidfd = -1;
	p->born_ms = g->loop.now_ms;
	memcpy(p->id, CV_DRIVER_SPARE_PREFIX, sizeof(CV_DRIVER_SPARE_PREFIX));
	cv_object_id_make(p->id + sizeof(CV_DRIVER_SPARE_PREFIX) - 1);
	if (start(g, p, &err) == CV_OK)
		return;
	cv_log(CV_LOG_WARN, "spare", CV_LOG_NONE, "no sandbox can be built ahead: %s", err.msg);
	s->spare_after_ms = g->loop.now_ms + SPARE_RETRY_MS;
	if (p->process.pidfd >= 0) {
		end(g, p);
		spare_gone(g, p->ref);
		return;
	}
	cv_slots_remove(&s->spares, p->ref);
	free(p);
}

void spare_gone(struct cv_gateway *g, struct cv_ref ref)
{
	struct cv_gw_sandboxes *s = g->sandboxes;
	struct cv_gw_spare *p = cv_slots_get(&s->spares, ref);
	struct cv_err err;

	if (!p)
		return;
	if (!p->is_ending) {
		cv_log(CV_LOG_WARN, "spare", CV_LOG_NONE, "a sandbox built ahead ended by itself");
		s->spare_after_ms = g->loop.now_ms + SPARE_RETRY_MS;
	}
	if (p->link)
		p->link->spare = (struct cv_ref){ 0, 0 }, p->link->is_spare = false,
		s->links_pending++, session_close(p->link);
	cv_loop_remove(&g->loop, p->process.pidfd);
	s->driver->reap(s->d, cv_str_of(p->id), &p->process);
	if (s->driver->remove(s->d, cv_str_of(p->id), &err) != CV_OK)
		cv_log(CV_LOG_ERROR, "spare", CV_LOG_NONE, "%s", err.msg);
	cv_slots_remove(&s->spares, ref);
	free(p);
}

void spare_turn(struct cv_gateway *g)
{
	struct cv_gw_sandboxes *s = g->sandboxes;
	const size_t wanted = CV_MIN(g->config->warm_pool, (uint32_t)SPARES_MAX);
	struct cv_gw_spare *oldest = NULL;
	size_t count = 0, making = 0;

	if (!wanted && !s->spares.count)
		return;
	for (size_t i = 0; i < s->spares.n; i++) {
		struct cv_gw_spare *p = s->spares.v[i].thing;

		if (!p || p->is_ending)
			continue;
		if (!p->is_ready && g->loop.now_ms - p->born_ms >= BOX_BUILD_MS) {
			end(g, p);
			continue;
		}
		count++;
		making += !p->is_ready;
		if (!oldest || p->born_ms < oldest->born_ms)
			oldest = p;
	}
	if (count > wanted ||
		(oldest && oldest->is_ready && g->loop.now_ms - oldest->born_ms >= SPARE_AGE_MS))
		end(g, oldest);
	else if (count < wanted && !making && !s->queue_first &&
		 g->loop.now_ms >= s->spare_after_ms)
		make(g);
}

void spare_reload(struct cv_gateway *g, const struct cv_gw_config *old)
{
	struct cv_gw_sandboxes *s = g->sandboxes;

	if (cv_gw_config_list_is_same(&g->config->upstream_ca, &old->upstream_ca) &&
		cv_gw_config_interception(g->config) == cv_gw_config_interception(old))
		return;
	for (size_t i = 0; i < s->spares.n; i++) {
		struct cv_gw_spare *p = s->spares.v[i].thing;

		if (p && !p->is_ending)
			end(g, p);
	}
}

int64_t spare_due_ms(const struct cv_gateway *g)
{
	const struct cv_gw_sandboxes *s = g->sandboxes;

	return s->spare_after_ms > g->loop.now_ms ? s->spare_after_ms : INT64_MAX;
}

/* ---- what its supervisor says ---- */

bool spare_hello(
	struct cv_gw_link *l, struct cv_str id, struct cv_str instance, struct cv_str token)
{
	struct cv_gw_sandboxes *s = l->g->sandboxes;

	if (!cv_str_has_prefix(id, CV_STR(CV_DRIVER_SPARE_PREFIX)))
		return false;
	for (size_t i = 0; i < s->spares.n; i++) {
		struct cv_gw_spare *p = s->spares.v[i].thing;

		if (!p || p->link || !cv_str_eq(id, cv_str_of(p->id)) ||
			!process_is_its(&p->process, instance, token))
			continue;
		p->link = l;
		l->spare = p->ref;
		l->is_spare = true;
		return true;
	}
	return false;
}

void spare_message(struct cv_gw_link *l, uint32_t type)
{
	struct cv_gw_spare *p = cv_slots_get(&l->g->sandboxes->spares, l->spare);

	if (p && type == CV_GATEWAY_REPLY_READY)
		p->is_ready = true;
}

void spare_link_lost(struct cv_gw_link *l)
{
	struct cv_gw_spare *p = cv_slots_get(&l->g->sandboxes->spares, l->spare);

	if (!p)
		return;
	p->link = NULL; /* it ends by itself */
	p->is_ready = false;
	if (!p->is_ending)
		end(l->g, p);
}

/* ---- it is claimed ---- */

/* The oldest, which is the next to be replaced. */
static struct cv_gw_spare *ready_one(struct cv_gw_sandboxes *s)
{
	struct cv_gw_spare *oldest = NULL;

	for (size_t i = 0; i < s->spares.n; i++) {
		struct cv_gw_spare *p = s->spares.v[i].thing;

		if (p && p->is_ready && !p->is_ending && p->link && !p->link->is_broken &&
			(!oldest || p->born_ms < oldest->born_ms))
			oldest = p;
	}
	return oldest;
}

static void become(struct cv_gw_box *b, struct cv_gw_spare *p)
{
	struct cv_gw_sandboxes *s = b->g->sandboxes;
	struct cv_gw_link *l = p->link;

	b->process = p->process;
	b->link = l;
	l->box = b;
	l->is_spare = false;
	l->spare = (struct cv_ref){ 0, 0 };
	cv_loop_remove(&b->g->loop, p->process.pidfd); /* the box watches it */
	cv_slots_remove(&s->spares, p->ref);
	free(p);
	s->spare_after_ms = b->g->loop.now_ms + SPARE_PAUSE_MS;
}

bool spare_claim(struct cv_gw_box *b, const struct cv_driver_sandbox *d, int *ret_plan)
{
	struct cv_gw_sandboxes *s = b->g->sandboxes;
	struct cv_gw_spare *p = ready_one(s);
	struct cv_err err;

	if (!p)
		return false;
	const cv_code code =
		s->driver->claim(s->d, cv_str_of(p->id), &p->process, d, ret_plan, &err);
	if (code == CV_OK) {
		become(b, p);
		return true;
	}
	if (code != CV_UNAVAILABLE) {
		cv_log(CV_LOG_WARN, "spare", CV_LOG_NONE, "not claimed: %s", err.msg);
		end(b->g, p);
	}
	return false;
}

/* ---- it is not to be ---- */

void spare_end_box(struct cv_gw_box *b)
{
	struct cv_gateway *g = b->g;
	struct cv_gw_sandboxes *s = g->sandboxes;
	struct cv_gw_spare *p = calloc(1, sizeof(*p));
	struct cv_err err;

	if (!p || !cv_slots_add(&s->spares, p, &p->ref)) {
		/* It ends all the same; its directory stays until a gateway starts. */
		(void)!s->driver->kill(s->d, b->process.pidfd, &err);
		close(b->process.pidfd);
		free(p);
		return;
	}
	snprintf(p->id, sizeof(p->id), "%s", b->object->id);
	p->process = b->process;
	p->link = b->link;
	if (p->link) {
		p->link->box = NULL;
		p->link->is_spare = true;
		p->link->spare = p->ref;
	}
	if (cv_loop_add(&g->loop, p->process.pidfd, EPOLLIN,
		    (struct cv_watch){ CV_GW_WATCH(CV_GW_PART_SANDBOX, WATCH_SPARE), p->ref },
		    &err) != CV_OK)
		cv_log(CV_LOG_ERROR, "spare", CV_LOG_NONE, "%s", err.msg);
	end(g, p);
}

void spare_stop(struct cv_gateway *g)
{
	struct cv_gw_sandboxes *s = g->sandboxes;

	for (size_t i = 0; i < s->spares.n; i++) {
		struct cv_gw_spare *p = s->spares.v[i].thing;

		if (p && p->process.pidfd >= 0)
			close(p->process.pidfd);
		free(p);
	}
	cv_slots_fini(&s->spares);
}
