/* SPDX-License-Identifier: Apache-2.0 */
/*
 * endpoint.c - which gateway, and what its files say
 *
 * Places, in order: ~/.config/cove, ~/.config/openshell (XDG_CONFIG_HOME), the system's directory,
 * which is only read.  Called as `openshell`, its own directory comes first, and new files go there.
 * Order of choice: --gateway-endpoint, -g, the environment (endpoint before name), active_gateway of
 * each place.  A name is one component of a path.
 */
#include "client/client.h"
#include "client/oidc.h"

#include "wire/json_value.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PLACES_MAX         3
#define METADATA_BYTES_MAX (64u << 10)
#define TOKEN_BYTES_MAX    (16u << 10)
#define NAMES_MAX          1024 /* gateways of one user */

struct place {
	const char *dir;
	bool is_system;
};

static const char *env_of(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

static const char *env_either(struct cl *c, const char *suffix)
{
	const char *cove = env_of(cl_print(c, "COVE_%s", suffix));

	return cove ? cove : env_of(cl_print(c, "OPENSHELL_%s", suffix));
}

static size_t places(struct cl *c, struct place ret[PLACES_MAX])
{
	const char *home = env_of("HOME"), *xdg = env_of("XDG_CONFIG_HOME");
	const char *system = env_either(c, "SYSTEM_GATEWAY_DIR");
	const bool is_openshell = strcmp(c->program, "openshell") == 0;
	size_t n = 0;

	if (!xdg || xdg[0] != '/')
		xdg = home ? cl_print(c, "%s/.config", home) : NULL;
	if (xdg) {
		ret[n++].dir = cl_print(c, "%s/%s", xdg, is_openshell ? "openshell" : "cove");
		ret[n++].dir = cl_print(c, "%s/%s", xdg, is_openshell ? "cove" : "openshell");
	}
	ret[n++] = (struct place){ system && system[0] == '/' ? system : "/etc/openshell", true };
	return n;
}

const char *cl_config_dir(struct cl *c)
{
	struct place v[PLACES_MAX] = { 0 };

	places(c, v);
	if (v[0].is_system)
		cl_die(c, "neither XDG_CONFIG_HOME nor HOME is set");
	return v[0].dir;
}

static bool name_is_fine(const char *name)
{
	return *name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
	       strlen(name) < 256;
}

/* ---- one registration ---- */

static const char *member(struct cl *c, const struct cv_value *o, const char *key)
{
	const struct cv_str s = cv_value_get_str(o, cv_str_of(key));

	return s.p ? cv_arena_str(&c->arena, s).p : NULL;
}

static const struct cv_value *json_file(struct cl *c, const char *path)
{
	const struct cv_value *v = NULL;
	struct cv_str text;
	size_t at;

	if (!cl_file_slurp(c, path, METADATA_BYTES_MAX, &text))
		return NULL;
	if (cv_json_value_read(text, &c->arena, &v, &at) != CV_JSON_PROBLEM_NONE) {
		cl_note(c, "warning: %s is no JSON and is not used", path);
		return NULL;
	}
	return v;
}

static void auth_set(struct cl_gateway *g)
{
	static const char *const names[CL_AUTH_COUNT] = { "plaintext", "mtls", "oidc",
		"cloudflare_jwt" };

	if (!g->auth_name)
		g->auth_name = strncmp(g->url, "http://", 7) == 0 ? "plaintext" : "mtls";
	g->auth = CL_AUTH_MTLS;
	for (size_t i = 0; i < CL_AUTH_COUNT; i++)
		if (strcmp(g->auth_name, names[i]) == 0)
			g->auth = (enum cl_auth)i;
}

bool cl_gateway_load(struct cl *c, const char *name, struct cl_gateway *ret)
{
	struct place v[PLACES_MAX] = { 0 };
	const size_t n = places(c, v);

	for (size_t i = 0; name_is_fine(name) && i < n; i++) {
		const char *folder = cl_print(c, "%s/gateways/%s", v[i].dir, name);
		const struct cv_value *o = json_file(c, cl_print(c, "%s/metadata.json", folder));
		struct cl_gateway g = { .name = cl_dup(c, name), .folder = folder };

		g.url = member(c, o, "gateway_endpoint");
		if (!g.url)
			continue;
		g.is_system = v[i].is_system;
		g.source = v[i].is_system ? "system" : "user";
		g.auth_name = member(c, o, "auth_mode");
		g.remote_host = member(c, o, "remote_host");
		g.resolved_host = member(c, o, "resolved_host");
		g.oidc_issuer = member(c, o, "oidc_issuer");
		g.oidc_client_id = member(c, o, "oidc_client_id");
		g.oidc_audience = member(c, o, "oidc_audience");
		g.oidc_scopes = member(c, o, "oidc_scopes");
		g.edge_auth_url = member(c, o, "edge_auth_url");
		if (!g.edge_auth_url)
			g.edge_auth_url = member(c, o, "cf_auth_url");
		const struct cv_value *remote = cv_value_get(o, CV_STR("is_remote"));
		g.is_remote = remote && remote->type == CV_VALUE_TRUE;
		auth_set(&g);
		*ret = g;
		return true;
	}
	return false;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

char **cl_gateway_names(struct cl *c, size_t *ret_count)
{
	char **names = cl_alloc(c, NAMES_MAX * sizeof(*names));
	struct place v[PLACES_MAX] = { 0 };
	const size_t n = places(c, v);
	size_t count = 0, kept = 0;

	for (size_t i = 0; i < n; i++) {
		DIR *dir = opendir(cl_print(c, "%s/gateways", v[i].dir));

		for (const struct dirent *e; dir && count < NAMES_MAX && (e = readdir(dir));)
			if (e->d_name[0] != '.')
				names[count++] = cl_dup(c, e->d_name);
		if (dir)
			closedir(dir);
	}
	qsort(names, count, sizeof(*names), by_name);
	for (size_t i = 0; i < count; i++)
		if (!kept || strcmp(names[kept - 1], names[i]) != 0)
			names[kept++] = names[i];
	*ret_count = kept;
	return names;
}

const char *cl_gateway_active(struct cl *c)
{
	struct place v[PLACES_MAX] = { 0 };
	const size_t n = places(c, v);

	for (size_t i = 0; i < n; i++) {
		struct cv_str text;

		if (!cl_file_slurp(
			    c, cl_print(c, "%s/active_gateway", v[i].dir), TOKEN_BYTES_MAX, &text))
			continue;
		struct cv_str line = cv_str_trim(cv_str_cut(&text, '\n'));
		if (line.n && line.p[line.n - 1] == '\r')
			line.n--;
		const char *name = cl_print(c, "%.*s", CV_STR_ARG(line));
		if (name_is_fine(name))
			return name;
	}
	return NULL;
}

/* ---- the choice ---- */

/* A registration with that endpoint, or the URL itself as a name. */
static void endpoint_load(struct cl *c, const char *url, struct cl_gateway *ret)
{
	size_t n;
	char **names = cl_gateway_names(c, &n);
	struct cl_gateway g;

	for (size_t i = 0; i < n; i++)
		if (cl_gateway_load(c, names[i], &g) && strcmp(g.url, url) == 0) {
			*ret = g;
			return;
		}
	*ret = (struct cl_gateway){ .name = cl_dup(c, url), .url = cl_dup(c, url) };
	auth_set(ret);
}

bool cl_gateway_find(struct cl *c, struct cl_gateway *ret, struct cv_err *err)
{
	const char *flag = cl_flag(&c->w, "gateway");
	const char *url = cl_flag(&c->w, "gateway-endpoint");
	const char *name = flag;

	if (!url && !flag)
		url = env_either(c, "GATEWAY_ENDPOINT");
	if (!name)
		name = env_either(c, "GATEWAY");
	if (url && name && cl_gateway_load(c, name, ret)) { /* its files, for another address */
		ret->url = url;
		return true;
	}
	if (url) {
		endpoint_load(c, url, ret);
		return true;
	}
	if (!name)
		name = cl_gateway_active(c);
	if (!name) {
		(void)cv_fail(err, CV_NOT_FOUND, "No active gateway.");
		return false;
	}
	if (!cl_gateway_load(c, name, ret)) {
		(void)cv_fail(err, CV_NOT_FOUND, "Unknown gateway '%s'.", cl_shown(c, name));
		return false;
	}
	return true;
}

void cl_gateway_need(struct cl *c)
{
	struct cv_err err;

	if (c->gateway.url)
		return;
	if (!cl_gateway_find(c, &c->gateway, &err))
		cl_die(c,
			"%s\nhint: register one with: %s gateway add <ENDPOINT>\n"
			"hint: or choose one with: %s gateway select <NAME>",
			err.msg, c->program, c->program);
}

void cl_gateway_named(struct cl *c, struct cl_gateway *ret)
{
	const char *name = cl_arg(&c->w, 0);
	struct cv_err err;

	if (name) {
		if (!cl_gateway_load(c, name, ret))
			cl_die(c, "Unknown gateway '%s'.", cl_shown(c, name));
		return;
	}
	if (!cl_gateway_find(c, ret, &err))
		cl_die(c, "%s", err.msg);
	if (!ret->folder)
		cl_die(c, "the gateway at %s is not registered", cl_shown(c, ret->url));
}

const char *cl_edge_token_path(struct cl *c, const struct cl_gateway *g)
{
	return cl_print(c, "%s/edge_token", cl_gateway_own_folder(c, g));
}

char *cl_gateway_token(struct cl *c, const struct cl_gateway *g)
{
	const char *env = env_either(c, "GATEWAY_TOKEN");
	struct cv_str text;

	if (env)
		return cl_dup(c, env);
	if (!g->folder)
		return NULL;
	char *token = cl_oidc_token(c, g);
	if (token)
		return token;
	if (!cl_file_slurp(c, cl_edge_token_path(c, g), TOKEN_BYTES_MAX, &text))
		return NULL;
	const struct cv_str line = cv_str_trim(cv_str_cut(&text, '\n'));
	return line.n ? cl_print(c, "%.*s", CV_STR_ARG(line)) : NULL;
}
