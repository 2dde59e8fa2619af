/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_detect.c - hostile text through every detector and an own expression
 *
 * The first two bytes say which detectors are on; with the third byte's lowest bit the rest up to a
 * zero byte is an expression.  What follows is the text.
 *
 * Properties: a finding lies within the text; what is redacted has each finding replaced and all else
 * kept, so that the first one stands where cv_detect_first() saw it; the time is bounded by a budget,
 * which libFuzzer's timeout watches.
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "cred/detect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cv_middleware m = { 0 };
	struct cv_detect *d = NULL;
	struct cv_detect_result result;
	struct cv_detect_hit hit = { 0 };
	struct cv_buf out;

	if (size < 3)
		return 0;
	m.detectors = (data[0] | (uint32_t)data[1] << 8) & ((1u << CV_DETECTOR_COUNT) - 1);
	struct cv_str text = { (const char *)data + 3, size - 3 };
	if (data[2] & 1)
		m.pattern[m.pattern_count++] = (struct cv_middleware_pattern){
			.name = CV_STR("own"),
			.regex = cv_str_cut(&text, '\0'),
		};
	if (cv_detect_new(&m, &d, NULL) != CV_OK)
		return 0;
	cv_buf_init(&out, 16u << 20);
	const enum cv_detect_rc first = cv_detect_first(d, text, &hit);
	const enum cv_detect_rc rc = cv_detect_redact(d, text, &out, &result);
	const struct cv_str made = cv_buf_str(&out);
	if (first == CV_DETECT_NONE)
		cv_assert(rc == CV_DETECT_NONE && made.n == 0 && result.count == 0);
	if (first == CV_DETECT_HIT) {
		cv_assert(hit.start < hit.end && hit.end <= text.n);
		cv_assert(rc != CV_DETECT_NONE);
	}
	if (rc == CV_DETECT_HIT) {
		cv_assert(result.count > 0 &&
			  cv_str_eq(cv_str_of(result.first), cv_str_of(hit.name)));
		cv_assert(cv_str_eq(
			cv_str_slice(made, 0, hit.start), cv_str_slice(text, 0, hit.start)));
		cv_assert(cv_str_has_prefix(
			cv_str_slice(made, hit.start, made.n), CV_STR("[REDACTED:")));
	}
	cv_buf_fini(&out);
	cv_detect_free(d);
	return 0;
}
