/* SPDX-License-Identifier: Apache-2.0 */
/* bond.c - see bond.h */
#include "proxy/bond.h"

#include "proxy/proxy.h"

#include <string.h>

struct cv_bond cv_bond_of(const struct cv_flow *f)
{
	if (f->cred && f->cred->state == CV_CRED_RELEASED)
		return f->cred->bond;
	return (struct cv_bond){ .kind = CV_BOND_PLAIN };
}

bool cv_bond_carries(const struct cv_bond *connection, const struct cv_bond *request)
{
	if (connection->kind == CV_BOND_NONE)
		return true;
	return connection->kind == request->kind && connection->age == request->age &&
	       connection->epoch == request->epoch &&
	       memcmp(connection->creds, request->creds, sizeof(request->creds)) == 0;
}

bool cv_bond_is_over(const struct cv_proxy *p, const struct cv_bond *b)
{
	return b->kind == CV_BOND_CREDENTIAL && b->age != p->bond_age;
}

void cv_bonds_end(struct cv_proxy *p)
{
	p->bond_age++;
	cv_answers_forget(&p->creds.answers);
	cv_idle_clear_over(p);
}
