/* SPDX-License-Identifier: Apache-2.0 */
/*
 * browser.c - see browser.h
 */
#include "client/browser.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>

extern char **environ;

bool cl_browser_is_there(void)
{
	static const char *const names[] = { "BROWSER", "DISPLAY", "WAYLAND_DISPLAY" };
	const char *not = getenv("OPENSHELL_NO_BROWSER");

	if (not &&*not )
		return false;
	for (size_t i = 0; i < CV_ARRAY_LEN(names); i++) {
		const char *value = getenv(names[i]);

		if (value && *value)
			return true;
	}
	return false;
}

void cl_browser_open(struct cl *c, const char *url)
{
	const char *browser = getenv("BROWSER");
	char *const argv[] = { cl_dup(c, browser && *browser ? browser : "xdg-open"),
		cl_dup(c, url), NULL };
	posix_spawn_file_actions_t actions;
	pid_t pid;

	if (!cl_browser_is_there())
		return;
	posix_spawn_file_actions_init(&actions);
	for (int fd = 0; fd <= 2; fd++)
		posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
	(void)posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
}
