/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remarks.c - see remarks.h
 */
#include "gateway/remarks.h"

#include "gateway/external.h"
#include "gateway/log.h"
#include "gateway/state.h"
#include "gateway/tools.h"
#include "policy/findings.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* What makes every sandbox of the image fail; NULL: nothing. */
static const char *image_fault(struct cv_str is)
{
	char path[CV_GW_PATH_BYTES_MAX];
	struct stat st;

	if (cv_str_eq(is, CV_STR("host")) || cv_str_eq(is, CV_STR(CV_GW_IMAGE_EXTERNAL)))
		return NULL;
	if (!cv_str_has_prefix(is, CV_STR("/")))
		return "neither host, external nor the absolute path of a directory";
	if (!cv_str_to_cstr(is, path, sizeof(path)))
		return "a path that is too long";
	if (stat(path, &st) < 0)
		return strerror(errno);
	return S_ISDIR(st.st_mode) ? NULL : strerror(ENOTDIR);
}

static void images_look(const struct cv_gw_config *c, struct cv_findings *findings)
{
	const struct cv_gw_config_map *m = &c->images;

	for (size_t i = 0; i < m->n; i++) {
		const char *fault = image_fault(m->value[i]);

		if (fault)
			cv_findings_add(findings, CV_FINDING_WARNING, m->at[i], CV_STR("images"),
				NULL, "'%.*s': %.*s: %s; sandboxes of that image will not start",
				CV_POLICY_QUOTE(m->key[i]), CV_POLICY_QUOTE(m->value[i]), fault);
	}
}

void cv_gw_remarks(const struct cv_gw_config *c, char **env, struct cv_findings *findings)
{
	images_look(c, findings);
	cv_gw_tools_remark(c, env, findings);
}

void cv_gw_remarks_log(const struct cv_gw_config *c, char **env)
{
	struct cv_findings f;

	cv_findings_init(&f);
	cv_gw_remarks(c, env, &f);
	for (size_t i = 0; i < f.n; i++)
		cv_log(CV_LOG_WARN, "config", CV_LOG_FIELDS({ "key", f.v[i].where }), "%.*s",
			CV_STR_ARG(f.v[i].message));
	cv_findings_fini(&f);
}
