/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local_metadata.c - the metadata servers of clouds, with placeholders (cred/metadata.h)
 *
 * An SDK that finds no key asks the machine it runs on.  What it gets here is worth something only
 * where the provider is bound.  What the servers say came with the run (METADATA); the true ones are
 * internal addresses, and stay as blocked as any.
 */
#include "cred/metadata.h"
#include "proxy/local.h"
#include "sys/clock.h"

/* The fields that decide: names of the servers' own, and what tells a proxy's request. */
static struct cv_metadata_request asked(
	const struct cv_h1_request *r, struct cv_cred_header *fields)
{
	for (size_t i = 0; i < r->header_count; i++)
		fields[i] = (struct cv_cred_header){ r->header[i].name, r->header[i].value };
	return (struct cv_metadata_request){
		.method = r->method,
		.path = r->path.n ? r->path : CV_STR("/"),
		.query = r->query,
		.headers = fields,
		.header_count = r->header_count,
	};
}

static void google(struct cv_proxy *p, const struct cv_metadata_request *request,
	struct cv_metadata_answer *ret)
{
	const struct cv_metadata_google facts = {
		.project_id = p->facts[CV_PROXY_FACT_GOOGLE_PROJECT],
		.email = p->facts[CV_PROXY_FACT_GOOGLE_EMAIL],
		.scopes = p->facts[CV_PROXY_FACT_GOOGLE_SCOPES],
		.token = p->facts[CV_PROXY_FACT_GOOGLE_TOKEN],
	};

	cv_metadata_google(request, &facts, &p->arena, ret);
}

static void aws(struct cv_proxy *p, const struct cv_metadata_request *request,
	struct cv_metadata_answer *ret)
{
	const struct cv_metadata_aws facts = {
		.path = p->facts[CV_PROXY_FACT_AWS_PATH],
		.authorization = p->facts[CV_PROXY_FACT_AWS_AUTHORIZATION],
		.key_id = p->facts[CV_PROXY_FACT_AWS_KEY_ID],
		.secret = p->facts[CV_PROXY_FACT_AWS_SECRET],
		.session_token = p->facts[CV_PROXY_FACT_AWS_TOKEN],
		.expires_s = cv_clock_unix_s() + CV_METADATA_EXPIRES_S,
	};

	cv_metadata_aws(request, &facts, &p->arena, ret);
}

bool cv_local_metadata_step(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r)
{
	static struct cv_cred_header fields[CV_H1_HEADERS_MAX]; /* scratch */
	struct cv_h1_header set[CV_METADATA_HEADERS_MAX];
	const struct cv_metadata_request request = asked(r, fields);
	struct cv_metadata_answer a;

	if (f->local->kind == CV_LOCAL_GOOGLE)
		google(p, &request, &a);
	else
		aws(p, &request, &a);
	for (size_t i = 0; i < a.header_count; i++)
		set[i] = (struct cv_h1_header){ .name = a.headers[i].name,
			.value = a.headers[i].value };
	cv_local_record(p, f, r, a.status);
	cv_local_answer_with(
		p, f, a.status, set, a.header_count, a.body, cv_str_eq(r->method, CV_STR("HEAD")));
	return true;
}
