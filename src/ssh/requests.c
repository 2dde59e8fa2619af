/* SPDX-License-Identifier: Apache-2.0 */
/*
 * requests.c - what the client may ask, as libssh tells it
 *
 * Who comes has shown a token to the gateway, so the name "sandbox" is enough here, with or without
 * a key.  Refused: other names, passwords, forwarding of agents, displays and of ports towards the
 * client, connections to anything but the sandbox's own loopback.
 *
 * A callback answers at once; whether a command could be started is known later, and told as a shell
 * tells it (exit status 126 or 127, a line on stderr).
 */
#include "ssh/ssh.h"

#include "base/ip.h"
#include "ssh/signals.h"

#include <string.h>

#define USER "sandbox"

enum { ACCEPT = 0, REFUSE = 1 }; /* of libssh's callbacks for requests of a channel */

/* ---- who ---- */

static int user_check(struct sshd *s, const char *user)
{
	if (user && strcmp(user, USER) == 0) {
		s->is_authenticated = true;
		return SSH_AUTH_SUCCESS;
	}
	if (++s->auth_tries > SSH_AUTH_TRIES_MAX)
		s->is_over = true;
	return SSH_AUTH_DENIED;
}

static int on_none(ssh_session session, const char *user, void *arg)
{
	(void)session;
	return user_check(arg, user);
}

/* libssh has verified the signature; a key without one is only asked about. */
static int on_key(
	ssh_session session, const char *user, struct ssh_key_struct *key, char state, void *arg)
{
	struct sshd *s = arg;

	(void)session;
	(void)key;
	if (state == SSH_PUBLICKEY_STATE_NONE)
		return user && strcmp(user, USER) == 0 ? SSH_AUTH_SUCCESS : SSH_AUTH_DENIED;
	if (state == SSH_PUBLICKEY_STATE_VALID)
		return user_check(s, user);
	return user_check(s, NULL);
}

/* ---- a session's channel, before its command ---- */

static int on_pty(ssh_session session, ssh_channel channel, const char *term, int cols, int rows,
	int x, int y, void *arg)
{
	struct chan *c = arg;

	(void)session, (void)channel, (void)x, (void)y;
	if (c->state != CHAN_NEW || strlen(term) >= sizeof(c->term) || strpbrk(term, "\r\n"))
		return -1;
	memcpy(c->term, term, strlen(term) + 1);
	c->is_tty = true;
	c->cols = cols > 0 && cols <= SSH_SIZE_MAX ? (uint32_t)cols : 80;
	c->rows = rows > 0 && rows <= SSH_SIZE_MAX ? (uint32_t)rows : 24;
	return 0;
}

static int on_resize(
	ssh_session session, ssh_channel channel, int cols, int rows, int x, int y, void *arg)
{
	struct chan *c = arg;

	(void)session, (void)channel, (void)x, (void)y;
	if (cols <= 0 || cols > SSH_SIZE_MAX || rows <= 0 || rows > SSH_SIZE_MAX)
		return -1;
	c->cols = (uint32_t)cols;
	c->rows = (uint32_t)rows;
	chan_resize(c);
	return 0;
}

static bool is_env_name(struct cv_str name)
{
	for (size_t i = 0; i < name.n; i++) {
		const char b = name.p[i];

		if (!((b >= 'A' && b <= 'Z') || (b >= 'a' && b <= 'z') || b == '_' ||
			    (i && b >= '0' && b <= '9')))
			return false;
	}
	return name.n && name.n <= SSH_ENV_NAME_MAX &&
	       !cv_str_has_prefix(name, CV_STR("OPENSHELL_")) &&
	       !cv_str_has_prefix(name, CV_STR("COVE_"));
}

static int on_env(
	ssh_session session, ssh_channel channel, const char *name, const char *value, void *arg)
{
	struct chan *c = arg;
	const size_t n = strlen(name) + strlen(value) + 2;

	(void)session, (void)channel;
	if (c->state != CHAN_NEW || c->env_count == SSH_ENV_MAX || !is_env_name(cv_str_of(name)) ||
		strlen(value) > SSH_ENV_VALUE_MAX || cv_buf_len(&c->env) + n > SSH_ENV_BYTES_MAX)
		return REFUSE;
	if (c->is_tty && strcmp(name, "TERM") == 0)
		return ACCEPT; /* the terminal's own is newer */
	c->env_count++;
	cv_buf_printf(&c->env, "%s=%s", name, value);
	cv_buf_put_byte(&c->env, '\0');
	return ACCEPT;
}

/* ---- commands ---- */

static int run(struct chan *c, const char *command)
{
	const char *const argv[] = { "/bin/sh", "-c", command };

	if (c->state != CHAN_NEW || strlen(command) > SSH_COMMAND_MAX)
		return REFUSE;
	return link_start(c, argv, CV_ARRAY_LEN(argv)) ? ACCEPT : REFUSE;
}

static int on_exec(ssh_session session, ssh_channel channel, const char *command, void *arg)
{
	(void)session, (void)channel;
	return run(arg, command);
}

static int on_shell(ssh_session session, ssh_channel channel, void *arg)
{
	(void)session, (void)channel;
	return run(arg, "if [ -x /bin/bash ]; then exec /bin/bash -l; else exec /bin/sh -l; fi");
}

bool requests_sftp_next(struct chan *c)
{
	/* Debian, Fedora, Arch and Alpine */
	static const char *const paths[] = { "/usr/lib/openssh/sftp-server",
		"/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server" };

	if (c->attempt == CV_ARRAY_LEN(paths)) {
		c->is_sftp = false;
		chan_say(c, "there is no sftp-server in this sandbox; scp -O and rsync need none");
		return false;
	}
	cv_buf_reset(&c->rest[1]); /* that the one before is not there */
	c->has_failed = false;
	c->state = CHAN_NEW;
	return link_start(c, &paths[c->attempt++], 1);
}

static int on_subsystem(ssh_session session, ssh_channel channel, const char *name, void *arg)
{
	struct chan *c = arg;

	(void)session, (void)channel;
	if (c->state != CHAN_NEW)
		return REFUSE;
	if (strcmp(name, "sftp") == 0) {
		c->is_sftp = true;
		return requests_sftp_next(c) ? ACCEPT : REFUSE;
	}
	if (strcmp(name, "openshell-main") != 0)
		return REFUSE;
	c->kind = CHAN_MAIN;
	c->state = CHAN_ASKED;
	link_u32s(c->s, CV_SSH_REQ_ATTACH, &c->id, 1);
	return ACCEPT;
}

static void on_signal(ssh_session session, ssh_channel channel, const char *name, void *arg)
{
	struct chan *c = arg;
	const uint32_t v[] = { c->id, (uint32_t)signal_number(name) };

	(void)session, (void)channel;
	if (v[1] && (c->state == CHAN_ASKED || c->state == CHAN_RUNNING))
		link_u32s(c->s, CV_SSH_REQ_SIGNAL, v, CV_ARRAY_LEN(v));
}

/* ---- its bytes ---- */

static int on_data(
	ssh_session session, ssh_channel channel, void *bytes, uint32_t n, int is_stderr, void *arg)
{
	struct chan *c = arg;

	(void)session, (void)channel;
	if (is_stderr || c->state == CHAN_OVER || c->is_in_ended)
		return (int)n; /* means nothing */
	return (int)chan_in(c, bytes, n);
}

static void on_eof(ssh_session session, ssh_channel channel, void *arg)
{
	struct chan *c = arg;

	(void)session, (void)channel;
	c->is_in_ended = true;
}

static void on_close(ssh_session session, ssh_channel channel, void *arg)
{
	struct chan *c = arg;

	(void)session, (void)channel;
	c->is_closed = true;
}

static void chan_adopt(struct chan *c, ssh_channel ch)
{
	c->ch = ch;
	c->cb = (struct ssh_channel_callbacks_struct){
		.userdata = c,
		.channel_data_function = on_data,
		.channel_eof_function = on_eof,
		.channel_close_function = on_close,
		.channel_signal_function = on_signal,
		.channel_pty_request_function = on_pty,
		.channel_shell_request_function = on_shell,
		.channel_pty_window_change_function = on_resize,
		.channel_exec_request_function = on_exec,
		.channel_env_request_function = on_env,
		.channel_subsystem_request_function = on_subsystem,
	};
	ssh_callbacks_init(&c->cb);
	(void)ssh_set_channel_callbacks(ch, &c->cb);
}

/* ---- channels ---- */

static ssh_channel on_session(ssh_session session, void *arg)
{
	struct sshd *s = arg;
	struct chan *c = s->is_authenticated ? chan_new(s, CHAN_SESSION) : NULL;
	ssh_channel ch = c ? ssh_channel_new(session) : NULL;

	if (ch)
		chan_adopt(c, ch);
	else if (c)
		chan_free(c);
	return ch;
}

/* A connection into the sandbox.  The answer is the truth: it stands when we say so. */
static int tcp_open(struct sshd *s, ssh_message m)
{
	const char *host = ssh_message_channel_request_open_destination(m);
	const int port = ssh_message_channel_request_open_destination_port(m);

	if (!s->is_authenticated || !host || !cv_ip_text_is_loopback(cv_str_of(host)) ||
		port <= 0 || port > UINT16_MAX)
		return REFUSE;
	struct chan *c = chan_new(s, CHAN_TCP);
	if (!c)
		return REFUSE;
	link_dial(c, (uint32_t)port);
	ssh_channel ch = c->has_failed ? NULL : ssh_message_channel_request_open_reply_accept(m);
	if (!ch) {
		chan_free(c);
		return REFUSE;
	}
	chan_adopt(c, ch);
	return ACCEPT;
}

/* What has no callback of its own; REFUSE: libssh says no. */
static int on_message(ssh_session session, ssh_message m, void *arg)
{
	(void)session;
	if (ssh_message_type(m) == SSH_REQUEST_CHANNEL_OPEN &&
		ssh_message_subtype(m) == SSH_CHANNEL_DIRECT_TCPIP)
		return tcp_open(arg, m);
	return REFUSE;
}

void requests_serve(struct sshd *s)
{
	s->cb = (struct ssh_server_callbacks_struct){
		.userdata = s,
		.auth_none_function = on_none,
		.auth_pubkey_function = on_key,
		.channel_open_request_session_function = on_session,
	};
	ssh_callbacks_init(&s->cb);
	(void)ssh_set_server_callbacks(s->session, &s->cb);
	ssh_set_message_callback(s->session, on_message, s);
	ssh_set_auth_methods(s->session, SSH_AUTH_METHOD_NONE | SSH_AUTH_METHOD_PUBLICKEY);
}
