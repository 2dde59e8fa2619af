/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - cove: finds the command and hands over
 *
 * Exit status: the command's own; 2 when the words were wrong; 125 when cove itself failed.
 */
#include "cli/commands.h"
#include "cli/complete.h"
#include "cli/remote.h"

#include "base/str.h"
#include "base/word.h"
#include "sys/fd.h"

#include <stdio.h>
#include <string.h>

static const struct cv_command *const command[] = {
	&cv_cmd_run,
	&cv_cmd_approve,
	&cv_cmd_policy_check,
	&cv_cmd_policy_explain,
	&cv_cmd_provider_show,
	&cv_cmd_provider_lint,
	&cv_cmd_tools_show,
	&cv_cmd_tools_lint,
	&cv_cmd_audit_secrets,
	&cv_cmd_doctor,
};

#define EXIT_USAGE 2

static void help(FILE *to)
{
	fputs("cove: a computer for an AI agent, with one watched way out\n\n"
	      "Usage: cove COMMAND ...\n\nCommands:\n",
		to);
	for (size_t i = 0; i < CV_ARRAY_LEN(command); i++)
		fprintf(to, "  %-16s %s\n", command[i]->name, command[i]->summary);
	cv_remote_help(to);
	fputs("\n'cove COMMAND --help' tells more.  First steps:\n"
	      "  cove run -- ls            in a sandbox, without network\n"
	      "  cove doctor               what this machine can enforce\n",
		to);
}

/* How many words of argv name the command: 0 when they don't. */
static int words_matched(const char *name, int argc, char **argv)
{
	struct cv_str rest = cv_str_of(name);
	int n = 0;

	while (rest.p) {
		const struct cv_str word = cv_str_cut(&rest, ' ');

		if (n >= argc || !cv_str_eq(word, cv_str_of(argv[n])))
			return 0;
		n++;
	}
	return n;
}

static int fail_unknown(int argc, char **argv)
{
	const char *names[CV_ARRAY_LEN(command)];
	char typed[64];

	for (size_t i = 0; i < CV_ARRAY_LEN(command); i++) {
		names[i] = command[i]->name;
		const size_t first = strcspn(names[i], " ");
		if (names[i][first] && strlen(argv[0]) == first &&
			!strncmp(names[i], argv[0], first))
			argc = CV_MIN(argc, 2); /* a known group: judge both words */
	}
	snprintf(typed, sizeof(typed), "%s%s%s", argv[0], argc == 2 ? " " : "",
		argc == 2 ? argv[1] : "");
	const size_t near = cv_word_nearest(cv_str_of(typed), names, CV_ARRAY_LEN(names));
	fprintf(stderr, "cove: unknown command '%s'", typed);
	if (near < CV_ARRAY_LEN(names))
		fprintf(stderr, "; did you mean 'cove %s'?", names[near]);
	fputs(" (see 'cove --help')\n", stderr);
	return EXIT_USAGE;
}

static bool is_help(const char *word)
{
	return !strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "help");
}

/* "policy", "policy --help": of a word that several commands of ours begin with. */
static bool is_group(int argc, char **argv)
{
	const size_t n = strlen(argv[0]);

	if (argc > 1 && !is_help(argv[1]))
		return false;
	for (size_t i = 0; i < CV_ARRAY_LEN(command); i++)
		if (!strncmp(command[i]->name, argv[0], n) && command[i]->name[n] == ' ')
			return true;
	return false;
}

/* What the client has of the group, it says itself. */
static int group_help(int argc, char **argv)
{
	const bool is_asked = argc > 2;
	FILE *to = is_asked ? stdout : stderr;
	const size_t n = strlen(argv[1]);

	fprintf(to, "Usage: cove %s COMMAND ...\n\nCommands that need no gateway:\n", argv[1]);
	for (size_t i = 0; i < CV_ARRAY_LEN(command); i++)
		if (!strncmp(command[i]->name, argv[1], n) && command[i]->name[n] == ' ')
			fprintf(to, "  %-16s%s\n", command[i]->name + n + 1, command[i]->summary);
	if (!cv_remote_has_word(argv[1]))
		return is_asked ? 0 : EXIT_USAGE;
	fputs("\nOn a gateway: ", to);
	(void)fflush(to);
	return cv_remote_run_client(argv);
}

/* A link of that name to us is the client, which knows by it how to behave. */
static bool is_openshell(const char *argv0)
{
	const struct cv_str path = cv_str_of(argv0 ? argv0 : "");
	const size_t slash = cv_str_rfind_byte(path, '/');
	const struct cv_str name = slash < path.n ? cv_str_slice(path, slash + 1, path.n) : path;

	return cv_str_eq(name, CV_STR("openshell"));
}

int main(int argc, char **argv)
{
	cv_fd_standard();
	if (is_openshell(argv[0]))
		return argc > 2 && !strcmp(argv[1], "complete") ? cv_complete(NULL, 0, argc, argv)
								: cv_remote_run(argc, argv);
	if (argc < 2) {
		help(stderr);
		return EXIT_USAGE;
	}
	if (is_help(argv[1])) {
		help(stdout);
		return 0;
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "version")) {
		puts("cove " CV_VERSION);
		return 0;
	}
	if (!strcmp(argv[1], "complete") && argc > 2)
		return cv_complete(command, CV_ARRAY_LEN(command), argc, argv);
	for (size_t i = 0; i < CV_ARRAY_LEN(command); i++) {
		const int n = words_matched(command[i]->name, argc - 1, argv + 1);

		if (n)
			return command[i]->run(command[i], argc - n, argv + n);
	}
	if (is_group(argc - 1, argv + 1))
		return group_help(argc, argv);
	if (cv_remote_has(argc - 1, argv + 1))
		return cv_remote_run(argc, argv);
	return fail_unknown(argc - 1, argv + 1);
}
