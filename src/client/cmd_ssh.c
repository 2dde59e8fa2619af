/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_ssh.c - ssh-config, ssh-proxy and ssh-known-host: a sandbox as a host of ssh
 *
 * The proxy command asks for a token of its own for each connection and gives it back at the end; no
 * token stands in a file or in a list of processes.
 *
 * With the token comes the fingerprint of the sandbox's host key, by way of the gateway that we
 * trust already.  The proxy command writes it down before the first byte passes; ssh, when it has seen
 * the key, asks ssh-known-host (KnownHostsCommand) for the line that it may trust, which is that key
 * if it has that fingerprint, and nothing otherwise.  So no key is taken on trust, not the first
 * either.
 */
#include "client/commands.h"
#include "client/forward.h"

#include "base/base64.h"
#include "base/sha256.h"

#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ALNUM           "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
#define FINGERPRINT_MAX 256 /* openshell-api 11.6 */
#define TOKEN_MAX       4096
#define KEY_BYTES_MAX   (16u << 10) /* what ssh takes as a key, in base64 */

/* A word for a configuration that a shell reads: what is more than a plain word is refused. */
static const char *plain(struct cl *c, const char *what, const char *s)
{
	/* No %: ssh expands it. */
	if (s[strspn(s, ALNUM "._-/:[]@+")] || !*s)
		cl_die(c, "the %s '%s' cannot stand in a configuration of ssh", what,
			cl_shown(c, s));
	return s;
}

/* Where the fingerprint of a sandbox is written down; NULL: of one that has no name here. */
static const char *fingerprint_path(struct cl *c, const char *gateway, const char *name)
{
	if (!gateway || !name || !*gateway || !*name || strchr(gateway, '/') || strchr(name, '/') ||
		strchr(c->workspace, '/') || gateway[0] == '.')
		return NULL;
	return cl_print(
		c, "%s/gateways/%s/ssh/%s.%s", cl_config_dir(c), gateway, c->workspace, name);
}

const char *cl_ssh_block(struct cl *c, const char *sandbox)
{
	const char *name = plain(c, "name", sandbox);
	const char *workspace = plain(c, "workspace", c->workspace);
	const char *gateway = plain(c, "gateway", c->gateway.name);
	char self[PATH_MAX];
	const ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n <= 0)
		cl_die(c, "cannot find this program's own path");
	self[n] = '\0';
	const char *us = plain(c, "path", self);
	return cl_print(c,
		"Host openshell-%s.%s\n"
		"    User sandbox\n"
		"    HostKeyAlias openshell-%s.%s\n"
		"    StrictHostKeyChecking yes\n"
		"    KnownHostsCommand %s ssh-known-host --gateway-name %s --name %s --workspace %s "
		"--host %%H --type %%t --key %%K\n"
		"    UserKnownHostsFile /dev/null\n"
		"    GlobalKnownHostsFile /dev/null\n"
		"    LogLevel ERROR\n"
		"    ServerAliveInterval 15\n"
		"    ServerAliveCountMax 3\n"
		"    ProxyCommand %s ssh-proxy --gateway-name %s --name %s --workspace %s\n",
		name, workspace, name, workspace, us, gateway, name, workspace, us, gateway, name,
		workspace);
}

int cl_run_sandbox_ssh_config(struct cl *c)
{
	const Openshell__V1__Sandbox *s = cl_sandbox_of(c, cl_arg(&c->w, 0), false);

	fputs(cl_ssh_block(c, s->metadata->name), stdout);
	return 0;
}

/* ---- ssh-known-host ---- */

/* As ssh-keygen -l says it. */
static const char *fingerprint_of(struct cl *c, const char *key)
{
	unsigned char digest[CV_SHA256_BYTES];
	struct cv_buf raw, text;
	struct cv_sha256 sha;

	cv_buf_init(&raw, KEY_BYTES_MAX);
	cv_buf_init(&text, FINGERPRINT_MAX);
	if (!cv_base64_decode(cv_str_of(key), CV_BASE64_STD, &raw)) {
		cv_buf_fini(&raw);
		return NULL;
	}
	cv_sha256_init(&sha);
	cv_sha256_update(&sha, raw.data, cv_buf_len(&raw));
	cv_sha256_final(&sha, digest);
	cv_buf_put_base64(
		&text, (struct cv_str){ (const char *)digest, sizeof(digest) }, CV_BASE64_STD);
	struct cv_str s = cv_buf_str(&text);
	while (s.n && s.p[s.n - 1] == '=')
		s.n--;
	const char *ret = cl_print(c, "SHA256:%.*s", CV_STR_ARG(s));
	cv_buf_fini(&raw);
	cv_buf_fini(&text);
	return ret;
}

/* Nothing printed: no key is known.  ssh asks once before it has seen one (type NONE). */
int cl_run_ssh_known_host(struct cl *c)
{
	const char *gateway = cl_flag(&c->w, "gateway-name"), *name = cl_flag(&c->w, "name");
	const char *host = cl_flag(&c->w, "host"), *type = cl_flag(&c->w, "type");
	const char *key = cl_flag(&c->w, "key");
	const char *path = fingerprint_path(c, gateway, name);
	struct cv_str known;

	if (!path || !host || !type || !key || strcmp(type, "NONE") == 0)
		return 0;
	if (!cl_file_slurp(c, path, FINGERPRINT_MAX, &known))
		return 0;
	const char *fingerprint = fingerprint_of(c, key);
	if (!fingerprint || !cv_str_eq(cv_str_trim(known), cv_str_of(fingerprint)))
		cl_die(c, "the key of %s is not the one that the gateway says: %s",
			cl_shown(c, host), fingerprint ? fingerprint : "no key");
	printf("%s %s %s\n", plain(c, "host", host), plain(c, "type", type), key);
	return 0;
}

/* ---- ssh-proxy ---- */

/* What the gateway says ends up in files and before a shell. */
static void answer_check(struct cl *c, const Openshell__V1__CreateSshSessionResponse *m)
{
	if (!*m->token || strlen(m->token) > TOKEN_MAX ||
		m->token[strspn(m->token, ALNUM "._~+/=-")])
		cl_die(c, "the gateway's answer holds no token of ssh");
	if (strlen(m->host_key_fingerprint) > FINGERPRINT_MAX ||
		m->host_key_fingerprint[strspn(m->host_key_fingerprint, ALNUM ":+/=-")])
		cl_die(c, "the gateway's answer holds no fingerprint of a key");
}

static const char *token_new(struct cl *c, const char *id, const char *name)
{
	const char *path = fingerprint_path(c, c->gateway.name, name);
	Openshell__V1__CreateSshSessionRequest in;
	struct cv_str known;

	openshell__v1__create_ssh_session_request__init(&in);
	in.sandbox_id = cl_dup(c, id);
	const Openshell__V1__CreateSshSessionResponse *m = CL_ASK(
		c, CreateSshSession, in, CreateSshSessionResponse, create_ssh_session_response);
	answer_check(c, m);
	const struct cv_str fingerprint = cv_str_of(m->host_key_fingerprint);
	if (path && (!cl_file_slurp(c, path, FINGERPRINT_MAX, &known) ||
			    !cv_str_eq(known, fingerprint)))
		cl_file_write(c, path, fingerprint);
	return m->token;
}

static void token_end(struct cl *c, const char *token)
{
	Openshell__V1__RevokeSshSessionRequest in;
	enum cv_rpc_status status;
	struct cv_err err;

	openshell__v1__revoke_ssh_session_request__init(&in);
	in.token = cl_dup(c, token);
	(void)CL_TRY(c, RevokeSshSession, in, RevokeSshSessionResponse, revoke_ssh_session_response,
		&status, &err);
}

int cl_run_ssh_proxy(struct cl *c)
{
	const char *name = cl_flag(&c->w, "name"), *id = cl_flag(&c->w, "sandbox-id");
	const char *token = cl_flag(&c->w, "token"), *server = cl_flag(&c->w, "server");
	const char *gateway = cl_flag(&c->w, "gateway-name");
	const bool is_ours = !token;

	if (!name && !id)
		cl_die_usage(
			c, "the following required arguments were not provided: --name <NAME>");
	if (gateway && !cl_gateway_load(c, gateway, &c->gateway) && !server &&
		!strstr(gateway, "://"))
		cl_die(c, "Unknown gateway '%s'.", cl_shown(c, gateway));
	if (gateway && !c->gateway.url && !server)
		server = gateway; /* one that is known by its address only */
	if (server) {
		c->gateway.url = server;
		if (!c->gateway.name)
			c->gateway.name = server;
	}
	if (!id)
		id = cl_sandbox_get(c, name)->metadata->id;
	if (is_ours)
		token = token_new(c, id, name);
	signal(SIGHUP, SIG_IGN); /* ssh sends it when it ends; our stdin tells us, too */
	const struct cl_forward_to to = { id, NULL, 0, token };
	const int status = cl_forward_single(c, STDIN_FILENO, STDOUT_FILENO, &to);
	if (is_ours)
		token_end(c, token);
	return status;
}
