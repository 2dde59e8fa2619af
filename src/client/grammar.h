/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grammar.h - the words of the command line, as one table
 *
 * A command is a row: its path ("sandbox provider attach"), its arguments, its flags.  Parsing, the
 * help of every level, completions for three shells and the manual are made from the rows, so none
 * of them can know a flag that another does not.  Groups ("sandbox") have rows of their own, with the
 * short name that people type ("sb").
 *
 * Flags may stand before and behind arguments, as `--name VALUE`, `--name=VALUE`, `-n VALUE`; global
 * ones also before the command.  What stands behind `--` is the command's tail; a command whose last
 * argument is verbatim (`sandbox exec NAME... CMD`) takes everything from its first word on.  Nothing
 * is abbreviated.
 *
 * A path that goes on in another row's is that row's: `exec list` is no `list` in a sandbox, which is
 * `exec -- list`.
 *
 * Pure: words in, pointers into them out.
 */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cl_flag_kind {
	CL_FLAG_SWITCH,   /* no value */
	CL_FLAG_TEXT,     /* one value; given twice is an error */
	CL_FLAG_LIST,     /* any number of values */
	CL_FLAG_PAIRS,    /* any number of KEY=VALUE */
	CL_FLAG_NUMBER,   /* decimal, at most CL_NUMBER_MAX */
	CL_FLAG_CHOICE,   /* one of the words in `choices` */
	CL_FLAG_OPTIONAL, /* --gpu or --gpu=2, never --gpu 2 */
	CL_FLAG_COUNT     /* a switch that may be repeated (-v -v) */
};

#define CL_NUMBER_MAX 4294967295u /* the numbers of the messages are uint32 */

struct cl_flag {
	const char *name; /* "name", typed as --name */
	char letter;      /* 'n', or 0 */
	enum cl_flag_kind kind;
	const char *value;   /* "NAME" as help shows it */
	const char *help;    /* one line */
	const char *choices; /* "table|json|yaml" */
	const char *against; /* a flag that cannot be given with this one */
	bool is_hidden;
};

struct cl_arg {
	const char *name; /* "NAME" */
	bool is_required, is_many, is_verbatim;
};

#define CL_ARGS_MAX 3 /* arguments of a row */

struct cl;
struct cl_command {
	const char *path;
	const char *summary;
	const struct cl_flag *flags;
	size_t flag_count;
	struct cl_arg args[CL_ARGS_MAX]; /* up to the first without a name */
	int (*run)(struct cl *c);
	const char *tail; /* "CMD" when words behind -- are taken */
	bool is_hidden;
};

struct cl_group {
	const char *path, *alias, *summary;
	bool is_hidden;
	const char *more; /* help says it behind the commands; or NULL */
};

struct cl_grammar {
	const struct cl_command *commands;
	size_t command_count;
	const struct cl_group *groups;
	size_t group_count;
	const struct cl_flag *globals;
	size_t global_count;
};

enum cl_wants { CL_WANTS_RUN, CL_WANTS_HELP, CL_WANTS_VERSION };

struct cl_words {
	enum cl_wants wants;
	const struct cl_command *command; /* NULL: help of a group, or of everything */
	const char *group;                /* "" or a group's path, when command is NULL */
	struct cl_set {
		const struct cl_flag *flag;
		const char *value; /* NULL for a switch, or an optional value that is not there */
	} * sets;
	size_t set_count;
	char **args; /* what the row's arguments took, in order */
	size_t arg_count;
	char **tail;
	size_t tail_count;
};

/* argv without the program's name.  CV_INVALID: the message is for the user, and says which flag is
 * nearest; ret_command is the row it happened in then, or NULL. */
CV_MUST cv_code cl_grammar_parse(const struct cl_grammar *g, struct cv_arena *arena, int argc,
	char **argv, struct cl_words *ret, struct cv_err *err);

/* Where a command line that is being typed ends. */
struct cl_place {
	const struct cl_command *command; /* NULL: words of a command are next, below group */
	const char *group;
	const struct cl_flag *flag; /* whose value is next; NULL */
	const struct cl_arg *arg;   /* what is next else; NULL: no argument may come */
	bool is_foreign;            /* words of the command behind --, or of a verbatim argument */
};

/* The words before the one that is typed.  What is wrong with them, running says.  Flags that were
 * given are in words, for cl_flag(), and so are arguments.  CV_LIMIT: no memory. */
CV_MUST cv_code cl_grammar_locate(const struct cl_grammar *g, struct cv_arena *arena, int argc,
	char **argv, struct cl_words *ret_words, struct cl_place *ret);
/* The word of path that follows the group's; empty: path is not below it, or, with must_be_last, has
 * more than that. */
struct cv_str cl_word_below(const char *path, const char *group, bool must_be_last);

/* Of what was parsed.  Names that the row does not have are bugs. */
const char *cl_flag(const struct cl_words *w, const char *name); /* the value, or NULL */
bool cl_has(const struct cl_words *w, const char *name);
size_t cl_flag_count(const struct cl_words *w, const char *name);
/* The n-th value of a list; NULL behind the last. */
const char *cl_flag_at(const struct cl_words *w, const char *name, size_t n);
uint32_t cl_number(const struct cl_words *w, const char *name, uint32_t otherwise);
const char *cl_arg(const struct cl_words *w, size_t n); /* NULL: not given */

/* ---- what is made from the table ---- */

/* command NULL: of the group ("" is the top). */
void cl_help(const struct cl_grammar *g, const char *program, const char *group,
	const struct cl_command *command, struct cv_buf *out);
void cl_usage_line(const char *program, const struct cl_command *command, struct cv_buf *out);
enum cl_shell { CL_SHELL_BASH, CL_SHELL_ZSH, CL_SHELL_FISH, CL_SHELL_POWERSHELL };
void cl_completions(const char *program, enum cl_shell shell, struct cv_buf *out);
/* roff, section 1. */
void cl_manual(const struct cl_grammar *g, const char *program, struct cv_buf *out);
