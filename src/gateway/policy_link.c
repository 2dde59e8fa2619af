/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_link.c - between policies and the supervisors that enforce them
 *
 * A supervisor starts with the text of the revision that holds then; whatever holds later is pushed,
 * and also when one dials that has another.  What it says about it becomes the revision's status.
 */
#include "gateway/draft.h"
#include "gateway/policy_int.h"
#include "gateway/sandbox.h"

#include "gateway/pb.h"
#include "gateway/settings.h"
#include "ipc/frame.h"

#include <unistd.h>

static cv_code memfd_send(struct cv_gw_box *b, enum cv_gateway_req type, struct cv_str body,
	const char *name, struct cv_str text, struct cv_err *err)
{
	int fd;

	if (cv_ipc_memfd(name, text, &fd, err) != CV_OK)
		return err->code;
	(void)cv_gw_box_send(b, type, body, &fd, 1); /* else it is told when it dials again */
	close(fd);
	return CV_OK;
}

static bool may_propose(const struct cv_gw_box *b)
{
	return cv_gw_setting_is_true(b->g, cv_str_of(b->object->id), CV_GW_SETTING_PROPOSALS);
}

/* If it does not know them. */
static void settings_send(struct cv_gw_box *b)
{
	const enum cv_gw_proposals now = may_propose(b) ? CV_GW_PROPOSALS_ON : CV_GW_PROPOSALS_OFF;
	struct cv_buf body;

	if (b->proposals_told == now)
		return;
	cv_buf_init(&body, 8);
	cv_ipc_put_u32(&body, now == CV_GW_PROPOSALS_ON ? CV_GATEWAY_SETTING_PROPOSALS : 0);
	if (cv_gw_box_send(b, CV_GATEWAY_REQ_SETTINGS, cv_buf_str(&body), NULL, 0))
		b->proposals_told = now;
	cv_buf_fini(&body);
}

/* Always with its layer: a global policy has none, whatever the one before had. */
static void send_text(struct cv_gateway *g, const struct cv_object *sandbox, uint64_t revision,
	struct cv_str text, struct cv_str layer)
{
	struct cv_gw_box *b = cv_gw_box_of(sandbox);
	struct cv_err err;
	struct cv_buf body;

	(void)g;
	if (b)
		cv_gw_box_log(b, "OCSF", "ocsf",
			"CONFIG:UPDATED [INFO] Policy revision %u is to be loaded [version:%u%s]",
			(uint32_t)revision, (uint32_t)revision,
			revision & CV_GW_POLICY_GLOBAL_BIT ? " source:global" : "");
	if (!b || !b->link)
		return; /* it is told when it dials */
	settings_send(b);
	cv_buf_init(&body, 16);
	cv_ipc_put_u64(&body, revision);
	if (memfd_send(b, CV_GATEWAY_REQ_LAYER, CV_STR_NONE, "layer", layer, &err) != CV_OK ||
		memfd_send(b, CV_GATEWAY_REQ_POLICY, cv_buf_str(&body), "policy", text, &err) !=
			CV_OK)
		cv_gw_box_log(b, "ERROR", "policy", "revision not sent: %s", err.msg);
	cv_buf_fini(&body);
}

/* The policy of a new sandbox is found good before there is one. */
static enum cv_rpc_status on_create(struct cv_gateway *g, const struct cv_rpc_call *c,
	Openshell__V1__Sandbox *m, struct cv_err *err)
{
	struct cv_arena arena;
	cv_policy_pb *policy;
	enum cv_rpc_status s = CV_RPC_INVALID_ARGUMENT;

	(void)c;
	if (!m->spec || !m->spec->policy)
		return CV_RPC_OK;
	cv_arena_init(&arena, CV_GW_POLICY_ARENA_MAX);
	if (cv_policy_pb_canonical(m->spec->policy, &arena, &policy, err) == CV_OK)
		s = cv_gw_policy_check(g, NULL, NULL, policy, err);
	if (s == CV_RPC_OK) {
		cv_pb_free(m->spec->policy);
		m->spec->policy = cv_pb_copy(policy);
	}
	cv_arena_fini(&arena);
	return s;
}

/* With the layer that its providers have by now. */
static cv_code layered_check(struct cv_gw_box *b, struct cv_arena *arena, struct cv_err *err)
{
	struct cv_gw_revision own;

	if (cv_gw_policy_latest(b->g, b->object, arena, &own, err) != CV_RPC_OK ||
		cv_gw_policy_check(b->g, b->object, NULL, own.policy, err) != CV_RPC_OK)
		return CV_INVALID;
	return CV_OK;
}

static cv_code on_prepare(struct cv_gw_box *b, struct cv_driver_sandbox *s, struct cv_arena *arena,
	struct cv_err *err)
{
	struct cv_arena scratch;
	struct cv_buf text, layer;
	cv_code code = CV_INVALID;

	s->has_ocsf_log =
		cv_gw_setting_is_true(b->g, cv_str_of(b->object->id), "ocsf_json_enabled");
	s->may_propose = may_propose(b);
	b->proposals_told = s->may_propose ? CV_GW_PROPOSALS_ON : CV_GW_PROPOSALS_OFF;
	cv_arena_init(&scratch, CV_GW_POLICY_ARENA_MAX);
	cv_buf_init(&text, CV_POLICY_PB_TEXT_BYTES_MAX);
	cv_buf_init(&layer, CV_POLICY_PB_TEXT_BYTES_MAX);
	if (cv_gw_policy_texts(b->g, b->object, &text, &layer, &b->policy_revision, err) ==
		CV_RPC_OK)
		code = cv_buf_len(&layer) ? layered_check(b, &scratch, err) : CV_OK;
	if (code == CV_OK) {
		s->policy = cv_arena_str(arena, cv_buf_str(&text));
		if (cv_buf_len(&layer))
			s->policy_layer = cv_arena_str(arena, cv_buf_str(&layer));
		if (arena->is_overflown)
			code = cv_fail(err, CV_LIMIT, "the policy is too large to start with");
	}
	cv_buf_fini(&layer);
	cv_buf_fini(&text);
	cv_arena_fini(&scratch);
	return code;
}

/* 0: the one it was started with, and it stands, so its proxy has taken it. */
static void on_dialled(struct cv_gw_box *b, uint64_t revision)
{
	struct cv_buf text, layer;
	struct cv_err err;
	uint64_t now = 0;

	settings_send(b);
	cv_buf_init(&text, CV_POLICY_PB_TEXT_BYTES_MAX);
	cv_buf_init(&layer, CV_POLICY_PB_TEXT_BYTES_MAX);
	if (cv_gw_policy_texts(b->g, b->object, &text, &layer, &now, &err) == CV_RPC_OK) {
		if (now == (revision ? revision : b->policy_revision))
			cv_gw_policy_reported(
				b->g, cv_str_of(b->object->id), now, true, CV_STR_NONE);
		else
			send_text(b->g, b->object, now, cv_buf_str(&text), cv_buf_str(&layer));
	}
	cv_buf_fini(&layer);
	cv_buf_fini(&text);
}

static void on_denial(struct cv_gw_box *b, struct cv_ipc_reader *r)
{
	const struct cv_str host = cv_ipc_get_str(r);
	const uint32_t port = cv_ipc_get_u32(r);
	const struct cv_str binary = cv_ipc_get_str(r);
	const uint32_t stage = cv_ipc_get_u32(r);

	if (!r->is_bad && stage == CV_GATEWAY_DENIAL_L4)
		cv_gw_draft_denied(b->g, cv_str_of(b->object->id), host, port, binary);
}

static void on_message(struct cv_gw_box *b, uint32_t type, struct cv_str body)
{
	struct cv_ipc_reader r = { .rest = body };

	if (type == CV_GATEWAY_REPLY_DENIAL) {
		on_denial(b, &r);
		return;
	}
	if (type != CV_GATEWAY_REPLY_POLICY_LOADED && type != CV_GATEWAY_REPLY_POLICY_REFUSED)
		return; /* of credentials */
	const uint64_t revision = cv_ipc_get_u64(&r);
	const bool is_loaded = type == CV_GATEWAY_REPLY_POLICY_LOADED;
	const struct cv_str why = is_loaded ? CV_STR_NONE : cv_ipc_get_str(&r);
	if (r.is_bad)
		return;
	cv_gw_policy_reported(b->g, cv_str_of(b->object->id), revision, is_loaded, why);
	if (is_loaded)
		cv_gw_box_log(b, "INFO", "policy", "revision %u loaded", (uint32_t)revision);
	else
		cv_gw_box_log(b, "WARN", "policy", "revision %u refused: %.*s", (uint32_t)revision,
			CV_STR_ARG(why));
}

static void on_deleted(struct cv_gw_box *b)
{
	cv_gw_policy_forget(b->g, cv_str_of(b->object->id));
}

static const struct cv_gw_box_hooks hooks = {
	.create = on_create,
	.prepare = on_prepare,
	.dialled = on_dialled,
	.message = on_message,
	.deleted = on_deleted,
};

void cv_gw_policy_link(struct cv_gateway *g)
{
	cv_gw_policy_send_set(g, send_text);
	cv_gw_policy_layer_set(g, cv_gw_policy_providers_layer);
	cv_gw_box_hook(g, &hooks);
}
