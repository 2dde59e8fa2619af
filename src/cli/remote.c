/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remote.c - hands over to cove-client and cove-gateway, which know these commands
 *
 * `cove run` starts in milliseconds and neither looks up names nor speaks TLS, so the remote half is a
 * program of its own.  Here are only first words, and of groups that have commands of both halves
 * (`policy check`, `policy set`) the second ones.
 */
#include "cli/remote.h"

#include "base/attr.h"
#include "base/str.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

#define EXIT_OWN 125

static const struct {
	const char *word, *second; /* NULL: any, also none */
	const char *summary;       /* NULL: another spelling of a row above */
	bool is_gateways;          /* cove-gateway's; else cove-client's */
} remote[] = {
	{ "sandbox", NULL, "sandboxes on a gateway: create, exec, upload, ..." },
	{ "sb", NULL, NULL },
	{ "exec", NULL, "a command in a sandbox of a gateway; attach, list, kill" },
	{ "top", NULL, "watch sandboxes and decisions live, and approve what is proposed" },
	{ "term", NULL, NULL },
	{ "logs", NULL, "what a sandbox and its gateway said" },
	{ "lg", NULL, NULL },
	{ "policy", "set", "policies of sandboxes: set, update, get, list, delete" },
	{ "policy", "update", NULL },
	{ "policy", "get", NULL },
	{ "policy", "list", NULL },
	{ "policy", "delete", NULL },
	{ "pol", NULL, NULL },
	{ "settings", NULL, "settings of sandboxes and of the gateway" },
	{ "rule", NULL, "rules that were proposed" },
	{ "rl", NULL, NULL },
	{ "provider", "create", "credentials on a gateway: create, get, list, ..." },
	{ "provider", "get", NULL },
	{ "provider", "list", NULL },
	{ "provider", "update", NULL },
	{ "provider", "delete", NULL },
	{ "provider", "list-profiles", NULL },
	{ "provider", "refresh", NULL },
	{ "provider", "profile", NULL },
	{ "forward", NULL, "local ports that lead into a sandbox" },
	{ "fwd", NULL, NULL },
	{ "service", NULL, "ports of sandboxes with a URL" },
	{ "svc", NULL, NULL },
	{ "invoke", NULL, "one HTTP request to a port of a sandbox" },
	{ "inference", NULL, "which model answers at inference.local" },
	{ "quota", NULL, "what sandboxes take of the quotas, and which wait for room" },
	{ "workspace", NULL, "workspaces and who is in them" },
	{ "ws", NULL, NULL },
	{ "gateway", "start", "serve sandboxes: start, stop, status, run, init, ...", true },
	{ "gateway", "stop", NULL, true },
	{ "gateway", "status", NULL, true },
	{ "gateway", "reload", NULL, true },
	{ "gateway", "run", NULL, true },
	{ "gateway", "init", NULL, true },
	{ "gateway", "generate-certs", NULL, true },
	{ "gateway", "config", NULL, true },
	{ "gateway", "rotate-key", NULL, true },
	{ "gateway", "rotate-credentials-key", NULL, true },
	{ "gateway", "backup", NULL, true },
	{ "gateway", "restore", NULL, true },
	{ "gateway", NULL, "gateways that are known here: add, select, list, ..." },
	{ "gw", NULL, NULL },
	{ "status", NULL, "is the gateway there, and who are we to it" },
	{ "whoami", NULL, "who the gateway takes us for" },
	{ "complete", NULL, NULL },
	{ "completions", NULL, "a script for bash, zsh, fish or PowerShell" },
	{ "manual", NULL, NULL },
	{ "ssh-proxy", NULL, NULL },
};

/* The row of argv's first words, or the number of rows. */
static size_t row_of(int argc, char **argv)
{
	const char *word = argc > 0 && strcmp(argv[0], "gw") == 0 ? "gateway" : argv[0];

	for (size_t i = 0; argc > 0 && i < CV_ARRAY_LEN(remote); i++) {
		if (strcmp(remote[i].word, word) != 0)
			continue;
		if (!remote[i].second || (argc > 1 && strcmp(remote[i].second, argv[1]) == 0))
			return i;
	}
	return CV_ARRAY_LEN(remote);
}

bool cv_remote_has(int argc, char **argv)
{
	if (argc > 0 && argv[0][0] == '-') /* a flag before the command: only the client has some */
		return strcmp(argv[0], "-h") != 0 && strcmp(argv[0], "--help") != 0 &&
		       strcmp(argv[0], "--version") != 0;
	return row_of(argc, argv) < CV_ARRAY_LEN(remote);
}

bool cv_remote_has_word(const char *word)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(remote); i++)
		if (strcmp(remote[i].word, word) == 0)
			return true;
	return false;
}

static int become(const char *program, char **argv)
{
	static const struct {
		const char *folder;
		bool has_program; /* behind the folder: a build tree */
	} beside[] = { { "/../", true }, { "/../libexec/cove", false }, { "", false } };
	char self[PATH_MAX], path[PATH_MAX + 64];
	const ssize_t n = readlink("/proc/self/exe", self, sizeof(self));

	if (n <= 0 || n == (ssize_t)sizeof(self)) {
		perror("cove: read /proc/self/exe");
		return EXIT_OWN;
	}
	const struct cv_str me = { self, (size_t)n };
	const struct cv_str dir = cv_str_slice(me, 0, cv_str_rfind_byte(me, '/'));
	for (size_t i = 0; i < CV_ARRAY_LEN(beside); i++) {
		snprintf(path, sizeof(path), "%.*s%s%s/cove-%s", CV_STR_ARG(dir), beside[i].folder,
			beside[i].has_program ? program : "", program);
		execv(path, argv);
	}
	fprintf(stderr, "cove: cove-%s is not beside %.*s; build or install cove as a whole\n",
		program, CV_STR_ARG(me));
	return EXIT_OWN;
}

bool cv_remote_is_gateways(int argc, char **argv)
{
	const size_t row = row_of(argc, argv);

	return row < CV_ARRAY_LEN(remote) && remote[row].is_gateways;
}

int cv_remote_run(int argc, char **argv)
{
	if (cv_remote_is_gateways(argc - 1, argv + 1))
		return become("gateway", argv + 1); /* its name there is "gateway" */
	return become("client", argv);
}

int cv_remote_run_client(char **argv)
{
	return become("client", argv);
}

int cv_remote_run_gateway(char **argv)
{
	return become("gateway", argv);
}

void cv_remote_help(FILE *to)
{
	fputs("\nCommands for a gateway:\n", to);
	for (size_t i = 0; i < CV_ARRAY_LEN(remote); i++) {
		char name[64];

		snprintf(name, sizeof(name), "%s%s%s", remote[i].word,
			remote[i].is_gateways ? " " : "",
			remote[i].is_gateways ? remote[i].second : "");
		if (remote[i].summary)
			fprintf(to, "  %-16s %s\n", name, remote[i].summary);
	}
}
