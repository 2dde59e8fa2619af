/* SPDX-License-Identifier: Apache-2.0 */
/*
 * folder.c - directories that are watched, and that of policies; see folder.h
 *
 *     inotify --> something changed --a moment later--> all files are read again
 *
 * Editors write another file and rename it, clusters swap a link: so nothing is concluded from what
 * an event says.  A directory that can't be watched is looked at every few seconds, also one that is
 * not there yet.
 *
 * A sandbox follows its workspace's file if it came without a policy, as long as nobody gave it
 * another one: its latest revision is the first, empty one, or says in its provenance that it came
 * from a file.
 */
#include "gateway/folder.h"

#include "gateway/config.h"
#include "gateway/log.h"
#include "gateway/pb.h"
#include "gateway/policy_int.h"
#include "gateway/state.h"
#include "policy/findings.h"
#include "sys/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/inotify.h>

#define SETTLE_MS 100  /* files of one change come together */
#define LOOK_MS   3000 /* where nothing tells */

struct folder_policy {
	struct cv_str workspace, file; /* owned */
	cv_policy_pb *policy;          /* owned, canonical */
	char hash[CV_POLICY_HASH_BYTES];
	bool is_new;
};

struct cv_gw_folders {
	int inotify;
	bool is_watched; /* all that there is to watch */
	int64_t scan_ms; /* loop time */
	struct folder_policy v[CV_GW_FOLDER_FILES_MAX];
	size_t n;
};

/* ---- files ---- */

static bool is_document(struct cv_str name)
{
	static const char *const ends[] = { ".yaml", ".yml", ".json" };

	for (size_t i = 0; i < CV_ARRAY_LEN(ends); i++)
		if (cv_str_has_suffix(name, cv_str_of(ends[i])))
			return name.p[0] != '.';
	return false;
}

static void file_give(
	struct cv_gateway *g, int dir, const char *name, cv_gw_folder_fn *one, void *arg)
{
	struct cv_gw_folder_file f = { .name = cv_str_of(name) };
	struct cv_buf text;
	struct cv_err err;

	cv_buf_init(&text, CV_GW_FILE_BYTES_MAX);
	const cv_code code = cv_gw_file_read(dir, name, &text, &err);
	f.text = cv_buf_str(&text);
	f.unread = code == CV_OK ? NULL : &err;
	if (code != CV_NOT_FOUND) /* it went meanwhile */
		one(g, &f, arg);
	cv_buf_fini(&text);
}

static int name_cmp(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return strcmp(*x, *y);
}

/* In the order of their names: of two that say the same thing the first counts, at each look. */
cv_code cv_gw_folder_walk(struct cv_gateway *g, struct cv_str dir, cv_gw_folder_fn *one, void *arg,
	struct cv_err *err)
{
	DIR *d = opendir(dir.p);
	char *names[CV_GW_FOLDER_FILES_MAX];
	const struct dirent *e;
	size_t n = 0;

	if (!d)
		return cv_fail_errno(err, "open %s", dir.p);
	while ((e = readdir(d)) && n < CV_ARRAY_LEN(names))
		if (is_document(cv_str_of(e->d_name)) && (names[n] = strdup(e->d_name)))
			n++;
	qsort(names, n, sizeof(names[0]), name_cmp);
	for (size_t i = 0; i < n; i++) {
		file_give(g, dirfd(d), names[i], one, arg);
		free(names[i]);
	}
	closedir(d);
	return CV_OK;
}

void cv_gw_folder_finding(const struct cv_findings *f, struct cv_err *err)
{
	cv_fail(err, CV_INVALID, "it can't be read");
	for (size_t i = 0; i < f->n; i++) {
		const struct cv_finding *v = &f->v[i];

		if (!v->is_error)
			continue;
		cv_fail(err, CV_INVALID, "%u:%u: %.*s%s%.*s", v->pos.line, v->pos.column,
			CV_STR_ARG(v->message), v->fix.n ? "; " : "", CV_STR_ARG(v->fix));
		return;
	}
}

/* ---- policies ---- */

static struct folder_policy *policy_of(const struct cv_gateway *g, struct cv_str workspace)
{
	for (size_t i = 0; g->folders && i < g->folders->n; i++)
		if (cv_str_eq(g->folders->v[i].workspace, workspace))
			return &g->folders->v[i];
	return NULL;
}

const cv_policy_pb *cv_gw_folder_policy(
	const struct cv_gateway *g, struct cv_str workspace, struct cv_str *ret_file)
{
	const struct folder_policy *p = policy_of(g, workspace);

	*ret_file = p ? p->file : CV_STR_NONE;
	return p ? p->policy : NULL;
}

static struct cv_str stem_of(struct cv_str file)
{
	return cv_str_slice(file, 0, cv_str_rfind_byte(file, '.'));
}

static void text_set(struct cv_str *to, struct cv_str s)
{
	free((char *)(uintptr_t)to->p);
	*to = (struct cv_str){ strndup(s.p, s.n), s.n };
}

static void policy_keep(
	struct cv_gateway *g, struct cv_str file, const cv_policy_pb *is, const char *hash)
{
	struct folder_policy *p = policy_of(g, stem_of(file));

	if (p && (strcmp(p->hash, hash) == 0 || !cv_str_eq(p->file, file)))
		return; /* the same; or WORKSPACE.yml behind WORKSPACE.yaml */
	if (!p && g->folders->n == CV_GW_FOLDER_FILES_MAX)
		return;
	if (!p) {
		p = &g->folders->v[g->folders->n++];
		text_set(&p->workspace, stem_of(file));
		text_set(&p->file, file);
	}
	cv_pb_free(p->policy);
	p->policy = cv_pb_copy(is);
	memcpy(p->hash, hash, sizeof(p->hash));
	p->is_new = true;
	cv_log(CV_LOG_INFO, "policy",
		CV_LOG_FIELDS({ "file", file }, { "workspace", p->workspace }),
		"the file's policy holds for sandboxes that come without one");
}

/* By who says lines and columns. */
static cv_code text_check(const struct cv_gw_folder_file *file, bool is_whole,
	struct cv_findings *findings, struct cv_err *err)
{
	struct cv_policy_doc *doc = NULL;
	cv_code code = cv_policy_load(file->name, file->text, &doc, findings);

	if (code == CV_OK && is_whole)
		code = cv_policy_validate(doc, findings);
	if (code != CV_OK)
		cv_gw_folder_finding(findings, err);
	cv_policy_doc_free(doc);
	return code;
}

cv_code cv_gw_folder_policy_read(const struct cv_gw_folder_file *file, struct cv_arena *arena,
	cv_policy_pb **ret, char ret_hash[CV_POLICY_HASH_BYTES], struct cv_findings *findings,
	struct cv_err *err)
{
	cv_policy_pb *read, *is = NULL;
	cv_code code;

	if (file->unread) {
		*err = *file->unread;
		return err->code;
	}
	code = text_check(file, false, findings, err);
	if (code == CV_OK)
		code = cv_policy_pb_from_text(file->name, file->text, arena, &read, err);
	if (code == CV_OK)
		code = cv_policy_pb_canonical(read, arena, &is, err);
	if (code == CV_OK && cv_gw_policy_check(NULL, NULL, NULL, is, err) != CV_RPC_OK) {
		code = CV_INVALID;
		(void)!text_check(file, true, findings, err); /* the same, with its place */
	}
	if (code == CV_OK)
		code = cv_policy_pb_hash(is, ret_hash, err);
	if (code == CV_OK)
		*ret = is;
	return code;
}

static void policy_take(struct cv_gateway *g, const struct cv_gw_folder_file *file, void *arg)
{
	char hash[CV_POLICY_HASH_BYTES];
	struct cv_findings findings;
	struct cv_arena arena;
	struct cv_err err;
	cv_policy_pb *is;

	(void)arg;
	cv_arena_init(&arena, CV_GW_POLICY_ARENA_MAX);
	cv_findings_init(&findings);
	if (cv_gw_folder_policy_read(file, &arena, &is, hash, &findings, &err) == CV_OK)
		policy_keep(g, file->name, is, hash);
	else
		cv_log(CV_LOG_ERROR, "policy", CV_LOG_FIELDS({ "file", file->name }),
			"the policy is not taken, the former stays: %s", err.msg);
	cv_findings_fini(&findings);
	cv_arena_fini(&arena);
}

static bool is_follower(const struct cv_gateway *g, const struct cv_object *sandbox)
{
	const Openshell__V1__Sandbox *m = (const void *)sandbox->message;
	const struct cv_object *last = cv_gw_revision_latest(g, cv_gw_revision_scope(sandbox));
	const stored_revision *r = last ? cv_gw_revision_of(last) : NULL;

	if ((m->spec && m->spec->policy) || !r)
		return false; /* none yet: it is made with what the file says */
	return (r->version == 1 && !r->n_provenance) ||
	       cv_pb_map_get(r->provenance, r->n_provenance, CV_STR(CV_GW_FOLDER_POLICY_KEY)).n;
}

static void sandbox_give(
	struct cv_gateway *g, const struct cv_object *sandbox, const struct folder_policy *p)
{
	char key[] = CV_GW_FOLDER_POLICY_KEY, hash[CV_POLICY_HASH_BYTES];
	struct cv_pb_entry note, *notes[] = { &note };
	struct cv_gw_revision was;
	struct cv_arena arena;
	struct cv_err err;
	uint32_t version;

	note = (struct cv_pb_entry){ .key = key, .value = (char *)(uintptr_t)p->file.p };
	cv_arena_init(&arena, CV_GW_POLICY_ARENA_MAX);
	enum cv_rpc_status s = cv_gw_policy_latest(g, sandbox, &arena, &was, &err);
	if (s == CV_RPC_OK && strcmp(was.hash, p->hash) != 0) {
		s = cv_gw_policy_check(g, sandbox, was.policy, p->policy, &err);
		if (s == CV_RPC_OK)
			s = cv_gw_policy_put(g, sandbox, p->policy, notes, 1, &version, hash, &err);
		if (s == CV_RPC_OK)
			cv_log(CV_LOG_INFO, "policy",
				CV_LOG_FIELDS({ "sandbox", sandbox->name }, { "file", p->file }),
				"revision %u", version);
	}
	if (s != CV_RPC_OK)
		cv_log(CV_LOG_ERROR, "policy",
			CV_LOG_FIELDS({ "sandbox", sandbox->name }, { "file", p->file }),
			"the sandbox keeps its policy: %s", err.msg);
	cv_arena_fini(&arena);
}

static void policies_scan(struct cv_gateway *g, struct cv_str dir)
{
	struct cv_err err;

	if (cv_gw_folder_walk(g, dir, policy_take, NULL, &err) != CV_OK)
		cv_log(CV_LOG_ERROR, "policy", CV_LOG_FIELDS({ "directory", dir }),
			"policies stay as they are: %s", err.msg);
	for (size_t i = 0; i < g->folders->n; i++) {
		struct folder_policy *p = &g->folders->v[i];
		const struct cv_object_range r =
			cv_object_scope(g->objects, CV_OBJECT_SANDBOX, p->workspace);

		for (size_t k = r.first; p->is_new && k < r.end; k++) {
			const struct cv_object *o = cv_object_at(g->objects, CV_OBJECT_SANDBOX, k);

			if (is_follower(g, o))
				sandbox_give(g, o, p);
		}
		p->is_new = false;
	}
}

/* ---- watching ---- */

static void unwatch(struct cv_gateway *g)
{
	if (g->folders->inotify >= 0)
		cv_loop_remove(&g->loop, g->folders->inotify);
	cv_fd_cleanup(&g->folders->inotify);
	g->folders->inotify = -1;
}

static bool dir_watch(int inotify, struct cv_str dir)
{
	return !dir.n ||
	       inotify_add_watch(inotify, dir.p,
		       IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE |
			       IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR) >= 0;
}

static void watch(struct cv_gateway *g)
{
	const struct cv_gw_config *c = g->config;
	struct cv_gw_folders *f = g->folders;

	unwatch(g);
	f->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	f->is_watched = f->inotify >= 0 && dir_watch(f->inotify, c->policies_dir) &&
			dir_watch(f->inotify, c->profiles_dir) &&
			cv_loop_add(&g->loop, f->inotify, EPOLLIN,
				(struct cv_watch){ CV_GW_WATCH(CV_GW_PART_FOLDER, 0), { 0, 0 } },
				NULL) == CV_OK;
	if (!f->is_watched) /* another try at the next look */
		unwatch(g);
}

static bool has_any(const struct cv_gateway *g)
{
	return g->config->policies_dir.n || g->config->profiles_dir.n;
}

static void scan(struct cv_gateway *g)
{
	struct cv_gw_folders *f = g->folders;

	/* First: what changes while files are read is another event. */
	if (!f->is_watched)
		watch(g);
	if (g->config->profiles_dir.n)
		cv_gw_folder_profiles(g, g->config->profiles_dir);
	if (g->config->policies_dir.n)
		policies_scan(g, g->config->policies_dir);
	f->scan_ms = f->is_watched ? INT64_MAX : g->loop.now_ms + LOOK_MS;
}

static void event(struct cv_gateway *g, const struct cv_loop_event *e)
{
	_Alignas(struct inotify_event) char buf[4096];
	struct cv_gw_folders *f = g->folders;
	ssize_t n;

	(void)e;
	while (f->inotify >= 0 && (n = read(f->inotify, buf, sizeof(buf))) > 0)
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *v = (const void *)(buf + at);

			/* The directory itself went: what has its name now is another one. */
			if (v->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED))
				f->is_watched = false;
			at += (ssize_t)(sizeof(*v) + v->len);
		}
	f->scan_ms = g->loop.now_ms + SETTLE_MS;
}

static int64_t turn(struct cv_gateway *g)
{
	if (has_any(g) && g->loop.now_ms >= g->folders->scan_ms && !g->is_draining)
		scan(g);
	return has_any(g) ? g->folders->scan_ms : INT64_MAX;
}

static void reload(struct cv_gateway *g, const struct cv_gw_config *old)
{
	(void)old;
	g->folders->is_watched = false;
	g->folders->scan_ms = 0;
	if (!has_any(g))
		unwatch(g);
}

static cv_code start(struct cv_gateway *g, struct cv_err *err)
{
	g->folders = calloc(1, sizeof(*g->folders));
	if (!g->folders)
		return cv_fail(err, CV_LIMIT, "no memory");
	g->folders->inotify = -1;
	if (has_any(g)) /* before anybody is served */
		scan(g);
	return CV_OK;
}

static void stop(struct cv_gateway *g)
{
	if (!g->folders)
		return;
	unwatch(g);
	for (size_t i = 0; i < g->folders->n; i++) {
		free((char *)(uintptr_t)g->folders->v[i].workspace.p);
		free((char *)(uintptr_t)g->folders->v[i].file.p);
		cv_pb_free(g->folders->v[i].policy);
	}
	free(g->folders);
	g->folders = NULL;
}

const struct cv_gw_part cv_gw_part_folder = {
	.name = "folder",
	.start = start,
	.stop = stop,
	.event = event,
	.turn = turn,
	.reload = reload,
};
