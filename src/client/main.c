/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - cove-client: finds the command and runs it
 *
 * It is what `cove` becomes for everything that a gateway does, and, installed under that name, the
 * command `openshell`: the words are the same, and hints say the name that was typed.
 *
 * Exit status: 0; 1 an error; 2 wrong words; 124 time ran out; `sandbox exec` has the command's own.
 */
#include "client/client.h"
#include "client/commands.h"

#include "base/shown.h"
#include "sys/fd.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct cl cl; /* lives as long as the program */

static const char *program_name(const char *argv0)
{
	const char *slash = strrchr(argv0 ? argv0 : "", '/');
	const char *name = slash ? slash + 1 : argv0 ? argv0 : "";

	return strcmp(name, "openshell") == 0 ? "openshell" : "cove";
}

static int print(struct cl *c, void (*put)(struct cl *c, struct cv_buf *out))
{
	struct cv_buf b;

	cv_buf_init(&b, CL_OUT_BYTES_MAX);
	put(c, &b);
	cl_write(c, cv_buf_str(&b));
	cv_buf_fini(&b);
	return 0;
}

static void put_help(struct cl *c, struct cv_buf *out)
{
	cl_help(c->grammar, c->program, c->w.group, c->w.command, out);
}

static void put_manual(struct cl *c, struct cv_buf *out)
{
	cl_manual(c->grammar, c->program, out);
}

static void put_completions(struct cl *c, struct cv_buf *out)
{
	const char *shell = cl_arg(&c->w, 0);

	if (strcmp(shell, "bash") == 0)
		cl_completions(c->program, CL_SHELL_BASH, out);
	else if (strcmp(shell, "zsh") == 0)
		cl_completions(c->program, CL_SHELL_ZSH, out);
	else if (strcmp(shell, "fish") == 0)
		cl_completions(c->program, CL_SHELL_FISH, out);
	else if (strcmp(shell, "powershell") == 0)
		cl_completions(c->program, CL_SHELL_POWERSHELL, out);
	else
		cl_die_usage(c,
			"invalid value '%s' for '<SHELL>' [possible values: bash, fish, zsh, powershell]",
			shell);
}

int cl_run_manual(struct cl *c)
{
	return print(c, put_manual);
}

int cl_run_completions(struct cl *c)
{
	return print(c, put_completions);
}

static int finish(int status)
{
	if (fflush(stdout) != 0 || ferror(stdout)) {
		if (errno != EPIPE)
			fprintf(stderr, "Error: write to stdout: %s\n", strerror(errno));
		return status ? status : CL_EXIT_FAILED;
	}
	return status;
}

int main(int argc, char **argv)
{
	struct cv_err err = { .msg = "" };
	const char *env;

	cv_fd_standard();
	signal(SIGPIPE, SIG_IGN); /* a write says so, and stdout that is shut ends us quietly */
	cl.program = program_name(argc ? argv[0] : NULL);
	cl.grammar = &cl_grammar;
	cv_arena_init(&cl.arena, CL_ARENA_BYTES_MAX);
	env = getenv("NO_COLOR");
	cl.has_colour = isatty(STDOUT_FILENO) && !(env && *env);
	if (cl_grammar_parse(&cl_grammar, &cl.arena, argc ? argc - 1 : 0, argv + 1, &cl.w, &err) !=
		CV_OK)
		cl_die_usage(&cl, "%s", err.msg);
	if (cl.w.wants == CL_WANTS_VERSION) {
		printf("%s %s\n", cl.program, CV_VERSION);
		return finish(0);
	}
	if (cl.w.wants == CL_WANTS_HELP)
		return finish(print(&cl, put_help));
	if (!cl.w.command) {
		struct cv_buf b;

		cv_buf_init(&b, CL_OUT_BYTES_MAX);
		put_help(&cl, &b);
		fwrite(cv_buf_str(&b).p, 1, cv_buf_len(&b), stderr);
		return CL_EXIT_USAGE;
	}
	cl.workspace = cl_flag(&cl.w, "workspace");
	if (!cl.workspace)
		cl.workspace = getenv("COVE_WORKSPACE");
	if (!cl.workspace)
		cl.workspace = getenv("OPENSHELL_WORKSPACE");
	if (!cl.workspace || !*cl.workspace)
		cl.workspace = "default";
	cl.is_verbose = cl_has(&cl.w, "verbose");
	const int status = cl.w.command->run(&cl);
	cv_rpc_client_close(cl.rpc);
	cl_answers_free(&cl);
	return finish(status);
}
