/* SPDX-License-Identifier: Apache-2.0 */
/*
 * labels.h - names of objects, their labels, and selectors of labels
 *
 * Labels follow Kubernetes (Labels and Selectors, "Syntax and character set").  Names follow what a
 * host name `workspace--sandbox--service.domain` needs.  Everything here is pure but for the random
 * bytes that a name is made from, which the caller brings.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"
#include "rpc/status.h"

#define CV_LABEL_PAIRS_MAX        64 /* of a selector; and labels of an object */
#define CV_ANNOTATIONS_MAX        128
#define CV_ANNOTATIONS_BYTES_MAX  (256u << 10) /* keys and values, as in Kubernetes */
#define CV_LABEL_NAME_BYTES_MAX   63           /* behind the slash; also of a value */
#define CV_LABEL_PREFIX_BYTES_MAX 253          /* a DNS subdomain */

#define CV_NAME_SHORT_BYTES_MAX   19  /* workspace, service: three fit one DNS label */
#define CV_NAME_SANDBOX_BYTES_MAX 63  /* clients of older servers send a whole DNS label */
#define CV_NAME_OTHER_BYTES_MAX   253 /* providers, routes, ... */
#define CV_NAME_GENERATED_BYTES   20  /* with its NUL */

struct cv_label_selector {
	struct {
		struct cv_str key, value;
	} pair[CV_LABEL_PAIRS_MAX];
	size_t n;
};

/* "k=v,k2=v2"; empty selects all.  Borrows text.  INVALID_ARGUMENT. */
CV_MUST enum cv_rpc_status cv_label_selector_parse(
	struct cv_str text, struct cv_label_selector *ret, struct cv_err *err);
/* labels: a field of map<string, string>. */
bool cv_label_selector_matches(const struct cv_label_selector *s, const void *labels, size_t n);

CV_MUST bool cv_label_key_is_valid(struct cv_str key);
CV_MUST bool cv_label_value_is_valid(struct cv_str value);
/* Every pair of a field "labels" (or another name), INVALID_ARGUMENT. */
CV_MUST enum cv_rpc_status cv_labels_check(
	const char *field, const void *labels, size_t n, struct cv_err *err);

/* Annotations: keys as those of labels, values of any kind, and bounded together.  INVALID_ARGUMENT. */
CV_MUST enum cv_rpc_status cv_annotations_check(
	const char *field, const void *annotations, size_t n, struct cv_err *err);

/* [a-z0-9-], no hyphen at an end and no two in a row, 1 to max bytes.  INVALID_ARGUMENT, which
 * speaks of `field`. */
CV_MUST enum cv_rpc_status cv_name_check(
	const char *field, struct cv_str name, size_t max, struct cv_err *err);
/* 1 to CV_NAME_OTHER_BYTES_MAX bytes of printable ASCII without blanks and slashes. */
CV_MUST enum cv_rpc_status cv_name_check_other(
	const char *field, struct cv_str name, struct cv_err *err);

/* Two words, "calm-otter"; with is_letters six letters: for when the words are taken. */
void cv_name_make(uint64_t random, bool is_letters, char ret[CV_NAME_GENERATED_BYTES]);
