/* SPDX-License-Identifier: Apache-2.0 */
/*
 * advice.c - denials become wishes; see advice.h
 *
 * Only some reasons are a policy's to cure.  Of a name that was refused by the DNS nobody knows who
 * asked, and for what port: it counts where nothing else is known of it.
 */
#include "proxy/advice.h"

#include "policy/suggest.h"
#include "proxy/local.h"
#include "wire/path.h"

#define HTTPS_PORT 443

static bool is_among(struct cv_str code, const enum cv_reason *reason, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (cv_str_eq(code, cv_str_of(cv_reason_code(reason[i]))))
			return true;
	return false;
}

/* A rule is missing, or an endpoint. */
static bool is_curable(const struct cv_summary_denial *d)
{
	static const enum cv_reason reason[] = { CV_REASON_NO_POLICY, CV_REASON_NO_ENDPOINT,
		CV_REASON_BINARY, CV_REASON_NO_PATH_ENDPOINT, CV_REASON_NO_RULE,
		CV_REASON_ENCODED_SLASH };

	return is_among(d->reason_code, reason, CV_ARRAY_LEN(reason));
}

static bool is_address_refused(const struct cv_summary_denial *d)
{
	return cv_str_eq(d->reason_code, CV_STR("ssrf_denied")) && d->has_ip;
}

static bool is_name_refused(const struct cv_summary_denial *d)
{
	return d->kind == CV_AUDIT_DNS && cv_str_eq(d->reason_code, CV_STR("name_not_allowed"));
}

/* Names by which this host, and clouds, answer with what nobody may have. */
static bool is_never(struct cv_str host)
{
	return cv_str_eq(host, CV_STR("localhost")) ||
	       cv_str_has_suffix(host, CV_STR(".localhost")) ||
	       cv_str_has_suffix(host, CV_STR(".arpa")) ||
	       cv_str_eq(host, CV_STR("metadata.google.internal"));
}

/* Has d's host led to an address that no policy opens?  Or, for a DNS denial, is more known of it? */
static bool is_moot(const struct cv_summary *s, const struct cv_summary_denial *d)
{
	for (size_t i = 0; i < s->denial_count; i++) {
		const struct cv_summary_denial *o = &s->denial[i];

		if (!cv_str_eq(o->host, d->host))
			continue;
		if (is_address_refused(o) && cv_ip_is_never_allowed(&o->ip))
			return true;
		if (d->kind == CV_AUDIT_DNS && o->kind != CV_AUDIT_DNS)
			return true;
	}
	return false;
}

/* False if there is nothing to wish for. */
static bool wish_of(struct cv_proxy *p, const struct cv_summary_denial *d, struct cv_wish *ret)
{
	static struct cv_path path; /* scratch */
	struct cv_ip literal;

	*ret = (struct cv_wish){
		.facts = { .op = CV_OP_CONNECT,
			.host = d->host,
			.host_is_ip = cv_ip_parse(d->host, &literal),
			.port = d->port,
			.who = { .is_known = true, .exe = d->exe } },
	};
	if (d->is_cut || is_never(d->host) || cv_local_is_ours(p, d->host) ||
		is_moot(&p->sinks.summary, d))
		return false;
	if (ret->facts.host_is_ip && cv_names_is_synthetic(&literal))
		return false; /* nobody's: its name is what counts */
	if (is_name_refused(d)) {
		ret->is_name_only = true;
		ret->facts.port = HTTPS_PORT;
		return true;
	}
	if (is_address_refused(d)) {
		ret->address = &d->ip;
		return true;
	}
	if (!is_curable(d) || d->kind == CV_AUDIT_DNS)
		return false;
	if (d->kind != CV_AUDIT_HTTP)
		return true;
	/* as it would be decided on; one that came to no decision may not be canonical */
	if (cv_path_canonical(d->path, true, &path) != CV_PATH_OK)
		return false;
	ret->facts.op = CV_OP_REQUEST;
	ret->facts.method = d->method;
	ret->facts.path = cv_path_str(&path);
	return true;
}

void cv_advice_put(struct cv_proxy *p, struct cv_buf *out)
{
	const struct cv_summary *s = &p->sinks.summary;
	struct cv_suggester *suggester = cv_suggester_new(p->policy);
	size_t top[CV_SUMMARY_SHOWN_MAX];
	const size_t n = cv_summary_top(s, top);
	struct cv_wish wish;
	struct cv_buf text;
	bool has_guess = false;

	cv_buf_init(&text, CV_SUMMARY_BYTES_MAX);
	for (size_t i = 0; suggester && i < n; i++)
		if (wish_of(p, &s->denial[top[i]], &wish) && cv_suggest(suggester, &wish, &text))
			has_guess |= wish.is_name_only;
	cv_suggester_free(suggester);
	if (cv_buf_len(&text)) {
		cv_buf_printf(out, "\nTo allow %sthese, add to the policy:\n\nnetwork_policies:\n",
			has_guess ? "" : "exactly ");
		cv_buf_put(out, cv_buf_str(&text));
	}
	cv_buf_fini(&text);
}
