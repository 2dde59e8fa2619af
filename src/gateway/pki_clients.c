/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pki_clients.c - the files by which clients of this user find a gateway
 *
 *     CLIENT/gateways/NAME/   metadata.json: its endpoint;  mtls/: authority, certificate, key
 *
 * Whose such a registration is, its authority says: with that of STATE/tls/ca.crt it is ours, whatever
 * its name and its endpoint are.  That is written down nowhere else, so nothing can disagree.  (Where it
 * has no authority, as after `cove gateway add`, it is ours if its endpoint is.)  From that:
 *
 *   - One of another gateway is never touched.  Who wants its name is told whose it is, before
 *     anything is made or started.
 *   - `init` writes the one of its name, for the gateway that runs in the state directory, or for what
 *     is configured.
 *   - `start` writes once the gateway has answered, and for the address at which it listens: those of
 *     ours that say another one, or lack a file, are mended; where there is none, "cove" is made.  The
 *     same beside a gateway that ran before.
 *   - Another way to log in, or an endpoint that is no address of this machine, is somebody's own
 *     choice: `start` leaves it as it is.
 */
#include "gateway/pki_int.h"

#include "sys/fd.h"
#include "wire/json_value.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define USUAL_NAME         CV_STR("cove")
#define ENDPOINT_BYTES_MAX 512
#define METADATA_BYTES_MAX (64u << 10) /* as clients read it */

enum whose { NOBODYS, OURS, OTHERS };

struct registration {
	enum whose whose;
	bool is_plain; /* a certificate logs in, at an address of this machine: `start` may mend it */
	bool is_whole;                     /* all files are there */
	char endpoint[ENDPOINT_BYTES_MAX]; /* "": none, or not to be read */
};

/* What a registration that is ours holds. */
struct wanted {
	struct cv_str ca;       /* PEM, of text; empty: there is none yet */
	struct cv_str endpoint; /* https://HOST:PORT */
	int tls;                /* the directory of our certificates; -1: not there yet */
	struct cv_buf text;
};

/* ---- one that is there ---- */

static struct cv_str host_of(struct cv_str endpoint)
{
	const struct cv_str scheme = CV_STR("https://");

	if (!cv_str_has_prefix(endpoint, scheme))
		return CV_STR_NONE;
	const struct cv_str at = cv_str_slice(endpoint, scheme.n, endpoint.n);
	return cv_str_slice(at, 0, CV_MIN(cv_str_rfind_byte(at, ':'), at.n));
}

static bool is_here(struct cv_str endpoint, struct cv_str own)
{
	const struct cv_str host = host_of(endpoint);

	return host.n &&
	       (cv_str_has_prefix(host, CV_STR("127.")) || cv_str_eq(host, CV_STR("localhost")) ||
		       cv_str_eq(host, CV_STR("[::1]")) || cv_str_eq(host, host_of(own)));
}

static void metadata_read(int own, const struct wanted *w, struct registration *ret)
{
	struct cv_arena arena;
	const struct cv_value *o = NULL, *remote;
	struct cv_err err;
	AUTO_BUF b;

	cv_buf_init(&b, METADATA_BYTES_MAX);
	cv_arena_init(&arena, 4 * METADATA_BYTES_MAX);
	if (cv_gw_file_read(own, "metadata.json", &b, &err) == CV_OK &&
		cv_json_value_read(cv_buf_str(&b), &arena, &o, NULL) == CV_JSON_PROBLEM_NONE) {
		const struct cv_str url = cv_value_get_str(o, CV_STR("gateway_endpoint"));
		const struct cv_str auth = cv_value_get_str(o, CV_STR("auth_mode"));

		remote = cv_value_get(o, CV_STR("is_remote"));
		if (!cv_str_to_cstr(url, ret->endpoint, sizeof(ret->endpoint)))
			ret->endpoint[0] = '\0';
		ret->is_plain = is_here(url, w->endpoint) &&
				(!auth.p || cv_str_eq(auth, CV_STR("mtls"))) &&
				!(remote && remote->type == CV_VALUE_TRUE);
	}
	cv_arena_fini(&arena);
}

static struct registration look(int gateways, const char *name, const struct wanted *w)
{
	static const char *const files[] = { "mtls/ca.crt", "mtls/tls.crt", "mtls/tls.key" };
	struct registration r = { .whose = NOBODYS, .is_whole = true };
	CV_AUTO_FD int own = openat(gateways, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct cv_err err;
	AUTO_BUF ca;

	cv_buf_init(&ca, CV_GW_FILE_BYTES_MAX);
	if (own < 0)
		return r;
	metadata_read(own, w, &r);
	for (size_t i = 0; i < CV_ARRAY_LEN(files); i++)
		r.is_whole &= faccessat(own, files[i], F_OK, 0) == 0;
	const cv_code code = cv_gw_file_read(own, files[0], &ca, &err);
	if (code == CV_OK) {
		r.whose = w->ca.n && cv_str_eq(cv_buf_str(&ca), w->ca) ? OURS : OTHERS;
		r.is_plain |= !r.endpoint[0]; /* what is lost is nobody's choice */
	} else if (code != CV_NOT_FOUND)
		r.whose = OTHERS;
	else if (r.endpoint[0])
		r.whose =
			r.is_plain && cv_str_eq(cv_str_of(r.endpoint), w->endpoint) ? OURS : OTHERS;
	return r;
}

static cv_code refuse(const char *root, struct cv_str name, const struct registration *r,
	const struct cv_pki_paths *paths, struct cv_err *err)
{
	return cv_fail(err, CV_INVALID,
		"clients know another gateway as '%.*s' (%s, in %s/gateways/%.*s), and that stays: "
		"give this one a name of its own with 'cove gateway init --state-dir %s --name "
		"NAME', or, if the other is gone, say 'cove gateway remove %.*s' first",
		CV_STR_ARG(name), r->endpoint[0] ? r->endpoint : "no endpoint", root,
		CV_STR_ARG(name), paths->state, CV_STR_ARG(name));
}

/* -1: there is none. */
static int gateways_open(const char *root)
{
	char path[CV_GW_PATH_BYTES_MAX + 16];

	(void)snprintf(path, sizeof(path), "%s/gateways", root);
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static cv_code name_check(const char *root, struct cv_str name, const struct wanted *w,
	const struct cv_pki_paths *paths, struct cv_err *err)
{
	CV_AUTO_FD int gateways = gateways_open(root);

	if (gateways < 0)
		return CV_OK;
	const struct registration r = look(gateways, name.p, w);
	return r.whose == OTHERS ? refuse(root, name, &r, paths, err) : CV_OK;
}

/* ---- writing ---- */

static cv_code file_copy(int from, const char *name, int to, const char *as, struct cv_err *err)
{
	AUTO_BUF b;
	cv_code code;

	cv_buf_init(&b, CV_GW_FILE_BYTES_MAX);
	code = cv_gw_file_read(from, name, &b, err);
	return code == CV_OK ? cv_gw_file_write(to, as, cv_buf_str(&b), 0600, err) : code;
}

static cv_code metadata_write(
	struct cv_str name, struct cv_str endpoint, int fd, struct cv_err *err)
{
	const size_t colon = cv_str_rfind_byte(endpoint, ':');
	AUTO_BUF b;

	cv_buf_init(&b, 4096);
	cv_buf_put_byte(&b, '{');
	cv_buf_put_json_member(&b, "name", name);
	cv_buf_put_byte(&b, ',');
	cv_buf_put_json_member(&b, "gateway_endpoint", endpoint);
	cv_buf_printf(&b, ",\"is_remote\":false,\"gateway_port\":%.*s,\"auth_mode\":\"mtls\"}\n",
		CV_STR_ARG(cv_str_slice(endpoint, colon + 1, endpoint.n)));
	return cv_gw_file_write(fd, "metadata.json", cv_buf_str(&b), 0600, err);
}

/* The files of one family of clients below root. */
static cv_code client_write(const char *root, const char *name, const struct wanted *w,
	struct cv_buf *said, struct cv_err *err)
{
	CV_AUTO_FD int dir = -1, gateways = -1, own = -1, mtls = -1;
	cv_code code = cv_gw_dir_open(root, &dir, err);

	if (code == CV_OK)
		code = cv_gw_dir_open_at(dir, "gateways", &gateways, err);
	if (code == CV_OK)
		code = cv_gw_dir_open_at(gateways, name, &own, err);
	if (code == CV_OK)
		code = cv_gw_dir_open_at(own, "mtls", &mtls, err);
	if (code == CV_OK)
		code = file_copy(w->tls, "ca.crt", mtls, "ca.crt", err);
	if (code == CV_OK)
		code = file_copy(w->tls, "client/tls.crt", mtls, "tls.crt", err);
	if (code == CV_OK)
		code = file_copy(w->tls, "client/tls.key", mtls, "tls.key", err);
	if (code == CV_OK)
		code = metadata_write(cv_str_of(name), w->endpoint, own, err);
	if (code == CV_OK && faccessat(dir, "active_gateway", F_OK, 0) < 0)
		code = cv_gw_file_write(dir, "active_gateway", cv_str_of(name), 0600, err);
	if (code != CV_OK)
		return cv_wrap(err, "client files in %s", root);
	cv_buf_printf(
		said, "client files: %s/gateways/%s (%.*s)\n", root, name, CV_STR_ARG(w->endpoint));
	return CV_OK;
}

/* ---- init ---- */

static void wanted_close(struct wanted *w)
{
	if (w->tls >= 0)
		close(w->tls);
	cv_buf_fini(&w->text);
}

#define AUTO_WANTED CV_AUTO(wanted_close) struct wanted

/* *ret is to be closed whatever comes back.  CV_NOT_FOUND: there are no certificates. */
static cv_code wanted_open(const struct cv_pki_paths *paths, struct cv_str endpoint,
	struct wanted *ret, struct cv_err *err)
{
	char path[CV_GW_PATH_BYTES_MAX + 16];

	*ret = (struct wanted){ .endpoint = endpoint, .tls = -1 };
	cv_buf_init(&ret->text, CV_GW_FILE_BYTES_MAX);
	(void)snprintf(path, sizeof(path), "%s/tls", paths->state);
	ret->tls = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (ret->tls < 0 && errno == ENOENT)
		return cv_fail(err, CV_NOT_FOUND, "%s is not there", path);
	if (ret->tls < 0)
		return cv_fail_errno(err, "open %s", path);
	const cv_code code = cv_gw_file_read(ret->tls, "ca.crt", &ret->text, err);
	ret->ca = cv_buf_str(&ret->text);
	return code;
}

static struct cv_str name_of(const struct cv_pki_request *q)
{
	return q->name.n ? q->name : USUAL_NAME;
}

cv_code pki_clients_check(const struct cv_pki_request *q, const struct cv_pki_paths *paths,
	struct cv_str endpoint, struct cv_err *err)
{
	AUTO_WANTED w;
	cv_code code = wanted_open(paths, endpoint, &w, err);

	if (code != CV_OK && code != CV_NOT_FOUND)
		return code;
	code = name_check(paths->client, name_of(q), &w, paths, err);
	if (code == CV_OK && q->is_compat)
		code = name_check(paths->compat, name_of(q), &w, paths, err);
	return code;
}

cv_code pki_clients_write(const struct cv_pki_request *q, const struct cv_pki_paths *paths,
	struct cv_str endpoint, struct cv_buf *said, struct cv_err *err)
{
	AUTO_WANTED w;
	cv_code code = wanted_open(paths, endpoint, &w, err);

	if (code == CV_OK)
		code = client_write(paths->client, name_of(q).p, &w, said, err);
	if (code == CV_OK && q->is_compat)
		code = client_write(paths->compat, name_of(q).p, &w, said, err);
	return code;
}

/* ---- start ---- */

/* Each of ours below root is looked at, and mended if said is there.  *ret_n: of ours. */
static cv_code ours_walk(const char *root, const struct wanted *w, struct cv_buf *said,
	size_t *ret_n, struct cv_err *err)
{
	CV_AUTO_FD int gateways = gateways_open(root);
	const int listed = gateways < 0 ? -1 : dup(gateways);
	DIR *d = listed < 0 ? NULL : fdopendir(listed);
	cv_code code = CV_OK;

	*ret_n = 0;
	for (const struct dirent *e; d && code == CV_OK && (e = readdir(d));) {
		if (e->d_name[0] == '.')
			continue;
		const struct registration r = look(gateways, e->d_name, w);
		if (r.whose != OURS)
			continue;
		++*ret_n;
		if (said && r.is_plain &&
			!(r.is_whole && cv_str_eq(cv_str_of(r.endpoint), w->endpoint)))
			code = client_write(root, e->d_name, w, said, err);
	}
	if (d)
		closedir(d);
	else if (listed >= 0)
		close(listed);
	return code;
}

cv_code cv_pki_clients_check(
	const struct cv_pki_paths *paths, struct cv_str endpoint, struct cv_err *err)
{
	AUTO_WANTED w;
	size_t n = 0;
	cv_code code = wanted_open(paths, endpoint, &w, err);

	if (code != CV_OK && code != CV_NOT_FOUND)
		return code;
	code = ours_walk(paths->client, &w, NULL, &n, err);
	return code != CV_OK || n ? code : name_check(paths->client, USUAL_NAME, &w, paths, err);
}

cv_code cv_pki_clients_mend(const struct cv_pki_paths *paths, struct cv_str endpoint,
	struct cv_buf *said, struct cv_err *err)
{
	AUTO_WANTED w;
	size_t n = 0;
	cv_code code = wanted_open(paths, endpoint, &w, err);

	if (code == CV_NOT_FOUND)
		return CV_OK; /* its certificates are not of `init` */
	if (code == CV_OK)
		code = ours_walk(paths->compat, &w, said, &n, err);
	if (code == CV_OK)
		code = ours_walk(paths->client, &w, said, &n, err);
	if (code != CV_OK || n)
		return code;
	code = name_check(paths->client, USUAL_NAME, &w, paths, err);
	return code == CV_OK ? client_write(paths->client, USUAL_NAME.p, &w, said, err) : code;
}
