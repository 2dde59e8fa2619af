/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upstream.c - which addresses and authorities sandboxes take besides those of the host
 *
 * `resolve` and `upstream_ca` of the configuration: for networks whose names no resolver knows, and
 * whose certificates come from an authority of their own.  A supervisor keeps what it was started
 * with.
 */
#include "gateway/upstream.h"

#include "driver/pin.h"
#include "gateway/config.h"
#include "gateway/sandbox.h"

#include <unistd.h>

cv_code cv_gw_upstream_pins(const struct cv_gw_config *c, struct cv_arena *arena,
	const struct cv_spec_pin **ret, size_t *ret_n, struct cv_err *err)
{
	struct cv_spec_pin *v = cv_arena_array(arena, c->resolve.n + 1, sizeof(*v));
	cv_code code = v ? CV_OK : cv_fail(err, CV_LIMIT, "no memory");

	for (size_t i = 0; i < c->resolve.n && code == CV_OK; i++)
		code = cv_driver_pin_parse(c->resolve.v[i], &v[i], err);
	if (code != CV_OK)
		return cv_wrap(err, "resolve");
	*ret = v;
	*ret_n = c->resolve.n;
	return CV_OK;
}

static cv_code check(const struct cv_gw_config *c, struct cv_err *err)
{
	const struct cv_spec_pin *pins;
	struct cv_arena arena;
	size_t n;

	cv_arena_init(&arena, 1u << 20);
	cv_code code = cv_gw_upstream_pins(c, &arena, &pins, &n, err);
	for (size_t i = 0; i < c->upstream_ca.n && code == CV_OK; i++) {
		const struct cv_str path = c->upstream_ca.v[i];

		if (path.p[0] != '/' || access(path.p, R_OK) < 0)
			code = cv_fail(err, CV_INVALID,
				"upstream_ca: '%.*s' is no absolute path of a file that can be read",
				CV_STR_ARG(path));
	}
	cv_arena_fini(&arena);
	return code;
}

static cv_code on_prepare(struct cv_gw_box *b, struct cv_driver_sandbox *s, struct cv_arena *arena,
	struct cv_err *err)
{
	const struct cv_gw_config *c = b->g->config;

	s->ca_files = c->upstream_ca.v;
	s->ca_count = c->upstream_ca.n;
	return cv_gw_upstream_pins(c, arena, &s->pins, &s->pin_count, err);
}

static const struct cv_gw_box_hooks hooks = { .prepare = on_prepare };

static cv_code start(struct cv_gateway *g, struct cv_err *err)
{
	cv_gw_box_hook(g, &hooks);
	return check(g->config, err);
}

const struct cv_gw_part cv_gw_part_upstream = { .name = "upstream", .start = start };
