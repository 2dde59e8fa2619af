/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg_sql.c - see pg_sql.h
 *
 * Two layers, both without memory.  The lexer cuts tokens as PostgreSQL's scan.l does, for every
 * version and either setting of standard_conforming_strings: where those read a text in different
 * ways it is a problem, and the result has OTHER.  The statements' layer looks at the first word
 * and lets a handler find what else the statement does.
 *
 * Ambiguous are:
 *   - an odd number of backslashes before a quote in a plain literal: with the setting off, the
 *     quote does not end it
 *   - an escape string (E'') followed by another literal: behind a line break that one is read
 *     as an escape string too
 *   - U&"" identifiers, which spell letters as numbers
 *
 * Splitting at every semicolon, also within parentheses or BEGIN ATOMIC, sees more statements
 * than the server, never fewer.
 */
#include "wire/pg_sql.h"

enum token_kind {
	TOKEN_END,
	TOKEN_WORD,   /* an identifier or keyword without quotes */
	TOKEN_QUOTED, /* an identifier within quotes; text without them */
	TOKEN_STRING, /* text without quotes, escapes as they are */
	TOKEN_NUMBER, /* parameters too */
	TOKEN_MARK,   /* one character */
};

struct token {
	enum token_kind kind;
	struct cv_str text;
};

struct sql {
	const char *at, *end;
	struct token t;    /* the present one */
	bool has_settings; /* the view that changes them when it is updated */
	struct cv_pg_sql result;
};

static void problem_set(struct sql *s, const char *why)
{
	s->result.commands |= CV_PG_BIT(OTHER);
	if (!s->result.problem)
		s->result.problem = why;
}

/* ---- tokens ---- */

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_word_start(char c)
{
	const char l = cv_ascii_lower(c);

	return (l >= 'a' && l <= 'z') || c == '_' || (unsigned char)c >= 0x80;
}

static bool is_word(char c)
{
	return is_word_start(c) || is_digit(c) || c == '$';
}

static bool has_two(const struct sql *s, char a, char b)
{
	return s->end - s->at >= 2 && s->at[0] == a && s->at[1] == b;
}

static void comment_skip(struct sql *s)
{
	unsigned long depth = 0;

	do {
		if (has_two(s, '/', '*')) {
			depth++;
			s->at += 2;
		} else if (has_two(s, '*', '/')) {
			depth--;
			s->at += 2;
		} else {
			s->at++;
		}
	} while (depth && s->at < s->end);
	if (depth)
		problem_set(s, "a comment has no end");
}

static void space_skip(struct sql *s)
{
	while (s->at < s->end) {
		if (is_space(*s->at))
			s->at++;
		else if (has_two(s, '-', '-'))
			while (s->at < s->end && *s->at != '\n' && *s->at != '\r')
				s->at++;
		else if (has_two(s, '/', '*'))
			comment_skip(s);
		else
			return;
	}
}

/* at is behind the opening quote; a doubled quote is one inside. */
static struct cv_str quoted_take(struct sql *s, char quote, bool is_escape)
{
	const char *from = s->at;
	size_t slashes = 0; /* that stand before at */

	for (; s->at < s->end; s->at++) {
		if (*s->at == '\\') {
			slashes++;
			if (is_escape && s->at + 1 < s->end)
				s->at++;
			continue;
		}
		if (*s->at == quote) {
			if (slashes % 2 && !is_escape && quote == '\'')
				problem_set(
					s, "a backslash before a quote can be read in two ways");
			if (!has_two(s, quote, quote)) {
				const struct cv_str text = cv_str_range(from, s->at);

				s->at++;
				return text;
			}
			s->at++;
		}
		slashes = 0;
	}
	problem_set(s, "a quote has no end");
	return cv_str_range(from, s->end);
}

static struct token string_take(struct sql *s, bool is_escape)
{
	const struct token t = { TOKEN_STRING, quoted_take(s, '\'', is_escape) };

	if (!is_escape)
		return t;
	const char *behind = s->at;
	space_skip(s);
	if (s->at < s->end && *s->at == '\'' && s->at != behind)
		problem_set(s, "a literal that goes on after an escape string");
	s->at = behind;
	return t;
}

/* "$tag$...$tag$"; false when at is no such beginning. */
static bool dollar_take(struct sql *s, struct token *ret)
{
	const char *p = s->at + 1;

	while (p < s->end && *p != '$' && is_word(*p) && !(p == s->at + 1 && is_digit(*p)))
		p++;
	if (p == s->end || *p != '$')
		return false;
	const struct cv_str tag = cv_str_range(s->at, p + 1);
	const char *body = p + 1;
	const char *close = memmem(body, (size_t)(s->end - body), tag.p, tag.n);
	if (!close)
		problem_set(s, "a dollar quote has no end");
	*ret = (struct token){ TOKEN_STRING, cv_str_range(body, close ? close : s->end) };
	s->at = close ? close + tag.n : s->end;
	return true;
}

/* A word, or a literal that begins with a letter. */
static struct token word_take(struct sql *s)
{
	const char first = cv_ascii_lower(*s->at);
	const size_t left = (size_t)(s->end - s->at);
	const char *from = s->at;

	if (left > 1 && s->at[1] == '\'' && memchr("ebxn", first, 4)) {
		s->at += 2;
		return string_take(s, first == 'e');
	}
	if (left > 2 && first == 'u' && s->at[1] == '&' && (s->at[2] == '\'' || s->at[2] == '"')) {
		const char quote = s->at[2];

		s->at += 3;
		if (quote == '\'')
			return string_take(s, false);
		problem_set(s, "an identifier with Unicode escapes");
		return (struct token){ TOKEN_QUOTED, quoted_take(s, '"', false) };
	}
	while (s->at < s->end && is_word(*s->at))
		s->at++;
	return (struct token){ TOKEN_WORD, cv_str_range(from, s->at) };
}

static struct token token_take(struct sql *s)
{
	struct token t = { TOKEN_END, CV_STR_NONE };

	space_skip(s);
	if (s->at == s->end)
		return t;
	const char c = *s->at;
	if (c == '\0')
		problem_set(s, "a zero byte");
	if (is_word_start(c))
		return word_take(s);
	if (c == '\'' || c == '"') {
		s->at++;
		if (c == '\'')
			return string_take(s, false);
		return (struct token){ TOKEN_QUOTED, quoted_take(s, '"', false) };
	}
	if (c == '$' && dollar_take(s, &t))
		return t;
	t = (struct token){ is_digit(c) ? TOKEN_NUMBER : TOKEN_MARK, { s->at, 1 } };
	s->at++;
	if (c == '$' || t.kind == TOKEN_NUMBER)
		while (s->at < s->end && is_digit(*s->at))
			s->at++;
	return t;
}

/* ---- statements ---- */

/* Functions whose effect is in their argument: settings, or SQL. */
static bool is_telling_name(struct cv_str name)
{
	static const char *const names[] = { "set_config", "query_to_xml", "query_to_xmlschema",
		"query_to_xml_and_xmlschema", "ts_stat", "ts_rewrite", "xpath_table", "connectby",
		"crosstab", "crosstabn", "crosstab2", "crosstab3", "crosstab4", "pg_reload_conf",
		"lo_import", "lo_export", "pg_file_write", "pg_logical_emit_message" };

	if (name.n >= 6 && cv_str_eq_nocase(cv_str_slice(name, 0, 6), CV_STR("dblink")))
		return true;
	for (size_t i = 0; i < CV_ARRAY_LEN(names); i++)
		if (cv_str_eq_nocase(name, cv_str_of(names[i])))
			return true;
	return false;
}

static void advance(struct sql *s)
{
	s->t = token_take(s);
	if ((s->t.kind == TOKEN_WORD || s->t.kind == TOKEN_QUOTED) && is_telling_name(s->t.text))
		problem_set(s, "a function that runs its argument or changes settings");
	if ((s->t.kind == TOKEN_WORD || s->t.kind == TOKEN_QUOTED) &&
		cv_str_eq_nocase(s->t.text, CV_STR("pg_settings")))
		s->has_settings = true;
}

static bool is_mark(const struct sql *s, char c)
{
	return s->t.kind == TOKEN_MARK && s->t.text.p[0] == c;
}

static bool is_end(const struct sql *s)
{
	return s->t.kind == TOKEN_END || is_mark(s, ';');
}

static bool is_word_text(const struct sql *s, const char *word)
{
	return s->t.kind == TOKEN_WORD && cv_str_eq_nocase(s->t.text, cv_str_of(word));
}

/* Any of the words of a list that ends with NULL. */
static bool is_any(const struct sql *s, const char *const *words)
{
	for (; *words; words++)
		if (is_word_text(s, *words))
			return true;
	return false;
}

static void add(struct sql *s, uint32_t bits)
{
	s->result.commands |= bits;
}

static const struct {
	const char *word;
	uint32_t bit;
} dml[] = {
	{ "INSERT", CV_PG_BIT(INSERT) },
	{ "UPDATE", CV_PG_BIT(UPDATE) },
	{ "DELETE", CV_PG_BIT(DELETE) },
	{ "MERGE", CV_PG_BIT(MERGE) },
};

static uint32_t dml_bit(const struct sql *s)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(dml); i++)
		if (is_word_text(s, dml[i].word))
			return dml[i].bit;
	return 0;
}

/* The rest of a statement that may hold queries.  has_with: data-modifying words count wherever
 * they stand; so they do behind a WITH that comes later. */
static void rest_scan(struct sql *s, bool has_with)
{
	static const char *const locks[] = { "UPDATE", "SHARE", "NO", "KEY", NULL };
	uint32_t seen = 0;
	bool is_for = false, is_into_fine = false;

	while (!is_end(s)) {
		const uint32_t bit = dml_bit(s);

		seen |= is_for ? 0 : bit;
		has_with |= is_word_text(s, "WITH");
		if (is_for && is_any(s, locks))
			add(s, CV_PG_BIT(LOCK));
		if (is_word_text(s, "INTO") && !is_into_fine)
			add(s, CV_PG_BIT(CREATE));
		is_for = is_word_text(s, "FOR");
		is_into_fine = bit & (CV_PG_BIT(INSERT) | CV_PG_BIT(MERGE));
		advance(s);
	}
	if (has_with)
		add(s, seen);
}

static void statement(struct sql *s, unsigned depth);

static void on_query(struct sql *s, uint32_t bits, unsigned depth)
{
	const bool is_with = is_word_text(s, "WITH");
	const uint32_t bit = dml_bit(s);

	(void)depth;
	add(s, bits);
	if (bit) {
		advance(s);
		if ((bit & (CV_PG_BIT(INSERT) | CV_PG_BIT(MERGE))) && is_word_text(s, "INTO"))
			advance(s);
	}
	rest_scan(s, is_with || bit);
}

/* CREATE TABLE ... AS WITH ... is a query as well. */
static void on_create(struct sql *s, uint32_t bits, unsigned depth)
{
	(void)depth;
	add(s, bits);
	rest_scan(s, false);
}

static void on_plain(struct sql *s, uint32_t bits, unsigned depth)
{
	(void)depth;
	add(s, bits);
	while (!is_end(s))
		advance(s);
}

/* ... READ WRITE, in any of the statements that take a transaction's modes. */
static void modes_scan(struct sql *s)
{
	bool is_read = false;

	while (!is_end(s)) {
		if (is_read && is_word_text(s, "WRITE"))
			add(s, CV_PG_BIT(READ_WRITE));
		is_read = is_word_text(s, "READ");
		if (is_word_text(s, "PREPARED"))
			problem_set(s, "a prepared transaction");
		advance(s);
	}
}

static void on_transaction(struct sql *s, uint32_t bits, unsigned depth)
{
	(void)depth;
	add(s, bits);
	modes_scan(s);
}

static bool is_value_on(const struct sql *s)
{
	static const char *const on[] = { "on", "true", "yes", "1" };

	for (size_t i = 0; i < CV_ARRAY_LEN(on); i++)
		if ((s->t.kind == TOKEN_WORD || s->t.kind == TOKEN_STRING ||
			    s->t.kind == TOKEN_NUMBER) &&
			cv_str_eq_nocase(s->t.text, cv_str_of(on[i])))
			return true;
	return false;
}

static bool is_name(const struct sql *s, const char *name)
{
	return (s->t.kind == TOKEN_WORD || s->t.kind == TOKEN_QUOTED) &&
	       cv_str_eq_nocase(s->t.text, cv_str_of(name));
}

static bool is_read_only_name(const struct sql *s)
{
	return is_name(s, "default_transaction_read_only") || is_name(s, "transaction_read_only");
}

static void value_find(struct sql *s)
{
	advance(s);
	if (is_mark(s, '=') || is_word_text(s, "TO"))
		advance(s);
}

static void on_set(struct sql *s, uint32_t bits, unsigned depth)
{
	advance(s);
	if (is_word_text(s, "SESSION") || is_word_text(s, "LOCAL"))
		advance(s);
	if (is_word_text(s, "TRANSACTION") || is_word_text(s, "CHARACTERISTICS")) {
		on_transaction(s, CV_PG_BIT(BEGIN), depth);
		return;
	}
	add(s, bits);
	if (is_read_only_name(s)) {
		value_find(s);
		if (!is_value_on(s))
			add(s, CV_PG_BIT(READ_WRITE));
	} else if (is_name(s, "client_encoding") || is_word_text(s, "NAMES")) {
		value_find(s);
		if (!cv_pg_encoding_is_safe(s->t.text) && !is_word_text(s, "DEFAULT"))
			problem_set(s, "a client encoding in which words can't be told");
	} else if (is_name(s, "session_replication_role")) {
		problem_set(s, "a setting that turns checks off");
	}
	on_plain(s, 0, depth);
}

/* RESET, DISCARD: of everything, or of what keeps a session read-only. */
static void on_reset(struct sql *s, uint32_t bits, unsigned depth)
{
	advance(s);
	add(s, is_word_text(s, "ALL") || is_read_only_name(s) ? CV_PG_BIT(READ_WRITE) : bits);
	on_plain(s, 0, depth);
}

static void parentheses_skip(struct sql *s)
{
	unsigned long depth = 0;

	do {
		depth += is_mark(s, '(');
		depth -= is_mark(s, ')');
		advance(s);
	} while (depth && !is_end(s));
}

/* (ANALYZE, BUFFERS on) or ("analyze"): is it among them? */
static bool options_skip(struct sql *s)
{
	unsigned long depth = 0;
	bool runs = false;

	do {
		depth += is_mark(s, '(');
		depth -= is_mark(s, ')');
		runs |= is_name(s, "analyze") || is_name(s, "analyse");
		advance(s);
	} while (depth && !is_end(s));
	return runs;
}

static void on_explain(struct sql *s, uint32_t bits, unsigned depth)
{
	static const char *const analyze[] = { "ANALYZE", "ANALYSE", NULL };
	static const char *const queries[] = { "SELECT", "WITH", "VALUES", "TABLE", NULL };
	bool runs = false;

	add(s, bits);
	advance(s);
	if (is_mark(s, '(')) { /* options, or the query itself */
		struct sql ahead = *s;

		advance(&ahead);
		if ((ahead.t.kind == TOKEN_WORD && !is_any(&ahead, queries)) ||
			ahead.t.kind == TOKEN_QUOTED)
			runs = options_skip(s);
	}
	while (is_any(s, analyze) || is_word_text(s, "VERBOSE")) {
		runs |= is_any(s, analyze);
		advance(s);
	}
	if (runs)
		statement(s, depth + 1);
	else
		on_plain(s, 0, depth);
}

/* PREPARE name (types) AS statement; DECLARE name ... CURSOR ... FOR query */
static void on_as(struct sql *s, uint32_t bits, unsigned depth)
{
	const char *const word = bits & CV_PG_BIT(EXECUTE) ? "AS" : "FOR";

	add(s, bits);
	advance(s);
	if (bits & CV_PG_BIT(EXECUTE) && is_word_text(s, "TRANSACTION"))
		problem_set(s, "a prepared transaction");
	while (!is_end(s) && !is_word_text(s, word)) {
		if (is_mark(s, '('))
			parentheses_skip(s);
		else
			advance(s);
	}
	if (!is_end(s))
		advance(s);
	if (is_end(s))
		problem_set(s, "a statement within a statement is missing");
	else
		statement(s, depth + 1);
}

static void on_copy(struct sql *s, uint32_t bits, unsigned depth)
{
	static const char *const pipes[] = { "STDIN", "STDOUT", NULL };
	unsigned long open = 0;
	bool is_done = false;

	(void)bits;
	(void)depth;
	for (advance(s); !is_end(s); advance(s)) {
		open += is_mark(s, '(');
		open -= is_mark(s, ')') && open;
		if (open)
			add(s, dml_bit(s));
		if (open || is_done || !(is_word_text(s, "TO") || is_word_text(s, "FROM")))
			continue;
		const bool is_to = is_word_text(s, "TO");
		advance(s);
		is_done = true;
		add(s, !is_any(s, pipes) ? CV_PG_BIT(COPY_SERVER)
			: is_to          ? CV_PG_BIT(COPY_TO)
					 : CV_PG_BIT(COPY_FROM));
		if (is_end(s))
			break;
	}
	if (!is_done)
		problem_set(s, "COPY to or from nowhere");
}

typedef void statement_fn(struct sql *s, uint32_t bits, unsigned depth);

/* clang-format off */
#define FIRST(word, handler, command) { word, handler, CV_PG_BIT(command) }
static const struct {
	const char *word;
	statement_fn *handler;
	uint32_t bits;
} firsts[] = {
	FIRST("SELECT", on_query, SELECT),     FIRST("WITH", on_query, SELECT),
	FIRST("VALUES", on_query, SELECT),     FIRST("TABLE", on_query, SELECT),
	FIRST("INSERT", on_query, INSERT),     FIRST("UPDATE", on_query, UPDATE),
	FIRST("DELETE", on_query, DELETE),     FIRST("MERGE", on_query, MERGE),
	FIRST("BEGIN", on_transaction, BEGIN), FIRST("START", on_transaction, BEGIN),
	FIRST("COMMIT", on_transaction, BEGIN), FIRST("END", on_transaction, BEGIN),
	FIRST("ROLLBACK", on_transaction, BEGIN), FIRST("ABORT", on_transaction, BEGIN),
	FIRST("SAVEPOINT", on_plain, BEGIN),   FIRST("RELEASE", on_plain, BEGIN),
	FIRST("SHOW", on_plain, SHOW),         FIRST("EXPLAIN", on_explain, EXPLAIN),
	FIRST("SET", on_set, SET),             FIRST("RESET", on_reset, SET),
	FIRST("DISCARD", on_reset, SET),       FIRST("LISTEN", on_plain, LISTEN),
	FIRST("UNLISTEN", on_plain, LISTEN),   FIRST("NOTIFY", on_plain, NOTIFY),
	FIRST("PREPARE", on_as, EXECUTE),      FIRST("EXECUTE", on_plain, EXECUTE),
	FIRST("DEALLOCATE", on_plain, EXECUTE), FIRST("DECLARE", on_as, CURSOR),
	FIRST("FETCH", on_plain, CURSOR),      FIRST("MOVE", on_plain, CURSOR),
	FIRST("CLOSE", on_plain, CURSOR),      FIRST("COPY", on_copy, COPY_SERVER),
	FIRST("LOCK", on_plain, LOCK),         FIRST("TRUNCATE", on_plain, TRUNCATE),
	FIRST("CREATE", on_create, CREATE),    FIRST("IMPORT", on_plain, CREATE),
	FIRST("ALTER", on_plain, ALTER),       FIRST("COMMENT", on_plain, ALTER),
	FIRST("SECURITY", on_plain, ALTER),    FIRST("DROP", on_plain, DROP),
	FIRST("GRANT", on_plain, GRANT),       FIRST("REVOKE", on_plain, GRANT),
	FIRST("REASSIGN", on_plain, GRANT),    FIRST("CALL", on_plain, CALL),
	FIRST("DO", on_plain, DO),             FIRST("VACUUM", on_plain, MAINTAIN),
	FIRST("ANALYZE", on_plain, MAINTAIN),  FIRST("ANALYSE", on_plain, MAINTAIN),
	FIRST("REINDEX", on_plain, MAINTAIN),  FIRST("CLUSTER", on_plain, MAINTAIN),
	FIRST("REFRESH", on_plain, MAINTAIN),  FIRST("CHECKPOINT", on_plain, MAINTAIN),
};
/* clang-format on */

#define DEPTH_MAX 2 /* EXPLAIN ANALYZE DECLARE ... is one; the grammar allows no more */

/* From its first token to the semicolon, or the end. */
static void statement(struct sql *s, unsigned depth)
{
	while (is_mark(s, '('))
		advance(s);
	for (size_t i = 0; depth <= DEPTH_MAX && i < CV_ARRAY_LEN(firsts); i++)
		if (is_word_text(s, firsts[i].word)) {
			firsts[i].handler(s, firsts[i].bits, depth);
			return;
		}
	problem_set(s, "a statement that is not known");
	on_plain(s, 0, depth);
}

struct cv_pg_sql cv_pg_sql_classify(struct cv_str text)
{
	struct sql s = { 0 };

	if (!text.n)
		return s.result;
	s.at = text.p;
	s.end = text.p + text.n;
	for (advance(&s); s.t.kind != TOKEN_END; advance(&s)) {
		if (is_mark(&s, ';'))
			continue;
		s.result.statements++;
		statement(&s, 0);
		if (s.t.kind == TOKEN_END)
			break;
	}
	if (s.has_settings && (s.result.commands & (CV_PG_BIT(UPDATE) | CV_PG_BIT(MERGE))))
		problem_set(&s, "settings that are changed by UPDATE");
	return s.result;
}

bool cv_pg_encoding_is_safe(struct cv_str name)
{
	static const char *const safe[] = { "utf8", "unicode", "sqlascii", "latin", "iso8859",
		"win125", "koi8" };
	char text[16];
	size_t n = 0;

	for (size_t i = 0; i < name.n && n < sizeof(text); i++)
		if (is_digit(name.p[i]) || (is_word_start(name.p[i]) && name.p[i] != '_'))
			text[n++] = cv_ascii_lower(name.p[i]);
	for (size_t i = 0; i < CV_ARRAY_LEN(safe); i++)
		if (cv_str_has_prefix((struct cv_str){ text, n }, cv_str_of(safe[i])))
			return true;
	return false;
}
