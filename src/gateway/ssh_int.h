/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ssh_int.h - what ssh.c, ssh_key.c and ssh_server.c share
 */
#pragma once
#include "gateway/exec_int.h"
#include "gateway/ssh.h"

#include "ipc/ssh_link.h"

#define SSH_TOKEN_CONNECTIONS_MAX \
	10 /* the documentation's number: the code's 3 is what one download takes */
#define SSH_SERVERS_MAX         512 /* of all sandboxes: each is a process of some megabytes */
#define SSH_SERVER_COMMANDS_MAX 64  /* cove-ssh's own limit of channels */
#define SSH_TOKENS_BOX_MAX \
	1000 /* that live; a client takes one for each connection, and gives it back */
#define SSH_TOKENS_TURN_MAX   64     /* removed when they are too old, at one time */
#define SSH_EXPIRY_MS         600000 /* between looks for such */
#define SSH_CLOSE_MS          5000   /* from the end of its sockets to that of the process */
#define SSH_HASH_HEX          64
#define SSH_HOST_BYTES        254 /* a name of DNS */
#define SSH_FINGERPRINT_BYTES 64  /* "SHA256:" and 43 of base64 */

enum { WATCH_SSH_LINK, WATCH_SSH_PROCESS };

enum ssh_command_kind { SSH_FREE, SSH_EXEC, SSH_ATTACHED, SSH_DIALLING };

struct ssh_command {
	enum ssh_command_kind kind;
	uint32_t channel; /* of cove-ssh */
	uint32_t id;      /* of the supervisor: a command's, or a dialled channel's */
	bool is_running;
};

struct cv_gw_ssh_server {
	struct cv_gateway *g;
	struct cv_ref ref, box;
	pid_t pid;
	int pidfd, link;
	struct cv_ipc_link rules;
	struct cv_ipc_outbox out;
	struct cv_buf parts;
	char token[SSH_HASH_HEX + 1];
	bool is_open;        /* its connection is; ForwardTcp holds the other end */
	int64_t deadline_ms; /* when it is killed; 0: not yet */
	struct ssh_command commands[SSH_SERVER_COMMANDS_MAX];
};

struct cv_gw_ssh {
	struct cv_slots all;
	struct cv_arena arena;
	struct cv_str exe;
	char *recv_buf;
	int64_t deadline_ms, expiry_ms;
};

/* ssh_key.c: the host key of a sandbox, made when there is none.  pem may be NULL. */
CV_MUST cv_code ssh_key(struct cv_gateway *g, const char *id, struct cv_buf *pem,
	char fingerprint[SSH_FINGERPRINT_BYTES], struct cv_err *err);
void ssh_key_remove(struct cv_gateway *g, const char *id);

/* ssh_server.c */
CV_MUST cv_code ssh_server_start(struct cv_gw_box *b, const char *token_hash, int *ret_fd,
	struct cv_ref *ret, struct cv_err *err);
void ssh_server_event(struct cv_gateway *g, const struct cv_loop_event *e);
int64_t ssh_server_turn(struct cv_gateway *g);
void ssh_server_free(struct cv_gw_ssh_server *s);
