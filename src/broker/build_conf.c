/* SPDX-License-Identifier: Apache-2.0 */
/*
 * build_conf.c - what a step's engine is told, and the policy of the proxy that it speaks through
 *
 * A login never reaches an engine.  What stands in its auth.json is a placeholder; the value is a
 * credential of the step's own `cove run`, whose proxy puts it into requests to the registry and to
 * the hosts that the catalog says give tokens for it.  From the keeper to there it is in a memfd that the
 * broker holds while the build lasts: in no file, no argument and no environment.
 *
 *     conf/auth.json   user:placeholder         provider.json   {fd: SPAWN_KEEP_FD}
 *     policy.json      endpoints, bound to it   profile.json    one credential, no endpoint
 *
 * Only the steps that reach registries have one, and these run no program of anybody's.
 */
#include "broker/build_int.h"

#include "base/base64.h"
#include "policy/fill.h"
#include "sys/fd.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define LOGIN_KEY "COVE_REGISTRY_PASSWORD" /* a variable of the step's sandbox: its placeholder */

/* At once: whoever reads it while it is written anew has the one or the other. */
static cv_code file_write(
	const struct build_run *r, const char *name, struct cv_str text, struct cv_err *err)
{
	char path[PATH_MAX + 32], to[PATH_MAX + 32];

	snprintf(path, sizeof(path), "%s/%s.new", r->dir, name);
	snprintf(to, sizeof(to), "%s/%s", r->dir, name);
	unlink(path);
	CV_AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	for (size_t at = 0; fd >= 0 && at < text.n;) {
		const ssize_t n = write(fd, text.p + at, text.n - at);

		if (n <= 0)
			return cv_fail_errno(err, "write %s", name);
		at += (size_t)n;
	}
	return fd < 0 || rename(path, to) < 0 ? cv_fail_errno(err, "write %s", name) : CV_OK;
}

/* ---- what the engine is told ---- */

#define ACCEPT "[{\"type\":\"insecureAcceptAnything\"}]"

/* Which images the engine may take from where: what is in storage, and what this step is to fetch. */
static cv_code trust_write(const struct build_run *r, struct cv_err *err)
{
	struct cv_buf b;

	cv_buf_init(&b, 8192);
	cv_buf_printf(&b, "{\"default\":[{\"type\":\"reject\"}],\"transports\":{"
			  "\"containers-storage\":{\"\":" ACCEPT "}");
	if (r->step == BUILD_PULL) {
		cv_buf_put(&b, CV_STR(",\"docker\":{\""));
		cv_buf_put_json(&b, r->pull[r->pull_at]);
		cv_buf_put(&b, CV_STR("\":" ACCEPT "}"));
	}
	cv_buf_put(&b, CV_STR("}}\n"));
	const cv_code code = file_write(r, "conf/trust.json", cv_buf_str(&b), err);
	cv_buf_fini(&b);
	return code;
}

struct cv_str build_registry(const struct build_run *r)
{
	const struct cv_str reference = r->step == BUILD_PULL   ? r->pull[r->pull_at]
					: r->step == BUILD_PUSH ? r->push
								: CV_STR_NONE;

	return cv_str_slice(reference, 0, cv_str_find_byte(reference, '/'));
}

static bool is_plain(const struct build_run *r, struct cv_str registry)
{
	for (size_t i = 0; i < r->tool->plain_http_count; i++)
		if (cv_str_eq(r->tool->plain_http[i], registry))
			return true;
	return false;
}

/* No short names, no mirrors, whatever the host has.  `insecure` lets the engine go on without TLS
 * when there is none; a certificate that is wrong stays wrong, since the proxy looks at it. */
static cv_code registries_write(const struct build_run *r, struct cv_err *err)
{
	const struct cv_str registry = build_registry(r);
	struct cv_buf b;

	cv_buf_init(&b, 4096);
	cv_buf_put(
		&b, CV_STR("unqualified-search-registries = []\nshort-name-mode = \"disabled\"\n"));
	if (registry.n && is_plain(r, registry))
		cv_buf_printf(&b, "[[registry]]\nlocation = \"%.*s\"\ninsecure = true\n",
			CV_STR_ARG(registry));
	const cv_code code = b.is_overflown
				     ? cv_fail(err, CV_LIMIT, "the registry's name is too long")
				     : file_write(r, "conf/registries.conf", cv_buf_str(&b), err);
	cv_buf_fini(&b);
	return code;
}

static cv_code auth_write(const struct build_run *r, struct cv_err *err)
{
	const struct cv_tool_login *login = build_login(r);
	struct cv_buf b, pair;

	cv_buf_init(&b, 8192);
	cv_buf_init(&pair, 1024);
	if (login) {
		cv_buf_printf(
			&pair, "%.*s:openshell:resolve:env:" LOGIN_KEY, CV_STR_ARG(login->user));
		cv_buf_printf(&b, "{\"auths\":{\"%.*s\":{\"auth\":\"", CV_STR_ARG(login->registry));
		cv_buf_put_base64(&b, cv_buf_str(&pair), CV_BASE64_STD);
		cv_buf_put(&b, CV_STR("\"}}}\n"));
	} else {
		cv_buf_put(&b, CV_STR("{}\n"));
	}
	const cv_code code = b.is_overflown || pair.is_overflown
				     ? cv_fail(err, CV_LIMIT, "the login is too long")
				     : file_write(r, "conf/auth.json", cv_buf_str(&b), err);
	cv_buf_fini(&pair);
	cv_buf_fini(&b);
	return code;
}

/* ---- logins ---- */

const struct cv_tool_login *build_login(const struct build_run *r)
{
	const struct cv_str registry = build_registry(r);

	for (size_t i = 0; registry.n && i < r->tool->login_count; i++)
		if (cv_str_eq(r->tool->logins[i].registry, registry))
			return &r->tool->logins[i];
	return NULL;
}

cv_code build_logins_take(struct build_run *r, const struct keys *keys, struct cv_err *err)
{
	for (size_t i = 0; i < r->tool->login_count; i++) {
		const struct cv_tool_login *l = &r->tool->logins[i];
		struct cv_str value;

		if (!keys || !keys_get((void *)(uintptr_t)keys, l->credential, &value) || !value.n)
			return cv_fail(err, CV_UNAVAILABLE, "the credential %.*s has no value",
				CV_STR_ARG(l->credential));
		if (cv_ipc_memfd("cove-login", value, &r->login[i], err) != CV_OK)
			return err->code;
	}
	return CV_OK;
}

void build_logins_drop(struct build_run *r)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(r->login); i++) {
		if (r->login[i] >= 0)
			close(r->login[i]);
		r->login[i] = -1;
	}
}

cv_code build_login_open(const struct build_run *r, int *ret, struct cv_err *err)
{
	const struct cv_tool_login *login = build_login(r);
	char path[64];

	*ret = -1;
	if (!login)
		return CV_OK;
	/* Each reader has a place of its own in it. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", r->login[login - r->tool->logins]);
	*ret = open(path, O_RDONLY | O_CLOEXEC);
	return *ret < 0 ? cv_fail_errno(err, "the login of %.*s", CV_STR_ARG(login->registry))
			: CV_OK;
}

static cv_code provider_write(const struct build_run *r, struct cv_err *err)
{
	static const char profile[] =
		"{\"id\":\"registry-login\",\"display_name\":\"A registry's login\","
		"\"description\":\"for the steps of a build that reach it\",\"category\":\"other\","
		"\"credentials\":[{\"name\":\"password\",\"env_vars\":[\"" LOGIN_KEY "\"],"
		"\"required\":true}]}\n";
	struct cv_buf b;

	if (!build_login(r))
		return CV_OK;
	cv_buf_init(&b, 2 * PATH_MAX + 256);
	cv_buf_put(&b, CV_STR("{\"name\":\"registry\",\"profile\":\""));
	cv_buf_put_json(&b, cv_str_of(r->dir));
	cv_buf_printf(
		&b, "/profile.json\",\"credentials\":{\"password\":{\"fd\":%d}}}\n", SPAWN_KEEP_FD);
	cv_code code = file_write(r, "profile.json", cv_str_of(profile), err);
	if (code == CV_OK)
		code = b.is_overflown ? cv_fail(err, CV_LIMIT,
						"the broker's directory has too long a name")
				      : file_write(r, "provider.json", cv_buf_str(&b), err);
	cv_buf_fini(&b);
	return code;
}

cv_code build_conf_write(const struct build_run *r, struct cv_err *err)
{
	cv_code code = trust_write(r, err);

	if (code == CV_OK)
		code = registries_write(r, err);
	if (code == CV_OK)
		code = file_write(r, "conf/storage.conf",
			CV_STR("[storage]\ndriver = \"vfs\"\nrunroot = \"/tmp/run\"\n"
			       "graphroot = \"/tmp/store\"\n"),
			err);
	if (code == CV_OK)
		code = auth_write(r, err);
	return code == CV_OK ? provider_write(r, err) : code;
}

/* ---- policies ---- */

/* Where registries that we know send us on to: first those that a login is for. */
static const struct {
	const char *registry;
	size_t login_count;
	const char *host[5];
} known[] = {
	{ "docker.io", 2,
		{ "registry-1.docker.io", "auth.docker.io", "production.cloudflare.docker.com",
			"production.cloudfront.docker.com" } },
	{ "quay.io", 1,
		{ "quay.io", "cdn.quay.io", "cdn01.quay.io", "cdn02.quay.io", "cdn03.quay.io" } },
	{ "ghcr.io", 1, { "ghcr.io", "pkg-containers.githubusercontent.com" } },
};

struct registry_policy {
	struct cv_buf *out;
	const struct build_run *r;
	const struct cv_tool_login *login;
	const char *access, *port; /* where a place names none */
	size_t count;
};

static void endpoint_put(struct registry_policy *p, struct cv_str place, bool is_bound)
{
	struct cv_str rest = place;
	const struct cv_str host = cv_str_cut(&rest, ':');
	const struct cv_tool_build *t = p->r->tool;

	cv_buf_printf(p->out, "%s{\"host\":\"", p->count++ ? "," : "");
	cv_buf_put_json(p->out, host);
	cv_buf_put(p->out, CV_STR("\",\"port\":"));
	cv_buf_put(p->out, rest.p ? rest : cv_str_of(p->port));
	cv_buf_printf(p->out,
		",\"protocol\":\"rest\",\"enforcement\":\"enforce\",\"access\":\"%s\"", p->access);
	if (p->login) /* layers are large, and what is in them is no business of the login's */
		cv_buf_put(p->out, CV_STR(",\"body_hold\":\"watch\""));
	if (p->login && is_bound)
		cv_buf_put(p->out, CV_STR(",\"credential_binding\":{\"provider\":\"registry\"}"));
	for (size_t i = 0; i < t->allowed_ip_count; i++) {
		cv_buf_printf(p->out, "%s\"", i ? "," : ",\"allowed_ips\":[");
		cv_buf_put_json(p->out, t->allowed_ips[i]);
		cv_buf_put_byte(p->out, '"');
	}
	cv_buf_put(p->out, t->allowed_ip_count ? CV_STR("]}") : CV_STR("}"));
}

/* False: it is none that we know. */
static bool known_put(struct registry_policy *p, struct cv_str registry)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(known); i++) {
		if (!cv_str_eq(registry, cv_str_of(known[i].registry)))
			continue;
		for (size_t k = 0; k < CV_ARRAY_LEN(known[i].host) && known[i].host[k]; k++)
			endpoint_put(p, cv_str_of(known[i].host[k]), k < known[i].login_count);
		return true;
	}
	return false;
}

static bool is_among(struct cv_str s, const struct cv_str *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (cv_str_eq(v[i], s))
			return true;
	return false;
}

/* This registry, where it sends us, and what the catalog adds; for the engine alone. */
static cv_code registry_policy_write(
	const struct build_run *r, const char *access, struct cv_err *err)
{
	const struct cv_str registry = build_registry(r);
	const struct cv_tool_login *login = build_login(r);
	struct cv_buf b;
	struct registry_policy p = { &b, r, login, access, is_plain(r, registry) ? "80" : "443",
		0 };

	cv_buf_init(&b, BUILD_POLICY_BYTES_MAX);
	cv_buf_put(
		&b, CV_STR("{\"version\":1,\"network_policies\":{\"registry\":{\"endpoints\":["));
	if (!known_put(&p, registry))
		endpoint_put(&p, registry, true);
	p.port = "443";
	for (size_t i = 0; login && i < login->host_count; i++)
		if (!cv_str_eq(login->hosts[i], registry))
			endpoint_put(&p, login->hosts[i], true);
	for (size_t i = 0; i < r->tool->host_count; i++)
		if (!login || !is_among(r->tool->hosts[i], login->hosts, login->host_count))
			endpoint_put(&p, r->tool->hosts[i], false);
	cv_buf_printf(&b, "],\"binaries\":[{\"path\":\"%s\"}]}}}\n",
		build_engine_of(r->tool->engine)->path);
	const cv_code code = b.is_overflown ? cv_fail(err, CV_LIMIT, "too many registries")
					    : file_write(r, "policy.json", cv_buf_str(&b), err);
	cv_buf_fini(&b);
	return code;
}

/* A build has no credentials: what an endpoint says of them goes, and an endpoint that answers with
 * tokens goes as a whole, since nobody would keep them out of the build. */
static void endpoints_copy(const struct cv_policy_entry *from, struct cv_policy_entry *to)
{
	to->endpoint_count = 0;
	for (size_t i = 0; i < from->endpoint_count; i++) {
		struct cv_policy_endpoint *e = &to->endpoints[to->endpoint_count];

		if (from->endpoints[i].token_endpoint)
			continue;
		to->endpoint_count++;
		*e = from->endpoints[i];
		e->has_credential_binding = false;
		e->credential_binding_provider = (struct cv_policy_text){ 0 };
		e->websocket_credential_rewrite = false;
		e->request_body_credential_rewrite = false;
		e->allow_uninspected_credentials = false;
		e->credential_signing = (struct cv_policy_text){ 0 };
		e->signing_service = (struct cv_policy_text){ 0 };
		e->signing_region = (struct cv_policy_text){ 0 };
	}
}

static cv_code entries_copy(const struct cv_policy_doc *doc, struct cv_policy_doc *to,
	struct cv_arena *arena, struct cv_err *err)
{
	to->entries = cv_arena_array(arena, doc->entry_count + 1, sizeof(*to->entries));
	for (size_t i = 0; to->entries && i < doc->entry_count; i++) {
		struct cv_policy_entry *e = &to->entries[to->entry_count];

		*e = doc->entries[i];
		e->endpoints = cv_arena_array(
			arena, doc->entries[i].endpoint_count + 1, sizeof(*e->endpoints));
		if (!e->endpoints)
			break;
		endpoints_copy(&doc->entries[i], e);
		to->entry_count += e->endpoint_count > 0;
	}
	return arena->is_overflown || !to->entries ? cv_fail(err, CV_LIMIT, "no memory") : CV_OK;
}

/* Of the sandbox's policy what it says of the network, and no more: its files are others, and a build
 * has no tools. Rules about programs stay as they are: RUN's programs descend from the engine. */
static cv_code own_policy_write(
	const struct cv_policy_doc *doc, const struct build_run *r, struct cv_err *err)
{
	struct cv_policy_doc network = { .version = 1, .include_workdir = true };
	struct cv_arena arena;
	struct cv_buf b;
	cv_code code = CV_OK;

	cv_arena_init(&arena, BUILD_POLICY_MEMORY_MAX);
	cv_buf_init(&b, BUILD_POLICY_BYTES_MAX);
	if (doc) {
		network.file = doc->file;
		network.middlewares = doc->middlewares;
		network.middleware_count = doc->middleware_count;
		code = entries_copy(doc, &network, &arena, err);
	}
	cv_fill_write(&cv_policy_schema, &network, &b);
	cv_buf_put_byte(&b, '\n');
	if (code == CV_OK)
		code = b.is_overflown ? cv_fail(err, CV_LIMIT, "the policy is too large")
				      : file_write(r, "policy.json", cv_buf_str(&b), err);
	cv_buf_fini(&b);
	cv_arena_fini(&arena);
	return code;
}

static const struct cv_policy_doc *doc_of(const struct sandbox *box)
{
	return box->policy ? cv_policy_doc(box->policy) : NULL;
}

cv_code build_policy_again(const struct sandbox *box, const struct build_run *r, struct cv_err *err)
{
	return own_policy_write(doc_of(box), r, err);
}

cv_code build_policy_write(
	const struct sandbox *box, const struct build_run *r, bool *ret_has, struct cv_err *err)
{
	*ret_has = r->step == BUILD_PULL || r->step == BUILD_PUSH;
	if (*ret_has)
		return registry_policy_write(r, r->step == BUILD_PULL ? "read-only" : "full", err);
	*ret_has = r->step == BUILD_BUILD && doc_of(box) && doc_of(box)->entry_count > 0;
	return *ret_has ? own_policy_write(doc_of(box), r, err) : CV_OK;
}
