/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot_int.h - the compiled policy; private to this folder
 *
 *     host, port --hosts--> endpoints --entry--> binaries
 *                               |
 *                               +--selector, paths--> rules
 *
 * Endpoints stand in the order of their entries' names (then of their entries' keys, then as
 * written), so "the one that sorts first" is the smallest index.  Everything is built by
 * compile.c, lies in one arena and never changes afterwards.  A snapshot belongs to one thread.
 *
 * Patterns are found without trying all of them.  A host pattern is filed under the literal labels
 * it ends with; a path rule in a tree of segments.  Where several patterns meet in one place (the
 * same ending, or the same node) they form a glob set, filed under their literal beginnings.
 */
#pragma once
#include "base/glob.h"
#include "base/map.h"
#include "policy/pg_command.h"
#include "policy/policy.h"

/* A snapshot of 10,000 endpoints takes 20 MiB; the document has the same limit. */
#define CV_POLICY_SNAPSHOT_BYTES_MAX (64u << 20)

/* Longest name in the DNS; nothing longer is looked up. */
#define CV_POLICY_NAME_BYTES_MAX 253

/* A decoded query name or value; longer than any request head (openshell-behaviour 14). */
#define CV_POLICY_QUERY_VALUE_BYTES_MAX 16384

/* ---- glob sets ---- */

/* Beginnings are compared up to this length, so that the lengths in use fit a word. */
#define CV_GLOBSET_PREFIX_MAX 63

struct cv_globset {
	uint64_t lengths; /* bit n: some member begins with n literal bytes */
	uint32_t scope;   /* of its beginnings in the map that holds them */
};

struct cv_globset_iter {
	const struct cv_map *map;
	struct cv_str text;
	uint64_t lengths; /* not visited yet */
	uint32_t scope;
};

/* The head of the list of members that begin as prefix does; NULL when memory is out. */
uint32_t *cv_globset_at(struct cv_map *map, struct cv_globset *set, struct cv_str prefix);

void cv_globset_start(struct cv_globset_iter *it, const struct cv_map *map,
	const struct cv_globset *set, struct cv_str text);
/* The next list of members whose beginning text has; CV_MAP_NONE at the end. */
uint32_t cv_globset_next(struct cv_globset_iter *it);

/* ---- hosts ---- */

enum cv_host_kind { /* nearest first */
	CV_HOST_EXACT,
	CV_HOST_PATTERN,
	CV_HOST_ANY, /* no host, but allowed_ips */
};

struct cv_host_row { /* one endpoint on one port, in a list */
	uint32_t endpoint, next;
	const struct cv_glob *glob;
};

struct cv_hosts {
	struct cv_map exact;    /* (port, name) -> row */
	struct cv_map endings;  /* (port, labels) -> set */
	struct cv_map prefixes; /* (set, beginning) -> row */
	struct cv_globset *sets;
	struct cv_host_row *rows;
	uint32_t set_count, row_count;
};

/* Rows without a port stand under this one, for questions of the DNS. */
#define CV_HOST_PORT_ALL 0

/* Each endpoint that names host on port, in no order, each once. */
struct cv_host_iter {
	const struct cv_hosts *hosts;
	struct cv_str host, ending;
	struct cv_globset_iter set;
	uint32_t row, port;
	bool has_set, is_exhausted;
};

bool cv_host_is_plain(struct cv_str host, bool is_ip);
void cv_host_start(struct cv_host_iter *it, const struct cv_hosts *hosts, struct cv_str host,
	bool host_is_ip, uint16_t port);
uint32_t cv_host_next(struct cv_host_iter *it); /* CV_MAP_NONE at the end */

struct cv_endpoint;
CV_MUST bool cv_hosts_build(struct cv_hosts *hosts, const struct cv_endpoint *endpoints,
	uint32_t endpoint_count, struct cv_arena *arena);

/* ---- rules ---- */

/* Methods that rules and presets name; every other one is OTHER and compared as text.
 * WEBSOCKET_TEXT is a message, not a request: only websocket endpoints speak of it. */
/* clang-format off */
#define CV_METHODS(X) \
	X(GET) X(HEAD) X(OPTIONS) X(POST) X(PUT) X(PATCH) X(DELETE) X(TRACE) X(CONNECT) \
	X(WEBSOCKET_TEXT)
/* clang-format on */
#define CV_METHOD_ENUM(name) CV_METHOD_##name,
enum cv_method { CV_METHODS(CV_METHOD_ENUM) CV_METHOD_OTHER, CV_METHOD_COUNT };
#undef CV_METHOD_ENUM

#define CV_METHOD_BIT(name) (1u << CV_METHOD_##name)
#define CV_METHOD_BITS_ALL  ((1u << CV_METHOD_COUNT) - 1)

enum cv_method cv_method_of(struct cv_str text); /* without case */

/* The methods that a rule's method stands for: GET covers HEAD, * everything, "" nothing. */
uint32_t cv_method_bits(struct cv_str method);
/* The methods of an access preset. */
uint32_t cv_access_bits(enum cv_policy_protocol protocol, enum cv_policy_access access);

struct cv_query_rule { /* a matcher of a rule */
	struct cv_str key;
	const struct cv_glob **globs; /* one of them must match; NULL ones are malformed */
	uint32_t glob_count;
};

struct cv_rule {
	const struct cv_policy_rule *source;
	struct cv_str method, path; /* what it is compared by: for postgres, method is a command */
	const struct cv_glob *glob; /* NULL: the place in the tree says it all */
	struct cv_query_rule *query;
	uint32_t query_count;
	uint32_t methods; /* bits; OTHER alone: compare the text */
	uint32_t index;   /* in rules or deny_rules */
	uint32_t next;    /* in a list of the tree */
	uint32_t line;
	bool is_deny;
	bool is_malformed; /* no path matches an allow, every path a deny */
};

/* ---- paths ---- */

/* So few rules are tried one after the other sooner than a tree is walked. */
#define CV_PATHS_LIST_MAX 4

struct cv_path_node {   /* lists of rules, CV_MAP_NONE when empty */
	uint32_t here;  /* the path ends here */
	uint32_t below; /* at least a / follows */
	uint32_t globs; /* decided by the rule's whole pattern */
	struct cv_globset segments;
	bool has_literals;
};

struct cv_path_segment { /* children of a node by pattern, in a list */
	const struct cv_glob *glob;
	uint32_t child, next;
};

struct cv_paths {
	struct cv_map literals; /* (node, segment) -> node */
	struct cv_map prefixes; /* (node, beginning) -> segment */
	struct cv_path_node *nodes;
	struct cv_path_segment *segments;
	struct cv_rule *rules;
	uint32_t node_count, segment_count, rule_count;
};

/* What a request is, as far as rules look. */
struct cv_rule_facts {
	struct cv_str method, path, query;
	enum cv_method method_id;
};

/* The first allowing and the first firing deny rule of an endpoint; NULL for none. */
struct cv_rule_hits {
	const struct cv_rule *allow, *deny;
};

void cv_paths_search(const struct cv_paths *paths, uint32_t root, const struct cv_rule_facts *facts,
	struct cv_rule_hits *hits);

bool cv_rule_method_matches(const struct cv_rule *rule, const struct cv_rule_facts *facts);
bool cv_rule_query_matches(const struct cv_rule *rule, struct cv_str query);

/* Room for all rules of a document; then rules are filed one by one under their endpoint's root. */
struct cv_paths_builder {
	struct cv_paths *paths;
	struct cv_arena *arena;
	struct cv_map same; /* (node, pattern) -> segment: each pattern once per node */
	bool is_list;       /* the present root's rules are few: all kept there */
};
CV_MUST bool cv_paths_init(struct cv_paths_builder *b, const struct cv_policy_doc *doc);
/* The root of a new, empty tree, for that many rules. */
uint32_t cv_paths_root(struct cv_paths_builder *b, size_t rule_count);
CV_MUST bool cv_paths_add(struct cv_paths_builder *b, uint32_t root,
	const struct cv_policy_rule *source, uint32_t index, bool is_deny, bool is_postgres);

/* ---- endpoints and entries ---- */

enum cv_selector_kind { CV_SELECTOR_ANY, CV_SELECTOR_BELOW, CV_SELECTOR_GLOB, CV_SELECTOR_TEXT };

struct cv_selector { /* an endpoint's `path` */
	enum cv_selector_kind kind;
	struct cv_str text; /* BELOW: without the last two stars and slash */
	const struct cv_glob *glob;
};

/* kind ANY, and specificity 0, for an empty text. */
CV_MUST bool cv_selector_compile(
	struct cv_selector *ret, struct cv_str text, struct cv_arena *arena);
bool cv_selector_matches(const struct cv_selector *s, struct cv_str path);

struct cv_endpoint {
	const struct cv_policy_endpoint *source;
	uint32_t entry; /* in the snapshot's order */
	uint32_t index; /* in the entry as written */
	enum cv_host_kind host_kind;
	struct cv_str host;         /* lower-case; an address in its one form; "" matches nothing */
	const struct cv_glob *glob; /* host_kind PATTERN; NULL if malformed */
	struct cv_selector selector;
	uint32_t specificity;            /* characters of the selector that are not a star */
	uint32_t access_methods;         /* bits */
	uint32_t root;                   /* of its rules in the tree */
	uint32_t first_rule, rule_count; /* of those filed, allow before deny */
	struct cv_cidr *ips;
	size_t ip_count;
	uint32_t line;
	bool has_ips;                                /* allowed_ips was written */
	bool is_skip, is_tcp, is_audit, keeps_slash; /* as in the source, without a way there */
	bool is_approve;
	bool is_l7;          /* requests inside are decided */
	bool is_websocket;   /* ... and messages, after an upgrade */
	bool is_enforceable; /* this build can do it */
	bool is_postgres;
	enum cv_pg_level pg_level; /* commands up to here need no rule */
};

/* Does the endpoint's preset include the method, or the command? */
bool cv_access_allows(const struct cv_endpoint *ep, const struct cv_rule_facts *facts);
enum cv_pg_level cv_access_level(const struct cv_policy_endpoint *source);

/* Has an L7 endpoint anything to say about this method? */
static inline bool cv_endpoint_speaks_of(const struct cv_endpoint *ep, enum cv_method method)
{
	return method != CV_METHOD_WEBSOCKET_TEXT || ep->is_websocket;
}

struct cv_binaries {
	struct cv_str *exact; /* as written, and where their symlinks lead */
	const struct cv_glob **globs;
	uint32_t exact_count, glob_count;
};

struct cv_entry {
	const struct cv_policy_entry *source;
	uint32_t index; /* as written */
	struct cv_binaries binaries;
};

struct cv_tool_rule; /* tool_rule.h */

struct cv_policy {
	uint32_t refs;
	struct cv_policy_doc *doc; /* owned; may be NULL */
	struct cv_arena arena;
	struct cv_entry *entries;
	struct cv_endpoint *endpoints;
	uint32_t entry_count, endpoint_count;
	uint32_t *entry_by_index; /* document's index -> snapshot's */
	struct cv_hosts hosts;
	struct cv_paths paths;
	struct cv_middleware *middlewares; /* in their order */
	size_t middleware_count;
	struct cv_tool_rule *tool_rules; /* in the order written */
	uint32_t tool_rule_count;
};

/* Is path one of the binaries? */
bool cv_binaries_have(const struct cv_binaries *binaries, struct cv_str path);
/* Is the executable or one of its ancestors? */
bool cv_binaries_have_who(const struct cv_binaries *binaries, const struct cv_facts_who *who);
