/* SPDX-License-Identifier: Apache-2.0 */
/*
 * words.c - help and completion of this program's commands, from their rows (command.h)
 *
 * What help says of a value is what completion knows of it: "FILE" and "DIR" are paths, "text|json" are
 * two words.
 */
#include "gateway/command.h"

#include "base/buf.h"
#include "base/str.h"
#include "gateway/config.h"

#include <stdio.h>
#include <string.h>

#define HELP_BYTES_MAX (64u << 10)
#define FLAG_COLUMN    43

static const struct cv_gw_flag config_flag = { "config", "FILE", "configuration file",
	"~/.config/cove/gateway.yaml" };

/* The n-th flag of a command: its own, then --config, then what can be configured.  False: no more. */
static bool flag_at(const struct cv_gw_command *c, size_t n, struct cv_gw_flag *ret)
{
	if (n < c->flag_count) {
		*ret = c->flags[n];
		return true;
	}
	n -= c->flag_count;
	if (!c->has_options)
		return false;
	if (n == 0) {
		*ret = config_flag;
		return true;
	}
	return cv_gw_config_flag(n - 1, ret);
}

/* How many words name it; 0: they don't. */
static int name_matches(const char *name, int argc, char *const *words)
{
	struct cv_str rest = cv_str_of(name);
	int n = 0;

	for (; rest.p; n++)
		if (n >= argc || !cv_str_eq(cv_str_cut(&rest, ' '), cv_str_of(words[n])))
			return 0;
	return n;
}

const struct cv_gw_command *cv_gw_words_find(
	const struct cv_gw_command *all, size_t n, int argc, char *const *words, int *ret_used)
{
	for (size_t i = 0; i < n; i++) {
		const int used = name_matches(all[i].name, argc, words);

		if (used) {
			*ret_used = used;
			return &all[i];
		}
	}
	return NULL;
}

/* ---- help ---- */

static void usage_print(const struct cv_gw_command *c, const char *before)
{
	printf("%scove gateway %s%s%s%s\n", before, c->name,
		c->flag_count || c->has_options ? " [OPTIONS]" : "", c->operands[0] ? " " : "",
		c->operands);
}

static void flags_print(const struct cv_gw_command *c)
{
	struct cv_gw_flag f;

	for (size_t i = 0; flag_at(c, i, &f); i++) {
		char name[96];

		snprintf(name, sizeof(name), "--%s%s%s", f.name, f.value ? " " : "",
			f.value ? f.value : "");
		printf("  %-*s %s%s%s%s\n", FLAG_COLUMN, name, f.help, f.def ? " (" : "",
			f.def ? f.def : "", f.def ? ")" : "");
	}
}

void cv_gw_words_help(
	const struct cv_gw_command *all, size_t n, const struct cv_gw_command *command)
{
	if (command) {
		printf("%s\n\n", command->summary);
		usage_print(command, "Usage: ");
		if (command->flag_count || command->has_options)
			puts("\nOptions:");
		flags_print(command);
		if (command->has_options)
			puts("\nThe file has a key for each, the environment a variable (COVE_PORT); an "
			     "option wins over a variable, that over the file.");
		return;
	}
	puts("cove-gateway: serves sandboxes over gRPC and REST\n\nUsage:");
	for (size_t i = 0; i < n; i++)
		if (all[i].summary)
			usage_print(&all[i], "  ");
	puts("\n'cove gateway COMMAND --help' tells more.");
}

/* ---- completion ---- */

static void offer(struct cv_str word, struct cv_str typed, struct cv_str before, const char *what)
{
	if (word.n && cv_str_has_prefix(word, typed))
		printf("%.*s%.*s\t%s\n", CV_STR_ARG(before), CV_STR_ARG(word), what);
}

/* "FILE", "[DIR]", "text|json" */
static void offer_kind(const char *kind, struct cv_str typed, struct cv_str before)
{
	struct cv_str rest = cv_str_of(kind);

	if (strstr(kind, "FILE") || strstr(kind, "DIR")) {
		puts(":files");
		return;
	}
	while (strchr(kind, '|') && rest.n)
		offer(cv_str_cut(&rest, '|'), typed, before, "");
}

static bool flag_named(const struct cv_gw_command *c, struct cv_str name, struct cv_gw_flag *ret)
{
	for (size_t i = 0; flag_at(c, i, ret); i++)
		if (cv_str_eq(cv_str_of(ret->name), name))
			return true;
	return false;
}

static void flags_offer(const struct cv_gw_command *c, struct cv_str typed)
{
	struct cv_gw_flag f;

	for (size_t i = 0; flag_at(c, i, &f); i++) {
		char name[96];

		snprintf(name, sizeof(name), "--%s", f.name);
		offer(cv_str_of(name), typed, CV_STR(""), f.help);
	}
	offer(CV_STR("--help"), typed, CV_STR(""), "What it does");
}

/* words: behind the command's name; the last is what is typed. */
static void command_complete(const struct cv_gw_command *c, int argc, char *const *words)
{
	struct cv_str typed = cv_str_of(words[argc - 1]), value = typed, name;
	struct cv_gw_flag f = { .value = NULL };
	bool is_value = false; /* of f, which stands before */

	for (int i = 0; i < argc - 1; i++) {
		const struct cv_str w = cv_str_of(words[i]);

		if (is_value &&
			cv_str_eq(w, CV_STR("="))) /* bash cuts "--output=text" at its '=' */
			continue;
		is_value = !is_value && cv_str_has_prefix(w, CV_STR("--")) &&
			   flag_named(c, cv_str_slice(w, 2, w.n), &f) && f.value;
	}
	if (is_value) {
		offer_kind(f.value, cv_str_eq(typed, CV_STR("=")) ? CV_STR("") : typed, CV_STR(""));
		return;
	}
	name = cv_str_cut(&value, '=');
	if (value.p && cv_str_has_prefix(name, CV_STR("--"))) {
		if (flag_named(c, cv_str_slice(name, 2, name.n), &f) && f.value)
			offer_kind(f.value, value, cv_str_slice(typed, 0, name.n + 1));
	} else if (typed.n && typed.p[0] == '-')
		flags_offer(c, typed);
	else
		offer_kind(c->operands, typed, CV_STR(""));
}

void cv_gw_words_complete(const struct cv_gw_command *all, size_t n, int argc, char *const *words)
{
	const struct cv_str typed = cv_str_of(words[argc - 1]);
	int used;
	const struct cv_gw_command *c = cv_gw_words_find(all, n, argc - 1, words, &used);

	if (c) {
		command_complete(c, argc - used, words + used);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		struct cv_str rest = cv_str_of(all[i].name);
		int at = 0;

		while (at < argc - 1 && rest.p &&
			cv_str_eq(cv_str_cut(&rest, ' '), cv_str_of(words[at])))
			at++;
		if (at < argc - 1 || !rest.p || !all[i].summary)
			continue;
		const struct cv_str word = cv_str_cut(&rest, ' ');
		offer(word, typed, CV_STR(""), rest.p ? "" : all[i].summary);
	}
}
