/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limits.c - which means of this host enforces a limit that was asked for
 *
 * A limit that nothing enforces is refused before anything starts; which means is in force is
 * said, because they differ: a resource limit bounds each process, a cgroup all of them.
 */
#include "driver/host.h"

#include "sys/cgroup.h"

#include <stdio.h>

cv_code cv_driver_limits_fill(struct cv_run_spec *s, struct cv_err *err)
{
	static struct cv_cgroup_host host; /* paths: too large for a stack */
	const bool is_asked[CV_CGROUP_LIMIT_COUNT] = {
		[CV_CGROUP_MEMORY] = s->memory_bytes != 0,
		[CV_CGROUP_CPU] = s->cpu_milli != 0,
		[CV_CGROUP_PIDS] = s->pids != 0,
	};

	if (!s->memory_bytes && !s->cpu_milli && !s->pids)
		return CV_OK;
	if (cv_cgroup_host_look(&host, err) != CV_OK)
		return err->code;
	for (int i = 0; i < CV_CGROUP_LIMIT_COUNT; i++) {
		const enum cv_cgroup_limit limit = (enum cv_cgroup_limit)i;

		if (!is_asked[i])
			continue;
		if (host.means[i] == CV_CGROUP_NONE)
			return cv_fail(err, CV_UNAVAILABLE,
				"--%s: nothing on this host can enforce it; %s",
				cv_cgroup_limit_name(limit), cv_cgroup_remedy());
		if (!s->is_quiet)
			fprintf(stderr, "cove: %s limited by %s\n", cv_cgroup_limit_name(limit),
				cv_cgroup_means_words(limit, host.means[i]));
	}
	s->memory_by_rlimit = host.means[CV_CGROUP_MEMORY] == CV_CGROUP_RLIMIT;
	s->pids_by_rlimit = host.means[CV_CGROUP_PIDS] == CV_CGROUP_RLIMIT;
	return CV_OK;
}
