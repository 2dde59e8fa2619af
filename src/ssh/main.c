/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - start, confinement, key exchange, the loop, the end
 *
 *   1. start    - the host key is read and wiped where it came from
 *   2. confine  - no core, not dumpable, no new privileges; Landlock without a single file; seccomp
 *                 without open, exec, socket and connect.  Before the first byte of the client
 *   3. serve    - one thread, one poll(), until the client or the gateway is gone
 *
 * Nothing is written to disk and nothing is left behind: what ran is the gateway's to end.
 */
#include "ssh/ssh.h"

#include "sys/clock.h"
#include "sys/confine.h"
#include "sys/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEY_BYTES_MAX 4096

/* Not chacha20: GCM is in hardware wherever we run, and twice as fast.  No group exchange: it reads
 * a file of primes. */
#define KEX     "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256"
#define CIPHERS "aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes128-ctr,aes256-ctr"
#define MACS    "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256"

void die(const char *what)
{
	if (what)
		fprintf(stderr, "cove-ssh: %s\n", what);
	_exit(what ? 1 : 0);
}

/* ---- start ---- */

static ssh_key key_read(void)
{
	struct cv_err err;
	ssh_key key = NULL;
	char *text;
	size_t n;

	if (cv_ipc_fd_read_all(CV_SSH_KEY_FD, KEY_BYTES_MAX, &text, &n, &err) != CV_OK)
		die(err.msg);
	close(CV_SSH_KEY_FD);
	const int rc = ssh_pki_import_privkey_base64(text, NULL, NULL, NULL, &key);
	explicit_bzero(text, n);
	free(text);
	if (rc != SSH_OK)
		die("the host key can't be read");
	return key;
}

static void option(ssh_bind b, enum ssh_bind_options_e which, const void *value)
{
	if (ssh_bind_options_set(b, which, value) != SSH_OK)
		die("libssh refuses an option");
}

static void session_start(struct sshd *s)
{
	const bool no = false;
	ssh_bind b;

	if (ssh_init() != SSH_OK)
		die("libssh does not start");
	ssh_set_log_level(SSH_LOG_NOLOG);
	b = ssh_bind_new();
	s->session = ssh_new();
	s->event = ssh_event_new();
	if (!b || !s->session || !s->event)
		die("no memory");
	option(b, SSH_BIND_OPTIONS_PROCESS_CONFIG, &no);
	option(b, SSH_BIND_OPTIONS_IMPORT_KEY, key_read()); /* takes it */
	option(b, SSH_BIND_OPTIONS_KEY_EXCHANGE, KEX);
	option(b, SSH_BIND_OPTIONS_CIPHERS_C_S, CIPHERS);
	option(b, SSH_BIND_OPTIONS_CIPHERS_S_C, CIPHERS);
	option(b, SSH_BIND_OPTIONS_HMAC_C_S, MACS);
	option(b, SSH_BIND_OPTIONS_HMAC_S_C, MACS);
	if (ssh_bind_accept_fd(b, s->session, CV_SSH_CLIENT_FD) != SSH_OK)
		die(ssh_get_error(b));
	ssh_bind_free(b); /* the session has a copy of the key */
}

/* ---- the loop ---- */

static void client_read(struct sshd *s)
{
	for (int i = 0; i < SSH_PACKETS_TURN_MAX && !s->is_over; i++) {
		const int rc = ssh_event_dopoll(s->event, 0);

		if (rc == SSH_AGAIN)
			return;
		if (rc == SSH_ERROR || !ssh_is_connected(s->session))
			s->is_over = true;
	}
}

static int wait_ms(const struct sshd *s)
{
	int64_t first = s->is_authenticated ? INT64_MAX : s->login_until_ms;

	for (const struct chan *c = s->chans; c; c = c->next)
		if (c->tail_ms && c->state == CHAN_RUNNING && c->tail_ms > s->now_ms)
			first = CV_MIN(first, c->tail_ms);
	return first == INT64_MAX ? -1 : (int)CV_MAX(first - s->now_ms, 0);
}

static void channels_serve(struct sshd *s)
{
	for (struct chan *c = s->chans, *next; c; c = next) {
		next = c->next;
		if (s->is_authenticated)
			chan_serve(c);
	}
	/* libssh may have called us back from any of these. */
	for (struct chan *c = s->chans, *next; c; c = next) {
		next = c->next;
		if (c->is_closed)
			chan_free(c);
	}
}

static void turn(struct sshd *s)
{
	struct pollfd p[2 + SSH_CHANNELS_MAX * CHAN_POLLS_MAX];
	struct {
		struct chan *c;
		int which;
	} who[CV_ARRAY_LEN(p)];
	const bool has_more = ssh_get_poll_flags(s->session) & SSH_WRITE_PENDING;
	const bool link_has_more = !cv_ipc_outbox_is_empty(&s->out);
	struct cv_err err;
	size_t n = 2;

	p[0] = (struct pollfd){ .fd = CV_SSH_CLIENT_FD,
		.events = (short)(POLLIN | (has_more ? POLLOUT : 0)) };
	p[1] = (struct pollfd){ .fd = s->link,
		.events = (short)(POLLIN | (link_has_more ? POLLOUT : 0)) };
	for (struct chan *c = s->chans; c; c = c->next) {
		int which[CHAN_POLLS_MAX];
		const size_t more = chan_polls(c, p + n, which);

		for (size_t i = 0; i < more; i++) {
			who[n + i].c = c;
			who[n + i].which = which[i];
		}
		n += more;
	}
	if (poll(p, n, wait_ms(s)) < 0 && errno != EINTR)
		die("poll fails");
	s->now_ms = cv_clock_ms();
	for (size_t i = 2; i < n; i++)
		who[i].c->ready[who[i].which] = p[i].revents;
	if (link_has_more && cv_ipc_outbox_flush(&s->out, s->link, &err) != CV_OK)
		die(err.msg);
	if (p[1].revents & (POLLIN | POLLHUP))
		link_read(s);
	if (p[0].revents)
		client_read(s);
	channels_serve(s);
	if (!s->is_authenticated && s->now_ms >= s->login_until_ms)
		s->is_over = true;
}

/* The one time that it waits.  A client that speaks no SSH, or shares no cipher with us, is gone
 * without a word. */
static void keys_exchange(struct sshd *s)
{
	const long seconds = SSH_LOGIN_MS / 1000;

	if (ssh_options_set(s->session, SSH_OPTIONS_TIMEOUT, &seconds) != SSH_OK)
		die("libssh refuses an option");
	if (ssh_handle_key_exchange(s->session) != SSH_OK)
		die(NULL);
	ssh_set_blocking(s->session, 0);
}

int main(void)
{
	static struct sshd s = {
		.link = CV_SSH_LINK_FD,
		.rules = { cv_ssh_reply_rule, CV_SSH_REPLY_COUNT, CV_SSH_LINK_OPEN, 0 },
	};
	struct cv_err err;

	if (cv_proc_harden(&err) != CV_OK)
		die(err.msg);
	if (fcntl(s.link, F_SETFL, fcntl(s.link, F_GETFL) | O_NONBLOCK) < 0)
		die("the link can't be made non-blocking");
	session_start(&s);
	if (cv_confine_fileless(CV_SECCOMP_SSH, &err) != CV_OK)
		die(err.msg);
	requests_serve(&s);
	s.now_ms = cv_clock_ms();
	s.login_until_ms = s.now_ms + SSH_LOGIN_MS;
	keys_exchange(&s);
	if (ssh_event_add_session(s.event, s.session) != SSH_OK)
		die("no memory");
	while (!s.is_over)
		turn(&s);
	die(NULL);
}
