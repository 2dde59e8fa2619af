/* SPDX-License-Identifier: Apache-2.0 */
/*
 * interception.c - see interception.h
 */
#include "plan/interception.h"

#define INTERCEPTION_NAME(name, text) [CV_INTERCEPTION_##name] = text,
static const char *const word[CV_INTERCEPTION_COUNT] = { CV_INTERCEPTIONS(INTERCEPTION_NAME) };
#undef INTERCEPTION_NAME

static const char *const lost[CV_INTERCEPTION_COUNT] = {
	[CV_INTERCEPTION_AUTO] = "",
	[CV_INTERCEPTION_TPROXY] = "",
	[CV_INTERCEPTION_REDIRECT] =
		"two connections at once from one port to two ports of one address: the second "
		"is refused; the kernel keeps an entry for each connection",
	[CV_INTERCEPTION_ANYIP] =
		"connections to ports that are not listened on: refused without a record, and a "
		"program of the sandbox can take such a port for every address; servers of its "
		"own on the others",
};

const char *cv_interception_name(uint32_t v)
{
	return v < CV_INTERCEPTION_COUNT ? word[v] : "?";
}

const char *cv_interception_lost(uint32_t v)
{
	return v < CV_INTERCEPTION_COUNT ? lost[v] : "";
}

bool cv_interception_parse(struct cv_str text, uint32_t *ret)
{
	for (uint32_t i = 0; i < CV_INTERCEPTION_COUNT; i++)
		if (cv_str_eq(text, cv_str_of(word[i]))) {
			*ret = i;
			return true;
		}
	return false;
}

static bool has_port(const uint32_t *v, uint32_t n, uint32_t port)
{
	for (uint32_t i = 0; i < n; i++)
		if (v[i] == port)
			return true;
	return false;
}

uint32_t cv_anyip_ports(const uint32_t *ports, uint32_t count, uint32_t *ret)
{
#define ALWAYS(port) port,
	static const uint32_t always[] = { CV_ANYIP_PORTS(ALWAYS) };
#undef ALWAYS
	uint32_t n = 0;

	_Static_assert(CV_ARRAY_LEN(always) == CV_ANYIP_ALWAYS, "a place for each");
	for (size_t i = 0; i < CV_ARRAY_LEN(always); i++)
		ret[n++] = always[i];
	for (uint32_t i = 0; i < count; i++)
		if (!has_port(always, CV_ANYIP_ALWAYS, ports[i]))
			ret[n++] = ports[i];
	return n;
}

uint32_t cv_anyip_missing(
	const uint32_t *ports, uint32_t count, const uint32_t *listened, uint32_t listened_count)
{
	for (uint32_t i = 0; i < count; i++)
		if (!has_port(listened, listened_count, ports[i]))
			return ports[i];
	return 0;
}
