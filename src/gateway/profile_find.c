/* SPDX-License-Identifier: Apache-2.0 */
/*
 * profile_find.c - see profile.h
 */
#include "gateway/profile.h"

#include "gateway/builtin.h"
#include "policy/findings.h"

#include <stdlib.h>

struct cv_gw_profiles {
	size_t n;
	struct cv_profile *v[];
};

cv_code cv_gw_profiles_start(struct cv_gateway *g, struct cv_err *err)
{
	struct cv_gw_profiles *s = calloc(1, sizeof(*s) + cv_gw_builtin_count * sizeof(s->v[0]));

	if (!s)
		return cv_fail(err, CV_LIMIT, "no memory for profiles");
	g->profiles = s;
	for (; s->n < cv_gw_builtin_count; s->n++) {
		const struct cv_gw_builtin *b = &cv_gw_builtin[s->n];
		struct cv_findings f;

		cv_findings_init(&f);
		const cv_code code = cv_profile_load(
			cv_str_of(b->id), (struct cv_str){ b->text, b->bytes }, &s->v[s->n], &f);
		cv_findings_fini(&f);
		if (code != CV_OK)
			return cv_fail(err, CV_INVALID, "the built-in profile %s", b->id);
	}
	return CV_OK;
}

void cv_gw_profiles_stop(struct cv_gateway *g)
{
	for (size_t i = 0; g->profiles && i < g->profiles->n; i++)
		cv_profile_free(g->profiles->v[i]);
	free(g->profiles);
	g->profiles = NULL;
}

const struct cv_profile *cv_gw_profile_builtin(const struct cv_gateway *g, size_t i)
{
	return i < g->profiles->n ? g->profiles->v[i] : NULL;
}

static const Openshell__V1__ProviderProfile *stored(const struct cv_object *o)
{
	return ((const Openshell__V1__StoredProviderProfile *)(const void *)o->message)->profile;
}

static cv_code stored_load(struct cv_object *o, struct cv_gw_profile *ret, struct cv_err *err)
{
	struct cv_gw_profile p = { .object = o, .is_of_workspace = o->scope.n > 0 };
	struct cv_findings f;

	cv_findings_init(&f);
	const cv_code code =
		stored(o) ? cv_profile_pb_load(stored(o), o->name, &p.owned, &f) : CV_INVALID;
	cv_findings_fini(&f);
	if (code != CV_OK)
		return cv_fail(err, CV_INVALID, "provider profile '%.*s' is not valid any more",
			CV_STR_ARG(o->name));
	p.profile = p.owned;
	*ret = p;
	return CV_OK;
}

cv_code cv_gw_profile_find(const struct cv_gateway *g, struct cv_str workspace, struct cv_str id,
	struct cv_gw_profile *ret, struct cv_err *err)
{
	struct cv_object *o = NULL;

	if (workspace.n && id.n)
		o = cv_object_find(g->objects, CV_OBJECT_PROFILE, workspace, id);
	if (!o && id.n)
		o = cv_object_find(g->objects, CV_OBJECT_PROFILE, CV_STR_NONE, id);
	if (o)
		return stored_load(o, ret, err);
	for (size_t i = 0; i < g->profiles->n; i++)
		if (cv_profile_is_named(g->profiles->v[i], id)) {
			*ret = (struct cv_gw_profile){ .profile = g->profiles->v[i] };
			return CV_OK;
		}
	return cv_fail(err, CV_NOT_FOUND, "provider profile '%.*s' not found", CV_STR_ARG(id));
}

void cv_gw_profile_fini(struct cv_gw_profile *p)
{
	cv_profile_free(p->owned);
	*p = (struct cv_gw_profile){ 0 };
}

cv_code cv_gw_profile_view(const struct cv_gw_profile *p, struct cv_arena *arena,
	Openshell__V1__ProviderProfile **ret, struct cv_err *err)
{
	Openshell__V1__ProviderProfile *m;

	if (p->object) {
		m = cv_arena_new(arena, Openshell__V1__ProviderProfile);
		if (!m)
			return cv_fail(err, CV_LIMIT, "no memory for a profile");
		*m = *stored(p->object);
		m->resource_version = p->object->version;
	} else if (cv_profile_pb_from(p->profile, arena, &m, err) != CV_OK) {
		return err->code;
	}
	m->source = (char *)(uintptr_t)(p->object ? "user" : "builtin");
	m->scope = (char *)(uintptr_t)(!p->object           ? ""
				       : p->is_of_workspace ? "workspace"
							    : "platform");
	*ret = m;
	return CV_OK;
}
