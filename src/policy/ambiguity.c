/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ambiguity.c - endpoints that can match the same request must agree on how it is handled
 *
 * Of several endpoints that match, rules are combined; but whether TLS is terminated or which
 * parser reads the request can have only one answer.  What can match the same is overlap.c's to say.
 * Two kinds of fields are compared:
 *
 *   connection  tls, allowed_ips (as a set), eligibility for transparent TCP: whenever hosts and
 *               ports overlap, whatever the paths
 *   request     protocol, enforcement, rewriting, signing, ...: when also the paths overlap and
 *               are equally specific, and both endpoints take part in choosing a parser (a plain
 *               L4 endpoint does not)
 *
 * Not every pair is looked at.  Each port of an endpoint is a node, keyed by the labels at the end
 * of its host that hold no wildcard (its tail).  Two hosts can overlap only if the one tail is a
 * suffix of the other, so nodes are put into a hash table in the order of growing tails, and each
 * looks up the suffixes of its own.  Within a key, nodes are grouped by what they want (a number
 * per distinct set of fields): a group that wants the same is skipped as a whole.  So a policy
 * without conflicts costs about one look-up per label, and one that is nothing but overlapping
 * differences ends at CV_POLICY_OVERLAP_COMPARISONS_MAX, refused.
 */
#include "base/ip.h"
#include "policy/check_int.h"

#include <stdio.h>
#include <stdlib.h>

#define NONE UINT32_MAX

struct item { /* an endpoint */
	const struct cv_policy_entry *entry;
	const struct cv_policy_endpoint *ep;
	size_t index;       /* in its entry */
	struct cv_str host; /* an address as decisions compare it, any other as it was written */
	struct cv_str tail;
	const struct cv_cidr *ips; /* allowed_ips, sorted, each once */
	size_t ip_count;
	bool is_exact;
	uint32_t want[2]; /* connection, request: equal numbers want the same */
};

struct node {
	uint32_t item, next; /* next of its group */
};

struct group {
	uint32_t slot_key;          /* index of the node that gave the key */
	uint32_t want, first, next; /* next group of the same key */
};

struct table {
	uint32_t *slot; /* first group of a key, or NONE */
	size_t mask;
	struct group *groups;
	struct node *nodes;
	uint16_t *ports;    /* of each node */
	uint32_t *specific; /* of each node: characters of its path that are not * */
	uint32_t group_count, node_count;
};

struct search {
	struct item *items;
	size_t item_count;
	struct cv_arena arena; /* of what items point to */
	struct table table;
	struct cv_findings *findings;
	struct {
		uint32_t a, b;
	} reported[CV_POLICY_FINDINGS_MAX];
	size_t reported_count;
	uint32_t comparisons;
	bool is_over;
};

/* ---- keys ---- */

static struct cv_str host_tail(struct cv_str host)
{
	const size_t star = cv_str_rfind_byte(host, '*');
	size_t dot = star;

	if (star == host.n)
		return host;
	while (dot < host.n && host.p[dot] != '.')
		dot++;
	return cv_str_slice(host, dot + 1, host.n);
}

static uint32_t path_specificity(struct cv_str p)
{
	uint32_t n = 0;

	for (size_t i = 0; i < p.n; i++)
		n += p.p[i] != '*';
	return n;
}

/* ---- what must agree ---- */

static int by_prefix(const void *a, const void *b)
{
	const struct cv_cidr *x = a, *y = b;
	const int r = memcmp(x->net.b, y->net.b, sizeof(x->net.b));

	return r ? r : x->bits - y->bits;
}

/* One prefix may be written in several ways; a text that is none allows nothing. */
static bool ips_fill(struct item *it, struct cv_arena *arena)
{
	const struct cv_policy_texts *texts = &it->ep->allowed_ips;
	struct cv_cidr *v = cv_arena_array(arena, texts->n, sizeof(*v));
	size_t n = 0, kept = 0;

	for (size_t i = 0; v && i < texts->n; i++)
		n += cv_cidr_parse(cv_str_trim(texts->v[i].s), &v[n]);
	if (n)
		qsort(v, n, sizeof(*v), by_prefix);
	for (size_t i = 0; i < n; i++)
		if (!kept || by_prefix(&v[kept - 1], &v[i]) != 0)
			v[kept++] = v[i];
	it->ips = v;
	it->ip_count = kept;
	return v;
}

static bool ips_agree(const struct item *a, const struct item *b)
{
	if (!a->ep->allowed_ips.n != !b->ep->allowed_ips.n || a->ip_count != b->ip_count)
		return false;
	for (size_t i = 0; i < a->ip_count; i++)
		if (by_prefix(&a->ips[i], &b->ips[i]) != 0)
			return false;
	return true;
}

static bool takes_part(const struct cv_policy_endpoint *e)
{
	return (e->protocol != CV_PROTOCOL_L4 && e->protocol != CV_PROTOCOL_TCP) ||
	       e->allowed_ips.n || e->tls != CV_TLS_AUTO || e->has_credential_binding;
}

bool cv_policy_has_graphql(const struct cv_policy_endpoint *e)
{
	const struct cv_policy_rules *const lists[] = { &e->rules, &e->deny_rules };

	for (size_t k = 0; k < CV_ARRAY_LEN(lists); k++)
		for (size_t i = 0; i < lists[k]->n; i++)
			if (lists[k]->v[i].operation_type.s.n ||
				lists[k]->v[i].operation_name.s.n || lists[k]->v[i].fields.n)
				return true;
	return e->graphql_persisted_query_count ||
	       cv_policy_is_word(e->persisted_queries, "allow_registered");
}

static uint64_t body_max(uint64_t bytes)
{
	return bytes ? bytes : 65536; /* the default of the language */
}

enum field_kind { FIELD_CONNECTION, FIELD_REQUEST };

#define BOTH(id) (a->protocol == CV_PROTOCOL_##id && b->protocol == CV_PROTOCOL_##id)

/* A row per field: its kind, its name, and whether x and y, with the endpoints a and b, agree. */
/* clang-format off */
#define FIELDS(X)                                                                                  \
	X(CONNECTION, "protocol tcp",                                                              \
		(a->protocol == CV_PROTOCOL_TCP) == (b->protocol == CV_PROTOCOL_TCP))              \
	X(CONNECTION, "tls", (a->tls == CV_TLS_SKIP) == (b->tls == CV_TLS_SKIP))                   \
	X(CONNECTION, "allowed_ips", ips_agree(x, y))                                              \
	X(CONNECTION, "h2c", a->h2c == b->h2c)                                                     \
	X(REQUEST, "protocol", a->protocol == b->protocol)                                         \
	X(REQUEST, "enforcement", a->enforcement == b->enforcement)                                \
	X(REQUEST, "allow_encoded_slash", a->allow_encoded_slash == b->allow_encoded_slash)        \
	X(REQUEST, "websocket_credential_rewrite",                                                 \
		a->websocket_credential_rewrite == b->websocket_credential_rewrite)                \
	X(REQUEST, "request_body_credential_rewrite",                                              \
		a->request_body_credential_rewrite == b->request_body_credential_rewrite)          \
	X(REQUEST, "token_endpoint", a->token_endpoint == b->token_endpoint)                       \
	X(REQUEST, "credential_signing", cv_str_eq(a->credential_signing.s, b->credential_signing.s)) \
	X(REQUEST, "signing_service", cv_str_eq(a->signing_service.s, b->signing_service.s))       \
	X(REQUEST, "signing_region", cv_str_eq(a->signing_region.s, b->signing_region.s))          \
	X(REQUEST, "credential_binding",                                                           \
		cv_str_eq(a->credential_binding_provider.s, b->credential_binding_provider.s))     \
	X(REQUEST, "credential_mode",                                                              \
		(a->credential_mode == CV_CREDENTIAL_MODE_REQUIRE) ==                              \
			(b->credential_mode == CV_CREDENTIAL_MODE_REQUIRE))                        \
	X(REQUEST, "scrub", (a->scrub == CV_SCRUB_OFF) == (b->scrub == CV_SCRUB_OFF))              \
	X(REQUEST, "body_hold", a->body_hold == b->body_hold)                                      \
	X(REQUEST, "GraphQL settings",                                                             \
		!BOTH(WEBSOCKET) || cv_policy_has_graphql(a) == cv_policy_has_graphql(b))          \
	X(REQUEST, "persisted_queries",                                                            \
		!BOTH(GRAPHQL) || cv_policy_is_word(a->persisted_queries, "allow_registered") ==   \
			cv_policy_is_word(b->persisted_queries, "allow_registered"))               \
	X(REQUEST, "graphql_max_body_bytes",                                                       \
		!BOTH(GRAPHQL) ||                                                                  \
			body_max(a->graphql_max_body_bytes) == body_max(b->graphql_max_body_bytes)) \
	X(REQUEST, "json_rpc.max_body_bytes",                                                      \
		!BOTH(JSON_RPC) ||                                                                 \
			body_max(a->json_rpc_max_body_bytes) == body_max(b->json_rpc_max_body_bytes)) \
	X(REQUEST, "mcp.max_body_bytes",                                                           \
		!BOTH(MCP) || body_max(a->mcp_max_body_bytes) == body_max(b->mcp_max_body_bytes))  \
	X(REQUEST, "mcp.strict_tool_names",                                                        \
		!BOTH(MCP) || a->mcp_strict_tool_names == b->mcp_strict_tool_names)
/* clang-format on */

struct field_row {
	enum field_kind kind;
	const char *name;
	bool is_same;
};

#define FIELD_ROW(kind, name, is_same) { FIELD_##kind, name, is_same },
#define FIELD_ONE(kind, name, is_same) +1
enum { FIELD_COUNT = FIELDS(FIELD_ONE) };

static void fields_compare(
	const struct item *x, const struct item *y, struct field_row ret[FIELD_COUNT])
{
	const struct cv_policy_endpoint *a = x->ep, *b = y->ep;
	const struct field_row row[] = { FIELDS(FIELD_ROW) };

	memcpy(ret, row, sizeof(row));
}

/* The names of the fields of one kind in which x and y differ, into names (may be NULL). */
static bool fields_differ(
	enum field_kind kind, const struct item *x, const struct item *y, char *names, size_t size)
{
	struct field_row row[FIELD_COUNT];
	bool differs = false;
	size_t n = names ? strlen(names) : 0;

	fields_compare(x, y, row);
	for (size_t i = 0; i < FIELD_COUNT; i++) {
		if (row[i].kind != kind || row[i].is_same)
			continue;
		differs = true;
		if (names && n < size)
			n += (size_t)snprintf(
				names + n, size - n, "%s%s", n ? ", " : "", row[i].name);
	}
	return differs;
}

/* Numbers the distinct wishes of one kind.  Few exist in practice; when there are very many, a new
 * number each is right too, only slower later. */
#define WANTS_MAX 64

static void items_number(struct search *s, enum field_kind kind)
{
	uint32_t first[WANTS_MAX], count = 0;

	for (uint32_t i = 0; i < s->item_count; i++) {
		struct item *it = &s->items[i];
		uint32_t k = 0;

		if (kind == FIELD_REQUEST && !takes_part(it->ep)) {
			it->want[kind] = NONE;
			continue;
		}
		while (k < count && fields_differ(kind, &s->items[first[k]], it, NULL, 0))
			k++;
		it->want[kind] = k < count ? k : WANTS_MAX + i;
		if (k == count && count < WANTS_MAX) {
			it->want[kind] = count;
			first[count++] = i;
		}
	}
}

/* ---- reporting ---- */

static void ports_text(const struct cv_policy_endpoint *a, const struct cv_policy_endpoint *b,
	char *text, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < a->port_count && n < size - 16; i++)
		for (size_t j = 0; j < b->port_count; j++)
			if (a->ports[i] == b->ports[j]) {
				n += (size_t)snprintf(
					text + n, size - n, "%s%u", n ? ", " : "", a->ports[i]);
				break;
			}
}

static bool is_reported(const struct search *s, uint32_t a, uint32_t b)
{
	for (size_t i = 0; i < s->reported_count; i++)
		if (s->reported[i].a == a && s->reported[i].b == b)
			return true;
	return false;
}

static bool request_overlaps(const struct cv_policy_endpoint *a, const struct cv_policy_endpoint *b)
{
	return takes_part(a) && takes_part(b) &&
	       path_specificity(a->path.s) == path_specificity(b->path.s) &&
	       cv_policy_paths_overlap(a->path.s, b->path.s);
}

static bool is_before(struct cv_policy_pos a, struct cv_policy_pos b)
{
	return a.line != b.line ? a.line < b.line : a.column < b.column;
}

/* The endpoint that was written later is the one to blame. */
static void report(struct search *s, uint32_t x, uint32_t y)
{
	const bool is_x_first = is_before(s->items[x].ep->pos, s->items[y].ep->pos);
	const uint32_t a = is_x_first ? x : y, b = is_x_first ? y : x;
	const struct item *ia = &s->items[a], *ib = &s->items[b];
	char fields[256] = "", ports[64] = "", where[128];

	if (is_reported(s, a, b))
		return;
	if (s->reported_count < CV_POLICY_FINDINGS_MAX) {
		s->reported[s->reported_count].a = a;
		s->reported[s->reported_count++].b = b;
	}
	fields_differ(FIELD_CONNECTION, ia, ib, fields, sizeof(fields));
	if (request_overlaps(ia->ep, ib->ep))
		fields_differ(FIELD_REQUEST, ia, ib, fields, sizeof(fields));
	ports_text(ia->ep, ib->ep, ports, sizeof(ports));
	const int n = snprintf(where, sizeof(where), "%.*s.endpoints[%zu]",
		CV_POLICY_QUOTE(ib->entry->key.s), ib->index);
	char line[CV_FINDING_LINE_BYTES]; /* a provider's endpoint has none */
	cv_findings_add(s->findings, CV_FINDING_ERROR, ib->ep->pos,
		(struct cv_str){ where, (size_t)n },
		"make them agree, or give one a more specific path or another port",
		"'%.*s' overlaps %.*s.endpoints[%zu] (%s'%.*s') on port %s but differs in %s",
		CV_POLICY_QUOTE(ib->ep->host.s), CV_POLICY_QUOTE(ia->entry->key.s), ia->index,
		cv_finding_line(s->findings, "line ", ia->ep->pos.line, ", ", line),
		CV_POLICY_QUOTE(ia->ep->host.s), ports, fields);
}

/* ---- the table ---- */

struct key {
	struct cv_str tail;
	uint16_t port;
	uint32_t specific;
	bool is_exact;
};

static struct key node_key(const struct search *s, uint32_t node)
{
	const struct item *it = &s->items[s->table.nodes[node].item];

	return (struct key){ it->tail, s->table.ports[node], s->table.specific[node],
		it->is_exact };
}

static size_t key_hash(const struct key *k)
{
	uint64_t h = 0xcbf29ce484222325u ^ ((uint64_t)k->port << 33) ^ k->specific ^
		     ((uint64_t)k->is_exact << 60);

	for (size_t i = 0; i < k->tail.n; i++)
		h = (h ^ (unsigned char)cv_ascii_lower(k->tail.p[i])) * 0x100000001b3u;
	return (size_t)(h ^ (h >> 29));
}

/* The slot of a key: holds its first group, or NONE. */
static uint32_t *slot_find(struct search *s, const struct key *k)
{
	struct table *t = &s->table;

	for (size_t i = key_hash(k) & t->mask;; i = (i + 1) & t->mask) {
		if (t->slot[i] == NONE)
			return &t->slot[i];
		const struct key other = node_key(s, t->groups[t->slot[i]].slot_key);
		if (other.port == k->port && other.specific == k->specific &&
			other.is_exact == k->is_exact && cv_str_eq_nocase(other.tail, k->tail))
			return &t->slot[i];
	}
}

static void node_insert(struct search *s, uint32_t node, enum field_kind kind)
{
	struct table *t = &s->table;
	const struct key k = node_key(s, node);
	const uint32_t want = s->items[t->nodes[node].item].want[kind];
	uint32_t *slot = slot_find(s, &k), g = *slot;

	while (g != NONE && t->groups[g].want != want)
		g = t->groups[g].next;
	if (g == NONE) {
		g = t->group_count++;
		t->groups[g] = (struct group){ node, want, NONE, *slot };
		*slot = g;
	}
	t->nodes[node].next = t->groups[g].first;
	t->groups[g].first = node;
}

static void compare(struct search *s, uint32_t a, uint32_t b, enum field_kind kind)
{
	const struct item *x = &s->items[a], *y = &s->items[b];

	if (++s->comparisons > CV_POLICY_OVERLAP_COMPARISONS_MAX ||
		cv_findings_is_full(s->findings)) {
		s->is_over = true;
		return;
	}
	if (a == b || !cv_policy_hosts_overlap(x->host, y->host) ||
		!fields_differ(kind, x, y, NULL, 0))
		return;
	if (kind == FIELD_CONNECTION || request_overlaps(x->ep, y->ep))
		report(s, a, b);
}

/* Compares a node with those of one key that want something else. */
static void key_search(struct search *s, uint32_t node, const struct key *k, enum field_kind kind)
{
	const struct table *t = &s->table;
	const uint32_t item = t->nodes[node].item;

	for (uint32_t g = *slot_find(s, k); g != NONE && !s->is_over; g = t->groups[g].next) {
		if (t->groups[g].want == s->items[item].want[kind])
			continue;
		for (uint32_t n = t->groups[g].first; n != NONE && !s->is_over;
			n = t->nodes[n].next)
			compare(s, t->nodes[n].item, item, kind);
	}
}

static void node_search(struct search *s, uint32_t node, enum field_kind kind)
{
	struct key k = node_key(s, node);

	if (k.is_exact)
		key_search(s, node, &k, kind); /* the same name */
	k.is_exact = false;
	for (;;) { /* patterns, whose tails end this one */
		key_search(s, node, &k, kind);
		if (!k.tail.n)
			return;
		(void)cv_str_cut(&k.tail, '.');
		if (!k.tail.p)
			k.tail = CV_STR_NONE;
	}
}

static bool table_init(struct search *s, size_t count)
{
	struct table *t = &s->table;
	size_t size = 64;

	while (size < count * 2)
		size *= 2;
	*t = (struct table){
		.slot = malloc(size * sizeof(*t->slot)),
		.mask = size - 1,
		.groups = malloc(count * sizeof(*t->groups)),
		.nodes = malloc(count * sizeof(*t->nodes)),
		.ports = malloc(count * sizeof(*t->ports)),
		.specific = malloc(count * sizeof(*t->specific)),
	};
	if (!t->slot || !t->groups || !t->nodes || !t->ports || !t->specific)
		return false;
	memset(t->slot, 0xff, size * sizeof(*t->slot));
	return true;
}

static void table_fini(struct table *t)
{
	free(t->slot);
	free(t->groups);
	free(t->nodes);
	free(t->ports);
	free(t->specific);
	*t = (struct table){ 0 };
}

/* ---- the search ---- */

static bool search_kind(struct search *s, size_t node_max, enum field_kind kind)
{
	struct table *t = &s->table;
	const bool is_fine = table_init(s, node_max);

	items_number(s, kind);
	for (uint32_t i = 0; is_fine && i < s->item_count && !s->is_over; i++) {
		const struct item *it = &s->items[i];

		for (size_t p = 0; it->want[kind] != NONE && p < it->ep->port_count; p++) {
			const uint32_t node = t->node_count++;

			t->nodes[node] = (struct node){ i, NONE };
			t->ports[node] = it->ep->ports[p];
			t->specific[node] =
				kind == FIELD_REQUEST ? path_specificity(it->ep->path.s) : 0;
			node_search(s, node, kind);
			node_insert(s, node, kind);
		}
	}
	table_fini(t);
	return is_fine;
}

/* Growing tails; the order of writing among equals. */
static int by_tail(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	if (x->tail.n != y->tail.n)
		return x->tail.n < y->tail.n ? -1 : 1;
	if (x->ep->pos.line != y->ep->pos.line)
		return x->ep->pos.line < y->ep->pos.line ? -1 : 1;
	return (x->ep->pos.column > y->ep->pos.column) - (x->ep->pos.column < y->ep->pos.column);
}

/* An address has many spellings, and a policy's are compared as addresses (host_compile()). */
static bool host_fill(struct item *it, struct cv_arena *arena)
{
	char text[CV_IP_TEXT_BYTES];
	struct cv_ip ip;

	it->host = it->ep->host.s;
	if (cv_ip_parse(it->host, &ip))
		it->host = cv_arena_str(arena, cv_ip_format(&ip, text));
	it->tail = host_tail(it->host);
	it->is_exact = it->ep->host.s.n && !cv_str_has_byte(it->host, '*');
	return !arena->is_overflown;
}

/* False: no memory. */
static bool items_fill(struct search *s, const struct cv_policy_doc *doc, size_t *ret_node_max)
{
	size_t node_max = 1, n = 0;

	for (size_t i = 0; i < doc->entry_count; i++)
		for (size_t j = 0; j < doc->entries[i].endpoint_count; j++) {
			const struct cv_policy_endpoint *e = &doc->entries[i].endpoints[j];

			s->items[n++] = (struct item){
				.entry = &doc->entries[i],
				.ep = e,
				.index = j,
			};
			if (!host_fill(&s->items[n - 1], &s->arena) ||
				!ips_fill(&s->items[n - 1], &s->arena))
				return false;
			node_max += e->port_count;
		}
	qsort(s->items, n, sizeof(*s->items), by_tail);
	*ret_node_max = node_max;
	return true;
}

void cv_check_ambiguity(const struct cv_policy_doc *doc, struct cv_findings *f)
{
	struct search s = { .findings = f };
	const struct cv_policy_pos nowhere = { 0 };
	bool is_fine = true;

	for (size_t i = 0; i < doc->entry_count; i++)
		s.item_count += doc->entries[i].endpoint_count;
	if (s.item_count < 2)
		return;
	s.items = calloc(s.item_count, sizeof(*s.items));
	cv_arena_init(&s.arena, CV_POLICY_DOC_BYTES_MAX);
	if (s.items) {
		size_t node_max = 0;

		is_fine = items_fill(&s, doc, &node_max) &&
			  search_kind(&s, node_max, FIELD_CONNECTION) &&
			  search_kind(&s, node_max, FIELD_REQUEST);
	}
	if (!s.items || !is_fine)
		cv_findings_add(f, CV_FINDING_ERROR, nowhere, CV_STR_NONE, NULL, "out of memory");
	else if (s.comparisons > CV_POLICY_OVERLAP_COMPARISONS_MAX)
		cv_findings_add(f, CV_FINDING_ERROR, nowhere, CV_STR_NONE,
			"give overlapping endpoints the same settings",
			"too many endpoints overlap and differ to compare them all");
	cv_arena_fini(&s.arena);
	free(s.items);
}

cv_code cv_policy_ambiguity(const struct cv_policy_doc *doc, struct cv_findings *findings)
{
	const size_t before = findings->error_count;

	cv_check_ambiguity(doc, findings);
	return cv_findings_code(findings, before);
}
