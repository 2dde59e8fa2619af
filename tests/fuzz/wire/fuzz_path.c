/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_path.c - hostile paths; the first byte chooses whether %2F may stay
 *
 * Properties: the canonical form is its own canonical form, is made of plain bytes and upper-case
 * escapes, has no segment left to resolve, and none appears when it is decoded again and again.
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "base/hex.h"
#include "wire/path.h"

static void segments_check(struct cv_str path)
{
	for (struct cv_str rest = cv_str_slice(path, 1, path.n); rest.p;) {
		const struct cv_str seg = cv_str_cut(&rest, '/');

		cv_assert(!cv_str_eq(seg, CV_STR(".")) && !cv_str_eq(seg, CV_STR("..")));
	}
}

static void bytes_check(struct cv_str path)
{
	cv_assert(path.n > 0 && path.p[0] == '/');
	for (size_t i = 0; i < path.n; i++) {
		const char c = path.p[i];

		cv_assert(c > ' ' && c < 0x7f && c != ';' && c != '\\' && c != '?' && c != '#');
		cv_assert(c != '/' || i == 0 || path.p[i - 1] != '/');
		if (c != '%')
			continue;
		cv_assert(i + 2 < path.n);
		for (size_t k = i + 1; k < i + 3; k++)
			cv_assert(cv_hex_digit(path.p[k]) >= 0 && !(path.p[k] >= 'a'));
	}
}

/* As a careless origin would; true if something was decoded. */
static bool decode(struct cv_path *p)
{
	const size_t before = p->n;
	size_t out = 0;

	for (size_t i = 0; i < before; i++) {
		unsigned char byte = (unsigned char)p->text[i];

		if (byte == '%' &&
			cv_hex_decode(cv_str_slice(cv_path_str(p), i + 1, i + 3), &byte, 1))
			i += 2;
		p->text[out++] = (char)byte;
	}
	p->n = out;
	return out < before;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct cv_path once, twice;
	const bool allow_slash = size > 0 && (data[0] & 1);

	if (size == 0)
		return 0;
	const struct cv_str raw = { (const char *)data + 1, size - 1 };
	if (cv_path_canonical(raw, allow_slash, &once) != CV_PATH_OK)
		return 0;
	bytes_check(cv_path_str(&once));
	cv_assert(cv_path_canonical(cv_path_str(&once), allow_slash, &twice) == CV_PATH_OK);
	cv_assert(cv_str_eq(cv_path_str(&once), cv_path_str(&twice)));
	do
		segments_check(cv_path_str(&twice));
	while (decode(&twice));
	return 0;
}
