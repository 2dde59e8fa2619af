/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec_start.c - the connection, until the server has taken the command
 *
 * libssh waits here; the gateway, which knows how long it wants to wait, ends the process if that is
 * too long, and so does each step's own limit.  libssh is told every path and name that it would look
 * up otherwise: nothing can be opened any more.
 */
#include "ssh/exec.h"

#define USER "sandbox"

/* As in cove-ssh (main.c), and chacha20 for servers that have nothing else. */
#define KEX "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256"
#define CIPHERS                                                                        \
	"aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com," \
	"aes128-ctr,aes256-ctr"
#define MACS "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256"
#define NOPE "/nonexistent"

static void option(struct client *c, enum ssh_options_e which, const void *value)
{
	if (ssh_options_set(c->session, which, value) != SSH_OK)
		client_fail(c, "libssh refuses option %d", (int)which);
}

static void options(struct client *c)
{
	static const struct {
		enum ssh_options_e which;
		const char *value;
	} rows[] = {
		{ SSH_OPTIONS_HOST, "sandbox" }, /* never looked up: the connection is there */
		{ SSH_OPTIONS_USER, USER },
		{ SSH_OPTIONS_SSH_DIR, NOPE },
		{ SSH_OPTIONS_KNOWNHOSTS, NOPE },
		{ SSH_OPTIONS_GLOBAL_KNOWNHOSTS, NOPE },
		{ SSH_OPTIONS_KEY_EXCHANGE, KEX },
		{ SSH_OPTIONS_CIPHERS_C_S, CIPHERS },
		{ SSH_OPTIONS_CIPHERS_S_C, CIPHERS },
		{ SSH_OPTIONS_HMAC_C_S, MACS },
		{ SSH_OPTIONS_HMAC_S_C, MACS },
	};
	const socket_t fd = CV_SSH_EXEC_RELAY_FD;
	const long seconds = EXEC_START_MS / 1000;
	const int no = 0;

	option(c, SSH_OPTIONS_PROCESS_CONFIG, &(const bool){ false });
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++)
		option(c, rows[i].which, rows[i].value);
	option(c, SSH_OPTIONS_FD, &fd);
	option(c, SSH_OPTIONS_TIMEOUT, &seconds);
	option(c, SSH_OPTIONS_GSSAPI_AUTH, &no);
}

void start_connect(struct client *c)
{
	c->session = ssh_new();
	c->event = ssh_event_new();
	if (!c->session || !c->event)
		client_fail(c, "no memory");
	options(c);
	if (ssh_connect(c->session) != SSH_OK)
		client_fail(c, "no SSH server answers: %s", ssh_get_error(c->session));
	/* The key can't be known, and proves nothing that the relay's token did not. */
	if (ssh_userauth_none(c->session, NULL) != SSH_AUTH_SUCCESS)
		client_fail(c, "the SSH server does not let `" USER "` in without a key");
}

void start_command(struct client *c)
{
	c->ch = ssh_channel_new(c->session);
	if (!c->ch)
		client_fail(c, "no memory");
	bytes_callbacks(c); /* before: output may come with the answer */
	if (ssh_channel_open_session(c->ch) != SSH_OK)
		client_fail(c, "the SSH server opens no channel: %s", ssh_get_error(c->session));
	if (c->is_tty &&
		ssh_channel_request_pty_size(c->ch, c->term, (int)c->cols, (int)c->rows) != SSH_OK)
		client_fail(c, "the SSH server gives no terminal");
	if (ssh_channel_request_exec(c->ch, cv_buf_str(&c->line).p) != SSH_OK)
		client_fail(c, "the SSH server does not run the command");
	ssh_set_blocking(c->session, 0);
	if (ssh_event_add_session(c->event, c->session) != SSH_OK)
		client_fail(c, "no memory");
	c->is_started = true;
	cv_buf_wipe(&c->line);
	client_tell(c, CV_SSH_EXEC_REPLY_STARTED, CV_STR_NONE);
}
