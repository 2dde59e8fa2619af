/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kept_rpc.c - what clients ask of commands that outlive them: StartExec, FollowExec, ListExecs,
 * KillExec
 *
 * Who may run commands in a sandbox may do all of it, with whoever's command; others hear that there
 * is no such sandbox.  A command is named by its sandbox and its own id, so that an id says nothing
 * without the sandbox.
 */
#include "gateway/kept_int.h"

#include "gateway/access.h"
#include "gateway/exec_int.h"
#include "gateway/pb.h"

#include "base/utf8.h"
#include "sys/clock.h"

#include <signal.h>
#include <stdlib.h>

#define SIGNAL_MAX 64 /* SIGRTMAX of the kernel */
#define KEY_USED   "idempotency_key was used for another command in this sandbox"

const char *kept_reason_name(enum cv_kept_reason r)
{
	static const char *const name[CV_KEPT_REASON_COUNT] = {
		[CV_KEPT_EXITED] = "exited",
		[CV_KEPT_TIMED_OUT] = "timed_out",
		[CV_KEPT_NOT_STARTED] = "not_started",
		[CV_KEPT_LOST] = "sandbox_ended",
	};

	return name[r];
}

/* ---- as clients see it ---- */

/* proto3's strings are UTF-8: what is not becomes U+FFFD. */
static char *text_of(struct cv_arena *arena, struct cv_str s)
{
	struct cv_buf b;
	struct cv_str copy;

	cv_buf_init(&b, 3 * CV_KEPT_ABOUT_MAX);
	while (s.n) {
		const size_t n = cv_utf8_step(s);

		cv_buf_put(&b, n ? cv_str_slice(s, 0, n) : CV_STR("\xef\xbf\xbd"));
		s = cv_str_slice(s, CV_MAX(n, (size_t)1), s.n);
	}
	copy = cv_arena_str(arena, cv_buf_str(&b)); /* a NUL follows */
	cv_buf_fini(&b);
	return (char *)(uintptr_t)(copy.p ? copy.p : "");
}

/* NULL: no memory. */
static Cove__V1__Exec *view(const struct cv_gw_kept *k, struct cv_arena *arena)
{
	const struct cv_gw_box *b = cv_gw_box_get(k->g, k->box);
	Cove__V1__Exec *m = cv_arena_new(arena, Cove__V1__Exec);
	Cove__V1__ExecEnd *e = cv_arena_new(arena, Cove__V1__ExecEnd);
	struct cv_kept_end end;

	if (!m || !e || !b)
		return NULL;
	cove__v1__exec__init(m);
	m->id = text_of(arena, k->about.id);
	m->sandbox_id = text_of(arena, cv_str_of(b->object->id));
	m->command = cv_arena_array(arena, k->about.arg_count + 1, sizeof(char *));
	for (size_t i = 0; m->command && i < k->about.arg_count; i++)
		m->command[m->n_command++] = text_of(arena, k->about.args[i]);
	m->is_command_cut = k->about.is_cut;
	m->workdir = text_of(arena, k->about.workdir);
	m->created_by = text_of(arena, k->about.subject);
	m->created_at_ms = k->about.created_ms;
	m->tty = k->about.is_tty;
	m->takes_input =
		kept_takes_input(k) && !k->is_input_over && !k->has_eof && !kept_end_of(k, &end);
	if (k->writer && !k->writer->is_finished)
		m->attached =
			text_of(arena, cv_str_of(cv_rpc_call_principal(k->writer->call)->subject));
	if (k->state == KEPT_RUNS) {
		m->output_bytes = cv_kept_bytes(&k->ring);
		m->kept_from = cv_kept_first(&k->ring);
	}
	if (kept_end_of(k, &end)) {
		cove__v1__exec_end__init(e);
		e->exit_code = end.exit_code;
		e->reason = (char *)(uintptr_t)kept_reason_name(end.reason);
		e->ended_at_ms = end.unix_ms;
		m->end = e;
	}
	return arena->is_overflown ? NULL : m;
}

static void no_memory(struct cv_rpc_call *c)
{
	cv_rpc_finish(c, CV_RPC_RESOURCE_EXHAUSTED, "no memory");
}

/* ---- StartExec ---- */

void kept_starter_fail(struct cv_gw_kept *k, enum cv_rpc_status s, const char *why)
{
	struct cv_rpc_call *c = k->starter;

	if (!c)
		return;
	k->starter = NULL;
	cv_rpc_call_set_state(c, NULL);
	cv_rpc_finish(c, s, "%s", why);
}

static void started_reply(struct cv_rpc_call *c, const struct cv_gw_kept *k, bool existed)
{
	Cove__V1__StartExecResponse m;

	cove__v1__start_exec_response__init(&m);
	m.exec = view(k, cv_rpc_call_arena(c));
	m.existed = existed;
	if (m.exec)
		cv_rpc_reply(c, &m.base);
	else
		no_memory(c);
}

void kept_starter_reply(struct cv_gw_kept *k, bool existed)
{
	struct cv_rpc_call *c = k->starter;

	if (!c)
		return;
	k->starter = NULL;
	cv_rpc_call_set_state(c, NULL);
	started_reply(c, k, existed);
}

/* At most max bytes, no character cut. */
static struct cv_str cut(struct cv_str s, size_t max, bool *ret_is_cut)
{
	size_t n = CV_MIN(s.n, max);

	while (n < s.n && n && ((unsigned char)s.p[n] & 0xc0) == 0x80)
		n--;
	*ret_is_cut |= n < s.n;
	return cv_str_slice(s, 0, n);
}

static void digest_of(const void *request, unsigned char ret[CV_SHA256_BYTES])
{
	const size_t n = protobuf_c_message_get_packed_size(request);
	uint8_t *bytes = malloc(n ? n : 1);
	struct cv_sha256 s;

	cv_sha256_init(&s);
	if (bytes)
		cv_sha256_update(&s, bytes, protobuf_c_message_pack(request, bytes));
	cv_sha256_final(&s, ret);
	if (bytes)
		explicit_bzero(bytes, n); /* variables and stdin may be secrets */
	free(bytes);
}

static bool about_make(
	struct cv_gw_kept *k, const struct cv_rpc_call *c, const Cove__V1__StartExecRequest *q)
{
	const Openshell__V1__ExecSandboxRequest *r = q->exec;
	static struct kept_about a; /* scratch: it is large */
	char id[CV_OBJECT_ID_BYTES + 1];
	size_t left = KEPT_COMMAND_BYTES;
	bool is_other_cut = false;

	cv_object_id_make(id);
	a = (struct kept_about){ .id = cv_str_of(id),
		.subject = cut(cv_str_of(cv_rpc_call_principal(c)->subject), KEPT_SUBJECT_BYTES,
			&is_other_cut),
		.key = cv_str_of(q->idempotency_key),
		.is_tty = r->tty,
		.has_stdin = q->keep_stdin && !r->tty,
		.workdir = cut(cv_str_of(r->workdir), KEPT_WORKDIR_BYTES, &is_other_cut),
		.created_ms = cv_clock_unix_ms() };
	digest_of(r, a.digest);
	for (size_t i = 0; i < r->n_command; i++) {
		if (left < 8 || a.arg_count == KEPT_ARGS_MAX) {
			a.is_cut = true;
			break;
		}
		a.args[a.arg_count] = cut(cv_str_of(r->command[i]), left - 4, &a.is_cut);
		left -= a.args[a.arg_count++].n + 4;
	}
	return kept_about_put(&k->about_bytes, &a) &&
	       kept_about_get(cv_buf_str(&k->about_bytes), &k->about);
}

static enum cv_rpc_status request_check(const Cove__V1__StartExecRequest *q, struct cv_err *err)
{
	if (!q->exec)
		return cv_gw_invalid(err, "exec is required");
	if (strlen(q->idempotency_key) > KEPT_KEY_BYTES_MAX)
		return cv_gw_invalid(err, "idempotency_key exceeds maximum length (%zu > %d)",
			strlen(q->idempotency_key), KEPT_KEY_BYTES_MAX);
	return exec_request_check(q->exec, err);
}

/* The one that was started with this key, or NULL. */
static enum cv_rpc_status existing_find(const struct cv_gw_box *b,
	const Cove__V1__StartExecRequest *q, struct cv_gw_kept **ret, struct cv_err *err)
{
	const struct cv_str key = cv_str_of(q->idempotency_key);
	unsigned char digest[CV_SHA256_BYTES];
	struct cv_gw_kept *k;

	*ret = NULL;
	for (k = key.n ? b->kept : NULL; k && !cv_str_eq(k->about.key, key); k = k->next)
		;
	if (!k)
		return CV_RPC_OK;
	digest_of(q->exec, digest);
	if (memcmp(digest, k->about.digest, sizeof(digest)) != 0)
		return cv_fail(err, CV_INVALID, KEY_USED), CV_RPC_ALREADY_EXISTS;
	*ret = k;
	return CV_RPC_OK;
}

static void join(struct cv_rpc_call *c, struct cv_gw_kept *k)
{
	if (k->state == KEPT_RUNS) {
		started_reply(c, k, true);
	} else if (k->starter) {
		cv_rpc_finish(c, CV_RPC_ABORTED, "somebody else is starting it");
	} else {
		k->starter = c;
		cv_rpc_call_set_state(c, k);
	}
}

/* What was asked for while its supervisor was away may have been started by a gateway before us. */
bool kept_twin_join(struct cv_gw_kept *k, struct cv_gw_box *b)
{
	struct cv_gw_kept *twin = b->kept;
	struct cv_rpc_call *c = k->starter;

	while (twin && (twin == k || twin->state != KEPT_RUNS ||
			       !cv_str_eq(twin->about.key, k->about.key)))
		twin = twin->next;
	if (!twin || !k->about.key.n)
		return false;
	k->starter = NULL;
	if (c)
		cv_rpc_call_set_state(c, NULL);
	if (c && memcmp(twin->about.digest, k->about.digest, sizeof(k->about.digest)) != 0)
		cv_rpc_finish(c, CV_RPC_ALREADY_EXISTS, KEY_USED);
	else if (c)
		started_reply(c, twin, true);
	kept_free(k);
	return true;
}

static enum cv_rpc_status start(struct cv_rpc_call *c, const Cove__V1__StartExecRequest *q,
	struct cv_gw_box *b, struct cv_err *err)
{
	struct cv_kept_end end;
	size_t running = 0;
	bool is_waiting;
	const enum cv_rpc_status s = exec_box_check(b, &is_waiting, err);

	if (s != CV_RPC_OK)
		return s;
	for (const struct cv_gw_kept *k = b->kept; k; k = k->next)
		running += !kept_end_of(k, &end);
	struct cv_gw_kept *k = running < KEPT_RUNNING_MAX ? kept_new(b, exec_id_next(b)) : NULL;
	if (!k)
		return cv_fail(err, CV_LIMIT, "too many commands run in this sandbox"),
		       CV_RPC_RESOURCE_EXHAUSTED;
	k->request = cv_pb_copy(q->exec);
	if (!about_make(k, c, q)) {
		kept_free(k);
		return cv_fail(err, CV_LIMIT, "no memory"), CV_RPC_RESOURCE_EXHAUSTED;
	}
	k->starter = c;
	k->is_start_held = q->hold;
	if (kept_takes_input(k))
		cv_buf_put(&k->in,
			(struct cv_str){ (const char *)q->exec->stdin.data, q->exec->stdin.len });
	cv_rpc_call_set_state(c, k);
	if (is_waiting)
		kept_deadline(k, EXEC_WAIT_MS);
	else
		kept_send(k, b);
	return CV_RPC_OK;
}

static void on_start(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const Cove__V1__StartExecRequest *q = (const void *)m;
	struct cv_gw_kept *existing = NULL;
	struct cv_gw_box *b;
	struct cv_err err;
	enum cv_rpc_status s = request_check(q, &err);

	if (s == CV_RPC_OK)
		s = cv_gw_box_open(c, "sandbox_id", cv_str_of(q->exec->sandbox_id), CV_STR_NONE,
			true, &b, &err);
	if (s == CV_RPC_OK)
		s = existing_find(b, q, &existing, &err);
	if (s == CV_RPC_OK && existing) {
		join(c, existing);
		return;
	}
	if (s == CV_RPC_OK)
		s = start(c, q, b, &err);
	if (s != CV_RPC_OK)
		cv_gw_fail(c, s, &err);
}

/* Who has a key may come again for it; nobody would for another that was not sent yet. */
static void on_start_closed(struct cv_rpc_call *c)
{
	struct cv_gw_kept *k = cv_rpc_call_state(c);

	if (!k)
		return;
	k->starter = NULL;
	if (k->state == KEPT_WAITING && !k->about.key.n)
		kept_free(k);
}

/* ---- of one command ---- */

/* Its supervisor, which knows what runs, has not come back yet. */
static bool is_unsure(const struct cv_gw_box *b)
{
	return b->state == CV_GW_LOST || b->state == CV_GW_DIALLED;
}

static enum cv_rpc_status refuse_unsure(struct cv_err *err)
{
	cv_fail(err, CV_UNAVAILABLE, "the sandbox's supervisor is not connected; try again");
	return CV_RPC_UNAVAILABLE;
}

enum cv_rpc_status kept_open(const struct cv_rpc_call *c, const char *sandbox, const char *id,
	bool is_change, struct cv_gw_kept **ret, struct cv_err *err)
{
	struct cv_gw_box *b;

	if (!*sandbox)
		return cv_gw_invalid(err, "sandbox_id is required");
	if (!*id)
		return cv_gw_invalid(err, "exec_id is required");
	const enum cv_rpc_status s = cv_gw_box_open(
		c, "sandbox_id", cv_str_of(sandbox), CV_STR_NONE, is_change, &b, err);
	if (s != CV_RPC_OK)
		return s;
	*ret = kept_find(b, cv_str_of(id));
	if (*ret)
		return CV_RPC_OK;
	if (is_unsure(b))
		return refuse_unsure(err);
	return cv_fail(err, CV_NOT_FOUND, "exec not found"), CV_RPC_NOT_FOUND;
}

/* ---- FollowExec ---- */

enum cv_rpc_status kept_follower_check(
	const struct cv_gw_kept *k, uint64_t offset, struct cv_err *err)
{
	if (k->state != KEPT_RUNS)
		return cv_fail(err, CV_UNAVAILABLE, "it is being started"), CV_RPC_UNAVAILABLE;
	if (offset > cv_kept_bytes(&k->ring))
		return cv_fail(err, CV_INVALID,
			       "from_offset is beyond what was printed (%llu > %llu)",
			       (unsigned long long)offset,
			       (unsigned long long)cv_kept_bytes(&k->ring)),
		       CV_RPC_OUT_OF_RANGE;
	if (k->follower_count >= KEPT_FOLLOWERS_MAX)
		return cv_fail(err, CV_LIMIT, "too many follow this command; at most %d",
			       KEPT_FOLLOWERS_MAX),
		       CV_RPC_RESOURCE_EXHAUSTED;
	return CV_RPC_OK;
}

enum cv_rpc_status kept_follower_new(struct cv_rpc_call *c, struct cv_gw_kept *k, uint64_t offset,
	bool holds, struct kept_follower **ret, struct cv_err *err)
{
	struct kept_follower *f = calloc(1, sizeof(*f));

	if (!f)
		return cv_fail(err, CV_LIMIT, "no memory"), CV_RPC_RESOURCE_EXHAUSTED;
	f->of = k;
	f->call = c;
	f->reader.offset = offset;
	f->holds = holds;
	f->next = k->followers;
	k->followers = f;
	k->follower_count++;
	cv_rpc_call_set_state(c, f);
	*ret = f;
	return CV_RPC_OK;
}

static enum cv_rpc_status follow(
	struct cv_rpc_call *c, const Cove__V1__FollowExecRequest *q, struct cv_err *err)
{
	struct kept_follower *f;
	struct cv_gw_kept *k;
	enum cv_rpc_status s = kept_open(c, q->sandbox_id, q->exec_id, false, &k, err);

	if (s == CV_RPC_OK)
		s = kept_follower_check(k, q->from_offset, err);
	if (s == CV_RPC_OK)
		s = kept_follower_new(c, k, q->from_offset, q->hold, &f, err);
	if (s == CV_RPC_OK)
		kept_pump(f);
	return s;
}

static void on_follow(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	struct cv_err err;
	const enum cv_rpc_status s = follow(c, (const void *)m, &err);

	if (s != CV_RPC_OK)
		cv_gw_fail(c, s, &err);
}

void kept_follow_writable(struct cv_rpc_call *c)
{
	struct kept_follower *f = cv_rpc_call_state(c);

	if (!f || !f->of)
		return;
	f->is_full = false;
	kept_pump(f);
}

void kept_follow_closed(struct cv_rpc_call *c)
{
	struct kept_follower *f = cv_rpc_call_state(c);
	struct cv_gw_kept *k = f ? f->of : NULL;

	for (struct kept_follower **p = k ? &k->followers : NULL; p && *p; p = &(*p)->next)
		if (*p == f) {
			*p = f->next;
			k->follower_count--;
			break;
		}
	if (k && k->writer == f)
		k->writer = NULL; /* what he gave still goes */
	if (k)
		kept_pace_tell(k);
	free(f);
}

/* ---- ListExecs, KillExec ---- */

static void on_list(struct cv_rpc_call *c, const ProtobufCMessage *message)
{
	const Cove__V1__ListExecsRequest *q = (const void *)message;
	struct cv_arena *arena = cv_rpc_call_arena(c);
	Cove__V1__ListExecsResponse m;
	struct cv_gw_box *b;
	struct cv_err err;
	size_t n = 0;
	enum cv_rpc_status s = *q->sandbox_id
				       ? cv_gw_box_open(c, "sandbox_id", cv_str_of(q->sandbox_id),
						 CV_STR_NONE, false, &b, &err)
				       : cv_gw_invalid(&err, "sandbox_id is required");

	if (s == CV_RPC_OK && is_unsure(b))
		s = refuse_unsure(&err);
	if (s != CV_RPC_OK) {
		cv_gw_fail(c, s, &err);
		return;
	}
	cove__v1__list_execs_response__init(&m);
	for (const struct cv_gw_kept *k = b->kept; k; k = k->next)
		n += k->state == KEPT_RUNS;
	m.execs = cv_arena_array(arena, n + 1, sizeof(*m.execs));
	m.n_execs = n;
	for (const struct cv_gw_kept *k = b->kept; k && m.execs; k = k->next) {
		if (k->state != KEPT_RUNS)
			continue;
		m.execs[--n] = view(k, arena); /* the oldest first */
		if (!m.execs[n])
			m.execs = NULL;
	}
	if (m.execs)
		cv_rpc_reply(c, &m.base);
	else
		no_memory(c);
}

static enum cv_rpc_status signal_send(struct cv_gw_kept *k, uint32_t number, struct cv_err *err)
{
	const uint32_t v[] = { k->number, number };
	struct cv_gw_box *b = cv_gw_box_get(k->g, k->box);

	if (k->state == KEPT_RUNS && k->ssh) {
		exec_ssh_signal(k->ssh, (int)number);
		return CV_RPC_OK;
	}
	return k->state == KEPT_RUNS && b && cv_gw_box_send_u32s(b, CV_GATEWAY_REQ_SIGNAL, v, 2)
		       ? CV_RPC_OK
		       : refuse_unsure(err);
}

static void on_kill(struct cv_rpc_call *c, const ProtobufCMessage *message)
{
	const Cove__V1__KillExecRequest *q = (const void *)message;
	Cove__V1__KillExecResponse m;
	struct cv_gw_kept *k;
	struct cv_err err;
	enum cv_rpc_status s = kept_open(c, q->sandbox_id, q->exec_id, true, &k, &err);

	cove__v1__kill_exec_response__init(&m);
	if (s == CV_RPC_OK && q->signal > SIGNAL_MAX)
		s = cv_gw_invalid(&err, "signal must be at most %d", SIGNAL_MAX);
	if (s == CV_RPC_OK) {
		/* Before: its end is read from what the supervisor writes, who is as quick as we are. */
		m.exec = view(k, cv_rpc_call_arena(c));
		if (m.exec && !m.exec->end)
			s = signal_send(k, q->signal ? q->signal : SIGTERM, &err);
	}
	if (s != CV_RPC_OK)
		cv_gw_fail(c, s, &err);
	else if (m.exec)
		cv_rpc_reply(c, &m.base);
	else
		no_memory(c);
}

const struct cv_gw_method kept_methods[KEPT_METHODS] = {
	{ "StartExec", { .message = on_start, .closed = on_start_closed } },
	{ "FollowExec", { .message = on_follow,
				.writable = kept_follow_writable,
				.closed = kept_follow_closed } },
	{ "AttachExec", { .message = kept_attach_message,
				.half_closed = kept_attach_half_closed,
				.writable = kept_follow_writable,
				.closed = kept_follow_closed } },
	{ "ListExecs", { .message = on_list } },
	{ "KillExec", { .message = on_kill } },
};
