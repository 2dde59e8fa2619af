/* SPDX-License-Identifier: Apache-2.0 */
/*
 * temporary.c - see temporary.h
 *
 * A signal finds us anywhere: waiting for the gateway, in the midst of a question, or before a reader
 * of our output who does not read.  So nothing looks out for it.  Its handler starts this program once
 * more, with `sandbox delete`, waits for that, and then lets the signal end us: all of it what a
 * handler may do (signal-safety(7)).  The words are made beforehand.
 */
#include "client/temporary.h"

#include "base/attr.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORDS_MAX 16

static const int deadly[] = { SIGHUP, SIGINT, SIGTERM };
static char *words[WORDS_MAX];
static volatile sig_atomic_t is_there; /* words are whole, and the sandbox is not deleted */
static volatile sig_atomic_t came;     /* before that */

/* The person's next signals are for us, who wait: it finishes what they ask for. */
static void delete_run(void)
{
	const pid_t pid = _Fork();

	if (pid == 0) {
		const int null = open("/dev/null", O_WRONLY);

		for (size_t i = 0; i < CV_ARRAY_LEN(deadly); i++)
			signal(deadly[i], SIG_IGN);
		if (null >= 0)
			dup2(null, STDOUT_FILENO);
		execv("/proc/self/exe", words);
		_exit(CL_EXIT_FAILED);
	}
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static void at_exit(void)
{
	if (is_there)
		delete_run();
}

static void on_signal(int sig)
{
	const int saved = errno;

	if (is_there) {
		delete_run();
		signal(sig, SIG_DFL);
		raise(sig);
	}
	came = sig;
	errno = saved;
}

void cl_temporary_begin(void)
{
	struct sigaction ours = { .sa_handler = on_signal, .sa_flags = SA_RESTART }, was;

	for (size_t i = 0; i < CV_ARRAY_LEN(deadly); i++)
		sigaddset(&ours.sa_mask, deadly[i]);
	for (size_t i = 0; i < CV_ARRAY_LEN(deadly); i++)
		if (sigaction(deadly[i], NULL, &was) == 0 && was.sa_handler != SIG_IGN)
			(void)sigaction(deadly[i], &ours, NULL);
}

void cl_temporary_is(struct cl *c, const char *name)
{
	size_t n = 0;

	/* the gateway that has it, even if another is selected meanwhile */
	words[n++] = cl_dup(c, c->program);
	if (c->gateway.folder) {
		words[n++] = cl_dup(c, "--gateway");
		words[n++] = cl_dup(c, c->gateway.name);
	}
	words[n++] = cl_dup(c, "--gateway-endpoint");
	words[n++] = cl_dup(c, c->gateway.url);
	if (cl_is_insecure(c))
		words[n++] = cl_dup(c, "--gateway-insecure");
	words[n++] = cl_dup(c, "--workspace");
	words[n++] = cl_dup(c, c->workspace);
	words[n++] = cl_dup(c, "sandbox");
	words[n++] = cl_dup(c, "delete");
	words[n++] = cl_dup(c, "--");
	words[n++] = cl_dup(c, name);
	words[n] = NULL;
	is_there = true;
	atexit(at_exit);
	if (came)
		on_signal(came);
}

void cl_temporary_end(void)
{
	is_there = false;
}
