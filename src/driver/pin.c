/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pin.c - see pin.h
 */
#include "driver/pin.h"

#include "base/ip.h"
#include "wire/host.h"

cv_code cv_driver_pin_parse(struct cv_str text, struct cv_spec_pin *ret, struct cv_err *err)
{
	struct cv_str rest = text;
	struct cv_spec_pin pin = { .host = cv_str_cut(&rest, ':') };
	const struct cv_str port_text = rest.p ? cv_str_cut(&rest, ':') : CV_STR_NONE;
	struct cv_host host;
	struct cv_ip ip;
	uint64_t port;

	if (cv_str_has_prefix(rest, CV_STR("[")) && cv_str_has_suffix(rest, CV_STR("]")))
		rest = cv_str_slice(rest, 1, rest.n - 1);
	if (!pin.host.n || !cv_str_to_u64(port_text, 65535, &port) || !port ||
		!cv_ip_parse(rest, &ip))
		return cv_fail(
			err, CV_INVALID, "'%.*s' is not HOST:PORT:ADDRESS", CV_STR_ARG(text));
	const enum cv_host_rc rc = cv_host_parse_bare(pin.host, &host);
	if (rc != CV_HOST_OK) /* the proxy would not take it either, and could not say so */
		return cv_fail(err, CV_INVALID, "'%.*s': the host: %s", CV_STR_ARG(text),
			cv_host_rc_text(rc));
	pin.port = (uint16_t)port;
	pin.addr = rest;
	*ret = pin;
	return CV_OK;
}
