/* SPDX-License-Identifier: Apache-2.0 */
/*
 * deliver.c - see deliver.h
 *
 * A change only marks the sandboxes that it may concern; the turn looks at those.  One set at a time
 * is on its way to a supervisor, and what changed meanwhile goes after it.  One that was refused, or
 * could not be made, is tried again a few times, later each time; then the next change counts.  The
 * sandbox keeps what it had in all that time.
 */
#include "gateway/deliver.h"

#include "cred/limits_profile.h"
#include "cred/set.h"
#include "gateway/inference.h"
#include "gateway/log.h"
#include "gateway/policy.h"
#include "gateway/profile.h"
#include "gateway/provider.h"
#include "ipc/frame.h"

#include <stdlib.h>
#include <unistd.h>

#define ARENA_MAX (8u << 20) /* as of a start */
#define ANSWER_MS 10000      /* a supervisor takes milliseconds; commands don't wait longer */
#define TRIES_MAX 6
#define RETRY_MS  500 /* doubled each time: half a minute in all */

struct cv_gw_env {
	uint64_t given, sent; /* revisions: what its keeper has; what is on its way */
	bool is_known;        /* given is: not after a gateway has come back */
	bool is_dirty, is_pending;
	int tries;
	int64_t due_ms; /* loop time: the next try, or the end of patience; 0: none */
	struct cv_arena *arena, *next_arena; /* of env, and of what is on its way */
	struct cv_str *env, *next_env;
	size_t env_count, next_count;
};

struct cv_gw_deliveries {
	bool has_work;   /* some sandbox has to be looked at; else not before next_ms */
	int64_t next_ms; /* loop time */
};

/* ---- what is attached, as a number ---- */

static void mix(uint64_t *h, const void *bytes, size_t n)
{
	const unsigned char *p = bytes;

	for (size_t i = 0; i < n; i++) /* FNV-1a */
		*h = (*h ^ p[i]) * 0x100000001b3u;
}

static void provider_mix(uint64_t *h, const struct cv_gateway *g, const struct cv_object *o)
{
	const cv_gw_provider_pb *p = cv_gw_provider_of(o);
	struct cv_gw_profile profile;
	struct cv_err ignored;

	mix(h, o->id, sizeof(o->id));
	mix(h, &o->version, sizeof(o->version));
	if (cv_gw_profile_find(g, cv_str_of(p->profile_workspace), cv_str_of(p->type), &profile,
		    &ignored) != CV_OK)
		return;
	if (profile.object)
		mix(h, &profile.object->version, sizeof(profile.object->version));
	cv_gw_profile_fini(&profile);
}

uint64_t cv_gw_env_revision(const struct cv_gateway *g, const struct cv_object *sandbox)
{
	const Openshell__V1__Sandbox *m = (const void *)sandbox->message;
	uint64_t h = 0xcbf29ce484222325u;

	const struct cv_object *hidden = cv_gw_inference_provider(g, sandbox);
	const struct cv_object *route = cv_gw_inference_route(g, sandbox);

	if ((!m->spec || !m->spec->n_providers) && !route)
		return 0;
	if (route) {
		mix(&h, route->id, sizeof(route->id));
		mix(&h, &route->version, sizeof(route->version));
	}
	if (hidden)
		provider_mix(&h, g, hidden);
	for (size_t i = 0; m->spec && i < m->spec->n_providers; i++) {
		const struct cv_object *o = cv_object_find(g->objects, CV_OBJECT_PROVIDER,
			sandbox->scope, cv_str_of(m->spec->providers[i]));

		if (o)
			provider_mix(&h, g, o);
	}
	return h ? h : 1;
}

/* ---- what is known of a sandbox ---- */

static struct cv_gw_env *env_of(struct cv_gw_box *b)
{
	if (!b->env)
		b->env = calloc(1, sizeof(*b->env));
	return b->env;
}

static void arena_drop(struct cv_arena **a)
{
	if (*a)
		cv_arena_fini(*a);
	free(*a);
	*a = NULL;
}

static void next_drop(struct cv_gw_env *e)
{
	arena_drop(&e->next_arena);
	e->next_env = NULL;
	e->next_count = 0;
}

static void env_drop(struct cv_gw_box *b)
{
	if (!b->env)
		return;
	next_drop(b->env);
	arena_drop(&b->env->arena);
	free(b->env);
	b->env = NULL;
}

static void next_take(struct cv_gw_env *e)
{
	arena_drop(&e->arena);
	e->arena = e->next_arena;
	e->env = e->next_env;
	e->env_count = e->next_count;
	e->next_arena = NULL;
	next_drop(e);
}

void cv_gw_env_given(struct cv_gw_box *b)
{
	env_drop(b);
	struct cv_gw_env *e = env_of(b);
	if (!e)
		return;
	e->given = cv_gw_env_revision(b->g, b->object);
	e->is_known = true;
}

bool cv_gw_env_is_pending(const struct cv_gw_box *b)
{
	return b->env && (b->env->is_dirty || b->env->is_pending) && b->env->tries == 0;
}

const struct cv_str *cv_gw_env_of(const struct cv_gw_box *b, size_t *ret_n)
{
	*ret_n = b->env ? b->env->env_count : 0;
	return b->env ? b->env->env : NULL;
}

/* ---- handing over ---- */

/* All are detached: the keeper has nothing from then on, for which no vault need be asked. */
static cv_code nothing_compose(int *ret_fd, struct cv_err *err)
{
	struct cv_cred_set none;
	struct cv_buf bytes;

	cv_cred_set_init(&none);
	cv_buf_init(&bytes, CV_CRED_SET_BYTES_MAX);
	cv_code code = cv_cred_set_write(&none, &bytes, err);
	if (code == CV_OK)
		code = cv_ipc_memfd("credentials", cv_buf_str(&bytes), ret_fd, err);
	cv_buf_fini(&bytes);
	cv_cred_set_fini(&none);
	return code;
}

cv_code cv_gw_attached_compose(
	struct cv_gw_box *b, struct cv_arena *arena, struct cv_gw_attached *ret, struct cv_err *err)
{
	struct cv_buf text, layer;
	cv_code code = CV_INVALID;
	uint64_t revision;

	cv_buf_init(&text, CV_POLICY_PB_TEXT_BYTES_MAX);
	cv_buf_init(&layer, CV_POLICY_PB_TEXT_BYTES_MAX);
	if (cv_gw_policy_texts(b->g, b->object, &text, &layer, &revision, err) == CV_RPC_OK)
		code = cv_gw_providers_compose(b->g, b->object, cv_buf_str(&text), arena, ret, err);
	cv_buf_fini(&layer);
	cv_buf_fini(&text);
	return code;
}

static cv_code composed(
	struct cv_gw_box *b, struct cv_arena *arena, struct cv_gw_attached *ret, struct cv_err *err)
{
	const cv_code code = cv_gw_attached_compose(b, arena, ret, err);

	return code == CV_OK && ret->fd < 0 ? nothing_compose(&ret->fd, err) : code;
}

static bool credentials_send(struct cv_gw_box *b, uint64_t revision, int fd)
{
	struct cv_buf body;

	cv_buf_init(&body, 8);
	cv_ipc_put_u64(&body, revision);
	const bool is_sent =
		cv_gw_box_send(b, CV_GATEWAY_REQ_CREDENTIALS, cv_buf_str(&body), &fd, 1);
	cv_buf_fini(&body);
	return is_sent;
}

static void later(struct cv_gw_box *b, const char *why)
{
	struct cv_gw_env *e = b->env;

	next_drop(e);
	b->g->deliveries->has_work = true;
	e->is_pending = false;
	e->is_dirty = ++e->tries <= TRIES_MAX;
	e->due_ms = e->is_dirty ? b->g->loop.now_ms + ((int64_t)RETRY_MS << e->tries) : 0;
	cv_gw_box_log(b, e->is_dirty ? "WARN" : "ERROR", "provider",
		"credentials not handed over%s: %s", e->is_dirty ? ", tried again" : "", why);
	cv_gw_exec_resume(b);
}

static void hand_over(struct cv_gw_box *b, uint64_t revision)
{
	struct cv_gw_attached a = { .fd = -1 };
	struct cv_gw_env *e = b->env;
	struct cv_err err;

	next_drop(e);
	/* What they may do is known before there is anything to do it with; and what they no longer
	 * may, even if no set can be made. */
	cv_gw_policy_push(b->g, b->object);
	cv_gw_inference_push(b);
	e->next_arena = malloc(sizeof(*e->next_arena));
	if (!e->next_arena) {
		later(b, "no memory");
		return;
	}
	cv_arena_init(e->next_arena, ARENA_MAX);
	if (composed(b, e->next_arena, &a, &err) != CV_OK) {
		later(b, err.msg);
		return;
	}
	e->next_env = a.env;
	e->next_count = a.env_count;
	e->sent = revision;
	e->is_dirty = false;
	e->is_pending = credentials_send(b, revision, a.fd);
	e->due_ms = e->is_pending ? b->g->loop.now_ms + ANSWER_MS : 0;
	close(a.fd);
}

static void loaded(struct cv_gw_box *b)
{
	struct cv_gw_env *e = b->env;

	e->given = e->sent;
	e->is_known = true;
	e->is_pending = false;
	e->tries = 0;
	e->due_ms = 0;
	next_take(e);
	cv_gw_box_log(
		b, "INFO", "provider", "credentials handed over: %zu variables", e->env_count);
	cv_gw_exec_resume(b);
}

static void look(struct cv_gw_box *b)
{
	struct cv_gw_env *e = b->env;
	const int64_t now = b->g->loop.now_ms;

	if (!b->link || (e->due_ms && now < e->due_ms && (e->is_pending || e->tries)))
		return;
	if (e->is_pending) {
		later(b, "its supervisor does not answer");
		return;
	}
	if (!e->is_dirty)
		return;
	const uint64_t revision = cv_gw_env_revision(b->g, b->object);
	if (e->is_known && revision == e->given) {
		e->is_dirty = false;
		e->tries = 0;
		cv_gw_exec_resume(b);
		return;
	}
	hand_over(b, revision);
}

/* ---- what leads to it ---- */

static void dirty(struct cv_gw_box *b)
{
	struct cv_gw_env *e = b ? env_of(b) : NULL;

	if (!e)
		return;
	e->is_dirty = true;
	b->g->deliveries->has_work = true;
	e->tries = 0;
	if (!e->is_pending)
		e->due_ms = 0;
}

static void dirty_of(
	struct cv_gateway *g, struct cv_object_range r, const struct cv_object *provider)
{
	for (size_t i = r.first; i < r.end; i++) {
		struct cv_object *o = cv_object_at(g->objects, CV_OBJECT_SANDBOX, i);
		const Openshell__V1__Sandbox *m = (const void *)o->message;

		if (provider ? cv_gw_is_attached(o, provider) ||
					cv_gw_inference_is_by(g, o, provider->name)
			     : (m->spec && m->spec->n_providers) || cv_gw_inference_route(g, o))
			dirty(cv_gw_box_of(o));
	}
}

static bool is_same_list(const Openshell__V1__Sandbox *a, const Openshell__V1__Sandbox *b)
{
	const size_t n = a->spec ? a->spec->n_providers : 0;

	if (n != (b->spec ? b->spec->n_providers : 0))
		return false;
	for (size_t i = 0; i < n; i++)
		if (strcmp(a->spec->providers[i], b->spec->providers[i]) != 0)
			return false;
	return true;
}

static void on_object(
	void *arg, enum cv_object_change change, struct cv_object *o, const ProtobufCMessage *was)
{
	struct cv_gateway *g = arg;

	if (o->kind == CV_OBJECT_SANDBOX && change == CV_OBJECT_WRITTEN) {
		if (!is_same_list((const void *)o->message, (const void *)was))
			dirty(cv_gw_box_of(o));
	} else if (o->kind == CV_OBJECT_PROVIDER) { /* a route may name one that comes and goes */
		dirty_of(g, cv_object_scope(g->objects, CV_OBJECT_SANDBOX, o->scope), o);
	} else if (o->kind == CV_OBJECT_INFERENCE_ROUTE) {
		const struct cv_object_range r =
			cv_object_scope(g->objects, CV_OBJECT_SANDBOX, o->scope);

		for (size_t i = r.first; i < r.end; i++)
			dirty(cv_gw_box_of(cv_object_at(g->objects, CV_OBJECT_SANDBOX, i)));
	} else if (o->kind == CV_OBJECT_PROFILE) {
		dirty_of(g,
			o->scope.n ? cv_object_scope(g->objects, CV_OBJECT_SANDBOX, o->scope)
				   : cv_object_all(g->objects, CV_OBJECT_SANDBOX),
			NULL);
	}
}

/* What was on its way may have been lost with the link. */
static void on_dialled(struct cv_gw_box *b, uint64_t policy_revision)
{
	struct cv_gw_env *e = env_of(b);

	(void)policy_revision;
	if (!e)
		return;
	if (e->is_pending)
		e->is_known = false;
	e->is_pending = false;
	dirty(b); /* also without providers: some may have been detached while it was away */
}

static void on_message(struct cv_gw_box *b, uint32_t type, struct cv_str body)
{
	struct cv_ipc_reader r = { .rest = body };
	const uint64_t revision = cv_ipc_get_u64(&r);

	if (!b->env || !b->env->is_pending || revision != b->env->sent)
		return;
	b->g->deliveries->has_work = true; /* what changed meanwhile */
	if (type == CV_GATEWAY_REPLY_CREDENTIALS_LOADED) {
		loaded(b);
	} else if (type == CV_GATEWAY_REPLY_CREDENTIALS_REFUSED) {
		char why[512];
		const struct cv_str text = cv_ipc_get_str(&r);

		if (!cv_str_to_cstr(cv_str_slice(text, 0, CV_MIN(text.n, sizeof(why) - 1)), why,
			    sizeof(why)))
			why[0] = '\0';
		later(b, why);
	}
}

/* ---- the part ---- */

static const struct cv_gw_box_hooks hooks = {
	.dialled = on_dialled,
	.message = on_message,
	.deleted = env_drop,
};

static cv_code start(struct cv_gateway *g, struct cv_err *err)
{
	g->deliveries = calloc(1, sizeof(*g->deliveries));
	if (!g->deliveries)
		return cv_fail(err, CV_LIMIT, "no memory");
	g->deliveries->next_ms = INT64_MAX;
	cv_gw_box_hook(g, &hooks);
	cv_objects_listen(g->objects, on_object, g);
	return CV_OK;
}

static int64_t turn(struct cv_gateway *g)
{
	const struct cv_object_range all = cv_object_all(g->objects, CV_OBJECT_SANDBOX);
	struct cv_gw_deliveries *d = g->deliveries;
	int64_t next = INT64_MAX;

	if (!d->has_work && g->loop.now_ms < d->next_ms)
		return d->next_ms;
	d->has_work = false;
	for (size_t i = all.first; i < all.end; i++) {
		struct cv_gw_box *b = cv_gw_box_of(cv_object_at(g->objects, CV_OBJECT_SANDBOX, i));

		if (!b || !b->env || !(b->env->is_dirty || b->env->is_pending))
			continue;
		look(b);
		if (b->link && b->env->due_ms)
			next = CV_MIN(next, b->env->due_ms);
	}
	d->next_ms = next;
	return d->has_work ? g->loop.now_ms : next;
}

static void stop(struct cv_gateway *g)
{
	const struct cv_object_range all = cv_object_all(g->objects, CV_OBJECT_SANDBOX);

	for (size_t i = all.first; i < all.end; i++) {
		struct cv_gw_box *b = cv_gw_box_of(cv_object_at(g->objects, CV_OBJECT_SANDBOX, i));

		if (b)
			env_drop(b);
	}
	free(g->deliveries);
	g->deliveries = NULL;
}

const struct cv_gw_part cv_gw_part_deliver = {
	.name = "deliver",
	.start = start,
	.stop = stop,
	.turn = turn,
};
