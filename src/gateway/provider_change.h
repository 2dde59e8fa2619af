/* SPDX-License-Identifier: Apache-2.0 */
/*
 * provider_change.h - what a request may say of a provider, and how it changes the stored message
 *
 * A change merges: an entry replaces one, and an entry with an empty value (an expiry of 0) removes it.
 * Values are sealed on their way in, so a stored message holds envelopes only.
 */
#pragma once
#include "gateway/provider.h"

/* Is what the request says of names, types, labels, credentials and settings within the limits? */
enum cv_rpc_status cv_gw_provider_check(const cv_gw_provider_pb *p, struct cv_err *err);

/* What the request says besides type and name, laid over m, which is a copy to be stored (pb.h). */
enum cv_rpc_status cv_gw_provider_merge(struct cv_gateway *g, cv_gw_provider_pb *m,
	const cv_gw_provider_pb *from, struct cv_err *err);

/* When a credential that m has expires; 0: never. */
enum cv_rpc_status cv_gw_provider_expiry_merge(
	cv_gw_provider_pb *m, const char *key, int64_t ms, struct cv_err *err);
