/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rewrap.c - see rewrap.h
 */
#include "gateway/rewrap.h"

#include "base/base64.h"
#include "gateway/config.h"
#include "gateway/pb.h"
#include "gateway/provider.h"
#include "gateway/refresh.h"
#include "gateway/tools.h"
#include "gateway/vault_keys.h"
#include "ipc/vault_link.h"

#define PER_GROUP 256 /* objects that are stored together: a turn's pause of milliseconds */

struct rewrapping {
	struct cv_gateway *g;
	struct cv_object_group *group;
	size_t in_group, n;
	struct cv_err *err;
};

/* *handle (base64) becomes the same under the present key. */
static cv_code handle_rewrap(struct rewrapping *x, struct cv_str context, char **handle)
{
	struct cv_buf old, now, text;
	cv_code code = CV_OK;

	cv_buf_init(&old, CV_VAULT_ENVELOPE_BYTES_MAX);
	cv_buf_init(&now, CV_VAULT_ENVELOPE_BYTES_MAX);
	cv_buf_init(&text, 2 * CV_VAULT_ENVELOPE_BYTES_MAX);
	if (!cv_base64_decode(cv_str_of(*handle), CV_BASE64_STD, &old))
		code = cv_fail(x->err, CV_DENIED, "what is stored was changed");
	if (code == CV_OK)
		code = cv_gw_vault_rewrap(x->g->vault, context, cv_buf_str(&old), &now, x->err);
	if (code == CV_OK) {
		cv_buf_put_base64(&text, cv_buf_str(&now), CV_BASE64_STD);
		cv_pb_str_set(handle, cv_buf_str(&text));
		x->n++;
	}
	cv_buf_fini(&old);
	cv_buf_fini(&now);
	cv_buf_fini(&text);
	return code;
}

static cv_code group_flush(struct rewrapping *x)
{
	struct cv_object_group *group = x->group;
	cv_code code = CV_OK;

	x->group = NULL;
	x->in_group = 0;
	if (group && cv_object_group_commit(group, NULL, x->err) != CV_RPC_OK)
		code = CV_UNAVAILABLE;
	return code;
}

static cv_code group_put(struct rewrapping *x, struct cv_object *o, ProtobufCMessage *m)
{
	if (!x->group)
		x->group = cv_object_group_begin(x->g->objects);
	cv_object_group_write(x->group, o, m);
	return ++x->in_group == PER_GROUP ? group_flush(x) : CV_OK;
}

static cv_code provider_rewrap(struct rewrapping *x, struct cv_object *o)
{
	cv_gw_provider_pb *m = (cv_gw_provider_pb *)(void *)cv_object_copy(o);
	cv_code code = CV_OK;

	for (size_t i = 0; i < m->n_credential_handles && code == CV_OK; i++) {
		struct cv_buf context;

		if (!m->credential_handles[i]->value)
			continue;
		cv_buf_init(&context, CV_VAULT_CONTEXT_BYTES_MAX);
		cv_gw_vault_context(&context, o->scope, cv_str_of(o->id),
			cv_str_of(m->credential_handles[i]->key));
		code = handle_rewrap(
			x, cv_buf_str(&context), &m->credential_handles[i]->value->handle);
		cv_buf_fini(&context);
	}
	if (code == CV_OK)
		return group_put(x, o, &m->base);
	cv_pb_free(m);
	return cv_wrap(x->err, "provider '%.*s'", CV_STR_ARG(o->name));
}

static cv_code refresh_rewrap(struct rewrapping *x, struct cv_object *o)
{
	cv_gw_refresh_pb *m = (cv_gw_refresh_pb *)(void *)cv_object_copy(o);
	const struct cv_object *provider =
		cv_object_find_id(x->g->objects, CV_OBJECT_PROVIDER, cv_str_of(m->provider_id));
	cv_code code = CV_OK;

	for (size_t i = 0; provider && i < m->n_secret_material_handles && code == CV_OK; i++) {
		struct cv_buf context;

		if (!m->secret_material_handles[i]->value)
			continue;
		cv_buf_init(&context, CV_VAULT_CONTEXT_BYTES_MAX);
		cv_gw_refresh_context(
			&context, provider, m->credential_key, m->secret_material_handles[i]->key);
		code = handle_rewrap(
			x, cv_buf_str(&context), &m->secret_material_handles[i]->value->handle);
		cv_buf_fini(&context);
	}
	if (code == CV_OK)
		return group_put(x, o, &m->base);
	cv_pb_free(m);
	return cv_wrap(x->err, "refresh of provider '%s'", cv_gw_refresh_of(o)->provider_name);
}

static cv_code sandbox_rewrap(struct rewrapping *x, struct cv_object *o)
{
	if (!cv_gw_tools_are_there(x->g, o))
		return CV_OK;
	x->n++;
	return cv_gw_tools_rewrap(x->g, o, x->err) == CV_OK
		       ? CV_OK
		       : cv_wrap(x->err, "sandbox '%.*s'", CV_STR_ARG(o->name));
}

static cv_code kind_rewrap(struct rewrapping *x, enum cv_object_kind kind,
	cv_code (*each)(struct rewrapping *x, struct cv_object *o))
{
	const struct cv_object_range all = cv_object_all(x->g->objects, kind);
	cv_code code = CV_OK;

	for (size_t i = all.first; i < all.end && code == CV_OK; i++)
		code = each(x, cv_object_at(x->g->objects, kind, i));
	return code;
}

cv_code cv_gw_rewrap(struct cv_gateway *g, size_t *ret_n, struct cv_err *err)
{
	struct rewrapping x = { .g = g, .err = err };
	const bool is_ours = !g->config->key_command.n;

	if (cv_gw_refreshes_running(g))
		return cv_fail(err, CV_UNAVAILABLE, "a renewal is under way; try again");
	cv_code code = is_ours ? cv_gw_keys_add(g->state_fd, err) : CV_OK;
	cv_gw_vault_restart(g->vault);
	if (code == CV_OK)
		code = kind_rewrap(&x, CV_OBJECT_PROVIDER, provider_rewrap);
	if (code == CV_OK)
		code = kind_rewrap(&x, CV_OBJECT_REFRESH, refresh_rewrap);
	if (code == CV_OK)
		code = kind_rewrap(&x, CV_OBJECT_SANDBOX, sandbox_rewrap);
	if (code == CV_OK)
		code = group_flush(&x);
	cv_object_group_free(x.group);
	if (code == CV_OK && is_ours)
		code = cv_gw_keys_keep_first(g->state_fd, err);
	cv_gw_vault_restart(g->vault);
	*ret_n = x.n;
	return code;
}
