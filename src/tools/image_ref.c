/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image_ref.c - see image_ref.h
 */
#include "tools/image_ref.h"

#include "base/sha256.h"

#define PATH_BYTES_MAX     255
#define TAG_BYTES_MAX      128
#define REGISTRY_BYTES_MAX 255
#define DIGEST_BYTES       71

static bool is_low(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* [a-z0-9]+ with one of . _ __ or hyphens between. */
static bool component_is_good(struct cv_str s)
{
	size_t i = 0;

	while (i < s.n) {
		const size_t from = i;

		while (i < s.n && is_low(s.p[i]))
			i++;
		if (i == from)
			return false;
		if (i == s.n)
			return true;
		if (s.p[i] == '-')
			while (i < s.n && s.p[i] == '-')
				i++;
		else if (s.p[i] == '.')
			i++;
		else if (s.p[i] == '_')
			i += 1u + (i + 1 < s.n && s.p[i + 1] == '_');
		else
			return false;
	}
	return false; /* empty, or it ended with what stands between */
}

static bool path_is_good(struct cv_str path)
{
	if (!path.n || path.n > PATH_BYTES_MAX)
		return false;
	while (path.p)
		if (!component_is_good(cv_str_cut(&path, '/')))
			return false;
	return true;
}

/* [A-Za-z0-9_][A-Za-z0-9_.-]* */
static bool tag_is_good(struct cv_str s)
{
	if (!s.n || s.n > TAG_BYTES_MAX)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!is_low(cv_ascii_lower(s.p[i])) && s.p[i] != '_' &&
			(!i || (s.p[i] != '.' && s.p[i] != '-')))
			return false;
	return true;
}

bool cv_image_digest_is_good(struct cv_str s)
{
	if (s.n != DIGEST_BYTES || !cv_str_has_prefix(s, CV_STR("sha256:")))
		return false;
	for (size_t i = 7; i < s.n; i++)
		if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f')))
			return false;
	return true;
}

/* A name in small letters, perhaps with a port. */
static bool registry_is_good(struct cv_str s)
{
	struct cv_str host = cv_str_cut(&s, ':');
	uint64_t port;

	if (!host.n || host.n > REGISTRY_BYTES_MAX ||
		(s.p && (!cv_str_to_u64(s, 65535, &port) || !port)))
		return false;
	while (host.p) {
		const struct cv_str label = cv_str_cut(&host, '.');

		if (!label.n || label.n > 63 || !is_low(label.p[0]) ||
			!is_low(label.p[label.n - 1]))
			return false;
		for (size_t i = 0; i < label.n; i++)
			if (!is_low(label.p[i]) && label.p[i] != '-')
				return false;
	}
	return true;
}

/* What builders take for a registry and not for the first part of a path. */
static bool is_registry(struct cv_str first)
{
	return cv_str_has_byte(first, '.') || cv_str_has_byte(first, ':') ||
	       cv_str_eq(first, CV_STR("localhost"));
}

bool cv_image_registry_is_good(struct cv_str s)
{
	return is_registry(s) && registry_is_good(s);
}

bool cv_image_ref_parse(struct cv_str s, struct cv_image_ref *ret)
{
	struct cv_image_ref r = { 0 };
	const size_t at = cv_str_find_byte(s, '@');

	if (!s.n || s.n > CV_IMAGE_REF_BYTES_MAX)
		return false;
	if (at < s.n) {
		r.digest = cv_str_slice(s, at + 1, s.n);
		if (!cv_image_digest_is_good(r.digest))
			return false;
		s = cv_str_slice(s, 0, at);
	}
	const size_t slash = cv_str_find_byte(s, '/');
	if (slash < s.n && is_registry(cv_str_slice(s, 0, slash))) {
		r.registry = cv_str_slice(s, 0, slash);
		if (!registry_is_good(r.registry))
			return false;
		s = cv_str_slice(s, slash + 1, s.n);
	}
	const size_t colon = cv_str_find_byte(s, ':');
	if (colon < s.n) {
		r.tag = cv_str_slice(s, colon + 1, s.n);
		if (!tag_is_good(r.tag))
			return false;
		s = cv_str_slice(s, 0, colon);
	}
	r.path = s;
	if (!path_is_good(s))
		return false;
	*ret = r;
	return true;
}

struct cv_str cv_image_ref_name(const struct cv_image_ref *ref, struct cv_arena *arena)
{
	const bool is_hub = !ref->registry.n || cv_str_eq(ref->registry, CV_STR("docker.io"));
	const bool is_library = is_hub && !cv_str_has_byte(ref->path, '/');

	return cv_arena_printf(arena, "%.*s/%s%.*s",
		CV_STR_ARG(ref->registry.n ? ref->registry : CV_STR("docker.io")),
		is_library ? "library/" : "", CV_STR_ARG(ref->path));
}

struct cv_str cv_image_ref_whole(const struct cv_image_ref *ref, struct cv_arena *arena)
{
	const struct cv_str name = cv_image_ref_name(ref, arena);
	const struct cv_str tag = ref->tag.n || ref->digest.n ? ref->tag : CV_STR("latest");

	return cv_arena_printf(arena, "%.*s%s%.*s%s%.*s", CV_STR_ARG(name), tag.n ? ":" : "",
		CV_STR_ARG(tag), ref->digest.n ? "@" : "", CV_STR_ARG(ref->digest));
}

/* ---- a sandbox's own ---- */

struct cv_str cv_image_ref_space(struct cv_str sandbox, struct cv_arena *arena)
{
	unsigned char digest[CV_SHA256_BYTES];
	struct cv_sha256 sha;
	char hex[17];

	if (component_is_good(sandbox) && sandbox.n <= 64)
		return cv_arena_printf(arena, "localhost/%.*s/", CV_STR_ARG(sandbox));
	cv_sha256_init(&sha);
	cv_sha256_update(&sha, sandbox.p, sandbox.n);
	cv_sha256_final(&sha, digest);
	for (size_t i = 0; i < 8; i++) {
		hex[2 * i] = "0123456789abcdef"[digest[i] >> 4];
		hex[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
	}
	/* Sandboxes are named by those who start them; none of ours is named like this. */
	return cv_arena_printf(arena, "localhost/sandbox--%.16s/", hex);
}

struct cv_str cv_image_ref_own(struct cv_str tag, struct cv_str space, struct cv_arena *arena)
{
	const bool has_space = cv_str_has_prefix(tag, space);
	const struct cv_str rest = has_space ? cv_str_slice(tag, space.n, tag.n) : tag;
	struct cv_image_ref ref;

	if (!cv_image_ref_parse(rest, &ref) || ref.registry.n || ref.digest.n)
		return CV_STR_NONE;
	return cv_arena_printf(arena, "%.*s%.*s:%.*s", CV_STR_ARG(space), CV_STR_ARG(ref.path),
		CV_STR_ARG(ref.tag.n ? ref.tag : CV_STR("latest")));
}
