/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yaml_json.c - see yaml_json.h
 */
#include "policy/yaml_json.h"

#include "policy/limits.h"
#include "policy/tool_rule.h"
#include "policy/yaml_events.h"

static void scalar_put(struct cv_buf *out, const struct cv_yaml *y)
{
	const struct cv_str s = cv_yaml_scalar(y);

	switch (cv_yaml_type(y)) {
	case CV_YAML_NULL: cv_buf_put(out, CV_STR("null")); return;
	case CV_YAML_BOOL:
		cv_buf_put(out, cv_ascii_lower(s.p[0]) == 't' ? CV_STR("true") : CV_STR("false"));
		return;
	case CV_YAML_NUMBER:
		if (cv_policy_is_json_number(s)) {
			cv_buf_put(out, s);
			return;
		}
		break;
	case CV_YAML_STRING:
	case CV_YAML_LIST:
	case CV_YAML_MAPPING:
	case CV_YAML_TYPE_COUNT: break;
	}
	cv_buf_put_json_str(out, s);
}

struct level {
	bool is_mapping, has_key;
	uint32_t count;
};

/* What stands before a value, or is a whole key; false: the event was a key. */
static bool before_value(struct cv_buf *out, struct level *l, const struct cv_yaml *y)
{
	if (l->is_mapping && l->has_key) {
		l->has_key = false;
		return true;
	}
	if (l->count++)
		cv_buf_put_byte(out, ',');
	if (!l->is_mapping)
		return true;
	cv_buf_put_json_str(out, y->ev.type == YAML_SCALAR_EVENT ? cv_yaml_scalar(y) : CV_STR_NONE);
	cv_buf_put_byte(out, ':');
	l->has_key = true;
	return false;
}

static bool document_put(struct cv_yaml *y, struct cv_buf *out)
{
	struct level level[CV_POLICY_DEPTH_MAX + 2] = { 0 };
	size_t depth = 0, roots = 0;

	do {
		const bool is_list = y->ev.type == YAML_SEQUENCE_START_EVENT;

		const bool is_open = is_list || y->ev.type == YAML_MAPPING_START_EVENT;

		if (y->ev.type == YAML_SCALAR_EVENT) {
			roots += depth == 0;
			if (depth == 0 || before_value(out, &level[depth], y))
				scalar_put(out, y);
		} else if (is_open) {
			roots += depth == 0;
			if (depth && !before_value(out, &level[depth], y))
				return false; /* a container as a key */
			if (++depth > CV_POLICY_DEPTH_MAX)
				return false;
			level[depth] = (struct level){ .is_mapping = !is_list };
			cv_buf_put_byte(out, is_list ? '[' : '{');
		} else if (y->ev.type == YAML_SEQUENCE_END_EVENT ||
			   y->ev.type == YAML_MAPPING_END_EVENT) {
			cv_buf_put_byte(out, level[depth--].is_mapping ? '}' : ']');
		}
	} while (cv_yaml_next(y));
	return depth == 0 && roots == 1;
}

bool cv_policy_yaml_to_json(struct cv_str text, struct cv_buf *out)
{
	struct cv_findings findings;
	bool is_good = false;
	struct cv_yaml y;

	cv_findings_init(&findings);
	if (cv_yaml_open(&y, text, "the policy", &findings)) {
		while (y.ev.type != YAML_SCALAR_EVENT && y.ev.type != YAML_SEQUENCE_START_EVENT &&
			y.ev.type != YAML_MAPPING_START_EVENT && cv_yaml_next(&y))
			;
		is_good = !y.has_failed && document_put(&y, out);
		cv_yaml_close(&y);
	}
	is_good = is_good && !findings.error_count && !out->is_overflown;
	cv_findings_fini(&findings);
	return is_good;
}
