/* SPDX-License-Identifier: Apache-2.0 */
/*
 * routes.c - see routes.h
 */
#include "proxy/routes.h"

#include "proxy/proxy.h"

#include <stdlib.h>

struct cv_call_routes *cv_call_routes_ref(struct cv_call_routes *r)
{
	if (r)
		r->users++;
	return r;
}

void cv_call_routes_unref(struct cv_call_routes *r)
{
	if (!r || --r->users)
		return;
	cv_routes_fini(&r->set);
	free(r);
}

bool cv_call_routes_take(struct cv_proxy *p, struct cv_str text)
{
	struct cv_call_routes *next = NULL;

	if (cv_str_trim(text).n) {
		next = calloc(1, sizeof(*next));
		if (!next)
			return false;
		next->users = 1;
		cv_routes_init(&next->set);
		if (cv_routes_load(text, &next->set, NULL) != CV_OK) {
			cv_call_routes_unref(next);
			return false;
		}
	}
	cv_call_routes_unref(p->routes);
	p->routes = next;
	cv_idle_clear_routed(p);
	return true;
}
