/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bond.h - whose requests a connection to an upstream carries
 *
 * The first request that goes by a connection decides it: from then on only requests of the same bond
 * may, on this client and on the next (idle.h).  Requests without a credential are one bond; those
 * that carry credentials are of the same if they carry the very same ones in the same version.  So a
 * server that takes one request for two, or says something late, confuses nothing but requests that
 * might have carried each other's credential anyway (T10, T22): what one without a credential has
 * left on a connection is never the beginning of one that has it, and no credential's answer is read by
 * who did not send it.
 *
 * A version is the keeper's epoch, which is another one when any value is, and the age: of the
 * keeper, its catalog and the policy that the value was released under.  When one of these changes,
 * each connection that carried a credential is of an age that nobody asks for any more.
 */
#pragma once
#include "base/str.h"
#include "cred/limits.h"

#include <stdint.h>

struct cv_proxy;
struct cv_flow;

enum cv_bond_kind {
	CV_BOND_NONE,  /* of a connection: nothing has gone by it */
	CV_BOND_PLAIN, /* no credential of ours */
	CV_BOND_CREDENTIAL,
};

struct cv_bond {
	enum cv_bond_kind kind;
	uint32_t age;
	uint64_t epoch;
	uint64_t creds[CV_PH_ENTRIES_MAX / 64]; /* bits: indices of the catalog */
};

/* Of f's request, which may be sent: a release that it needs is there. */
struct cv_bond cv_bond_of(const struct cv_flow *f);

/* Whether a connection of that bond may carry such a request. */
bool cv_bond_carries(const struct cv_bond *connection, const struct cv_bond *request);

/* The connection carried a credential in a version that is not asked for any more. */
bool cv_bond_is_over(const struct cv_proxy *p, const struct cv_bond *b);

/* A value, who holds it, or what it is bound to is another from here on: kept connections that carried
 * one are closed, those in use are not used for another request, and no kept answer of the keeper
 * is. */
void cv_bonds_end(struct cv_proxy *p);
