/* SPDX-License-Identifier: Apache-2.0 */
/*
 * paths.c - which rules of an endpoint speak of a path
 *
 * Rules are filed in a tree of path segments.  A node has literal children, found by name, and
 * children by pattern, which are a glob set; a rule ends at the node of its last segment (here),
 * or at the one before a final "**" (below: a slash must follow, then anything).  From a "**" in
 * the middle, or from a segment that is no pattern of its own ("{a/b,c}"), the tree gives up:
 * the rule is kept at the node reached so far and its whole pattern is tried (globs).
 *
 * A node stands for one number of segments, so a search visits each node at most once, and only
 * those whose segments match.
 *
 * An endpoint with few rules has all of them in its root's globs: most endpoints are such, and a
 * tree of so few would cost more memory accesses than it saves.
 *
 * All rules that match are looked at, since a deny anywhere wins; of several the first as written
 * is reported.
 */
#include "base/assert.h"
#include "policy/snapshot_int.h"

/* ---- searching ---- */

static void rules_try(const struct cv_paths *paths, uint32_t r, const struct cv_rule_facts *facts,
	struct cv_rule_hits *hits)
{
	for (; r != CV_MAP_NONE; r = paths->rules[r].next) {
		const struct cv_rule *rule = &paths->rules[r];
		const struct cv_rule **best = rule->is_deny ? &hits->deny : &hits->allow;

		if (*best && (*best)->index < rule->index)
			continue;
		if (cv_rule_method_matches(rule, facts) &&
			(!rule->glob || cv_glob_match(rule->glob, facts->path)) &&
			cv_rule_query_matches(rule, facts->query))
			*best = rule;
	}
}

/* rest is what follows the node's segments: p NULL when the path ends here. */
static void node_search(const struct cv_paths *paths, uint32_t n, struct cv_str rest,
	const struct cv_rule_facts *facts, struct cv_rule_hits *hits)
{
	const struct cv_path_node *node = &paths->nodes[n];
	struct cv_globset_iter it;
	uint32_t s;

	rules_try(paths, node->globs, facts, hits);
	if (!rest.p) {
		rules_try(paths, node->here, facts, hits);
		return;
	}
	rules_try(paths, node->below, facts, hits);
	const struct cv_str segment = cv_str_cut(&rest, '/');
	const uint32_t child =
		node->has_literals ? cv_map_get(&paths->literals, n, segment) : CV_MAP_NONE;
	if (child != CV_MAP_NONE)
		node_search(paths, child, rest, facts, hits);
	cv_globset_start(&it, &paths->prefixes, &node->segments, segment);
	while ((s = cv_globset_next(&it)) != CV_MAP_NONE)
		for (; s != CV_MAP_NONE; s = paths->segments[s].next)
			if (cv_glob_match(paths->segments[s].glob, segment))
				node_search(paths, paths->segments[s].child, rest, facts, hits);
}

void cv_paths_search(const struct cv_paths *paths, uint32_t root, const struct cv_rule_facts *facts,
	struct cv_rule_hits *hits)
{
	*hits = (struct cv_rule_hits){ NULL, NULL };
	if (root != CV_MAP_NONE && facts->path.p)
		node_search(paths, root, facts->path, facts, hits);
}

/* ---- building ---- */

static size_t list_segments(const struct cv_policy_rules *rules)
{
	size_t n = rules->n;

	for (size_t i = 0; i < rules->n; i++)
		for (size_t j = 0; j < rules->v[i].path.s.n; j++)
			n += rules->v[i].path.s.p[j] == '/';
	return n;
}

bool cv_paths_init(struct cv_paths_builder *b, const struct cv_policy_doc *doc)
{
	struct cv_paths *p = b->paths;
	size_t rules = 0, nodes = 0;

	cv_map_init(&p->literals, b->arena);
	cv_map_init(&p->prefixes, b->arena);
	cv_map_init(&b->same, b->arena);
	for (size_t i = 0; i < doc->entry_count; i++)
		for (size_t j = 0; j < doc->entries[i].endpoint_count; j++) {
			const struct cv_policy_endpoint *ep = &doc->entries[i].endpoints[j];

			rules += ep->rules.n + ep->deny_rules.n;
			nodes += 1 + list_segments(&ep->rules) + list_segments(&ep->deny_rules);
		}
	p->rules = cv_arena_array(b->arena, rules, sizeof(*p->rules));
	p->nodes = cv_arena_array(b->arena, nodes, sizeof(*p->nodes));
	p->segments = cv_arena_array(b->arena, nodes, sizeof(*p->segments));
	return p->rules && p->nodes && p->segments;
}

static uint32_t node_new(struct cv_paths *p)
{
	const uint32_t n = p->node_count++;

	p->nodes[n] =
		(struct cv_path_node){ CV_MAP_NONE, CV_MAP_NONE, CV_MAP_NONE, { 0, n }, false };
	return n;
}

uint32_t cv_paths_root(struct cv_paths_builder *b, size_t rule_count)
{
	b->is_list = rule_count <= CV_PATHS_LIST_MAX;
	return node_new(b->paths);
}

static bool literal_child(struct cv_paths *p, uint32_t *n, struct cv_str segment)
{
	uint32_t *child = cv_map_at(&p->literals, *n, segment);

	p->nodes[*n].has_literals = true;
	if (!child)
		return false;
	if (*child == CV_MAP_NONE)
		*child = node_new(p);
	*n = *child;
	return true;
}

/* *n is left alone when the segment alone is no pattern. */
static bool glob_child(struct cv_paths_builder *b, uint32_t *n, struct cv_str segment)
{
	struct cv_paths *p = b->paths;
	const struct cv_glob *glob;
	uint32_t *same = cv_map_at(&b->same, *n, segment);

	if (!same)
		return false;
	if (*same == CV_MAP_NONE) {
		if (cv_glob_compile(segment, CV_GLOB_PATH, b->arena, &glob, NULL) != CV_OK)
			return !b->arena->is_overflown;
		uint32_t *head =
			cv_globset_at(&p->prefixes, &p->nodes[*n].segments, cv_glob_prefix(glob));
		if (!head)
			return false;
		p->segments[p->segment_count] =
			(struct cv_path_segment){ glob, node_new(p), *head };
		*same = *head = p->segment_count++;
	}
	*n = p->segments[*same].child;
	return true;
}

static bool is_special(struct cv_str segment)
{
	for (size_t i = 0; i < segment.n; i++)
		if (strchr("*?[]{},\\", segment.p[i]) && segment.p[i])
			return true;
	return false;
}

/* The list in which the rule for pattern belongs; NULL when memory is out.  *ret_needs_glob: its
 * members are decided by their whole pattern. */
static uint32_t *list_of(
	struct cv_paths_builder *b, uint32_t n, struct cv_str pattern, bool *ret_needs_glob)
{
	struct cv_paths *p = b->paths;
	struct cv_str rest = pattern;

	*ret_needs_glob = b->is_list;
	if (b->is_list)
		return &p->nodes[n].globs;
	while (rest.p) {
		const struct cv_str segment = cv_str_cut(&rest, '/');
		const bool is_tree = cv_str_eq(segment, CV_STR("**"));
		const uint32_t before = n;

		if (is_tree && !rest.p && segment.p != pattern.p)
			return &p->nodes[n].below;
		if (!is_special(segment)) {
			if (!literal_child(p, &n, segment))
				return NULL;
			continue;
		}
		if (!is_tree && !glob_child(b, &n, segment))
			return NULL;
		if (n == before) {
			*ret_needs_glob = true;
			return &p->nodes[n].globs;
		}
	}
	return &p->nodes[n].here;
}

static bool query_add(struct cv_paths_builder *b, struct cv_rule *rule)
{
	const struct cv_policy_rule *source = rule->source;

	rule->query_count = (uint32_t)source->query_count;
	rule->query = cv_arena_array(b->arena, rule->query_count, sizeof(*rule->query));
	for (size_t i = 0; rule->query && i < source->query_count; i++) {
		const struct cv_policy_matcher *m = &source->query[i];
		struct cv_query_rule *q = &rule->query[i];

		q->key = m->key.s;
		q->glob_count = (uint32_t)m->globs.n;
		q->globs = cv_arena_array(b->arena, m->globs.n, sizeof(struct cv_glob *));
		for (size_t j = 0; q->globs && j < m->globs.n; j++)
			if (cv_glob_compile(m->globs.v[j].s, CV_GLOB_TEXT, b->arena, &q->globs[j],
				    NULL) != CV_OK)
				q->globs[j] = NULL;
	}
	return !b->arena->is_overflown;
}

/* For postgres an absent path is every database.  Otherwise an absent or malformed path: an allow
 * matches nothing and is not filed, a deny matches every path and is filed as "**". */
bool cv_paths_add(struct cv_paths_builder *b, uint32_t root, const struct cv_policy_rule *source,
	uint32_t index, bool is_deny, bool is_postgres)
{
	struct cv_paths *p = b->paths;
	struct cv_rule *rule = &p->rules[p->rule_count];
	const struct cv_glob *glob = NULL;
	bool needs_glob;

	*rule = (struct cv_rule){
		.source = source, .index = index, .line = source->pos.line, .is_deny = is_deny
	};
	rule->method = is_postgres ? source->command.s : source->method.s;
	rule->path = is_postgres && !source->path.s.n ? CV_STR("**") : source->path.s;
	rule->methods = cv_method_bits(rule->method);
	if (is_deny && rule->method.n == 0)
		rule->methods = CV_METHOD_BITS_ALL;
	rule->is_malformed = rule->path.n == 0 || cv_glob_compile(rule->path, CV_GLOB_PATH,
							  b->arena, &glob, NULL) != CV_OK;
	if (b->arena->is_overflown || !query_add(b, rule))
		return false;
	if (rule->is_malformed && !is_deny)
		return true;
	const struct cv_str path = rule->is_malformed ? CV_STR("**") : rule->path;
	uint32_t *list = list_of(b, root, path, &needs_glob);
	if (!list)
		return false;
	rule->glob = needs_glob && !cv_str_eq(path, CV_STR("**")) ? glob : NULL;
	rule->next = *list;
	*list = p->rule_count++;
	return true;
}
