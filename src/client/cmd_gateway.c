/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_gateway.c - the list of gateways that this client knows: files, and no question to anybody
 *
 * What was registered for the whole machine can be selected and never changed.
 */
#include "client/browser.h"
#include "client/client.h"
#include "client/commands.h"
#include "client/edge.h"
#include "client/oidc.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_PORT 17670u
#define EDGE         "cloudflare_jwt" /* auth_mode of a gateway behind an edge proxy */

/* ---- list ---- */

static const char *type_of(const struct cl_gateway *g)
{
	if (g->is_remote)
		return "remote";
	return g->auth == CL_AUTH_EDGE ? "cloud" : "local";
}

static void gateway_out(struct cl_out *o, const struct cl_gateway *g, bool is_active)
{
	cl_out_object(o, NULL);
	cl_out_str(o, "name", g->name);
	cl_out_str(o, "endpoint", g->url);
	cl_out_str(o, "type", type_of(g));
	cl_out_str(o, "source", g->source);
	cl_out_str(o, "auth", g->auth_name);
	cl_out_bool(o, "active", is_active);
	cl_out_bool(o, "is_remote", g->is_remote);
	cl_out_str(o, "remote_host", g->remote_host);
	cl_out_str(o, "resolved_host", g->resolved_host);
	cl_out_end(o);
}

static const char *chosen(struct cl *c)
{
	struct cl_gateway g;
	struct cv_err err;

	return cl_gateway_find(c, &g, &err) ? g.name : "";
}

static void table_put(struct cl *c, const struct cl_gateway *v, size_t n, const char *active)
{
	static const char *const heads[] = { "NAME", "ENDPOINT", "TYPE", "SOURCE", "AUTH",
		"REMOTE" };
	struct cl_table t;
	bool has_remote = false;

	for (size_t i = 0; i < n; i++)
		has_remote |= v[i].is_remote;
	cl_table_init(&t, has_remote ? 6 : 5);
	for (size_t i = 0; i < t.columns; i++)
		cl_table_cell(&t, cv_str_of(i ? heads[i] : "  NAME"));
	for (size_t i = 0; i < n; i++) {
		const char *mark = strcmp(v[i].name, active) == 0 ? "*" : " ";

		cl_table_cell(&t, cv_str_of(cl_print(c, "%s %s", mark, v[i].name)));
		cl_table_cell(&t, cv_str_of(v[i].url));
		cl_table_cell(&t, cv_str_of(type_of(&v[i])));
		cl_table_cell(&t, cv_str_of(v[i].source));
		cl_table_cell(&t, cv_str_of(v[i].auth_name));
		if (has_remote)
			cl_table_cell(&t, cv_str_of(v[i].remote_host ? v[i].remote_host : "-"));
	}
	cl_table_done(c, &t);
}

int cl_run_gateway_list(struct cl *c)
{
	size_t names_count, n = 0;
	char **names = cl_gateway_names(c, &names_count);
	struct cl_gateway *v = cl_alloc(c, (names_count + 1) * sizeof(*v));
	const char *active = chosen(c);
	struct cl_out o;

	for (size_t i = 0; i < names_count; i++)
		n += cl_gateway_load(c, names[i], &v[n]);
	if (cl_form(c) == CL_FORM_TABLE) {
		if (n)
			table_put(c, v, n, active);
		else
			printf("No gateways found.\n\nRegister one with: %s gateway add <ENDPOINT>\n",
				c->program);
		return 0;
	}
	cl_out_init(&o, cl_form(c));
	cl_out_array(&o, NULL);
	for (size_t i = 0; i < n; i++)
		gateway_out(&o, &v[i], strcmp(v[i].name, active) == 0);
	cl_out_end(&o);
	return cl_out_done(c, &o);
}

/* ---- add ---- */

struct address {
	const char *scheme, *host, *user_host;
	unsigned port;
};

/* http://HOST[:PORT], https://..., ssh://USER@HOST:PORT; dies on anything else. */
static struct address address_parse(struct cl *c, const char *text)
{
	static const char *const schemes[] = { "http://", "https://", "ssh://" };
	struct address a = { .port = 0 };
	uint64_t port = 0;

	for (size_t i = 0; i < CV_ARRAY_LEN(schemes); i++)
		if (strncmp(text, schemes[i], strlen(schemes[i])) == 0)
			a.scheme = schemes[i];
	if (!a.scheme)
		cl_die_usage(
			c, "invalid endpoint '%s': expected http://, https:// or ssh://", text);
	struct cv_str rest = cv_str_of(text + strlen(a.scheme));
	if (cv_str_has_suffix(rest, CV_STR("/")))
		rest.n--;
	const size_t at = cv_str_rfind_byte(rest, '@');
	const struct cv_str host_port = at < rest.n ? cv_str_slice(rest, at + 1, rest.n) : rest;
	const size_t bracket = cv_str_rfind_byte(host_port, ']');
	size_t colon = cv_str_rfind_byte(host_port, ':');
	if (bracket < host_port.n && colon < bracket)
		colon = host_port.n;
	const struct cv_str host = cv_str_slice(host_port, 0, colon);
	if (colon < host_port.n &&
		(!cv_str_to_u64(cv_str_slice(host_port, colon + 1, host_port.n), 65535, &port) ||
			!port))
		cl_die_usage(c, "invalid endpoint '%s': the port is no port", text);
	if (!host.n || cv_str_has_byte(rest, '/') || cv_str_has_byte(rest, ' '))
		cl_die_usage(c, "invalid endpoint '%s': expected a host, and perhaps a port", text);
	a.host = cl_print(c, "%.*s", CV_STR_ARG(host));
	a.user_host = cl_print(c, "%.*s", (int)(rest.n - (host_port.n - colon)), rest.p);
	a.port = (unsigned)port;
	return a;
}

static const char *name_of(struct cl *c, const struct address *a)
{
	const char *name = cl_flag(&c->w, "name");

	if (!name) {
		name = strcmp(a->host, "127.0.0.1") == 0 || strcmp(a->host, "localhost") == 0 ||
				       strcmp(a->host, "[::1]") == 0
			       ? "local"
			       : a->host;
	}
	if (!*name || strchr(name, '/') || name[0] == '.' || strlen(name) > 253)
		cl_die_usage(c, "invalid gateway name '%s'", name);
	return name;
}

static void copy_pem(struct cl *c, const char *flag, const char *folder, const char *file)
{
	const char *from = cl_flag(&c->w, flag);

	if (from)
		cl_file_write(c, cl_print(c, "%s/mtls/%s", folder, file),
			cl_file_read(c, from, CL_FILE_BYTES_MAX));
}

/* Who says nothing of certificates or of an issuer may mean a gateway behind an edge proxy: what
 * answers there knows. */
static const char *auth_wanted(
	struct cl *c, const struct address *a, const char *url, const char *remote)
{
	static const char *const certain[] = { "local", "cert", "key" };

	if (cl_has(&c->w, "oidc-issuer"))
		return "oidc";
	if (strcmp(a->scheme, "http://") == 0)
		return "plaintext";
	for (size_t i = 0; i < CV_ARRAY_LEN(certain); i++)
		if (cl_has(&c->w, certain[i]))
			return "mtls";
	return !remote && cl_edge_is_there(c, url, cl_flag(&c->w, "ca")) ? EDGE : "mtls";
}

static void metadata_write(struct cl *c, const char *folder, const char *name, const char *url,
	const struct address *a, const char *remote, const char *auth)
{
	static const struct {
		const char *flag, *key;
	} rows[] = { { "oidc-issuer", "oidc_issuer" }, { "oidc-client-id", "oidc_client_id" },
		{ "oidc-audience", "oidc_audience" }, { "oidc-scopes", "oidc_scopes" } };
	struct cl_out o;

	cl_out_init(&o, CL_FORM_JSON);
	cl_out_object(&o, NULL);
	cl_out_str(&o, "name", name);
	cl_out_str(&o, "gateway_endpoint", url);
	cl_out_bool(&o, "is_remote", remote != NULL);
	cl_out_int(&o, "gateway_port", a->port);
	if (remote)
		cl_out_str(&o, "remote_host", remote);
	cl_out_str(&o, "auth_mode", auth);
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++) {
		const char *value = cl_flag(&c->w, rows[i].flag);

		if (!value && i == 1 && cl_has(&c->w, "oidc-issuer"))
			value = CL_OIDC_CLIENT_ID;
		if (value)
			cl_out_str(&o, rows[i].key, value);
	}
	cl_out_end(&o);
	cl_file_write(c, cl_print(c, "%s/metadata.json", folder), cv_buf_str(&o.b));
	cl_out_fini(&o);
}

static void active_write(struct cl *c, const char *name)
{
	cl_file_write(c, cl_print(c, "%s/active_gateway", cl_config_dir(c)),
		cv_str_of(cl_print(c, "%s\n", name)));
}

/* Where a person is, the log-in comes at once. */
static int edge_go_on(struct cl *c, const char *name)
{
	struct cl_gateway g;

	if (!cl_browser_is_there() || !cl_gateway_load(c, name, &g)) {
		cl_note(c, "It is behind an edge proxy.\nhint: log in with: %s gateway login %s",
			c->program, cl_shown(c, name));
		return 0;
	}
	cl_edge_login(c, &g);
	return 0;
}

int cl_run_gateway_add(struct cl *c)
{
	struct address a = address_parse(c, cl_arg(&c->w, 0));
	const char *name = name_of(c, &a), *remote = cl_flag(&c->w, "remote");
	const char *folder = cl_print(c, "%s/gateways/%s", cl_config_dir(c), name);
	const char *scheme = a.scheme;
	struct cl_gateway old;

	if (cl_has(&c->w, "cert") != cl_has(&c->w, "key"))
		cl_die_usage(c, "the argument '--%s' needs '--%s'",
			cl_has(&c->w, "cert") ? "cert" : "key",
			cl_has(&c->w, "cert") ? "key" : "cert");
	if (strcmp(scheme, "ssh://") == 0) {
		remote = a.user_host;
		scheme = "https://";
	}
	if (!a.port)
		a.port = strcmp(a.scheme, "ssh://") == 0  ? DEFAULT_PORT
			 : strcmp(scheme, "http://") == 0 ? 80
							  : 443;
	if (cl_gateway_load(c, name, &old) && !old.is_system)
		cl_die(c,
			"gateway '%s' already exists\nhint: remove it first with: %s gateway remove %s",
			cl_shown(c, name), c->program, cl_shown(c, name));
	const char *url = cl_print(c, "%s%s:%u", scheme, a.host, a.port);
	const char *auth = auth_wanted(c, &a, url, remote);
	copy_pem(c, "ca", folder, "ca.crt");
	copy_pem(c, "cert", folder, "tls.crt");
	copy_pem(c, "key", folder, "tls.key");
	metadata_write(c, folder, name, url, &a, remote, auth);
	active_write(c, name);
	cl_mark(c, 'v', "Gateway '%s' added and set as active", cl_shown(c, name));
	cl_label(c, "Endpoint:", url);
	if (cl_has(&c->w, "oidc-issuer"))
		cl_note(c, "hint: log in with: %s gateway login %s", c->program, cl_shown(c, name));
	return strcmp(auth, EDGE) == 0 ? edge_go_on(c, name) : 0;
}

/* ---- select, remove ---- */

int cl_run_gateway_select(struct cl *c)
{
	struct cl_gateway g;

	if (!cl_arg(&c->w, 0))
		return cl_run_gateway_list(c);
	cl_gateway_named(c, &g);
	active_write(c, g.name);
	cl_mark(c, 'v', "Active gateway set to '%s'", cl_shown(c, g.name));
	return 0;
}

/* A directory of ours, two levels at most. */
static void tree_remove(struct cl *c, const char *path)
{
	DIR *dir = opendir(path);

	for (const struct dirent *e; dir && (e = readdir(dir));) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		const char *inner = cl_print(c, "%s/%s", path, e->d_name);
		struct stat st;

		if (lstat(inner, &st) == 0 && S_ISDIR(st.st_mode))
			tree_remove(c, inner);
		else
			unlink(inner);
	}
	if (dir)
		closedir(dir);
	if (rmdir(path) < 0 && errno != ENOENT)
		cl_die(c, "remove %s: %s", path, strerror(errno));
}

int cl_run_gateway_remove(struct cl *c)
{
	struct cl_gateway g;

	cl_gateway_named(c, &g);
	if (g.is_system)
		cl_die(c, "gateway '%s' belongs to the system and cannot be removed",
			cl_shown(c, g.name));
	const char *active = cl_gateway_active(c);
	tree_remove(c, g.folder);
	if (active && strcmp(active, g.name) == 0)
		unlink(cl_print(c, "%s/active_gateway", cl_config_dir(c)));
	cl_mark(c, 'v', "Gateway '%s' removed", cl_shown(c, g.name));
	return 0;
}
