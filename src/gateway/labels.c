/* SPDX-License-Identifier: Apache-2.0 */
/*
 * labels.c - see labels.h
 */
#include "gateway/labels.h"

#include "gateway/pb.h"

#include <stdio.h>

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Begins and ends with a letter or digit; '-', '_' and '.' between. */
static bool is_label_word(struct cv_str s)
{
	if (!s.n || s.n > CV_LABEL_NAME_BYTES_MAX || !is_alnum(s.p[0]) || !is_alnum(s.p[s.n - 1]))
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!is_alnum(s.p[i]) && s.p[i] != '-' && s.p[i] != '_' && s.p[i] != '.')
			return false;
	return true;
}

static bool is_dns_word(struct cv_str s)
{
	if (!s.n || s.n > CV_LABEL_NAME_BYTES_MAX || s.p[0] == '-' || s.p[s.n - 1] == '-')
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] != '-' && (!is_alnum(s.p[i]) || s.p[i] != cv_ascii_lower(s.p[i])))
			return false;
	return true;
}

bool cv_label_key_is_valid(struct cv_str key)
{
	const size_t slash = cv_str_find_byte(key, '/');

	if (slash == key.n)
		return is_label_word(key);

	struct cv_str prefix = cv_str_slice(key, 0, slash);

	if (!prefix.n || prefix.n > CV_LABEL_PREFIX_BYTES_MAX)
		return false;
	while (prefix.p)
		if (!is_dns_word(cv_str_cut(&prefix, '.')))
			return false;
	return is_label_word(cv_str_slice(key, slash + 1, key.n));
}

bool cv_label_value_is_valid(struct cv_str value)
{
	return !value.n || is_label_word(value);
}

enum cv_rpc_status cv_label_selector_parse(
	struct cv_str text, struct cv_label_selector *ret, struct cv_err *err)
{
	struct cv_str rest = cv_str_trim(text);

	ret->n = 0;
	if (!rest.n)
		return CV_RPC_OK;
	while (rest.p) {
		struct cv_str value = cv_str_trim(cv_str_cut(&rest, ','));
		const struct cv_str pair = value;
		const struct cv_str key = cv_str_trim(cv_str_cut(&value, '='));

		if (ret->n == CV_LABEL_PAIRS_MAX) {
			cv_fail(err, CV_INVALID, "label_selector exceeds maximum pairs (> %d)",
				CV_LABEL_PAIRS_MAX);
			return CV_RPC_INVALID_ARGUMENT;
		}
		if (!value.p) {
			cv_fail(err, CV_INVALID,
				"label_selector '%.*s' is invalid: expected key=value",
				CV_STR_ARG(cv_str_slice(pair, 0, 80)));
			return CV_RPC_INVALID_ARGUMENT;
		}
		value = cv_str_trim(value);
		if (!cv_label_key_is_valid(key) || !cv_label_value_is_valid(value)) {
			cv_fail(err, CV_INVALID,
				"label_selector '%.*s' is invalid: not a label's %s",
				CV_STR_ARG(cv_str_slice(pair, 0, 80)),
				cv_label_key_is_valid(key) ? "value" : "key");
			return CV_RPC_INVALID_ARGUMENT;
		}
		ret->pair[ret->n].key = key;
		ret->pair[ret->n++].value = value;
	}
	return CV_RPC_OK;
}

bool cv_label_selector_matches(const struct cv_label_selector *s, const void *labels, size_t n)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct cv_str v = cv_pb_map_get(labels, n, s->pair[i].key);

		if (!v.p || !cv_str_eq(v, s->pair[i].value))
			return false;
	}
	return true;
}

enum cv_rpc_status cv_labels_check(
	const char *field, const void *labels, size_t n, struct cv_err *err)
{
	struct cv_pb_entry *const *v = labels;

	if (n > CV_LABEL_PAIRS_MAX) {
		cv_fail(err, CV_INVALID, "%s exceeds maximum entries (%zu > %d)", field, n,
			CV_LABEL_PAIRS_MAX);
		return CV_RPC_INVALID_ARGUMENT;
	}
	for (size_t i = 0; i < n; i++) {
		const struct cv_str key = cv_str_of(v[i]->key), value = cv_str_of(v[i]->value);

		if (!cv_label_key_is_valid(key)) {
			cv_fail(err, CV_INVALID, "%s key '%.*s' is not a label key", field,
				CV_STR_ARG(cv_str_slice(key, 0, 80)));
			return CV_RPC_INVALID_ARGUMENT;
		}
		if (!cv_label_value_is_valid(value)) {
			cv_fail(err, CV_INVALID, "%s value of '%.*s' is not a label value", field,
				CV_STR_ARG(key));
			return CV_RPC_INVALID_ARGUMENT;
		}
	}
	return CV_RPC_OK;
}

enum cv_rpc_status cv_annotations_check(
	const char *field, const void *annotations, size_t n, struct cv_err *err)
{
	struct cv_pb_entry *const *v = annotations;
	size_t bytes = 0;

	if (n > CV_ANNOTATIONS_MAX) {
		cv_fail(err, CV_INVALID, "%s exceeds maximum entries (%zu > %d)", field, n,
			CV_ANNOTATIONS_MAX);
		return CV_RPC_INVALID_ARGUMENT;
	}
	for (size_t i = 0; i < n; i++) {
		if (!cv_label_key_is_valid(cv_str_of(v[i]->key))) {
			cv_fail(err, CV_INVALID, "%s key '%.64s' is invalid", field, v[i]->key);
			return CV_RPC_INVALID_ARGUMENT;
		}
		bytes += strlen(v[i]->key) + strlen(v[i]->value);
	}
	if (bytes > CV_ANNOTATIONS_BYTES_MAX) {
		cv_fail(err, CV_INVALID, "%s exceeds maximum total size (%zu > %u)", field, bytes,
			CV_ANNOTATIONS_BYTES_MAX);
		return CV_RPC_INVALID_ARGUMENT;
	}
	return CV_RPC_OK;
}

static enum cv_rpc_status length_check(
	const char *field, struct cv_str name, size_t max, struct cv_err *err)
{
	if (!name.n) {
		cv_fail(err, CV_INVALID, "%s is required", field);
		return CV_RPC_INVALID_ARGUMENT;
	}
	if (name.n > max) {
		cv_fail(err, CV_INVALID, "%s exceeds maximum length (%zu > %zu)", field, name.n,
			max);
		return CV_RPC_INVALID_ARGUMENT;
	}
	return CV_RPC_OK;
}

enum cv_rpc_status cv_name_check(
	const char *field, struct cv_str name, size_t max, struct cv_err *err)
{
	const enum cv_rpc_status s = length_check(field, name, max, err);

	if (s != CV_RPC_OK)
		return s;
	for (size_t i = 1; i < name.n; i++)
		if (name.p[i] == '-' && name.p[i - 1] == '-') {
			cv_fail(err, CV_INVALID, "%s must not contain two hyphens in a row", field);
			return CV_RPC_INVALID_ARGUMENT;
		}
	if (!is_dns_word(name)) {
		cv_fail(err, CV_INVALID,
			"%s may only have lowercase letters, digits and hyphens, and no hyphen "
			"at its ends",
			field);
		return CV_RPC_INVALID_ARGUMENT;
	}
	return CV_RPC_OK;
}

enum cv_rpc_status cv_name_check_other(const char *field, struct cv_str name, struct cv_err *err)
{
	const enum cv_rpc_status s = length_check(field, name, CV_NAME_OTHER_BYTES_MAX, err);

	if (s != CV_RPC_OK)
		return s;
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] <= ' ' || name.p[i] >= 0x7f || name.p[i] == '/') {
			cv_fail(err, CV_INVALID, "%s has a byte that names can't have", field);
			return CV_RPC_INVALID_ARGUMENT;
		}
	return CV_RPC_OK;
}

/* At most nine letters each, so that two and a hyphen are a short name. */
static const char *const first[] = { "amber", "bold", "brave", "brisk", "calm", "clear", "clever",
	"cosy", "deft", "early", "fair", "fleet", "fond", "fresh", "gentle", "glad", "golden",
	"happy", "hardy", "keen", "kind", "light", "lively", "lucid", "merry", "mild", "neat",
	"noble", "plain", "proud", "quick", "quiet", "rapid", "ready", "rosy", "sharp", "shiny",
	"silver", "smart", "snug", "spry", "stout", "sunny", "swift", "tidy", "vivid", "warm",
	"wise" };
static const char *const second[] = { "badger", "bay", "beaver", "birch", "brook", "cedar", "cliff",
	"cove", "crane", "creek", "dolphin", "dune", "falcon", "fern", "finch", "fjord", "fox",
	"gull", "harbor", "hare", "haven", "heron", "ibis", "inlet", "island", "kelp", "lagoon",
	"lark", "maple", "marlin", "marten", "otter", "owl", "pebble", "pelican", "pine", "puffin",
	"reef", "robin", "seal", "shoal", "shore", "swan", "tern", "tide", "trout", "willow",
	"wren" };

void cv_name_make(uint64_t random, bool is_letters, char ret[CV_NAME_GENERATED_BYTES])
{
	if (!is_letters) {
		snprintf(ret, CV_NAME_GENERATED_BYTES, "%s-%s", first[random % CV_ARRAY_LEN(first)],
			second[random / CV_ARRAY_LEN(first) % CV_ARRAY_LEN(second)]);
		return;
	}
	for (size_t i = 0; i < 6; i++, random /= 26)
		ret[i] = (char)('a' + random % 26);
	ret[6] = 0;
}
