/* SPDX-License-Identifier: Apache-2.0 */
/*
 * build_ids.c - files of images whose ids are the user's by /etc/subuid
 *
 * Where the host gives its users ranges of ids, what a build makes belongs to ids that we may
 * neither read nor remove.  So that is done by cove-broker executed anew, in a user namespace where
 * it may: one that is forked would have our memory, and could not be dumpable as newuidmap(1) wants
 * it.
 *
 *     cove-broker remove DIR
 *     cove-broker look BYTES EXTRA STORE DIR     ends when both have more than may be
 */
#include "broker/build_ids.h"

#include "broker/build_int.h"
#include "broker/spawn.h"
#include "sys/child.h"
#include "sys/idmap.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static int look(char **words)
{
	uint64_t max, extra;

	if (!words[0] || !words[1] || !words[2] || !words[3] ||
		!cv_str_to_u64(cv_str_of(words[0]), UINT64_MAX / 4, &max) ||
		!cv_str_to_u64(cv_str_of(words[1]), UINT64_MAX / 4, &extra))
		return 2;
	return build_look(words[2], words[3], max, extra);
}

static int tree_go(char **words)
{
	if (!words[0] || words[0][0] != '/')
		return 2;
	tree_remove(AT_FDCWD, words[0]);
	return access(words[0], F_OK) == 0;
}

/* That it came here is the answer. */
static int probe(char **words)
{
	(void)words;
	return 0;
}

int build_ids_main(char **words)
{
	static const struct {
		const char *word;
		int (*run)(char **words);
	} work[] = { { "remove", tree_go }, { "look", look }, { "probe", probe } };
	struct cv_err err;

	prctl(PR_SET_NAME, "cove-broker");
	for (size_t i = 0; i < CV_ARRAY_LEN(work); i++) {
		if (strcmp(words[0], work[i].word) != 0)
			continue;
		if (cv_idmap_enter(&err) == CV_OK)
			return work[i].run(words + 1);
		fprintf(stderr, "cove-broker: %s\n", err.msg);
		return 2;
	}
	return 2;
}

/* A range alone says little: in a container newuidmap may not be what it is on the host. */
static bool is_good(void)
{
	char *const argv[] = { (char *)(uintptr_t)SPAWN_SELF, (char *)(uintptr_t) "probe", NULL };
	int status;
	const pid_t pid = fork();

	if (pid == 0) {
		close(2);
		execve(argv[0], argv, argv + 2);
		_exit(127);
	}
	return cv_child_wait(pid, &status) == CV_OK && WIFEXITED(status) &&
	       WEXITSTATUS(status) == 0;
}

cv_code build_ids_find(struct cv_err *err)
{
	static enum { UNKNOWN, GOOD, BAD } found;
	struct cv_idmap map;

	if (cv_idmap_find(&map, err) != CV_OK)
		return err->code;
	if (found == UNKNOWN)
		found = is_good() ? GOOD : BAD;
	return found == GOOD ? CV_OK
			     : cv_fail(err, CV_UNAVAILABLE, "newuidmap can't map them here");
}
