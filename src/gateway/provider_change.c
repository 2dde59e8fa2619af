/* SPDX-License-Identifier: Apache-2.0 */
/*
 * provider_change.c - see provider_change.h
 */
#include "gateway/provider_change.h"

#include "base/base64.h"
#include "cred/compose.h"
#include "gateway/access.h"
#include "gateway/labels.h"
#include "gateway/pb.h"
#include "gateway/vault.h"
#include "ipc/vault_link.h"

#define DM(name)         Openshell__Datamodel__V1__##name
#define TYPE_BYTES_MAX   64 /* openshell-api 7 */
#define CREDENTIALS_MAX  32
#define CONFIG_MAX       64
#define CONFIG_VALUE_MAX 8192 /* as values of an environment */
#define HANDLE_DRIVER    "vault"

typedef cv_gw_provider_pb provider;

/* ---- what a request may say ---- */

static enum cv_rpc_status credentials_check(const provider *p, struct cv_err *err)
{
	if (p->n_credentials > CREDENTIALS_MAX)
		return cv_gw_invalid(err, "provider.credentials exceeds maximum entries (%zu > %d)",
			p->n_credentials, CREDENTIALS_MAX);
	for (size_t i = 0; i < p->n_credentials; i++) {
		const struct cv_str key = cv_str_of(p->credentials[i]->key);
		const struct cv_str value = cv_str_of(p->credentials[i]->value);
		const char *fault = value.n ? cv_cred_value_fault(value) : NULL;

		if (!cv_cred_is_key(key))
			return cv_gw_invalid(err,
				"provider.credentials: '%.64s' cannot be the name of a variable",
				p->credentials[i]->key);
		if (value.n > CV_VAULT_VALUE_BYTES_MAX)
			return cv_gw_invalid(err,
				"provider.credentials: the value of %.64s exceeds maximum length "
				"(%zu > %u)",
				p->credentials[i]->key, value.n, CV_VAULT_VALUE_BYTES_MAX);
		if (fault)
			return cv_gw_invalid(err, "provider.credentials: the value of %.64s %s",
				p->credentials[i]->key, fault);
	}
	return CV_RPC_OK;
}

static enum cv_rpc_status config_check(const provider *p, struct cv_err *err)
{
	if (p->n_config > CONFIG_MAX)
		return cv_gw_invalid(err, "provider.config exceeds maximum entries (%zu > %d)",
			p->n_config, CONFIG_MAX);
	for (size_t i = 0; i < p->n_config; i++) {
		const size_t n = strlen(p->config[i]->value);

		if (!cv_cred_is_key(cv_str_of(p->config[i]->key)))
			return cv_gw_invalid(err,
				"provider.config: '%.64s' cannot be the name of a variable",
				p->config[i]->key);
		if (n > CONFIG_VALUE_MAX)
			return cv_gw_invalid(err,
				"provider.config: the value of %.64s exceeds maximum length (%zu > %d)",
				p->config[i]->key, n, CONFIG_VALUE_MAX);
	}
	return CV_RPC_OK;
}

enum cv_rpc_status cv_gw_provider_check(const provider *p, struct cv_err *err)
{
	enum cv_rpc_status s;

	if (!p || !p->metadata)
		return cv_gw_invalid(
			err, p ? "provider.metadata is required" : "provider is required");
	if (strlen(p->type) > TYPE_BYTES_MAX)
		return cv_gw_invalid(err, "provider.type exceeds maximum length (%zu > %d)",
			strlen(p->type), TYPE_BYTES_MAX);
	s = cv_name_check_other("provider.metadata.name", cv_str_of(p->metadata->name), err);
	if (s == CV_RPC_OK)
		s = cv_labels_check("provider.metadata.labels", p->metadata->labels,
			p->metadata->n_labels, err);
	if (s == CV_RPC_OK)
		s = cv_annotations_check("provider.metadata.annotations", p->metadata->annotations,
			p->metadata->n_annotations, err);
	if (s == CV_RPC_OK)
		s = credentials_check(p, err);
	return s == CV_RPC_OK ? config_check(p, err) : s;
}

/* ---- changing a stored message (pb.h: what it holds is its own) ---- */

static size_t handle_at(const provider *m, const char *key)
{
	size_t i = 0;

	while (i < m->n_credential_handles && strcmp(m->credential_handles[i]->key, key) != 0)
		i++;
	return i;
}

static void expiry_set(provider *m, const char *key, int64_t ms)
{
	size_t i = 0;

	while (i < m->n_credential_expires_at_ms &&
		strcmp(m->credential_expires_at_ms[i]->key, key) != 0)
		i++;
	if (i < m->n_credential_expires_at_ms && !ms) {
		cv_pb_free(cv_pb_take(
			&m->credential_expires_at_ms, &m->n_credential_expires_at_ms, i));
		return;
	}
	if (!ms)
		return;
	if (i == m->n_credential_expires_at_ms) {
		DM(Provider__CredentialExpiresAtMsEntry) *e = cv_pb_new(
			&openshell__datamodel__v1__provider__credential_expires_at_ms_entry__descriptor);

		cv_pb_str_set(&e->key, cv_str_of(key));
		cv_pb_append(&m->credential_expires_at_ms, &m->n_credential_expires_at_ms, e);
	}
	m->credential_expires_at_ms[i]->value = ms;
}

static void credential_remove(provider *m, const char *key)
{
	const size_t i = handle_at(m, key);

	if (i < m->n_credential_handles)
		cv_pb_free(cv_pb_take(&m->credential_handles, &m->n_credential_handles, i));
	expiry_set(m, key, 0);
}

/* Of the value only its kind is kept beside the envelope: what its placeholder should look like. */
static void handle_put(provider *m, struct cv_str key, struct cv_str value, struct cv_str envelope)
{
	const size_t i = handle_at(m, key.p);
	const struct cv_shape *shape = cv_shape_guess(key, value);
	DM(CredentialHandle) *h =
		cv_pb_new(&openshell__datamodel__v1__credential_handle__descriptor);

	cv_pb_str_set(&h->driver, CV_STR(HANDLE_DRIVER));
	cv_pb_str_set(&h->handle, envelope);
	if (shape)
		cv_pb_map_set(&h->metadata, &h->n_metadata,
			&openshell__datamodel__v1__credential_handle__metadata_entry__descriptor,
			CV_STR("shape"), cv_shape_name(shape));
	if (i == m->n_credential_handles) {
		DM(Provider__CredentialHandlesEntry) *e = cv_pb_new(
			&openshell__datamodel__v1__provider__credential_handles_entry__descriptor);

		cv_pb_str_set(&e->key, key);
		cv_pb_append(&m->credential_handles, &m->n_credential_handles, e);
	}
	cv_pb_free(m->credential_handles[i]->value);
	m->credential_handles[i]->value = h;
}

bool cv_gw_provider_has(const provider *p, const char *key)
{
	return handle_at(p, key) < p->n_credential_handles;
}

void cv_gw_provider_envelope_put(
	provider *m, struct cv_str key, struct cv_str envelope, int64_t expires_ms)
{
	const size_t i = handle_at(m, key.p);

	if (i == m->n_credential_handles)
		handle_put(m, key, CV_STR_NONE, envelope);
	else
		cv_pb_str_set(&m->credential_handles[i]->value->handle, envelope);
	expiry_set(m, key.p, expires_ms);
}

static enum cv_rpc_status sealed(struct cv_gateway *g, provider *m, struct cv_str key,
	struct cv_str value, struct cv_err *err)
{
	struct cv_buf context, envelope, text;

	cv_buf_init(&context, CV_VAULT_CONTEXT_BYTES_MAX);
	cv_buf_init(&envelope, CV_VAULT_ENVELOPE_BYTES_MAX);
	cv_buf_init(&text, 2 * CV_VAULT_ENVELOPE_BYTES_MAX);
	cv_gw_vault_context(
		&context, cv_str_of(m->metadata->workspace), cv_str_of(m->metadata->id), key);
	const cv_code code =
		cv_gw_vault_seal(g->vault, cv_buf_str(&context), value, &envelope, err);
	if (code == CV_OK) {
		cv_buf_put_base64(&text, cv_buf_str(&envelope), CV_BASE64_STD);
		handle_put(m, key, value, cv_buf_str(&text));
	}
	cv_buf_fini(&context);
	cv_buf_fini(&envelope);
	cv_buf_fini(&text);
	return code == CV_OK                             ? CV_RPC_OK
	       : code == CV_LIMIT                        ? CV_RPC_INVALID_ARGUMENT
	       : code == CV_INVALID || code == CV_DENIED ? CV_RPC_FAILED_PRECONDITION
	       : code == CV_UNAVAILABLE                  ? CV_RPC_UNAVAILABLE
							 : CV_RPC_INTERNAL;
}

enum cv_rpc_status cv_gw_provider_merge(
	struct cv_gateway *g, provider *m, const provider *from, struct cv_err *err)
{
	enum cv_rpc_status s = CV_RPC_OK;

	for (size_t i = 0; i < from->n_credentials && s == CV_RPC_OK; i++) {
		const struct cv_str value = cv_str_of(from->credentials[i]->value);

		if (value.n)
			s = sealed(g, m, cv_str_of(from->credentials[i]->key), value, err);
		else
			credential_remove(m, from->credentials[i]->key);
	}
	for (size_t i = 0; i < from->n_config; i++)
		if (from->config[i]->value[0])
			cv_pb_map_set(&m->config, &m->n_config,
				&openshell__datamodel__v1__provider__config_entry__descriptor,
				cv_str_of(from->config[i]->key), cv_str_of(from->config[i]->value));
		else
			(void)cv_pb_map_remove(
				&m->config, &m->n_config, cv_str_of(from->config[i]->key));
	for (size_t i = 0; i < from->metadata->n_labels; i++)
		cv_pb_map_set(&m->metadata->labels, &m->metadata->n_labels,
			&openshell__datamodel__v1__object_meta__labels_entry__descriptor,
			cv_str_of(from->metadata->labels[i]->key),
			cv_str_of(from->metadata->labels[i]->value));
	for (size_t i = 0; i < from->metadata->n_annotations; i++)
		cv_pb_map_set(&m->metadata->annotations, &m->metadata->n_annotations,
			&openshell__datamodel__v1__object_meta__annotations_entry__descriptor,
			cv_str_of(from->metadata->annotations[i]->key),
			cv_str_of(from->metadata->annotations[i]->value));
	if (s == CV_RPC_OK) /* together with what was there */
		s = cv_labels_check("provider.metadata.labels", m->metadata->labels,
			m->metadata->n_labels, err);
	if (s == CV_RPC_OK)
		s = cv_annotations_check("provider.metadata.annotations", m->metadata->annotations,
			m->metadata->n_annotations, err);
	if (s == CV_RPC_OK && m->n_credential_handles > CREDENTIALS_MAX)
		s = cv_gw_invalid(err, "provider.credentials exceeds maximum entries (%zu > %d)",
			m->n_credential_handles, CREDENTIALS_MAX);
	if (s == CV_RPC_OK && m->n_config > CONFIG_MAX)
		s = cv_gw_invalid(err, "provider.config exceeds maximum entries (%zu > %d)",
			m->n_config, CONFIG_MAX);
	return s;
}

enum cv_rpc_status cv_gw_provider_expiry_merge(
	provider *m, const char *key, int64_t ms, struct cv_err *err)
{
	if (ms < 0)
		return cv_gw_invalid(err, "credential_expires_at_ms: %.64s is before 1970", key);
	if (ms && handle_at(m, key) == m->n_credential_handles)
		return cv_gw_invalid(
			err, "credential_expires_at_ms: the provider has no credential %.64s", key);
	expiry_set(m, key, ms);
	return CV_RPC_OK;
}
