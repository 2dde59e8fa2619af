/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options.h - commands and their options as tables
 *
 * One row per option: parsing, `--help` and the manual page come from it.  Names are never
 * abbreviated: a prefix that is unique today would mean something else tomorrow.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct cv_option {
	const char *name;  /* "policy"; typed as --policy */
	char letter;       /* 'p', or 0 */
	const char *value; /* "FILE" as help shows it; NULL for a flag */
	const char *help;  /* one line */
	/* Puts the value (NULL for a flag) into the command's own struct, or into the field of it
	 * that is `at` bytes further on.  CV_INVALID. */
	cv_code (*set)(void *into, const char *value, struct cv_err *err);
	size_t at;
};

/* Setters of a field: of a bool, by a flag; of a const char *, of which the last or only one
 * counts. */
cv_code cv_option_set_true(void *flag, const char *value, struct cv_err *err);
cv_code cv_option_set_text(void *text, const char *value, struct cv_err *err);
cv_code cv_option_set_once(void *text, const char *value, struct cv_err *err);

struct cv_command {
	const char *name;     /* "policy check" */
	const char *operands; /* "FILE..." */
	const char *summary;  /* one line */
	const struct cv_option *options;
	size_t option_count;
	int (*run)(const struct cv_command *self, int argc, char **argv); /* argv after the name */
};

/* Fills into from the options before the first operand (or before "--") and gives the index of
 * that operand.  CV_INVALID with a message that names the option and, for an unknown one, the
 * nearest known.  *ret_wants_help is set by --help or -h. */
CV_MUST cv_code cv_options_parse(const struct cv_command *cmd, int argc, char **argv, void *into,
	int *ret_first, bool *ret_wants_help, struct cv_err *err);

void cv_command_help(const struct cv_command *cmd, FILE *to);

/* How commands begin: the options are read into `into`.  False when that was all, for --help or
 * wrong words; *ret_status is then the exit status. */
CV_MUST bool cv_command_begin(const struct cv_command *cmd, int argc, char **argv, void *into,
	int *ret_first, int *ret_status);

/* Prints "cove NAME: MESSAGE" on stderr, and for CV_INVALID where to read more; returns the exit
 * status that belongs to the code. */
int cv_command_fail(const struct cv_command *cmd, const struct cv_err *err);

/* To stdout, lines of text that may hold anything: a terminal obeys escape sequences. */
void cv_command_put_printable(struct cv_str s);

/* Values that several options share. */
CV_MUST cv_code cv_option_size(
	const char *text, uint64_t *ret, struct cv_err *err); /* 512m, 2GiB */
CV_MUST cv_code cv_option_duration(
	const char *text, uint64_t *ret_ms, struct cv_err *err);                          /* 90s */
CV_MUST cv_code cv_option_cpu(const char *text, uint32_t *ret_milli, struct cv_err *err); /* 1.5 */
CV_MUST cv_code cv_option_number(
	const char *text, uint64_t min, uint64_t max, uint64_t *ret, struct cv_err *err);
