/* SPDX-License-Identifier: Apache-2.0 */
/*
 * editor.c - an editor that opens a sandbox as a remote host
 *
 * Editors take a host of ssh's configuration and nothing else.  So the sandbox's block goes into a file
 * of ours (ssh_config, beside the gateways), one block per sandbox, and the person's own ~/.ssh/config
 * includes it: a line at its head, put there once, and nothing else in it is touched.
 */
#include "client/sandbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONFIG_BYTES_MAX (1u << 20)

static const struct {
	const char *name, *program;
} editors[] = { { "vscode", "code" }, { "cursor", "cursor" } };

/* The file without the block of that host. */
static void others_put(struct cv_buf *b, struct cv_str text, struct cv_str host)
{
	bool is_its = false;

	while (text.n) {
		const struct cv_str line = cv_str_cut(&text, '\n');

		if (cv_str_has_prefix(line, CV_STR("Host ")))
			is_its = cv_str_eq(cv_str_trim(cv_str_slice(line, 5, line.n)), host);
		if (!is_its)
			cv_buf_printf(b, "%.*s\n", CV_STR_ARG(line));
	}
}

static const char *config_path(struct cl *c)
{
	return cl_print(c, "%s/ssh_config", cl_config_dir(c));
}

static const char *host_of(struct cl *c, const char *sandbox)
{
	return cl_print(c, "openshell-%s.%s", sandbox, c->workspace);
}

static void block_write(struct cl *c, const char *path, const char *host, const char *block)
{
	struct cv_str text = CV_STR_NONE;
	struct cv_buf b;

	cv_buf_init(&b, CONFIG_BYTES_MAX);
	if (cl_file_slurp(c, path, CONFIG_BYTES_MAX / 2, &text))
		others_put(&b, text, cv_str_of(host));
	cv_buf_printf(&b, "%s", block);
	cl_file_write(c, path, cv_buf_str(&b));
	cv_buf_fini(&b);
}

/* A link stays one: its target is what is written. */
static void include_write(struct cl *c, const char *path)
{
	const char *home = getenv("HOME");
	const char *line = cl_print(c, "Include %s\n", path);
	struct cv_str text = CV_STR_NONE;

	if (!home || home[0] != '/')
		cl_die(c, "HOME names no directory: add '%.*s' to ssh's configuration",
			(int)strlen(line) - 1, line);
	const char *own = cl_print(c, "%s/.ssh/config", home);
	char *real = realpath(own, NULL);
	if (cl_file_slurp(c, own, CONFIG_BYTES_MAX, &text) &&
		memmem(text.p, text.n, line, strlen(line))) {
		free(real);
		return;
	}
	if (!text.p && access(own, F_OK) == 0)
		cl_die(c, "%s cannot be read; add '%.*s' to it", own, (int)strlen(line) - 1, line);
	cl_file_write(
		c, real ? real : own, cv_str_of(cl_print(c, "%s%.*s", line, CV_STR_ARG(text))));
	free(real);
}

int cl_editor(struct cl *c, const char *sandbox)
{
	const char *editor = cl_flag(&c->w, "editor");
	const char *path = config_path(c);
	const char *block = cl_ssh_block(c, sandbox); /* its words are plain */
	const char *host = host_of(c, sandbox);

	block_write(c, path, host, block);
	include_write(c, path);
	for (size_t i = 0; i < CV_ARRAY_LEN(editors); i++) {
		if (strcmp(editors[i].name, editor) != 0)
			continue;
		const char *program = editors[i].program;
		fflush(NULL);
		execlp(program, program, "--remote", cl_print(c, "ssh-remote+%s", host), "/sandbox",
			(char *)NULL);
		cl_die(c, "start %s: %s; any editor can open the host %s", program, strerror(errno),
			host);
	}
	cl_die_usage(c, "unknown editor '%s'", editor);
}

void cl_editor_forget(struct cl *c, const char *sandbox)
{
	const char *path = config_path(c);
	struct cv_str text;
	struct cv_buf b;

	if (!cl_file_slurp(c, path, CONFIG_BYTES_MAX / 2, &text))
		return; /* nobody has opened an editor */
	cv_buf_init(&b, CONFIG_BYTES_MAX);
	others_put(&b, text, cv_str_of(host_of(c, sandbox)));
	if (cv_buf_len(&b) < text.n)
		cl_file_write(c, path, cv_buf_str(&b));
	cv_buf_fini(&b);
}
