/* SPDX-License-Identifier: Apache-2.0 */
/*
 * glob_host.c - which endpoints name a host and port
 *
 * Exact names are looked up.  A pattern is filed under the labels after its last one with a
 * wildcard ("*.eu.example.com" under "example.com" would be wrong: under "eu.example.com"), so a
 * host asks once for each of its own endings: "b.example.com", "example.com", "com", "".  Patterns
 * of one ending are a glob set.  Ports are part of each key, and everything is filed once more
 * under port 0 for the DNS, which knows no port.
 *
 * An address is compared as a whole: no pattern matches it, or "*.0.0.1" would.  Only endpoints
 * without a host, whose allowed_ips say which addresses they mean, match as well.
 *
 * Names that are not letters, digits, - and _ in labels match nothing at all, not even endpoints
 * without a host: an embedded NUL, a trailing dot or a look-alike never reaches a pattern.
 */
#include "policy/snapshot_int.h"

/* ---- glob sets ---- */

uint32_t *cv_globset_at(struct cv_map *map, struct cv_globset *set, struct cv_str prefix)
{
	prefix = cv_str_slice(prefix, 0, CV_GLOBSET_PREFIX_MAX);
	set->lengths |= 1ull << prefix.n;
	return cv_map_at(map, set->scope, prefix);
}

void cv_globset_start(struct cv_globset_iter *it, const struct cv_map *map,
	const struct cv_globset *set, struct cv_str text)
{
	*it = (struct cv_globset_iter){ map, text, set->lengths, set->scope };
}

uint32_t cv_globset_next(struct cv_globset_iter *it)
{
	while (it->lengths) {
		const size_t n = (size_t)__builtin_ctzll(it->lengths);

		if (n > it->text.n)
			break;
		it->lengths &= it->lengths - 1;
		const uint32_t head = cv_map_get(it->map, it->scope, cv_str_slice(it->text, 0, n));
		if (head != CV_MAP_NONE)
			return head;
	}
	return CV_MAP_NONE;
}

/* ---- asking ---- */

static bool is_name_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

bool cv_host_is_plain(struct cv_str host, bool is_ip)
{
	char before = '.';

	if (host.n == 0 || host.n > CV_POLICY_NAME_BYTES_MAX)
		return false;
	if (is_ip) {
		for (size_t i = 0; i < host.n; i++)
			if (!is_name_byte(host.p[i]) && host.p[i] != '.' && host.p[i] != ':')
				return false;
		return true;
	}
	for (size_t i = 0; i < host.n; before = host.p[i++])
		if (host.p[i] == '.' ? before == '.' : !is_name_byte(host.p[i]))
			return false;
	return before != '.';
}

/* Endpoints without a host stand under a name that no host can have. */
#define ANY_HOST CV_STR("*")

void cv_host_start(struct cv_host_iter *it, const struct cv_hosts *hosts, struct cv_str host,
	bool host_is_ip, uint16_t port)
{
	*it = (struct cv_host_iter){ .hosts = hosts, .host = host, .port = port };
	if (!cv_host_is_plain(host, host_is_ip)) {
		it->row = CV_MAP_NONE;
		it->is_exhausted = true;
		return;
	}
	it->row = cv_map_get(&hosts->exact, port, host);
	it->ending = host_is_ip || hosts->set_count == 0 ? CV_STR_NONE : host;
}

/* The list to go through when the present one is at its end: false when there is none. */
static bool list_next(struct cv_host_iter *it)
{
	while (it->has_set || it->ending.p) {
		if (it->has_set) {
			it->row = cv_globset_next(&it->set);
			if (it->row != CV_MAP_NONE)
				return true;
			it->has_set = false;
			continue;
		}
		cv_str_cut(&it->ending, '.'); /* a pattern has one label more than its ending */
		const uint32_t set = cv_map_get(&it->hosts->endings, it->port, it->ending);
		if (set != CV_MAP_NONE) {
			cv_globset_start(
				&it->set, &it->hosts->prefixes, &it->hosts->sets[set], it->host);
			it->has_set = true;
		}
	}
	if (it->is_exhausted)
		return false;
	it->is_exhausted = true;
	it->row = cv_map_get(&it->hosts->exact, it->port, ANY_HOST);
	return it->row != CV_MAP_NONE;
}

uint32_t cv_host_next(struct cv_host_iter *it)
{
	for (;;) {
		while (it->row != CV_MAP_NONE) {
			const struct cv_host_row *row = &it->hosts->rows[it->row];

			it->row = row->next;
			if (!row->glob || cv_glob_match(row->glob, it->host))
				return row->endpoint;
		}
		if (!list_next(it))
			return CV_MAP_NONE;
	}
}

/* ---- building ---- */

/* "x-*.eu.example.com" -> "eu.example.com"; "" when the last label has a wildcard.  Escapes and
 * braces count as wildcards, so what is cut off is compared by the pattern alone. */
static struct cv_str ending_of(struct cv_str pattern)
{
	size_t special = pattern.n;

	while (special > 0 && !strchr("*?[]{},\\", pattern.p[special - 1]))
		special--;
	const struct cv_str literal = cv_str_slice(pattern, special, pattern.n);
	const size_t dot = cv_str_find_byte(literal, '.');
	return cv_str_slice(literal, dot + 1, literal.n);
}

static bool row_add(struct cv_hosts *h, uint32_t *head, uint32_t e, const struct cv_glob *glob)
{
	if (!head)
		return false;
	h->rows[h->row_count] = (struct cv_host_row){ e, *head, glob };
	*head = h->row_count++;
	return true;
}

static bool pattern_add(struct cv_hosts *h, const struct cv_endpoint *ep, uint32_t e, uint16_t port)
{
	uint32_t *set = cv_map_at(&h->endings, port, ending_of(ep->host));

	if (!set)
		return false;
	if (*set == CV_MAP_NONE) {
		h->sets[h->set_count] = (struct cv_globset){ 0, h->set_count };
		*set = h->set_count++;
	}
	return row_add(h, cv_globset_at(&h->prefixes, &h->sets[*set], cv_glob_prefix(ep->glob)), e,
		ep->glob);
}

static bool endpoint_add(
	struct cv_hosts *h, const struct cv_endpoint *ep, uint32_t e, uint16_t port)
{
	switch (ep->host_kind) {
	case CV_HOST_EXACT: return row_add(h, cv_map_at(&h->exact, port, ep->host), e, NULL);
	case CV_HOST_PATTERN: return !ep->glob || pattern_add(h, ep, e, port);
	case CV_HOST_ANY:
		return port == CV_HOST_PORT_ALL ||
		       row_add(h, cv_map_at(&h->exact, port, ANY_HOST), e, NULL);
	}
	return false;
}

static bool is_repeated_port(const struct cv_policy_endpoint *ep, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (ep->ports[j] == ep->ports[i])
			return true;
	return false;
}

bool cv_hosts_build(struct cv_hosts *h, const struct cv_endpoint *endpoints,
	uint32_t endpoint_count, struct cv_arena *arena)
{
	size_t rows = 0;

	cv_map_init(&h->exact, arena);
	cv_map_init(&h->endings, arena);
	cv_map_init(&h->prefixes, arena);
	for (uint32_t e = 0; e < endpoint_count; e++)
		rows += endpoints[e].source->port_count + 1;
	h->rows = cv_arena_array(arena, rows, sizeof(*h->rows));
	h->sets = cv_arena_array(arena, rows, sizeof(*h->sets));
	if (!h->rows || !h->sets)
		return false;
	for (uint32_t e = 0; e < endpoint_count; e++) {
		const struct cv_endpoint *ep = &endpoints[e];
		const struct cv_policy_endpoint *source = ep->source;

		if (!endpoint_add(h, ep, e, CV_HOST_PORT_ALL))
			return false;
		for (size_t i = 0; i < source->port_count; i++)
			if (source->ports[i] != 0 && !is_repeated_port(source, i) &&
				!endpoint_add(h, ep, e, source->ports[i]))
				return false;
	}
	return true;
}
