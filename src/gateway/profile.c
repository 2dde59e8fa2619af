/* SPDX-License-Identifier: Apache-2.0 */
/*
 * profile.c - the rpcs about provider profiles
 *
 * A request names a workspace, or none: then the platform's profiles are meant, which only an
 * administrator writes.  What an import would do is judged as a whole first: one error, and nothing
 * is stored.  What a client says of source, scope and version is not kept.
 */
#include "gateway/profile.h"

#include "gateway/access.h"
#include "gateway/folder.h"
#include "gateway/pb.h"
#include "policy/findings.h"
#include "sys/clock.h"

#include <stdlib.h>

#define PB(name)            Openshell__V1__##name
#define IMPORT_ITEMS_MAX    64  /* of one request; a directory of files */
#define DIAGNOSTICS_MAX     256 /* of one answer */
#define LISTED_PROFILES_MAX 4096

/* What is wanted of a scope.  To take away is a change, but for a workspace that is being deleted. */
enum wish { TO_READ, TO_WRITE, TO_TAKE_AWAY };

/* The scope that a request is about; empty: the platform's. */
static enum cv_rpc_status scope_open(const struct cv_rpc_call *c, struct cv_str workspace,
	enum wish wish, struct cv_str *ret, struct cv_err *err)
{
	const struct cv_principal *who = cv_rpc_call_principal(c);
	struct cv_object *o;

	*ret = workspace;
	if (workspace.n)
		return cv_gw_workspace_open(c, workspace, wish == TO_WRITE, &o, err);
	if (wish != TO_READ && !who->is_admin) {
		cv_fail(err, CV_DENIED,
			"profiles of the platform are written by administrators; name a workspace "
			"(--workspace) to write one of its own");
		return CV_RPC_PERMISSION_DENIED;
	}
	return CV_RPC_OK;
}

static enum cv_rpc_status status_of(cv_code code)
{
	return code == CV_OK          ? CV_RPC_OK
	       : code == CV_NOT_FOUND ? CV_RPC_NOT_FOUND
	       : code == CV_LIMIT     ? CV_RPC_RESOURCE_EXHAUSTED
				      : CV_RPC_INTERNAL;
}

/* ---- reading ---- */

static void get(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const PB(GetProviderProfileRequest) *q = (const void *)m;
	struct cv_gw_profile p = { 0 };
	PB(ProviderProfileResponse) r;
	struct cv_str scope;
	struct cv_err err;
	enum cv_rpc_status s = scope_open(c, cv_str_of(q->workspace), TO_READ, &scope, &err);

	openshell__v1__provider_profile_response__init(&r);
	if (s == CV_RPC_OK && !q->id[0])
		s = cv_gw_invalid(&err, "id is required");
	if (s == CV_RPC_OK)
		s = status_of(cv_gw_profile_find(cv_gw_of(c), scope, cv_str_of(q->id), &p, &err));
	if (s == CV_RPC_OK)
		s = status_of(cv_gw_profile_view(&p, cv_rpc_call_arena(c), &r.profile, &err));
	if (s == CV_RPC_OK)
		cv_rpc_reply(c, &r.base);
	else
		cv_gw_fail(c, s, &err);
	cv_gw_profile_fini(&p);
}

static int by_id(const void *a, const void *b)
{
	const struct cv_gw_profile *const *x = a, *const *y = b;
	const struct cv_str i = (*x)->object ? (*x)->object->name : (*x)->profile->id.s;
	const struct cv_str j = (*y)->object ? (*y)->object->name : (*y)->profile->id.s;

	return cv_str_cmp(i, j);
}

struct listed {
	struct cv_gw_profile **v;
	size_t n;
	struct cv_arena *arena;
};

static void list_add(struct listed *l, const struct cv_gw_profile *p)
{
	struct cv_gw_profile *copy =
		l->n < LISTED_PROFILES_MAX ? cv_arena_new(l->arena, struct cv_gw_profile) : NULL;

	if (!copy)
		return;
	*copy = *p;
	for (size_t i = 0; i < l->n; i++)
		if (by_id(&l->v[i], &copy) == 0)
			return; /* one before it is looked up first */
	l->v[l->n++] = copy;
}

static void list_scope(const struct cv_gateway *g, struct cv_str scope, struct listed *l)
{
	const struct cv_object_range r = cv_object_scope(g->objects, CV_OBJECT_PROFILE, scope);

	for (size_t i = r.first; i < r.end; i++) {
		struct cv_object *o = cv_object_at(g->objects, CV_OBJECT_PROFILE, i);
		const struct cv_gw_profile p = { .object = o, .is_of_workspace = scope.n > 0 };

		list_add(l, &p);
	}
}

static void list(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const PB(ListProviderProfilesRequest) *q = (const void *)m;
	const size_t limit =
		!q->limit ? CV_OBJECT_PAGE_DEFAULT : CV_MIN(q->limit, (uint32_t)CV_OBJECT_PAGE_MAX);
	struct listed l = { .arena = cv_rpc_call_arena(c) };
	const struct cv_gateway *g = cv_gw_of(c);
	PB(ListProviderProfilesResponse) r;
	struct cv_str scope;
	struct cv_err err;
	enum cv_rpc_status s = scope_open(c, cv_str_of(q->workspace), TO_READ, &scope, &err);
	const struct cv_profile *builtin;

	l.v = cv_arena_array(l.arena, LISTED_PROFILES_MAX, sizeof(*l.v));
	openshell__v1__list_provider_profiles_response__init(&r);
	r.profiles = cv_arena_array(l.arena, limit, sizeof(*r.profiles));
	if (s == CV_RPC_OK && (!l.v || !r.profiles)) {
		cv_fail(&err, CV_LIMIT, "no memory for a page");
		s = CV_RPC_RESOURCE_EXHAUSTED;
	}
	if (s == CV_RPC_OK) {
		if (scope.n)
			list_scope(g, scope, &l);
		list_scope(g, CV_STR_NONE, &l);
		for (size_t i = 0; (builtin = cv_gw_profile_builtin(g, i)); i++)
			list_add(&l, &(struct cv_gw_profile){ .profile = builtin });
		qsort(l.v, l.n, sizeof(*l.v), by_id);
	}
	for (size_t i = q->offset; s == CV_RPC_OK && i < l.n && r.n_profiles < limit; i++)
		s = status_of(
			cv_gw_profile_view(l.v[i], l.arena, &r.profiles[r.n_profiles++], &err));
	if (s == CV_RPC_OK)
		cv_rpc_reply(c, &r.base);
	else
		cv_gw_fail(c, s, &err);
}

/* ---- judging ---- */

struct judged {
	struct cv_arena *arena;
	PB(ProviderProfileDiagnostic) * *diagnostics;
	size_t n;
	bool has_errors;
	PB(ProviderProfile) * *profiles; /* canonical, in the arena */
	size_t profile_count;
};

static char *z_of(struct cv_arena *arena, struct cv_str s)
{
	const struct cv_str copy = cv_arena_str(arena, s);

	return (char *)(uintptr_t)(copy.p ? copy.p : "");
}

static void tell(struct judged *j, const PB(ProviderProfileImportItem) * item, struct cv_str field,
	struct cv_str message, bool is_error)
{
	PB(ProviderProfileDiagnostic) *d = cv_arena_new(j->arena, PB(ProviderProfileDiagnostic));

	j->has_errors |= is_error;
	if (!d || j->n == DIAGNOSTICS_MAX)
		return;
	openshell__v1__provider_profile_diagnostic__init(d);
	d->source = item->source;
	d->profile_id = item->profile ? item->profile->id : d->profile_id;
	d->field = z_of(j->arena, field);
	d->message = z_of(j->arena, message);
	d->severity = (char *)(uintptr_t)(is_error ? "error" : "warning");
	j->diagnostics[j->n++] = d;
}

static void findings_tell(
	struct judged *j, const PB(ProviderProfileImportItem) * item, const struct cv_findings *f)
{
	for (size_t i = 0; i < f->n; i++) {
		const struct cv_finding *v = &f->v[i];

		tell(j, item, v->where,
			v->fix.n ? cv_arena_printf(j->arena, "%.*s; %.*s", CV_STR_ARG(v->message),
					   CV_STR_ARG(v->fix))
				 : v->message,
			v->is_error);
	}
}

static void judge_one(struct judged *j, const PB(ProviderProfileImportItem) * item)
{
	PB(ProviderProfile) *canonical = NULL;
	struct cv_profile *p = NULL;
	struct cv_findings f;
	struct cv_err err;

	if (!item->profile) {
		tell(j, item, CV_STR("profile"), CV_STR("profile is required"), true);
		return;
	}
	cv_findings_init(&f);
	const cv_code code = cv_profile_pb_load(item->profile, cv_str_of(item->source), &p, &f);
	findings_tell(j, item, &f);
	if (code == CV_OK && cv_profile_pb_from(p, j->arena, &canonical, &err) != CV_OK)
		tell(j, item, CV_STR("endpoints"), cv_str_of(err.msg), true);
	else if (code != CV_OK && !f.error_count)
		tell(j, item, CV_STR_NONE, CV_STR("not a profile"), true);
	if (canonical) {
		for (size_t i = 0; i < j->profile_count; i++)
			if (strcmp(j->profiles[i]->id, canonical->id) == 0)
				tell(j, item, CV_STR("id"),
					cv_arena_printf(j->arena,
						"duplicate provider profile '%s' in this request",
						canonical->id),
					true);
		j->profiles[j->profile_count++] = canonical;
	}
	cv_findings_fini(&f);
	cv_profile_free(p);
}

static enum cv_rpc_status judge(struct cv_rpc_call *c, PB(ProviderProfileImportItem) * *v, size_t n,
	struct judged *ret, struct cv_err *err)
{
	struct cv_arena *arena = cv_rpc_call_arena(c);
	struct judged j = { .arena = arena };

	if (!n || n > IMPORT_ITEMS_MAX) {
		cv_fail(err, CV_INVALID,
			n ? "profiles exceeds maximum entries (%zu > %d)" : "profiles is required",
			n, IMPORT_ITEMS_MAX);
		return CV_RPC_INVALID_ARGUMENT;
	}
	j.diagnostics = cv_arena_array(arena, DIAGNOSTICS_MAX, sizeof(void *));
	j.profiles = cv_arena_array(arena, n, sizeof(void *));
	if (!j.diagnostics || !j.profiles) {
		cv_fail(err, CV_LIMIT, "no memory for diagnostics");
		return CV_RPC_RESOURCE_EXHAUSTED;
	}
	for (size_t i = 0; i < n; i++)
		judge_one(&j, v[i]);
	*ret = j;
	return CV_RPC_OK;
}

static void lint(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const PB(LintProviderProfilesRequest) *q = (const void *)m;
	PB(LintProviderProfilesResponse) r;
	struct cv_str scope;
	struct judged j;
	struct cv_err err;
	enum cv_rpc_status s = scope_open(c, cv_str_of(q->workspace), TO_READ, &scope, &err);

	if (s == CV_RPC_OK)
		s = judge(c, q->profiles, q->n_profiles, &j, &err);
	if (s != CV_RPC_OK) {
		cv_gw_fail(c, s, &err);
		return;
	}
	openshell__v1__lint_provider_profiles_response__init(&r);
	r.diagnostics = j.diagnostics;
	r.n_diagnostics = j.n;
	r.valid = !j.has_errors;
	cv_rpc_reply(c, &r.base);
}

/* ---- writing ---- */

struct cv_str cv_gw_profile_file(const struct cv_object *o)
{
	const PB(StoredProviderProfile) *m = (const void *)o->message;

	return m->metadata ? cv_pb_map_get(m->metadata->annotations, m->metadata->n_annotations,
				     CV_STR(CV_GW_PROFILE_FILE_KEY))
			   : CV_STR_NONE;
}

/* A message that owns what it holds. */
PB(StoredProviderProfile) * cv_gw_profile_stored_new(struct cv_str scope, PB(ProviderProfile) * p)
{
	PB(StoredProviderProfile) *m =
		cv_pb_new(&openshell__v1__stored_provider_profile__descriptor);

	m->metadata = cv_pb_new(&openshell__datamodel__v1__object_meta__descriptor);
	cv_pb_str_set(&m->metadata->name, cv_str_of(p->id));
	cv_pb_str_set(&m->metadata->workspace, scope);
	m->profile = cv_pb_copy(p);
	return m;
}

static enum cv_rpc_status import_store(struct cv_gateway *g, struct cv_str scope,
	const struct judged *j, PB(ImportProviderProfilesResponse) * r, struct cv_err *err)
{
	struct cv_object_group *group = cv_object_group_begin(g->objects);
	struct cv_object *made[IMPORT_ITEMS_MAX];
	const size_t n = j->profile_count;

	for (size_t i = 0; i < n; i++)
		cv_object_group_create(group, CV_OBJECT_PROFILE,
			&cv_gw_profile_stored_new(scope, j->profiles[i])->base, cv_clock_unix_ms());
	enum cv_rpc_status s = cv_object_group_commit(group, made, err);
	for (size_t i = 0; i < n && s == CV_RPC_OK; i++) {
		const struct cv_gw_profile p = { .object = made[i],
			.is_of_workspace = scope.n > 0 };

		s = status_of(cv_gw_profile_view(&p, j->arena, &r->profiles[i], err));
	}
	r->n_profiles = s == CV_RPC_OK ? n : 0;
	return s;
}

static void import(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const PB(ImportProviderProfilesRequest) *q = (const void *)m;
	struct cv_gateway *g = cv_gw_of(c);
	PB(ImportProviderProfilesResponse) r;
	struct cv_str scope;
	struct judged j;
	struct cv_err err;
	enum cv_rpc_status s = scope_open(c, cv_str_of(q->workspace), TO_WRITE, &scope, &err);

	if (s == CV_RPC_OK)
		s = judge(c, q->profiles, q->n_profiles, &j, &err);
	openshell__v1__import_provider_profiles_response__init(&r);
	for (size_t i = 0; s == CV_RPC_OK && i < q->n_profiles; i++) {
		const PB(ProviderProfile) *p = q->profiles[i]->profile;

		if (p && p->id[0] &&
			cv_object_find(g->objects, CV_OBJECT_PROFILE, scope, cv_str_of(p->id)))
			tell(&j, q->profiles[i], CV_STR("id"),
				cv_arena_printf(j.arena,
					"custom provider profile '%s' already exists", p->id),
				true);
	}
	if (s == CV_RPC_OK && !j.has_errors) {
		r.profiles = cv_arena_array(j.arena, j.profile_count + 1, sizeof(void *));
		s = import_store(g, scope, &j, &r, &err);
		r.imported = s == CV_RPC_OK;
	}
	if (s != CV_RPC_OK) {
		cv_gw_fail(c, s, &err);
		return;
	}
	r.diagnostics = j.diagnostics;
	r.n_diagnostics = j.n;
	cv_rpc_reply(c, &r.base);
}

/* One that a file of the gateway says is changed there: it would be as before at the next look. */
static enum cv_rpc_status file_check(const struct cv_object *o, struct cv_err *err)
{
	const struct cv_str file = cv_gw_profile_file(o);

	if (!file.n)
		return CV_RPC_OK;
	cv_fail(err, CV_DENIED,
		"provider profile '%.*s' comes from the gateway's file %.*s; change it there",
		CV_STR_ARG(o->name), CV_STR_ARG(file));
	return CV_RPC_FAILED_PRECONDITION;
}

/* The stored profile that an update means, and the version that its author has seen. */
static enum cv_rpc_status update_open(struct cv_gateway *g, struct cv_str scope,
	const PB(UpdateProviderProfilesRequest) * q, struct cv_object **ret, uint64_t *ret_version,
	struct cv_err *err)
{
	const PB(ProviderProfile) *p = q->profile ? q->profile->profile : NULL;
	const struct cv_str id = cv_str_of(q->id[0] || !p ? q->id : p->id);

	if (!p || strcmp(p->id, id.p) != 0) {
		cv_fail(err, CV_INVALID,
			p ? "profile id '%.64s' does not match the profile that is updated ('%.64s')"
			  : "profile is required",
			p ? p->id : "", id.p);
		return CV_RPC_INVALID_ARGUMENT;
	}
	*ret_version =
		q->expected_resource_version ? q->expected_resource_version : p->resource_version;
	if (!*ret_version) {
		cv_fail(err, CV_INVALID,
			"resource_version is required to update a provider profile; export it first");
		return CV_RPC_INVALID_ARGUMENT;
	}
	*ret = id.n ? cv_object_find(g->objects, CV_OBJECT_PROFILE, scope, id) : NULL;
	if (*ret)
		return file_check(*ret, err);
	cv_fail(err, CV_NOT_FOUND, "provider profile '%.*s' not found", CV_STR_ARG(id));
	return CV_RPC_NOT_FOUND;
}

static void update(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const PB(UpdateProviderProfilesRequest) *q = (const void *)m;
	PB(ProviderProfileImportItem) *item = q->profile;
	struct cv_gateway *g = cv_gw_of(c);
	PB(UpdateProviderProfilesResponse) r;
	struct cv_object *o = NULL;
	struct cv_str scope;
	uint64_t version = 0;
	struct judged j;
	struct cv_err err;
	enum cv_rpc_status s = scope_open(c, cv_str_of(q->workspace), TO_WRITE, &scope, &err);

	if (s == CV_RPC_OK)
		s = update_open(g, scope, q, &o, &version, &err);
	if (s == CV_RPC_OK)
		s = judge(c, &item, 1, &j, &err);
	openshell__v1__update_provider_profiles_response__init(&r);
	if (s == CV_RPC_OK && !j.has_errors) {
		s = cv_object_write(g->objects, o, version,
			&cv_gw_profile_stored_new(scope, j.profiles[0])->base, &err);
		const struct cv_gw_profile p = { .object = o, .is_of_workspace = scope.n > 0 };
		if (s == CV_RPC_OK)
			s = status_of(cv_gw_profile_view(&p, j.arena, &r.profile, &err));
		r.updated = s == CV_RPC_OK;
	}
	if (s != CV_RPC_OK) {
		cv_gw_fail(c, s, &err);
		return;
	}
	r.diagnostics = j.diagnostics;
	r.n_diagnostics = j.n;
	cv_rpc_reply(c, &r.base);
}

/* Appends the names of what uses the profile: sandboxes that its providers are attached to, or the
 * providers themselves. */
static bool is_attached(const struct cv_object *sandbox, const struct cv_object *provider)
{
	const PB(Sandbox) *m = (const void *)sandbox->message;

	for (size_t i = 0; m->spec && i < m->spec->n_providers; i++)
		if (cv_str_eq(sandbox->scope, provider->scope) &&
			cv_str_eq(cv_str_of(m->spec->providers[i]), provider->name))
			return true;
	return false;
}

static void users_name(struct cv_gateway *g, const struct cv_object *profile, struct cv_buf *out)
{
	const struct cv_object_range all = cv_object_all(g->objects, CV_OBJECT_PROVIDER);
	const struct cv_object_range boxes = cv_object_all(g->objects, CV_OBJECT_SANDBOX);

	for (size_t i = all.first; i < all.end; i++) {
		const struct cv_object *o = cv_object_at(g->objects, CV_OBJECT_PROVIDER, i);
		const Openshell__Datamodel__V1__Provider *p = (const void *)o->message;

		if (!cv_str_eq(cv_str_of(p->type), profile->name) ||
			!cv_str_eq(cv_str_of(p->profile_workspace), profile->scope))
			continue;
		cv_buf_printf(
			out, "%sprovider '%.*s'", cv_buf_len(out) ? ", " : "", CV_STR_ARG(o->name));
		for (size_t k = boxes.first; k < boxes.end; k++) {
			const struct cv_object *box =
				cv_object_at(g->objects, CV_OBJECT_SANDBOX, k);

			if (is_attached(box, o))
				cv_buf_printf(out, ", sandbox '%.*s'", CV_STR_ARG(box->name));
		}
	}
}

enum cv_rpc_status cv_gw_profile_delete(
	struct cv_gateway *g, struct cv_object *o, struct cv_err *err)
{
	enum cv_rpc_status s = CV_RPC_FAILED_PRECONDITION;
	struct cv_buf users;

	cv_buf_init(&users, 300);
	users_name(g, o, &users);
	if (cv_buf_len(&users) || users.is_overflown)
		cv_fail(err, CV_DENIED, "provider profile '%.*s' is in use by %.*s",
			CV_STR_ARG(o->name), CV_STR_ARG(cv_buf_str(&users)));
	else
		s = cv_object_delete(g->objects, o, CV_OBJECT_ANY_VERSION, err);
	cv_buf_fini(&users);
	return s;
}

static void delete (struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const PB(DeleteProviderProfileRequest) *q = (const void *)m;
	const struct cv_str id = cv_str_of(q->id);
	struct cv_gateway *g = cv_gw_of(c);
	PB(DeleteProviderProfileResponse) r;
	struct cv_gw_profile p;
	struct cv_str scope;
	struct cv_err err;
	enum cv_rpc_status s = scope_open(c, cv_str_of(q->workspace), TO_TAKE_AWAY, &scope, &err);

	openshell__v1__delete_provider_profile_response__init(&r);
	if (s == CV_RPC_OK && !id.n)
		s = cv_gw_invalid(&err, "id is required");
	if (s == CV_RPC_OK) {
		struct cv_object *o = cv_object_find(g->objects, CV_OBJECT_PROFILE, scope, id);

		if (o) {
			s = file_check(o, &err);
			if (s == CV_RPC_OK)
				s = cv_gw_profile_delete(g, o, &err);
			r.deleted = s == CV_RPC_OK;
		} else if (cv_gw_profile_find(g, CV_STR_NONE, id, &p, &err) == CV_OK) {
			if (!p.object) {
				cv_fail(&err, CV_DENIED,
					"built-in provider profile '%.*s' cannot be deleted",
					CV_STR_ARG(id));
				s = CV_RPC_FAILED_PRECONDITION;
			}
			cv_gw_profile_fini(&p);
		}
	}
	if (s == CV_RPC_OK)
		cv_rpc_reply(c, &r.base);
	else
		cv_gw_fail(c, s, &err);
}

static const struct cv_gw_method methods[] = {
	{ "ListProviderProfiles", { .message = list } },
	{ "GetProviderProfile", { .message = get } },
	{ "ImportProviderProfiles", { .message = import } },
	{ "UpdateProviderProfiles", { .message = update } },
	{ "LintProviderProfiles", { .message = lint } },
	{ "DeleteProviderProfile", { .message = delete } },
};

const struct cv_gw_part cv_gw_part_profile = {
	.name = "profile",
	.methods = methods,
	.method_count = CV_ARRAY_LEN(methods),
	.start = cv_gw_profiles_start,
	.stop = cv_gw_profiles_stop,
};
