/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_ssh.c - ssh-config and ssh-proxy: a sandbox as a host of ssh
 *
 * The proxy command asks for a token of its own for each connection and gives it back at the end; no
 * token stands in a file or in a list of processes.
 */
#include "client/commands.h"
#include "client/forward.h"

#include <stdlib.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

/* A word for a configuration that a shell reads: what is more than a plain word is refused. */
static const char *plain(struct cl *c, const char *what, const char *s)
{
	const size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
				   "._-/:[]@%+");

	if (s[n] || !*s)
		cl_die(c, "the %s '%s' cannot stand in a configuration of ssh", what,
			cl_shown(c, s));
	return s;
}

int cl_run_sandbox_ssh_config(struct cl *c)
{
	const Openshell__V1__Sandbox *s = cl_sandbox_of(c, cl_arg(&c->w, 0), false);
	const char *name = plain(c, "name", s->metadata->name);
	const char *workspace = plain(c, "workspace", c->workspace);
	char self[PATH_MAX];
	const ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n <= 0)
		cl_die(c, "cannot find this program's own path");
	self[n] = '\0';
	printf("Host openshell-%s.%s\n"
	       "    User sandbox\n"
	       "    StrictHostKeyChecking no\n"
	       "    UserKnownHostsFile /dev/null\n"
	       "    GlobalKnownHostsFile /dev/null\n"
	       "    LogLevel ERROR\n"
	       "    ServerAliveInterval 15\n"
	       "    ServerAliveCountMax 3\n"
	       "    ProxyCommand %s ssh-proxy --gateway-name %s --name %s --workspace %s\n",
		name, workspace, plain(c, "path", self), plain(c, "gateway", c->gateway.name), name,
		workspace);
	return 0;
}

static const char *token_new(struct cl *c, const char *id)
{
	Openshell__V1__CreateSshSessionRequest in;

	openshell__v1__create_ssh_session_request__init(&in);
	in.sandbox_id = cl_dup(c, id);
	const Openshell__V1__CreateSshSessionResponse *m = CL_ASK(
		c, CreateSshSession, in, CreateSshSessionResponse, create_ssh_session_response);
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
		token = token_new(c, id);
	const struct cl_forward_to to = { id, NULL, 0, token };
	const int status = cl_forward_single(c, STDIN_FILENO, STDOUT_FILENO, &to);
	if (is_ours)
		token_end(c, token);
	return status;
}
