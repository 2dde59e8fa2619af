/* SPDX-License-Identifier: Apache-2.0 */
/*
 * help.c - what is made from the table: help, completions, the manual
 *
 * Completion scripts hold the words of the table; names of sandboxes they ask for with
 * `sandbox list --names` when a command takes one.
 */
#include "client/grammar.h"

#include <string.h>

#define FLAG_COLUMN 34 /* where the explanation of a flag begins */

/* The word of row's path that follows prefix; empty when the row is not below it. */
static struct cv_str word_below(const char *path, const char *prefix)
{
	const size_t n = strlen(prefix);

	if (n && (strncmp(path, prefix, n) != 0 || path[n] != ' '))
		return CV_STR_NONE;
	struct cv_str rest = cv_str_of(path + n + (n ? 1 : 0));
	return cv_str_cut(&rest, ' ');
}

static bool is_last_word(const char *path, const char *prefix, struct cv_str word)
{
	return strlen(path) == strlen(prefix) + (*prefix ? 1 : 0) + word.n;
}

static void pad_to(struct cv_buf *out, size_t from, size_t column)
{
	size_t n = cv_buf_len(out) - from;

	do
		cv_buf_put_byte(out, ' ');
	while (++n < column);
}

static void args_put(struct cv_buf *out, const struct cl_command *row)
{
	for (size_t i = 0; i < CL_ARGS_MAX && row->args[i].name; i++) {
		const struct cl_arg *a = &row->args[i];

		cv_buf_printf(out, a->is_required ? " <%s>%s" : " [%s]%s", a->name,
			a->is_many || a->is_verbatim ? "..." : "");
	}
	if (row->tail)
		cv_buf_printf(out, " [-- %s...]", row->tail);
}

void cl_usage_line(const char *program, const struct cl_command *row, struct cv_buf *out)
{
	cv_buf_printf(
		out, "Usage: %s %s%s", program, row->path, row->flag_count ? " [OPTIONS]" : "");
	args_put(out, row);
	cv_buf_put_byte(out, '\n');
}

static void flag_put(struct cv_buf *out, const struct cl_flag *f)
{
	const size_t from = cv_buf_len(out);

	if (f->is_hidden)
		return;
	if (f->letter)
		cv_buf_printf(out, "  -%c, --%s", f->letter, f->name);
	else
		cv_buf_printf(out, "      --%s", f->name);
	if (f->kind == CL_FLAG_OPTIONAL)
		cv_buf_printf(out, "[=<%s>]", f->value);
	else if (f->value)
		cv_buf_printf(out, " <%s>", f->value);
	pad_to(out, from, FLAG_COLUMN);
	cv_buf_put(out, cv_str_of(f->help));
	if (f->choices)
		cv_buf_printf(out, " [possible values: %s]", f->choices);
	cv_buf_put_byte(out, '\n');
}

static void globals_put(struct cv_buf *out, const struct cl_grammar *g)
{
	cv_buf_put(out, CV_STR("\nGlobal options:\n"));
	for (size_t i = 0; i < g->global_count; i++)
		flag_put(out, &g->globals[i]);
	cv_buf_put(out, CV_STR("  -h, --help                      this help\n"
			       "  -V, --version                   the program's version\n"));
}

static void command_help(const struct cl_grammar *g, const char *program,
	const struct cl_command *row, struct cv_buf *out)
{
	cv_buf_printf(out, "%s\n\n", row->summary);
	cl_usage_line(program, row, out);
	if (row->flag_count)
		cv_buf_put(out, CV_STR("\nOptions:\n"));
	for (size_t i = 0; i < row->flag_count; i++)
		flag_put(out, &row->flags[i]);
	globals_put(out, g);
}

static void line_put(struct cv_buf *out, struct cv_str word, const char *summary, const char *alias)
{
	const size_t from = cv_buf_len(out);

	cv_buf_printf(out, "  %.*s", CV_STR_ARG(word));
	pad_to(out, from, 18);
	cv_buf_put(out, cv_str_of(summary));
	if (alias)
		cv_buf_printf(out, " [alias: %s]", alias);
	cv_buf_put_byte(out, '\n');
}

void cl_help(const struct cl_grammar *g, const char *program, const char *group,
	const struct cl_command *command, struct cv_buf *out)
{
	if (command) {
		command_help(g, program, command, out);
		return;
	}
	for (size_t i = 0; *group && i < g->group_count; i++)
		if (strcmp(g->groups[i].path, group) == 0)
			cv_buf_printf(out, "%s\n\n", g->groups[i].summary);
	if (!*group)
		cv_buf_printf(out, "%s: sandboxes for AI agents, on a gateway\n\n", program);
	cv_buf_printf(out, "Usage: %s%s%s [OPTIONS] <COMMAND>\n\nCommands:\n", program,
		*group ? " " : "", group);
	for (size_t i = 0; i < g->group_count; i++) {
		const struct cl_group *row = &g->groups[i];
		const struct cv_str word = word_below(row->path, group);

		if (word.n && !row->is_hidden && is_last_word(row->path, group, word))
			line_put(out, word, row->summary, row->alias);
	}
	for (size_t i = 0; i < g->command_count; i++) {
		const struct cl_command *row = &g->commands[i];
		const struct cv_str word = word_below(row->path, group);

		if (word.n && !row->is_hidden && is_last_word(row->path, group, word))
			line_put(out, word, row->summary, NULL);
	}
	globals_put(out, g);
}

/* ---- completions ---- */

/* All words that may follow a path, with the path they follow: for each row and group. */
static void bash_cases(const struct cl_grammar *g, struct cv_buf *out, const char *path)
{
	cv_buf_printf(out, "    \"%s\") words=\"", path);
	for (size_t i = 0; i < g->group_count; i++) {
		const struct cv_str word = word_below(g->groups[i].path, path);

		if (word.n && !g->groups[i].is_hidden &&
			is_last_word(g->groups[i].path, path, word))
			cv_buf_printf(out, "%.*s ", CV_STR_ARG(word));
	}
	for (size_t i = 0; i < g->command_count; i++) {
		const struct cv_str word = word_below(g->commands[i].path, path);

		if (word.n && !g->commands[i].is_hidden &&
			is_last_word(g->commands[i].path, path, word))
			cv_buf_printf(out, "%.*s ", CV_STR_ARG(word));
	}
	cv_buf_put(out, CV_STR("\" ;;\n"));
}

static bool takes_sandbox(const struct cl_command *row)
{
	return row->args[0].name &&
	       (strcmp(row->args[0].name, "NAME") == 0 ||
		       strcmp(row->args[0].name, "SANDBOX") == 0) &&
	       strncmp(row->path, "provider", 8) != 0 && strncmp(row->path, "gateway", 7) != 0 &&
	       strncmp(row->path, "workspace", 9) != 0;
}

static void flag_words(struct cv_buf *out, const struct cl_flag *flags, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!flags[i].is_hidden)
			cv_buf_printf(out, "--%s ", flags[i].name);
}

/* zsh reads the same script through bashcompinit. */
static void bash_put(const struct cl_grammar *g, const char *program, struct cv_buf *out)
{
	cv_buf_printf(out,
		"_%s() {\n"
		"  local cur=${COMP_WORDS[COMP_CWORD]} path= words= names= w i\n"
		"  for ((i = 1; i < COMP_CWORD; i++)); do\n"
		"    w=${COMP_WORDS[i]}\n"
		"    case $w in -*) continue ;; esac\n"
		"    case \"$path${path:+ }$w\" in\n",
		program);
	for (size_t i = 0; i < g->group_count; i++)
		cv_buf_printf(out, "      \"%s\") path=\"%s\" ;;\n", g->groups[i].path,
			g->groups[i].path);
	for (size_t i = 0; i < g->command_count; i++)
		cv_buf_printf(out, "      \"%s\") path=\"%s\" ;;\n", g->commands[i].path,
			g->commands[i].path);
	cv_buf_put(out, CV_STR("    esac\n  done\n  case $path in\n"));
	bash_cases(g, out, "");
	for (size_t i = 0; i < g->group_count; i++)
		bash_cases(g, out, g->groups[i].path);
	for (size_t i = 0; i < g->command_count; i++) {
		const struct cl_command *row = &g->commands[i];

		cv_buf_printf(out, "    \"%s\") words=\"", row->path);
		flag_words(out, row->flags, row->flag_count);
		flag_words(out, g->globals, g->global_count);
		cv_buf_printf(out, "\"%s ;;\n", takes_sandbox(row) ? "; names=1" : "");
	}
	cv_buf_printf(out,
		"  esac\n"
		"  if [ -n \"$names\" ] && [ \"${cur#-}\" = \"$cur\" ]; then\n"
		"    words=$(%s sandbox list --names 2>/dev/null)\n"
		"  fi\n"
		"  COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
		"}\n"
		"complete -o default -F _%s %s\n",
		program, program, program);
}

/* 'text' of fish: quotes and backslashes escaped. */
static void fish_text(struct cv_buf *out, const char *text)
{
	cv_buf_put_byte(out, '\'');
	for (; *text; text++) {
		if (*text == '\'' || *text == '\\')
			cv_buf_put_byte(out, '\\');
		cv_buf_put_byte(out, *text);
	}
	cv_buf_put_byte(out, '\'');
}

static void fish_flag(
	struct cv_buf *out, const char *program, const char *path, const struct cl_flag *f)
{
	if (f->is_hidden)
		return;
	cv_buf_printf(out, "complete -c %s", program);
	if (*path)
		cv_buf_printf(out, " -n '__fish_%s_at \"%s\"'", program, path);
	cv_buf_printf(out, " -l %s", f->name);
	if (f->letter)
		cv_buf_printf(out, " -s %c", f->letter);
	if (f->value && f->kind != CL_FLAG_OPTIONAL)
		cv_buf_put(out, CV_STR(" -r"));
	if (f->choices) {
		cv_buf_put(out, CV_STR(" -f -a '"));
		for (const char *p = f->choices; *p; p++)
			cv_buf_put_byte(out, *p == '|' ? ' ' : *p);
		cv_buf_put_byte(out, '\'');
	}
	cv_buf_put(out, CV_STR(" -d "));
	fish_text(out, f->help);
	cv_buf_put_byte(out, '\n');
}

static void fish_word(
	struct cv_buf *out, const char *program, const char *path, const char *summary)
{
	const char *last = strrchr(path, ' ');
	const int above = last ? (int)(last - path) : 0;

	cv_buf_printf(out, "complete -c %s -f -n '__fish_%s_at \"%.*s\"' -a %s -d ", program,
		program, above, path, last ? last + 1 : path);
	fish_text(out, summary);
	cv_buf_put_byte(out, '\n');
}

static void fish_put(const struct cl_grammar *g, const char *program, struct cv_buf *out)
{
	cv_buf_printf(out,
		"function __fish_%s_at\n"
		"  set -l words (string match -v -- '-*' (commandline -opc)[2..-1])\n"
		"  test \"$argv[1]\" = (string join ' ' -- $words | string collect -a)\n"
		"end\n",
		program);
	for (size_t i = 0; i < g->group_count; i++)
		if (!g->groups[i].is_hidden)
			fish_word(out, program, g->groups[i].path, g->groups[i].summary);
	for (size_t i = 0; i < g->command_count; i++) {
		const struct cl_command *row = &g->commands[i];

		if (row->is_hidden)
			continue;
		fish_word(out, program, row->path, row->summary);
		if (takes_sandbox(row))
			cv_buf_printf(out,
				"complete -c %s -f -n '__fish_%s_at \"%s\"' "
				"-a '(%s sandbox list --names 2>/dev/null)'\n",
				program, program, row->path, program);
		for (size_t k = 0; k < row->flag_count; k++)
			fish_flag(out, program, row->path, &row->flags[k]);
	}
	for (size_t i = 0; i < g->global_count; i++)
		fish_flag(out, program, "", &g->globals[i]);
}

void cl_completions(
	const struct cl_grammar *g, const char *program, enum cl_shell shell, struct cv_buf *out)
{
	if (shell == CL_SHELL_ZSH)
		cv_buf_printf(
			out, "#compdef %s\nautoload -U +X bashcompinit && bashcompinit\n", program);
	if (shell == CL_SHELL_FISH)
		fish_put(g, program, out);
	else
		bash_put(g, program, out);
}

/* ---- the manual ---- */

static void roff_put(struct cv_buf *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '\\' || *text == '-')
			cv_buf_put_byte(out, '\\');
		cv_buf_put_byte(out, *text);
	}
}

static void roff_flag(struct cv_buf *out, const struct cl_flag *f)
{
	if (f->is_hidden)
		return;
	cv_buf_put(out, CV_STR(".TP\n"));
	if (f->letter)
		cv_buf_printf(out, "\\fB\\-%c\\fR, ", f->letter);
	cv_buf_put(out, CV_STR("\\fB\\-\\-"));
	roff_put(out, f->name);
	cv_buf_put(out, CV_STR("\\fR"));
	if (f->value)
		cv_buf_printf(out, " \\fI%s\\fR", f->value);
	cv_buf_put_byte(out, '\n');
	roff_put(out, f->help);
	if (f->choices) {
		cv_buf_put(out, CV_STR(" ("));
		roff_put(out, f->choices);
		cv_buf_put_byte(out, ')');
	}
	cv_buf_put_byte(out, '\n');
}

void cl_manual(const struct cl_grammar *g, const char *program, struct cv_buf *out)
{
	cv_buf_printf(out,
		".TH %s 1\n.SH NAME\n%s \\- sandboxes for AI agents, on a gateway\n"
		".SH SYNOPSIS\n.B %s\n[\\fIOPTIONS\\fR] \\fICOMMAND\\fR ...\n.SH GLOBAL OPTIONS\n",
		program, program, program);
	for (size_t i = 0; i < g->global_count; i++)
		roff_flag(out, &g->globals[i]);
	cv_buf_put(out, CV_STR(".SH COMMANDS\n"));
	for (size_t i = 0; i < g->command_count; i++) {
		const struct cl_command *row = &g->commands[i];

		if (row->is_hidden)
			continue;
		cv_buf_put(out, CV_STR(".SS "));
		roff_put(out, row->path);
		args_put(out, row);
		cv_buf_put_byte(out, '\n');
		roff_put(out, row->summary);
		cv_buf_put_byte(out, '\n');
		for (size_t k = 0; k < row->flag_count; k++)
			roff_flag(out, &row->flags[k]);
	}
	cv_buf_put(out,
		CV_STR(".SH EXIT STATUS\n0 on success, 1 on an error, 2 when the words were "
		       "wrong, 124 when time ran out; `sandbox exec` gives the command's own.\n"));
}
