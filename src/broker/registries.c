/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registries.c - see registries.h
 */
#include "broker/registries.h"

struct cv_str registry_hosts(struct cv_str registry)
{
	struct cv_str rest = { registries_files[0].text, registries_files[0].bytes };

	while (rest.n) {
		struct cv_str line = cv_str_cut(&rest, '\n');

		if (cv_str_eq(cv_str_cut(&line, ' '), registry))
			return line;
	}
	return CV_STR_NONE;
}
