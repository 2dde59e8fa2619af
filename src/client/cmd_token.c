/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_token.c - sandbox token: for the supervisor of a sandbox that the gateway does not run
 *
 * It is printed and nowhere else: who starts the supervisor puts it where that looks for it.
 */
#include "client/commands.h"
#include "client/sandbox.h"

#include "cove.pb-c.h"

#define METHOD(rpc) "/cove.v1.Cove/" #rpc

int cl_run_sandbox_token(struct cl *c)
{
	Cove__V1__CreateSupervisorTokenRequest in;

	cove__v1__create_supervisor_token_request__init(&in);
	in.name = cl_dup(c, cl_sandbox_name(c, cl_arg(&c->w, 0)));
	in.workspace = cl_dup(c, c->workspace);
	const Cove__V1__CreateSupervisorTokenResponse *m =
		(const Cove__V1__CreateSupervisorTokenResponse *)cl_ask(c,
			METHOD(CreateSupervisorToken), &in.base,
			&cove__v1__create_supervisor_token_response__descriptor, NULL, NULL);
	printf("%s\n", cl_shown(c, m->token));
	return 0;
}
