/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: any text given as a configuration file ends in a configuration or in findings, not in both.
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "gateway/config.c"
#include "gateway/config_check.c"
#include "gateway/config_file.c"
#include "gateway/config_given.c"
#include "gateway/config_option.c"
#include "gateway/log.c"
#include "gateway/quota.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const struct cv_gw_config_source s = { .file = { (const char *)data, n },
		.file_name = CV_STR("f") };
	struct cv_findings findings;
	struct cv_gw_config *c = NULL;
	struct cv_err err;

	if (!n)
		return 0;
	cv_findings_init(&findings);
	if (cv_gw_config_new(&s, &c, &findings, &err) == CV_OK)
		cv_assert(c && !findings.error_count);
	else
		cv_assert(!c);
	cv_gw_config_free(c);
	cv_findings_fini(&findings);
	return 0;
}
