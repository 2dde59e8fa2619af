/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registries.h - where registries send their clients on to: catalogs/registries.txt, compiled in
 */
#pragma once
#include "base/str.h"

#define REGISTRY_LOGIN_MARK "+" /* before a host that the registry's login is for */

/* The hosts of its line, with spaces between them; CV_STR_NONE: it is none that is known. */
struct cv_str registry_hosts(struct cv_str registry);

struct registries_file {
	const char *id, *text;
	unsigned long bytes;
};

extern const struct registries_file registries_files[];
extern const unsigned long registries_files_count;
