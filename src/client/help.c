/* SPDX-License-Identifier: Apache-2.0 */
/*
 * help.c - what is made from the table: help, completions, the manual
 *
 * Completion scripts hold no words: they ask (complete.c).
 */
#include "client/grammar.h"

#include <string.h>

#define FLAG_COLUMN 34 /* where the explanation of a flag begins */

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
		const struct cv_str word = cl_word_below(row->path, group, true);

		if (word.n && !row->is_hidden)
			line_put(out, word, row->summary, row->alias);
	}
	for (size_t i = 0; i < g->command_count; i++) {
		const struct cl_command *row = &g->commands[i];
		const struct cv_str word = cl_word_below(row->path, group, true);

		if (word.n && !row->is_hidden)
			line_put(out, word, row->summary, NULL);
	}
	for (size_t i = 0; i < g->group_count; i++)
		if (strcmp(g->groups[i].path, group) == 0 && g->groups[i].more)
			cv_buf_printf(out, "\n%s", g->groups[i].more);
	globals_put(out, g);
}

/* ---- completions ---- */

#define P "\1" /* where the program's name goes */

/* For each word that is completed the shell asks us (complete.c), so nothing of the table is in it.
 * No shell expands what comes back: names are a gateway's words. */
/* clang-format off */
static const char *const scripts[] = {
	[CL_SHELL_BASH] =
		"_" P "() {\n"
		"  local line\n"
		"  COMPREPLY=()\n"
		"  while IFS= read -r line; do\n"
		"    case $line in\n"
		"      :files) compopt -o default -o filenames ;;\n"
		"      *) COMPREPLY+=(\"${line%%$'\\t'*}\") ;;\n"
		"    esac\n"
		"  done < <(" P " complete -- \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null)\n"
		"}\n"
		"complete -F _" P " " P "\n",
	[CL_SHELL_ZSH] =
		"#compdef " P "\n"
		"_" P "() {\n"
		"  local -a found\n"
		"  local line\n"
		"  for line in \"${(@f)$(" P " complete -- \"${(@)words[2,CURRENT]}\" 2>/dev/null)}\"; do\n"
		"    case $line in\n"
		"      '') ;;\n"
		"      :files) _files ;;\n"
		"      *) found+=(\"${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}\") ;;\n"
		"    esac\n"
		"  done\n"
		"  (( $#found )) && _describe '" P "' found\n"
		"}\n"
		"if [ \"$funcstack[1]\" = _" P " ]; then _" P " \"$@\"; else compdef _" P " " P "; fi\n",
	[CL_SHELL_FISH] =
		"function __" P "_complete\n"
		"  set -l words (commandline -opc)\n"
		"  set -l word (commandline -ct)\n"
		"  for line in (command " P " complete -- $words[2..-1] \"$word\" 2>/dev/null)\n"
		"    switch $line\n"
		"      case :files\n"
		"        __fish_complete_path \"$word\"\n"
		"      case '*'\n"
		"        printf '%s\\n' $line\n"
		"    end\n"
		"  end\n"
		"end\n"
		"complete -c " P " -f -a '(__" P "_complete)'\n",
	/* Windows PowerShell has no native completer that is asked for an empty word; 7 has. */
	[CL_SHELL_POWERSHELL] =
		"Register-ArgumentCompleter -Native -CommandName '" P "' -ScriptBlock {\n"
		"  param($wordToComplete, $commandAst, $cursorPosition)\n"
		"  $words = @($commandAst.CommandElements | Select-Object -Skip 1 |\n"
		"    Where-Object { $_.Extent.EndOffset -lt $cursorPosition } |\n"
		"    ForEach-Object { if ($null -ne $_.Value) { [string]$_.Value } else { $_.Extent.Text } })\n"
		"  $words += $wordToComplete\n"
		"  & '" P "' complete '--' @words 2>$null | ForEach-Object {\n"
		"    if ($_ -eq ':files') {\n"
		"      [System.Management.Automation.CompletionCompleters]::CompleteFilename($wordToComplete)\n"
		"    } elseif ($_) {\n"
		"      $found, $about = $_ -split \"`t\", 2\n"
		"      if (-not $about) { $about = $found }\n"
		"      [System.Management.Automation.CompletionResult]::new($found, $found, 'ParameterValue', $about)\n"
		"    }\n"
		"  }\n"
		"}\n",
};
/* clang-format on */

void cl_completions(const char *program, enum cl_shell shell, struct cv_buf *out)
{
	struct cv_str rest = cv_str_of(scripts[shell]);

	while (rest.p) {
		cv_buf_put(out, cv_str_cut(&rest, P[0]));
		if (rest.p)
			cv_buf_put(out, cv_str_of(program));
	}
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
