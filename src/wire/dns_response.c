/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns_response.c - what a resolver sent back; see dns.h
 *
 * The answer section is read once into a small table of records (owner and place of the data),
 * then the chain of aliases is followed through that table.  A name's pointers must each go
 * further back than the one before (RFC 1035 4.1.4 speaks of a prior occurrence), so a name takes
 * at most as many steps as the message has bytes, and in fact 127.
 *
 * Only what the chain reaches counts: an address under another owner is ignored, so a reply cannot
 * add addresses to a name by the way.  Authority and additional sections are not read.
 */
#include "wire/dns.h"

#include "base/assert.h"

struct wire_name {
	uint8_t n;
	char b[CV_NAME_WIRE_BYTES]; /* labels with their lengths, root included, lower case */
};

struct record {
	struct wire_name owner;
	uint16_t type;
	uint32_t ttl_s;
	size_t data_at, data_n; /* in the message */
};

struct reader {
	struct cv_str msg;
	size_t at;
};

static const char *const outcome_name[CV_DNS_OUTCOME_COUNT] = {
	[CV_DNS_MISMATCH] = "MISMATCH",
	[CV_DNS_MALFORMED] = "MALFORMED",
	[CV_DNS_TRUNCATED] = "TRUNCATED",
	[CV_DNS_SERVER_FAILED] = "SERVFAIL",
	[CV_DNS_NO_NAME] = "NXDOMAIN",
	[CV_DNS_NO_DATA] = "NODATA",
	[CV_DNS_FOUND] = "FOUND",
};

const char *cv_dns_outcome_name(enum cv_dns_outcome o)
{
	cv_assert(o < CV_DNS_OUTCOME_COUNT);
	return outcome_name[o];
}

static bool take_u16(struct reader *r, uint16_t *ret)
{
	if (r->msg.n - r->at < 2)
		return false;
	*ret = (uint16_t)((uint8_t)r->msg.p[r->at] << 8 | (uint8_t)r->msg.p[r->at + 1]);
	r->at += 2;
	return true;
}

static bool take_u32(struct reader *r, uint32_t *ret)
{
	uint16_t hi, lo;

	if (!take_u16(r, &hi) || !take_u16(r, &lo))
		return false;
	*ret = (uint32_t)hi << 16 | lo;
	return true;
}

static bool put_label(struct wire_name *name, struct cv_str label)
{
	if ((size_t)name->n + 1 + label.n > CV_NAME_WIRE_BYTES)
		return false;
	name->b[name->n++] = (char)label.n;
	for (size_t i = 0; i < label.n; i++)
		name->b[name->n++] = cv_ascii_lower(label.p[i]);
	return true;
}

/* A name with pointers; r goes on after its first pointer or its root. */
static bool take_name(struct reader *r, struct wire_name *ret_name)
{
	size_t at = r->at, floor = r->at, after = 0;

	ret_name->n = 0;
	for (;;) {
		if (at >= r->msg.n)
			return false;
		const uint8_t c = (uint8_t)r->msg.p[at];

		if ((c & 0xc0) == 0xc0) {
			if (r->msg.n - at < 2)
				return false;
			const size_t to = (size_t)(c & 0x3f) << 8 | (uint8_t)r->msg.p[at + 1];

			after = after ? after : at + 2;
			if (to >= floor || to < CV_DNS_HEADER_BYTES)
				return false;
			at = floor = to;
			continue;
		}
		if (c > CV_NAME_LABEL_MAX || r->msg.n - at - 1 < c ||
			!put_label(ret_name, cv_str_slice(r->msg, at + 1, at + 1 + (size_t)c)))
			return false;
		at += 1 + (size_t)c;
		if (!c)
			break;
	}
	r->at = after ? after : at;
	return true;
}

static bool are_same(const struct wire_name *a, const struct wire_name *b)
{
	return a->n == b->n && memcmp(a->b, b->b, a->n) == 0;
}

static struct wire_name wire_of_name(const struct cv_name *name)
{
	struct wire_name wire = { 0 };
	struct cv_str rest = cv_name_str(name);
	bool ok = true;

	while (rest.p)
		ok = ok && put_label(&wire, cv_str_cut(&rest, '.'));
	ok = ok && put_label(&wire, CV_STR_NONE);
	cv_assert(ok); /* 253 bytes of text are 255 on the wire */
	return wire;
}

static bool name_of_wire(const struct wire_name *wire, struct cv_name *ret_name)
{
	char text[CV_NAME_WIRE_BYTES];
	size_t n = 0;

	for (size_t at = 0; wire->b[at];) {
		const size_t len = (uint8_t)wire->b[at];

		if (memchr(wire->b + at + 1, '.', len))
			return false;
		if (n)
			text[n++] = '.';
		memcpy(text + n, wire->b + at + 1, len);
		n += len;
		at += 1 + len;
	}
	return cv_name_parse((struct cv_str){ text, n }, ret_name);
}

static bool take_record(struct reader *r, struct record *ret)
{
	uint16_t class, data_n;

	if (!take_name(r, &ret->owner) || !take_u16(r, &ret->type) || !take_u16(r, &class) ||
		!take_u32(r, &ret->ttl_s) || !take_u16(r, &data_n) || r->msg.n - r->at < data_n)
		return false;
	if (class != CV_DNS_CLASS_IN)
		ret->type = 0;      /* kept out of the chain */
	if (ret->ttl_s > INT32_MAX) /* RFC 2181 8: counts as 0 */
		ret->ttl_s = 0;
	ret->data_at = r->at;
	ret->data_n = data_n;
	r->at += data_n;
	return true;
}

struct chain {
	struct cv_str msg;
	const struct record *record;
	size_t record_count;
	struct wire_name at; /* the name that the chain has reached */
	struct cv_dns_response *res;
};

static bool saw_ttl(struct chain *c, uint32_t ttl_s)
{
	c->res->ttl_s = CV_MIN(c->res->ttl_s, ttl_s);
	return true;
}

/* Follows one alias: 1 if there was one, 0 if there is none, -1 if it is malformed. */
static int step(struct chain *c)
{
	for (size_t i = 0; i < c->record_count; i++) {
		const struct record *rec = &c->record[i];
		struct reader r = { c->msg, rec->data_at };

		if (rec->type != CV_DNS_TYPE_CNAME || !are_same(&rec->owner, &c->at))
			continue;
		if (!take_name(&r, &c->at) || r.at != rec->data_at + rec->data_n)
			return -1;
		saw_ttl(c, rec->ttl_s);
		return 1;
	}
	return 0;
}

/* NULL, or why the answer can't be believed. */
static const char *collect(struct chain *c, uint16_t type)
{
	struct cv_dns_response *res = c->res;
	const size_t bytes = type == CV_DNS_TYPE_A ? 4 : 16;

	for (size_t i = 0; i < c->record_count && res->ip_count < CV_DNS_ADDRS_MAX; i++) {
		const struct record *rec = &c->record[i];

		if (rec->type != type || !are_same(&rec->owner, &c->at))
			continue;
		if (rec->data_n != bytes ||
			!cv_ip_from_bytes(c->msg.p + rec->data_at, bytes, &res->ip[res->ip_count]))
			return "address record of a wrong length";
		res->ip_count++;
		saw_ttl(c, rec->ttl_s);
	}
	return NULL;
}

static const char *follow(struct chain *c, uint16_t type)
{
	struct cv_dns_response *res = c->res;
	int more;

	res->ttl_s = CV_DNS_TTL_S_MAX;
	while ((more = step(c)) > 0)
		if (++res->cname_count > CV_DNS_CNAMES_MAX)
			return "too many aliases, or a loop";
	if (more < 0)
		return "alias is malformed";
	if (!name_of_wire(&c->at, &res->target))
		return "alias is not a host name";
	const char *problem = collect(c, type);
	if (problem)
		return problem;
	res->outcome = res->ip_count ? CV_DNS_FOUND : CV_DNS_NO_DATA;
	return NULL;
}

static enum cv_dns_outcome malformed(struct cv_dns_response *res, const char *problem)
{
	*res = (struct cv_dns_response){ .outcome = CV_DNS_MALFORMED, .problem = problem };
	return res->outcome;
}

static enum cv_dns_outcome parse_answers(struct reader *r, uint16_t count,
	const struct wire_name *name, uint16_t type, struct cv_dns_response *res)
{
	struct record record[CV_DNS_ANSWERS_MAX];
	struct chain c = { .msg = r->msg, .record = record, .at = *name, .res = res };
	const char *problem;

	if (count > CV_DNS_ANSWERS_MAX)
		return malformed(res, "too many records");
	for (; c.record_count < count; c.record_count++)
		if (!take_record(r, &record[c.record_count]))
			return malformed(res, "record is malformed");
	problem = follow(&c, type);
	return problem ? malformed(res, problem) : res->outcome;
}

/* Whether the message replies to the question; r then stands after it. */
static bool is_ours(struct reader *r, uint16_t id, const struct wire_name *name, uint16_t type,
	uint16_t *ret_flags, uint16_t *ret_answers)
{
	uint16_t got_id, questions, got_type, class;
	struct wire_name asked;
	uint32_t others;

	return take_u16(r, &got_id) && got_id == id && take_u16(r, ret_flags) &&
	       (*ret_flags & 0xf800) == 0x8000 && /* a response to a QUERY */
	       take_u16(r, &questions) && questions == 1 && take_u16(r, ret_answers) &&
	       take_u32(r, &others) && take_name(r, &asked) && are_same(&asked, name) &&
	       take_u16(r, &got_type) && got_type == type && take_u16(r, &class) &&
	       class == CV_DNS_CLASS_IN;
}

enum cv_dns_outcome cv_dns_response_parse(struct cv_str msg, uint16_t id,
	const struct cv_name *name, uint16_t type, struct cv_dns_response *ret_response)
{
	struct cv_dns_response *res = ret_response;
	const struct wire_name wire = wire_of_name(name);
	struct reader r = { msg, 0 };
	uint16_t flags, answers;

	cv_assert(type == CV_DNS_TYPE_A || type == CV_DNS_TYPE_AAAA);
	*res = (struct cv_dns_response){ .outcome = CV_DNS_MISMATCH, .target = *name };
	if (!is_ours(&r, id, &wire, type, &flags, &answers))
		return res->outcome;
	res->rcode = flags & 0x0f;
	if (flags & 0x0200)
		res->outcome = CV_DNS_TRUNCATED;
	else if (res->rcode == CV_DNS_NXDOMAIN)
		res->outcome = CV_DNS_NO_NAME;
	else if (res->rcode != CV_DNS_NOERROR)
		res->outcome = CV_DNS_SERVER_FAILED;
	else if (msg.n > CV_DNS_RESPONSE_BYTES_MAX)
		return malformed(res, "message is too long");
	else
		return parse_answers(&r, answers, &wire, type, res);
	return res->outcome;
}
