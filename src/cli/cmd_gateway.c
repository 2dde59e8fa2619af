/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_gateway.c - hands over to cove-gateway, the program that serves
 *
 * A program of its own, because it links databases and TLS, and `cove run` starts in milliseconds.
 * Only the first word is known here; `cove gateway run --help` is answered by it.
 */
#include "cli/commands.h"

#include "base/str.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXIT_OWN 125

/* argv[0] is the last word of the command's name. */
static int gateway_run(const struct cv_command *self, int argc, char **argv)
{
	static const char *const beside[] = { "/../gateway/cove-gateway",
		"/../libexec/cove/cove-gateway", "/cove-gateway" };
	static char name[] = "cove-gateway";
	char me[PATH_MAX], path[PATH_MAX + 64];
	const ssize_t n = readlink("/proc/self/exe", me, sizeof(me));
	char **words = calloc((size_t)argc + 2, sizeof(*words));

	(void)self;
	if (n <= 0 || n == (ssize_t)sizeof(me) || !words) {
		perror("cove: read /proc/self/exe");
		free(words);
		return EXIT_OWN;
	}
	words[0] = name;
	for (int i = 0; i < argc; i++)
		words[i + 1] = argv[i];

	const struct cv_str self_path = { me, (size_t)n };
	const struct cv_str dir = cv_str_slice(self_path, 0, cv_str_rfind_byte(self_path, '/'));

	for (size_t i = 0; i < CV_ARRAY_LEN(beside); i++) {
		snprintf(path, sizeof(path), "%.*s%s", CV_STR_ARG(dir), beside[i]);
		execv(path, words);
	}
	fprintf(stderr, "cove: cove-gateway is not beside %.*s; build or install cove as a whole\n",
		CV_STR_ARG(self_path));
	free(words);
	return EXIT_OWN;
}

const struct cv_command cv_cmd_gateway_run = {
	.name = "gateway run",
	.operands = "[OPTIONS]",
	.summary = "serve sandboxes to clients over gRPC and REST",
	.run = gateway_run,
};
const struct cv_command cv_cmd_gateway_init = {
	.name = "gateway init",
	.operands = "[OPTIONS]",
	.summary = "make certificates and keys for a gateway and its clients",
	.run = gateway_run,
};
const struct cv_command cv_cmd_gateway_rotate_key = {
	.name = "gateway rotate-key",
	.operands = "[OPTIONS]",
	.summary = "make a new key for the tokens of sandboxes",
	.run = gateway_run,
};
const struct cv_command cv_cmd_gateway_config = {
	.name = "gateway config",
	.operands = "check [FILE]",
	.summary = "say what is wrong with a gateway's configuration",
	.run = gateway_run,
};
