/* SPDX-License-Identifier: Apache-2.0 */
/*
 * folder_profile.c - a directory of provider profiles; see folder.h
 *
 * What a file says is stored like a profile that a client brought, with the file's name in its
 * annotations: so providers, sandboxes and lists know no difference, and a gateway that comes back
 * still has them when the directory is away.
 */
#include "gateway/folder.h"

#include "gateway/log.h"
#include "gateway/pb.h"
#include "gateway/profile.h"
#include "policy/findings.h"
#include "sys/clock.h"

#define ARENA_MAX (4u << 20)

struct seen {
	const char *ids[CV_GW_FOLDER_FILES_MAX]; /* in the arena; of profiles that files have */
	const char *files[CV_GW_FOLDER_FILES_MAX];
	size_t n;
	struct cv_arena arena;
};

static const Openshell__V1__StoredProviderProfile *stored_of(const struct cv_object *o)
{
	return (const void *)o->message;
}

static void refuse(struct cv_str file, const char *why)
{
	cv_log(CV_LOG_ERROR, "profile", CV_LOG_FIELDS({ "file", file }),
		"the profile is not taken: %s", why);
}

static void store(struct cv_gateway *g, struct cv_str file, Openshell__V1__ProviderProfile *p)
{
	struct cv_object *o =
		cv_object_find(g->objects, CV_OBJECT_PROFILE, CV_STR_NONE, cv_str_of(p->id));
	Openshell__V1__StoredProviderProfile *m;
	struct cv_err err;

	if (o && !cv_str_eq(cv_gw_profile_file(o), file)) {
		refuse(file, "a profile of that id is there, and not from this file");
		return;
	}
	if (o && cv_pb_eq(stored_of(o)->profile, p))
		return;
	m = cv_gw_profile_stored_new(CV_STR_NONE, p);
	cv_pb_map_set(&m->metadata->annotations, &m->metadata->n_annotations,
		&openshell__datamodel__v1__object_meta__annotations_entry__descriptor,
		CV_STR(CV_GW_PROFILE_FILE_KEY), file);
	const enum cv_rpc_status s =
		o ? cv_object_write(g->objects, o, CV_OBJECT_ANY_VERSION, &m->base, &err)
		  : cv_object_create(
			    g->objects, CV_OBJECT_PROFILE, &m->base, cv_clock_unix_ms(), &o, &err);
	if (s != CV_RPC_OK)
		refuse(file, err.msg);
	else
		cv_log(CV_LOG_INFO, "profile",
			CV_LOG_FIELDS({ "file", file }, { "profile", o->name }),
			"the profile is that of the file");
}

static void remember(struct seen *s, struct cv_str file, const char *id)
{
	if (s->n == CV_GW_FOLDER_FILES_MAX)
		return;
	s->ids[s->n] = id ? cv_arena_printf(&s->arena, "%s", id).p : NULL;
	s->files[s->n++] = cv_arena_printf(&s->arena, "%.*s", CV_STR_ARG(file)).p;
}

cv_code cv_gw_folder_profile_read(const struct cv_gw_folder_file *file, struct cv_arena *arena,
	Openshell__V1__ProviderProfile **ret, struct cv_findings *findings, struct cv_err *err)
{
	struct cv_profile *p = NULL;
	cv_code code;

	if (file->unread) {
		*err = *file->unread;
		return err->code;
	}
	code = cv_profile_load(file->name, file->text, &p, findings);
	if (code != CV_OK)
		cv_gw_folder_finding(findings, err);
	else
		code = cv_profile_pb_from(p, arena, ret, err);
	cv_profile_free(p);
	return code;
}

static void take(struct cv_gateway *g, const struct cv_gw_folder_file *file, void *arg)
{
	struct seen *s = arg;
	Openshell__V1__ProviderProfile *m = NULL;
	struct cv_findings findings;
	struct cv_arena arena;
	struct cv_err err;

	cv_arena_init(&arena, ARENA_MAX);
	cv_findings_init(&findings);
	const cv_code code = cv_gw_folder_profile_read(file, &arena, &m, &findings, &err);
	remember(s, file->name, code == CV_OK ? m->id : NULL);
	if (code == CV_OK)
		store(g, file->name, m);
	else
		refuse(file->name, err.msg);
	cv_findings_fini(&findings);
	cv_arena_fini(&arena);
}

/* Its file is there, and says it, or is wrong at the moment. */
static bool is_there(const struct seen *s, const struct cv_object *o, struct cv_str file)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->files[i] && cv_str_eq(cv_str_of(s->files[i]), file) &&
			(!s->ids[i] || cv_str_eq(cv_str_of(s->ids[i]), o->name)))
			return true;
	return false;
}

static void drop(struct cv_gateway *g, const struct seen *s)
{
	struct cv_object_range r = cv_object_scope(g->objects, CV_OBJECT_PROFILE, CV_STR_NONE);

	for (size_t i = r.end; i-- > r.first;) {
		struct cv_object *o = cv_object_at(g->objects, CV_OBJECT_PROFILE, i);
		const struct cv_str file = cv_gw_profile_file(o);
		struct cv_err err;

		if (!file.n || is_there(s, o, file))
			continue;
		cv_log(CV_LOG_INFO, "profile",
			CV_LOG_FIELDS({ "file", file }, { "profile", o->name }),
			"its file is gone");
		if (cv_gw_profile_delete(g, o, &err) != CV_RPC_OK)
			cv_log(CV_LOG_WARN, "profile", CV_LOG_FIELDS({ "file", file }),
				"the profile stays: %s", err.msg);
	}
}

void cv_gw_folder_profiles(
	struct cv_gateway *g, struct cv_str dir, const struct cv_gw_folder_names *names)
{
	struct seen s = { .n = 0 };
	struct cv_err err;

	cv_arena_init(&s.arena, ARENA_MAX);
	if (cv_gw_folder_read(g, dir, names, take, &s, &err) == CV_OK)
		drop(g, &s);
	else
		cv_log(CV_LOG_ERROR, "profile", CV_LOG_FIELDS({ "directory", dir }),
			"profiles stay as they are: %s", err.msg);
	cv_arena_fini(&s.arena);
}
