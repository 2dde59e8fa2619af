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
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>

#define SETTLE_MS       100  /* files of one change come together */
#define LOOK_MS         3000 /* where nothing tells */
#define TWICE_BYTES_MAX (CV_GW_FOLDER_FILES_MAX * (NAME_MAX + 1)) /* all of them */

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
	char *out_policy, *out_profile; /* the first file that was said to be one too many; owned */
	struct cv_buf twice; /* said to be of a workspace that has another; '\0' behind each */
};

/* ---- files ---- */

static const char *const ends[] = { ".yaml", ".yml", ".json" };

static bool is_document(struct cv_str name)
{
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

static size_t place_of(const struct cv_gw_folder_names *names, const char *name)
{
	size_t low = 0, high = names->n;

	while (low < high) {
		const size_t at = (low + high) / 2;

		if (strcmp(names->v[at], name) < 0)
			low = at + 1;
		else
			high = at;
	}
	return low;
}

/* One of too many; the first of those is kept, and what is taken. */
static void name_leave(struct cv_gw_folder_names *names, char *name)
{
	names->more++;
	if (names->first_out && strcmp(names->first_out, name) <= 0) {
		free(name);
		return;
	}
	free(names->first_out);
	names->first_out = name;
}

/* Directories come in no order, and the first by name are to be the same at each look. */
static void name_add(struct cv_gw_folder_names *names, const char *text)
{
	const size_t at = place_of(names, text);
	char *name = cv_str_dup(cv_str_of(text));

	if (!name)
		return; /* it is seen at the next look */
	if (names->n == CV_GW_FOLDER_FILES_MAX && at == names->n) {
		name_leave(names, name);
		return;
	}
	if (names->n == CV_GW_FOLDER_FILES_MAX)
		name_leave(names, names->v[--names->n]);
	memmove(names->v + at + 1, names->v + at, (names->n - at) * sizeof(names->v[0]));
	names->v[at] = name;
	names->n++;
}

cv_code cv_gw_folder_list(struct cv_str dir, struct cv_gw_folder_names *ret, struct cv_err *err)
{
	DIR *d = opendir(dir.p);
	const struct dirent *e;

	ret->n = ret->more = 0;
	ret->first_out = NULL;
	if (!d)
		return cv_fail_errno(err, "open %s", dir.p);
	while ((e = readdir(d)))
		if (is_document(cv_str_of(e->d_name)))
			name_add(ret, e->d_name);
	closedir(d);
	return CV_OK;
}

void cv_gw_folder_names_fini(struct cv_gw_folder_names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->v[i]);
	free(names->first_out);
	names->n = 0;
	names->first_out = NULL;
}

/* In the order of their names: of two that say the same thing the first counts, at each look. */
cv_code cv_gw_folder_read(struct cv_gateway *g, struct cv_str dir,
	const struct cv_gw_folder_names *names, cv_gw_folder_fn *one, void *arg, struct cv_err *err)
{
	CV_AUTO_FD int fd = open(dir.p, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return cv_fail_errno(err, "open %s", dir.p);
	for (size_t i = 0; i < names->n; i++)
		file_give(g, fd, names->v[i], one, arg);
	return CV_OK;
}

/* Once, until it is another one. */
static void too_many_say(struct cv_str dir, const struct cv_gw_folder_names *names, char **said)
{
	if (!names->more) {
		free(*said);
		*said = NULL;
		return;
	}
	if (*said && !strcmp(*said, names->first_out))
		return;
	free(*said);
	*said = cv_str_dup(cv_str_of(names->first_out));
	cv_log(CV_LOG_ERROR, "folder",
		CV_LOG_FIELDS({ "directory", dir }, { "file", cv_str_of(names->first_out) }),
		"it is not read, as there are more than %d (CV_GW_FOLDER_FILES_MAX); nor are %zu "
		"behind it",
		CV_GW_FOLDER_FILES_MAX, names->more - 1);
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

static struct cv_str stem_of(struct cv_str file)
{
	return cv_str_slice(file, 0, cv_str_rfind_byte(file, '.'));
}

/* The workspace's file: the first by name of those that are called like it. */
static struct cv_str first_of(const struct cv_gw_folder_names *names, struct cv_str file)
{
	const struct cv_str stem = stem_of(file);
	struct cv_str first = file;

	for (size_t i = 0; i < CV_ARRAY_LEN(ends); i++) {
		char name[NAME_MAX + 1];

		snprintf(name, sizeof(name), "%.*s%s", CV_STR_ARG(stem), ends[i]);
		const size_t at = place_of(names, name);
		if (at < names->n && !strcmp(names->v[at], name) && strcmp(name, first.p) < 0)
			first = cv_str_of(names->v[at]);
	}
	return first;
}

static bool list_has(struct cv_str list, struct cv_str name)
{
	while (list.n)
		if (cv_str_eq(cv_str_cut(&list, '\0'), name))
			return true;
	return false;
}

/* Once, as long as it is so. */
static void twice_say(struct cv_gateway *g, struct cv_str file, struct cv_str first)
{
	if (!list_has(cv_buf_str(&g->folders->twice), file))
		cv_log(CV_LOG_WARN, "policy",
			CV_LOG_FIELDS({ "file", file }, { "workspace", stem_of(file) }),
			"the file is not used: the workspace's is %.*s", CV_STR_ARG(first));
}

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

static bool policy_init(struct folder_policy *p, struct cv_str file)
{
	const struct cv_str workspace = stem_of(file);
	char *own = cv_str_dup(workspace), *name = cv_str_dup(file);

	*p = (struct folder_policy){ .workspace = { own, workspace.n }, .file = { name, file.n } };
	if (own && name)
		return true;
	free(own);
	free(name);
	return false;
}

/* One that comes before it by name has its place now. */
static bool policy_rename(struct folder_policy *p, struct cv_str file)
{
	char *name = cv_str_dup(file);

	if (!name)
		return false;
	free((char *)(uintptr_t)p->file.p);
	p->file = (struct cv_str){ name, file.n };
	return true;
}

static void policy_fini(struct folder_policy *p)
{
	free((char *)(uintptr_t)p->workspace.p);
	free((char *)(uintptr_t)p->file.p);
	cv_pb_free(p->policy);
}

static void policy_keep(
	struct cv_gateway *g, struct cv_str file, const cv_policy_pb *is, const char *hash)
{
	struct folder_policy *p = policy_of(g, stem_of(file));

	if (p && !cv_str_eq(p->file, file) && !policy_rename(p, file))
		return; /* at the next look */
	if (p && strcmp(p->hash, hash) == 0)
		return;
	/* There is room: there are no more than there are files. */
	if (!p && (g->folders->n == CV_GW_FOLDER_FILES_MAX ||
			  !policy_init(&g->folders->v[g->folders->n], file)))
		return;
	if (!p)
		p = &g->folders->v[g->folders->n++];
	cv_pb_free(p->policy);
	p->policy = cv_pb_copy(is);
	memcpy(p->hash, hash, sizeof(p->hash));
	p->is_new = true;
	cv_log(CV_LOG_INFO, "policy",
		CV_LOG_FIELDS({ "file", file }, { "workspace", p->workspace }),
		"the file's policy holds for sandboxes that come without one");
}

/* names: the files that are there; NULL: none is. */
static void policies_drop(struct cv_gateway *g, const struct cv_gw_folder_names *names)
{
	struct cv_gw_folders *f = g->folders;
	size_t kept = 0;

	for (size_t i = 0; i < f->n; i++) {
		struct folder_policy *p = &f->v[i];
		const size_t at = names ? place_of(names, p->file.p) : 0;

		if (names && at < names->n && !strcmp(names->v[at], p->file.p)) {
			f->v[kept++] = *p;
			continue;
		}
		cv_log(CV_LOG_WARN, "policy",
			CV_LOG_FIELDS({ "file", p->file }, { "workspace", p->workspace }),
			"the file is gone: sandboxes that come without a policy get none; those that "
			"have the file's keep it");
		policy_fini(p);
	}
	f->n = kept;
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

/* Of one look. */
struct look {
	const struct cv_gw_folder_names *names;
	struct cv_buf twice;
};

static void policy_take(struct cv_gateway *g, const struct cv_gw_folder_file *file, void *arg)
{
	struct look *look = arg;
	const struct cv_str first = first_of(look->names, file->name);
	char hash[CV_POLICY_HASH_BYTES];
	struct cv_findings findings;
	struct cv_arena arena;
	struct cv_err err;
	cv_policy_pb *is;

	if (!cv_str_eq(first, file->name)) {
		twice_say(g, file->name, first);
		cv_buf_put(&look->twice, file->name);
		cv_buf_put_byte(&look->twice, '\0');
		return;
	}
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

static void followers_give(struct cv_gateway *g, struct folder_policy *p)
{
	const struct cv_object_range r =
		cv_object_scope(g->objects, CV_OBJECT_SANDBOX, p->workspace);

	for (size_t k = r.first; p->is_new && k < r.end; k++) {
		const struct cv_object *o = cv_object_at(g->objects, CV_OBJECT_SANDBOX, k);

		if (is_follower(g, o))
			sandbox_give(g, o, p);
	}
	p->is_new = false;
}

static void policies_scan(struct cv_gateway *g, struct cv_str dir)
{
	struct cv_gw_folder_names names;
	struct look look = { .names = &names };
	struct cv_err err;
	cv_code code = cv_gw_folder_list(dir, &names, &err);

	cv_buf_init(&look.twice, TWICE_BYTES_MAX);
	if (code == CV_OK) {
		too_many_say(dir, &names, &g->folders->out_policy);
		policies_drop(g, &names); /* first: another may be the workspace's now */
		code = cv_gw_folder_read(g, dir, &names, policy_take, &look, &err);
	}
	if (code == CV_OK) {
		cv_buf_fini(&g->folders->twice);
		g->folders->twice = look.twice;
	} else {
		cv_buf_fini(&look.twice);
	}
	if (code != CV_OK)
		cv_log(CV_LOG_ERROR, "policy", CV_LOG_FIELDS({ "directory", dir }),
			"policies stay as they are: %s", err.msg);
	cv_gw_folder_names_fini(&names);
	for (size_t i = 0; i < g->folders->n; i++)
		followers_give(g, &g->folders->v[i]);
}

static void profiles_scan(struct cv_gateway *g, struct cv_str dir)
{
	struct cv_gw_folder_names names;
	struct cv_err err;

	if (cv_gw_folder_list(dir, &names, &err) == CV_OK) {
		too_many_say(dir, &names, &g->folders->out_profile);
		cv_gw_folder_profiles(g, dir, &names);
	} else
		cv_log(CV_LOG_ERROR, "profile", CV_LOG_FIELDS({ "directory", dir }),
			"profiles stay as they are: %s", err.msg);
	cv_gw_folder_names_fini(&names);
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
		profiles_scan(g, g->config->profiles_dir);
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
	/* Of another directory nothing holds that this one does not say, too. */
	if (!cv_str_eq(old->policies_dir, g->config->policies_dir))
		policies_drop(g, NULL);
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
	cv_buf_init(&g->folders->twice, TWICE_BYTES_MAX);
	if (has_any(g)) /* before anybody is served */
		scan(g);
	return CV_OK;
}

static void stop(struct cv_gateway *g)
{
	if (!g->folders)
		return;
	unwatch(g);
	for (size_t i = 0; i < g->folders->n; i++)
		policy_fini(&g->folders->v[i]);
	free(g->folders->out_policy);
	free(g->folders->out_profile);
	cv_buf_fini(&g->folders->twice);
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
