/* SPDX-License-Identifier: Apache-2.0 */
/*
 * suggest.c - an entry for what was denied; see suggest.h
 *
 *     wish --> draft of an entry --> YAML --read--> beside the policy's own --> valid? allowed?
 *                ^                                                                   |
 *                +------------------------------- no: the next draft ----------------+
 *
 * Endpoints that can match the same request must agree on how it is handled (ambiguity.c), so a draft
 * takes over the settings of an endpoint that is there.  All that name one host and port agree among
 * themselves, which makes any of them a model.  The drafts, smallest first:
 *
 *   of a connection   without a protocol; as the model, with the smallest of its presets
 *   of a request      as the model; as an endpoint of its own for this one path, enforced; as the
 *                     endpoint that said no.  Beside protocol tcp, the connection
 *
 * Whether a draft is too wide is asked, too: with it no other path and no other method may pass that
 * did not before.
 */
#include "policy/suggest_int.h"

#include "policy/check_int.h"
#include "policy/destination.h"
#include "policy/snapshot_int.h"

#include <stdlib.h>

/* Of one suggester: those of a page of denials. */
#define ACCEPTED_MAX 32

struct cv_suggester {
	const struct cv_policy *policy;
	struct cv_policy_doc *accepted[ACCEPTED_MAX]; /* of one entry each */
	size_t accepted_count;
};

struct cv_suggester *cv_suggester_new(const struct cv_policy *policy)
{
	struct cv_suggester *s = calloc(1, sizeof(*s));

	if (s)
		s->policy = policy;
	return s;
}

void cv_suggester_free(struct cv_suggester *s)
{
	for (size_t i = 0; s && i < s->accepted_count; i++)
		cv_policy_doc_free(s->accepted[i]);
	free(s);
}

/* ---- what the policy says about one host and port ---- */

static bool names_port(const struct cv_policy_endpoint *ep, uint16_t port)
{
	for (size_t i = 0; i < ep->port_count; i++)
		if (ep->ports[i] == port)
			return true;
	return false;
}

static bool is_near(const struct cv_policy_endpoint *ep, const struct cv_facts *f)
{
	return names_port(ep, f->port) && cv_policy_hosts_overlap(ep->host.s, f->host);
}

/* The binaries as the snapshot knows them: also where their symlinks lead. */
static void binaries_resolve(
	struct cv_arena *a, const struct cv_binaries *known, struct cv_policy_entry *entry)
{
	const size_t max = known->exact_count + entry->binary_count;
	struct cv_policy_binary *v = cv_arena_array(a, CV_MAX(max, (size_t)1), sizeof(*v));
	size_t n = 0;

	if (!v)
		return; /* the arena is full, which is seen */
	for (size_t i = 0; i < known->exact_count; i++)
		v[n++] = (struct cv_policy_binary){ { .s = known->exact[i], .is_present = true } };
	for (size_t i = 0; i < entry->binary_count; i++)
		if (cv_str_has_byte(entry->binaries[i].path.s, '*'))
			v[n++] = entry->binaries[i];
	entry->binaries = v;
	entry->binary_count = n;
}

/* A copy of e with only the endpoints near f; false if there is none. */
static bool entry_near(struct cv_arena *a, const struct cv_policy_entry *e,
	const struct cv_facts *f, struct cv_policy_entry *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < e->endpoint_count; i++)
		n += is_near(&e->endpoints[i], f);
	if (!n)
		return false;
	*ret = *e;
	ret->endpoints = cv_arena_array(a, n, sizeof(*ret->endpoints));
	ret->endpoint_count = 0;
	for (size_t i = 0; ret->endpoints && i < e->endpoint_count; i++)
		if (is_near(&e->endpoints[i], f))
			ret->endpoints[ret->endpoint_count++] = e->endpoints[i];
	return true;
}

/* The part of the policy that speaks of f's host and port, with what was suggested before and draft
 * (NULL: none).  It borrows from them.  NULL without memory. */
static struct cv_policy_doc *doc_near(
	const struct cv_suggester *s, const struct cv_facts *f, const struct cv_policy_doc *draft)
{
	const struct cv_policy_doc *old = cv_policy_doc(s->policy);
	struct cv_policy_doc *doc = cv_policy_doc_new(CV_STR_NONE);

	if (!doc)
		return NULL;
	struct cv_arena arena = doc->arena;
	if (old)
		*doc = *old; /* filesystem, middlewares: as they are */
	else
		doc->version = 1;
	doc->layer = NULL;
	doc->tool_rules = NULL;
	doc->tool_rule_count = 0;
	doc->has_tools = false;
	doc->entry_count = 0;
	doc->entries = cv_arena_array(
		&arena, (old ? old->entry_count : 0) + ACCEPTED_MAX + 1, sizeof(*doc->entries));
	for (size_t i = 0; doc->entries && old && i < old->entry_count; i++) {
		struct cv_policy_entry *e = &doc->entries[doc->entry_count];

		if (!entry_near(&arena, &old->entries[i], f, e))
			continue;
		binaries_resolve(
			&arena, &s->policy->entries[s->policy->entry_by_index[i]].binaries, e);
		doc->entry_count++;
	}
	for (size_t i = 0; doc->entries && i < s->accepted_count; i++)
		if (entry_near(&arena, &s->accepted[i]->entries[0], f,
			    &doc->entries[doc->entry_count]))
			doc->entry_count++;
	if (doc->entries && draft)
		doc->entries[doc->entry_count++] = draft->entries[0];
	doc->arena = arena;
	if (!arena.is_overflown && doc->entries)
		return doc;
	cv_policy_doc_free(doc);
	return NULL;
}

/* NULL without memory, or if it is not valid. */
static struct cv_policy *policy_near(
	const struct cv_suggester *s, const struct cv_facts *f, const struct cv_policy_doc *draft)
{
	struct cv_policy_doc *doc = doc_near(s, f, draft);
	struct cv_policy *policy = NULL;
	struct cv_findings findings;
	struct cv_err err;

	if (!doc)
		return NULL;
	cv_findings_init(&findings);
	const bool is_valid = cv_policy_validate(doc, &findings) == CV_OK &&
			      cv_policy_enforceable(doc, &findings) == CV_OK &&
			      (!draft || cv_policy_preflight(doc, &err) == CV_OK);
	cv_findings_fini(&findings);
	if (!is_valid)
		cv_policy_doc_free(doc);
	else if (cv_policy_compile(doc, &policy, &err) != CV_OK)
		return NULL;
	return policy;
}

/* ---- does it help? ---- */

static bool passes(const struct cv_policy *p, struct cv_facts f)
{
	return cv_policy_decide(p, &f).action == CV_ACTION_ALLOW;
}

/* The address, after the verdict on its name: what the proxy asks before it dials. */
static bool may_dial(const struct cv_policy *p, const struct cv_verdict *v,
	const struct cv_facts *f, const struct cv_ip *address)
{
	struct cv_ip literal;
	char none[1];

	if (f->host_is_ip && cv_ip_parse(f->host, &literal))
		address = &literal;
	return !cv_policy_destination_refusal(
		p, f, v, address, address != NULL, NULL, none, sizeof(none));
}

static bool is_granted(const struct cv_policy *p, const struct cv_wish *w)
{
	const uint32_t unless = CV_OBLIGE_LOG_ONLY | CV_OBLIGE_APPROVE;
	struct cv_facts f = w->facts;

	f.op = CV_OP_CONNECT;
	const struct cv_verdict connect = cv_policy_decide(p, &f);
	if (connect.action != CV_ACTION_ALLOW || !may_dial(p, &connect, &f, w->address))
		return false;
	if (w->facts.op == CV_OP_CONNECT)
		return true;
	const struct cv_verdict v = cv_policy_decide(p, &w->facts);
	return v.action == CV_ACTION_ALLOW && !(v.obligations & unless);
}

/* Does a request pass that is not the one wished for, and did not before? */
static bool is_wider(
	const struct cv_policy *before, const struct cv_policy *after, const struct cv_wish *w)
{
	struct cv_facts other[] = { w->facts, w->facts };

	if (w->facts.op != CV_OP_REQUEST)
		return false;
	other[0].path = CV_STR("/cove-asks-for-another-path");
	other[1].method = CV_STR("COVE-OTHER");
	for (size_t i = 0; i < CV_ARRAY_LEN(other); i++)
		if (passes(after, other[i]) && !passes(before, other[i]))
			return true;
	return false;
}

/* ---- drafts ---- */

/* What is being tried. */
struct trial {
	struct cv_suggester *s;
	const struct cv_wish *wish;
	const struct cv_policy *before;
	struct cv_buf *out;
};

static struct cv_policy_doc *draft_read(struct cv_str entry)
{
	struct cv_policy_doc *doc = NULL;
	struct cv_findings findings;
	struct cv_buf text;

	cv_buf_init(&text, CV_SUGGEST_ENTRY_BYTES_MAX + 64);
	cv_findings_init(&findings);
	cv_buf_put(&text, CV_STR("version: 1\nnetwork_policies:\n"));
	cv_buf_put(&text, entry);
	if (cv_policy_load(CV_STR_NONE, cv_buf_str(&text), &doc, &findings) != CV_OK)
		doc = NULL;
	cv_findings_fini(&findings);
	cv_buf_fini(&text);
	return doc;
}

static bool has_key(const struct cv_policy_doc *doc, struct cv_str key)
{
	for (size_t i = 0; doc && i < doc->entry_count; i++)
		if (cv_str_eq(doc->entries[i].key.s, key) || cv_str_eq(doc->entries[i].name, key))
			return true;
	return false;
}

/* One that neither the policy nor an entry before has. */
static void key_find(const struct cv_suggester *s, const struct cv_facts *f, struct cv_buf *key)
{
	bool is_taken = true;

	for (unsigned nth = 1; is_taken; nth++) { /* at most as often as there are entries */
		cv_buf_reset(key);
		cv_suggest_put_key(key, f, nth);
		is_taken = has_key(cv_policy_doc(s->policy), cv_buf_str(key));
		for (size_t i = 0; i < s->accepted_count; i++)
			is_taken |= has_key(s->accepted[i], cv_buf_str(key));
	}
}

/* Writes the draft's entry if it is all that it has to be. */
static bool draft_try(const struct trial *t, const struct cv_suggest_draft *d)
{
	struct cv_suggester *s = t->s;
	struct cv_policy_doc *doc = NULL;
	struct cv_policy *after = NULL;
	struct cv_buf key, entry;
	bool is_good = false;

	cv_buf_init(&key, CV_SUGGEST_ENTRY_BYTES_MAX);
	cv_buf_init(&entry, CV_SUGGEST_ENTRY_BYTES_MAX);
	key_find(s, &t->wish->facts, &key);
	cv_suggest_put_entry(cv_buf_str(&key), t->wish, d, &entry);
	if (!entry.is_overflown)
		doc = draft_read(cv_buf_str(&entry));
	if (doc && doc->entry_count == 1)
		after = policy_near(s, &t->wish->facts, doc);
	if (after && is_granted(after, t->wish) &&
		(d->is_whole || !is_wider(t->before, after, t->wish)))
		is_good = cv_buf_put(t->out, cv_buf_str(&entry));
	cv_policy_unref(after); /* before doc, from which it borrows */
	if (is_good)
		s->accepted[s->accepted_count++] = doc;
	else
		cv_policy_doc_free(doc);
	cv_buf_fini(&entry);
	cv_buf_fini(&key);
	return is_good;
}

/* Does it take part in how requests of any path are handled?  Then so will an entry without a path. */
static bool is_for_all_paths(const struct cv_policy_endpoint *e)
{
	const bool takes_part = (e->protocol != CV_PROTOCOL_L4 && e->protocol != CV_PROTOCOL_TCP) ||
				e->allowed_ips.n || e->tls != CV_TLS_AUTO ||
				e->has_credential_binding;

	return takes_part && (!e->path.s.n || cv_policy_is_word(e->path, "**"));
}

/* The endpoint that agrees with all others about requests of any path, or about the connection. */
static const struct cv_policy_endpoint *model_find(const struct cv_policy *p, bool for_all_paths)
{
	for (uint32_t i = 0; i < p->endpoint_count; i++)
		if (!for_all_paths || is_for_all_paths(p->endpoints[i].source))
			return p->endpoints[i].source;
	return NULL;
}

/* One with the settings of e alone. */
static struct cv_suggest_draft draft_like(const struct cv_policy_endpoint *e)
{
	struct cv_suggest_draft d = { .ep = *e };

	d.ep.access = CV_ACCESS_NONE;
	d.has_rule = e->protocol != CV_PROTOCOL_L4 && e->protocol != CV_PROTOCOL_TCP;
	return d;
}

/* One with what is true of the whole connection, for e is on the same one; e may be NULL. */
static struct cv_suggest_draft draft_beside(
	const struct cv_policy_endpoint *e, enum cv_policy_protocol protocol)
{
	struct cv_suggest_draft d = { .ep = { .protocol = protocol,
					      .enforcement = CV_ENFORCEMENT_ENFORCE },
		.has_rule = protocol != CV_PROTOCOL_L4 };

	if (!e)
		return d;
	if (e->protocol == CV_PROTOCOL_TCP) {
		d.ep.protocol = CV_PROTOCOL_TCP;
		d.has_rule = false;
	}
	d.ep.tls = e->tls == CV_TLS_SKIP ? CV_TLS_SKIP : CV_TLS_AUTO;
	d.ep.allowed_ips = e->allowed_ips;
	d.ep.h2c = e->h2c;
	return d;
}

static bool connect_suggest(const struct trial *t)
{
	const struct cv_policy_endpoint *any = model_find(t->before, false),
					*all = model_find(t->before, true);
	struct cv_suggest_draft d = draft_beside(any, CV_PROTOCOL_L4);

	if (draft_try(t, &d))
		return true;
	if (!all)
		return false;
	d = draft_like(all);
	d.ep.access = d.has_rule ? CV_ACCESS_READ_ONLY : CV_ACCESS_NONE;
	d.has_rule = false;
	return draft_try(t, &d);
}

static bool request_suggest(const struct trial *t)
{
	const struct cv_policy_endpoint *any = model_find(t->before, false),
					*all = model_find(t->before, true);
	const struct cv_verdict v = cv_policy_decide(t->before, &t->wish->facts);
	const struct cv_policy_endpoint *refuser = cv_policy_endpoint_of(t->before, &v);
	const bool keeps_slash = memmem(t->wish->facts.path.p, t->wish->facts.path.n, "%2F", 3);
	struct cv_suggest_draft d = all ? draft_like(all) : draft_beside(any, CV_PROTOCOL_REST);

	d.ep.allow_encoded_slash |= keeps_slash && !all;
	if (draft_try(t, &d))
		return true;
	d = draft_beside(any, CV_PROTOCOL_REST);
	d.ep.path.s = t->wish->facts.path;
	d.ep.allow_encoded_slash = keeps_slash;
	if (draft_try(t, &d))
		return true;
	if (refuser) {
		d = draft_like(refuser);
		if (draft_try(t, &d))
			return true;
	}
	if (!any || any->protocol != CV_PROTOCOL_TCP)
		return false;
	d = draft_beside(any, CV_PROTOCOL_TCP);
	d.is_whole = true;
	return draft_try(t, &d);
}

/* The connection is allowed, but for its address, which the entry that rules it does not list. */
static bool address_suggest(const struct trial *t)
{
	struct cv_facts f = t->wish->facts;
	char text[CV_IP_TEXT_BYTES];

	f.op = CV_OP_CONNECT;
	const struct cv_verdict v = cv_policy_decide(t->before, &f);
	if (v.action != CV_ACTION_ALLOW || !(v.obligations & CV_OBLIGE_ALLOWED_IPS) ||
		cv_ip_is_never_allowed(t->wish->address))
		return false;
	const struct cv_endpoint *ep = &t->before->endpoints[v.settings];
	const struct cv_str key = t->before->entries[ep->entry].source->key.s;
	const struct cv_str ip = cv_ip_format(t->wish->address, text);
	if (!ep->line ||
		!cv_suggest_is_visible(
			key)) /* a provider's has no line, and is not the user's to change */
		return false;
	cv_buf_printf(t->out, "  # add %.*s to the allowed_ips of ", CV_STR_ARG(ip));
	cv_suggest_put_scalar(t->out, key);
	return cv_buf_printf(t->out, " (line %u)\n", ep->line);
}

/* ---- the wish ---- */

static bool is_expressible(const struct cv_wish *w)
{
	const struct cv_facts *f = &w->facts;

	if (!cv_suggest_is_visible(f->host) || !f->port)
		return false;
	if (!w->is_name_only && (!cv_suggest_is_visible(f->who.exe) || f->who.exe.p[0] != '/'))
		return false;
	return f->op == CV_OP_CONNECT ||
	       (cv_suggest_is_visible(f->method) && cv_suggest_is_visible(f->path) &&
		       f->path.p[0] == '/');
}

/* Nothing opens these to what is named exactly. */
static bool is_out_of_reach(const struct cv_wish *w)
{
	struct cv_ip literal;

	if (cv_ip_port_is_control_plane(w->facts.port))
		return true;
	if (w->address && cv_ip_is_never_allowed(w->address))
		return true;
	return w->facts.host_is_ip &&
	       (!cv_ip_parse(w->facts.host, &literal) || cv_ip_is_never_allowed(&literal));
}

bool cv_suggest(struct cv_suggester *s, const struct cv_wish *wish, struct cv_buf *out)
{
	struct cv_wish w = *wish;
	struct trial t = { s, &w, NULL, out };
	bool is_written = false;

	w.facts.who.is_known = true;
	w.facts.who.ancestor_count = 0;
	if (w.is_name_only)
		w.facts.who.exe = CV_SUGGEST_ANY_PROGRAM;
	if (s->accepted_count == ACCEPTED_MAX || !is_expressible(&w) || is_out_of_reach(&w))
		return false;
	struct cv_policy *before = policy_near(s, &w.facts, NULL);
	t.before = before;
	if (before && !is_granted(before, &w))
		is_written =
			(w.facts.op == CV_OP_REQUEST ? request_suggest(&t) : connect_suggest(&t)) ||
			(w.address && address_suggest(&t));
	cv_policy_unref(before);
	return is_written;
}
