/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nursery.c - keepers that are forked from one that has done what each of them would do first
 *
 *     gateway's driver --NURSERY--> nursery --fork, for each CHILD--> keeper --BORN--> its supervisor
 *
 * Four fifths of what a keeper costs until it has its CA is the program's start: relocations, and the
 * crypto library reading its own tables. The nursery does that once, makes a CA for practice, throws it
 * away, and forks.
 *
 * What a child has of the nursery is code, tables and the layout of memory. No secret: the nursery is
 * told none and keeps none, a child makes its own key after the fork, and its random generators are
 * seeded anew before that, which OpenSSL would do by itself, too. What keepers of one gateway have in
 * common that started ones have not are their addresses and the stack's guard. Each still confines
 * itself before it serves anybody, and is told by nobody but its supervisor.
 */
#include "keeper/keeper.h"
#include "sys/clock.h"
#include "sys/fd.h"
#include "tls/fail.h"

#include <linux/close_range.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* The same steps as those of a run's CA. */
static cv_code practise(struct cv_err *err)
{
	struct cv_ca *ca;
	struct cv_buf pem;
	cv_code code = cv_ca_new(CV_STR("nursery"), cv_clock_unix_s(), &ca, err);

	if (code != CV_OK)
		return code;
	cv_buf_init(&pem, KEEPER_PEM_BYTES_MAX);
	code = cv_ca_pem(ca, &pem, err);
	cv_buf_fini(&pem);
	cv_ca_free(ca);
	return code;
}

static cv_code seed_anew(struct cv_err *err)
{
	EVP_RAND_CTX *const each[] = { RAND_get0_primary(NULL), RAND_get0_public(NULL),
		RAND_get0_private(NULL) };

	for (size_t i = 0; i < CV_ARRAY_LEN(each); i++)
		if (!each[i] || EVP_RAND_reseed(each[i], 1, NULL, 0, NULL, 0) != 1)
			return cv_tls_fail(err, "seed the random generators");
	return CV_OK;
}

/* Whoever builds the sandbox is to go on when we have something to do: without its CA it can be
 * built, but not the other way round.  Best effort; and not for long, since later programs wait for
 * our answers. */
void keeper_wait_for_turn(bool is_on)
{
	static bool is_waiting; /* who was started with another policy keeps it */
	const struct sched_param none = { 0 };

	if (is_on && sched_getscheduler(0) == SCHED_OTHER)
		is_waiting = sched_setscheduler(0, SCHED_BATCH, &none) == 0;
	else if (!is_on && is_waiting)
		is_waiting = sched_setscheduler(0, SCHED_OTHER, &none) != 0;
}

static cv_code descriptors_set(const int fds[2], struct cv_err *err)
{
	if (dup2(fds[0], CV_KEEPER_CONTROL_FD) < 0 || dup2(fds[1], 2) < 0 ||
		syscall(SYS_close_range, CV_KEEPER_CONTROL_FD + 1, ~0U, 0) < 0)
		return cv_fail_errno(err, "place descriptors");
	return CV_OK;
}

static cv_code born_tell(struct cv_err *err)
{
	CV_AUTO_FD int self = (int)syscall(SYS_pidfd_open, getpid(), 0);

	return self < 0 ? cv_fail_errno(err, "pidfd_open")
			: cv_ipc_send(CV_KEEPER_CONTROL_FD, CV_KEEPER_CONTROL_REPLY_BORN,
				  CV_STR_NONE, &self, 1, err);
}

/* Like a keeper that was started: a session of its own, no signal blocked, nothing open but the link
 * and stdio. */
static cv_code child_begin(struct keeper *k, const int fds[2], struct cv_err *err)
{
	sigset_t none;
	cv_code code = descriptors_set(fds, err);

	keeper_wait_for_turn(true);
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&none);
	if (code == CV_OK && (setsid() < 0 || sigprocmask(SIG_SETMASK, &none, NULL) < 0 ||
				     prctl(PR_SET_NAME, "cove-keeper") < 0))
		code = cv_fail_errno(err, "begin as a nursery's child");
	if (code == CV_OK)
		code = seed_anew(err);
	if (code == CV_OK)
		code = born_tell(err);
	if (code == CV_OK)
		code = cv_ca_begin(&k->ca, err); /* nobody needs the processor yet; later all do */
	k->control.state = CV_KEEPER_NEW;
	k->control.seen = 0;
	return code;
}

cv_code keeper_nursery_serve(struct keeper *k, struct cv_err *err)
{
	struct cv_ipc_msg m;
	cv_code code = practise(err);

	if (k->control.seen != 1u << CV_KEEPER_CONTROL_NURSERY)
		return cv_fail(err, CV_PROTO, "NURSERY: not the first message");
	if (code != CV_OK)
		return code;
	k->control.state = CV_KEEPER_NURSERY;
	prctl(PR_SET_NAME, "cove-nursery");
	signal(SIGCHLD, SIG_IGN); /* nobody waits for them */
	for (;;) {
		code = cv_ipc_recv(CV_KEEPER_CONTROL_FD, &k->control, k->buf, &m, err);
		if (code == CV_NOT_FOUND)
			exit(0); /* the gateway is gone; the children are not its */
		if (code != CV_OK)
			return code;
		const pid_t pid = fork();
		if (pid == 0)
			return child_begin(k, m.fds, err);
		/* Where there is no process to be had, the link ends, and its supervisor sees to it. */
		cv_ipc_msg_fini(&m);
	}
}
