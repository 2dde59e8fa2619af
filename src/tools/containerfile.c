/* SPDX-License-Identifier: Apache-2.0 */
/*
 * containerfile.c - see containerfile.h
 *
 * Lines are put together as builders do it: a comment is a line of its own also between parts of an
 * instruction, the escape character is that of the directive before the first instruction, blank
 * lines in a continued instruction don't end it.  Of the instructions only FROM, ARG (before the
 * first FROM), COPY, ADD and RUN are looked at, and of the last three only their options.
 *
 * `# syntax=` asks for another program to read the file.  Nothing here starts one; the file that
 * needs it would be built otherwise than its author meant, so it is refused unless it names the
 * ordinary one.
 */
#include "tools/containerfile.h"

#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>

#define VALUE_BYTES_MAX 4096

struct reader {
	struct cv_str rest;
	uint32_t line, at_line; /* of the next byte; where the present instruction began */
	char escape;
	struct cv_arena *arena;
	struct cv_containerfile_arg arg[CV_CONTAINERFILE_ARGS_MAX]; /* the later one wins */
	size_t arg_count;
	const struct cv_containerfile_arg *given;
	size_t given_count;
	struct cv_containerfile *ret;
	struct cv_err *err;
};

CV_PRINTF(2, 3) static cv_code fail_line(struct reader *r, const char *fmt, ...)
{
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return cv_fail(r->err, CV_INVALID, "line %u: %s", r->at_line, text);
}

/* ---- lines ---- */

static struct cv_str blank_trim(struct cv_str s)
{
	while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = cv_str_slice(s, 1, s.n);
	while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t' || s.p[s.n - 1] == '\r'))
		s.n--;
	return s;
}

static struct cv_str line_take(struct reader *r)
{
	r->line++;
	return blank_trim(cv_str_cut(&r->rest, '\n'));
}

/* The next instruction as one line, in `out`.  False: there is none. */
static bool instruction_take(struct reader *r, struct cv_buf *out)
{
	cv_buf_reset(out);
	while (r->rest.p) {
		struct cv_str line = line_take(r);

		if (!line.n || line.p[0] == '#')
			continue;
		if (!cv_buf_len(out))
			r->at_line = r->line;
		const bool goes_on = line.p[line.n - 1] == r->escape;
		if (goes_on)
			line.n--;
		cv_buf_put(out, line);
		cv_buf_put_byte(out, ' ');
		if (!goes_on)
			return true;
	}
	return cv_buf_len(out) > 0;
}

/* `# escape=` and `# syntax=`, which count only before everything else. */
static cv_code directives_read(struct reader *r)
{
	while (r->rest.p) {
		struct cv_str rest = r->rest, line = blank_trim(cv_str_cut(&rest, '\n'));

		if (!line.n || line.p[0] != '#')
			return CV_OK;
		line = blank_trim(cv_str_slice(line, 1, line.n));
		const struct cv_str key = blank_trim(cv_str_cut(&line, '='));
		const struct cv_str value = line.p ? blank_trim(line) : CV_STR_NONE;
		if (!value.n)
			return CV_OK; /* a comment ends them */
		r->at_line = r->line + 1;
		if (cv_str_eq_nocase(key, CV_STR("escape"))) {
			if (value.n != 1 || (value.p[0] != '\\' && value.p[0] != '`'))
				return fail_line(r, "escape is \\ or `");
			r->escape = value.p[0];
		} else if (cv_str_eq_nocase(key, CV_STR("syntax")) &&
			   !cv_str_has_prefix(value, CV_STR("docker/dockerfile:1")) &&
			   !cv_str_has_prefix(value, CV_STR("docker.io/docker/dockerfile:1"))) {
			return fail_line(r, "another frontend is not used here; remove # syntax=");
		}
		line_take(r);
	}
	return CV_OK;
}

/* ---- words ---- */

/* The next word, which ends at a blank; quotes are kept for who cares. */
static struct cv_str word_take(struct cv_str *rest)
{
	size_t n = 0;

	*rest = blank_trim(*rest);
	while (n < rest->n && rest->p[n] != ' ' && rest->p[n] != '\t')
		n++;
	const struct cv_str word = cv_str_slice(*rest, 0, n);
	*rest = blank_trim(cv_str_slice(*rest, n, rest->n));
	return word;
}

static bool name_char(char c, bool is_first)
{
	const char low = cv_ascii_lower(c);

	return (low >= 'a' && low <= 'z') || c == '_' || (!is_first && c >= '0' && c <= '9');
}

static const struct cv_containerfile_arg *arg_find(const struct reader *r, struct cv_str name)
{
	for (size_t i = r->arg_count; i > 0; i--)
		if (cv_str_eq(r->arg[i - 1].name, name))
			return &r->arg[i - 1];
	return NULL;
}

/* The inside of ${...}: NAME, NAME:-word or NAME:+word, where the word is plain. */
static bool brace_expand(const struct reader *r, struct cv_str inside, struct cv_buf *out)
{
	const size_t colon = cv_str_find_byte(inside, ':');
	const struct cv_str name = cv_str_slice(inside, 0, colon);
	const struct cv_str word = cv_str_slice(inside, colon + 2, inside.n);
	const struct cv_containerfile_arg *a = arg_find(r, name);

	for (size_t i = 0; i < name.n; i++)
		if (!name_char(name.p[i], i == 0))
			return false;
	if (!name.n || cv_str_has_byte(word, '$') || cv_str_has_byte(word, '{'))
		return false;
	if (colon == inside.n) {
		if (a)
			cv_buf_put(out, a->value);
		return a != NULL;
	}
	const char kind = colon + 1 < inside.n ? inside.p[colon + 1] : 0;
	if (kind == '-')
		cv_buf_put(out, a && a->value.n ? a->value : word);
	else if (kind == '+')
		cv_buf_put(out, a && a->value.n ? word : CV_STR_NONE);
	return kind == '-' || kind == '+';
}

/* Of $NAME and ${...} what they are; quotes and escapes are nothing that we have to know.  False:
 * can't be told. */
static bool expand(const struct reader *r, struct cv_str s, struct cv_buf *out)
{
	cv_buf_reset(out);
	for (size_t i = 0; i < s.n; i++) {
		if (strchr("\"'\\`", s.p[i]))
			return false;
		if (s.p[i] != '$') {
			cv_buf_put_byte(out, s.p[i]);
			continue;
		}
		if (i + 1 < s.n && s.p[i + 1] == '{') {
			const struct cv_str tail = cv_str_slice(s, i + 2, s.n);
			const size_t close = cv_str_find_byte(tail, '}');

			if (close == tail.n || !brace_expand(r, cv_str_slice(tail, 0, close), out))
				return false;
			i += close + 2;
			continue;
		}
		size_t end = i + 1;
		while (end < s.n && name_char(s.p[end], end == i + 1))
			end++;
		if (end == i + 1 || !brace_expand(r, cv_str_slice(s, i + 1, end), out))
			return false;
		i = end - 1;
	}
	return !out->is_overflown;
}

/* ---- instructions ---- */

static struct cv_str unquoted(struct cv_str s)
{
	if (s.n >= 2 && (s.p[0] == '"' || s.p[0] == '\'') && s.p[s.n - 1] == s.p[0])
		return cv_str_slice(s, 1, s.n - 1);
	return s;
}

/* ARG before the first FROM: what FROMs may use. */
static cv_code arg_read(struct reader *r, struct cv_str rest)
{
	struct cv_buf value;
	cv_code code = CV_OK;

	cv_buf_init(&value, VALUE_BYTES_MAX);
	while (code == CV_OK && rest.n) {
		struct cv_str word = word_take(&rest);
		const struct cv_str name = cv_str_cut(&word, '=');
		struct cv_str given = CV_STR_NONE;
		bool is_known = word.p != NULL;

		for (size_t i = 0; i < r->given_count; i++)
			if (cv_str_eq(r->given[i].name, name)) {
				given = r->given[i].value;
				is_known = true;
			}
		if (!is_known)
			continue; /* it has no value, and who uses it is refused */
		if (r->arg_count == CV_CONTAINERFILE_ARGS_MAX) {
			code = fail_line(r, "more than %d ARGs", CV_CONTAINERFILE_ARGS_MAX);
		} else if (given.p) {
			r->arg[r->arg_count++] =
				(struct cv_containerfile_arg){ cv_arena_str(r->arena, name),
					given };
		} else if (expand(r, unquoted(word), &value)) {
			r->arg[r->arg_count++] = (struct cv_containerfile_arg){
				cv_arena_str(r->arena, name),
				cv_arena_str(r->arena, cv_buf_str(&value)),
			};
		}
	}
	cv_buf_fini(&value);
	return code;
}

bool cv_containerfile_has_stage(const struct cv_containerfile *c, struct cv_str name)
{
	uint64_t number;

	if (cv_str_to_u64(name, UINT32_MAX, &number))
		return number < c->stage_count;
	for (size_t i = 0; i < c->stage_count; i++)
		if (c->stage[i].n && cv_str_eq_nocase(c->stage[i], name))
			return true;
	return false;
}

static cv_code image_add(struct reader *r, struct cv_str name)
{
	struct cv_containerfile *c = r->ret;

	for (size_t i = 0; i < c->image_count; i++)
		if (cv_str_eq(c->image[i], name))
			return CV_OK;
	if (c->image_count == CV_CONTAINERFILE_IMAGES_MAX)
		return fail_line(r, "more than %d images", CV_CONTAINERFILE_IMAGES_MAX);
	c->line[c->image_count] = r->at_line;
	c->image[c->image_count] = cv_arena_str(r->arena, name);
	return c->image[c->image_count++].p
		       ? CV_OK
		       : cv_fail(r->err, CV_LIMIT, "the file's names take too much memory");
}

/* The options of FROM: a platform, which has to be this machine's.  Builders know it by two names
 * that no ARG declares. */
static cv_code from_options(struct reader *r, struct cv_str *word, struct cv_str *rest)
{
	static const struct cv_str key = CV_STR("--platform=");
	static const struct cv_str ours[] = {
		CV_STR(CV_CONTAINERFILE_PLATFORM),
		CV_STR("$BUILDPLATFORM"),
		CV_STR("${BUILDPLATFORM}"),
		CV_STR("$TARGETPLATFORM"),
		CV_STR("${TARGETPLATFORM}"),
	};

	while (cv_str_has_prefix(*word, CV_STR("--"))) {
		const struct cv_str value = unquoted(cv_str_slice(*word, key.n, word->n));
		bool is_ours = false;

		for (size_t i = 0; i < CV_ARRAY_LEN(ours); i++)
			is_ours = is_ours || cv_str_eq(value, ours[i]);
		if (!cv_str_has_prefix(*word, key) || !is_ours)
			return fail_line(r,
				"FROM %.*s: images are of this machine's platform; leave it out or write "
				"--platform=" CV_CONTAINERFILE_PLATFORM,
				(int)CV_MIN(word->n, (size_t)40), word->p);
		*word = word_take(rest);
	}
	return CV_OK;
}

static cv_code from_read(struct reader *r, struct cv_str rest)
{
	struct cv_str word = word_take(&rest);
	struct cv_buf name;
	cv_code code = from_options(r, &word, &rest);

	if (code != CV_OK)
		return code;
	if (r->ret->stage_count == CV_CONTAINERFILE_STAGES_MAX)
		return fail_line(r, "more than %d stages", CV_CONTAINERFILE_STAGES_MAX);
	cv_buf_init(&name, VALUE_BYTES_MAX);
	if (!word.n || !expand(r, unquoted(word), &name) || !cv_buf_len(&name))
		code = fail_line(r, "it can't be told which image FROM %.*s means",
			(int)CV_MIN(word.n, (size_t)80), word.n ? word.p : "");
	else if (!cv_str_eq(cv_buf_str(&name), CV_STR("scratch")) &&
		 !cv_containerfile_has_stage(r->ret, cv_buf_str(&name)))
		code = image_add(r, cv_buf_str(&name));
	cv_buf_fini(&name);
	if (code != CV_OK)
		return code;
	word = word_take(&rest);
	if (word.n && !cv_str_eq_nocase(word, CV_STR("as")))
		return fail_line(r, "FROM IMAGE, and perhaps AS NAME");
	r->ret->stage[r->ret->stage_count++] =
		word.n ? cv_arena_str(r->arena, word_take(&rest)) : CV_STR_NONE;
	return CV_OK;
}

/* An image in an option; its name has to be plain, since ARGs of a stage are not kept here. */
static cv_code option_image(struct reader *r, struct cv_str name)
{
	name = unquoted(name);
	if (!name.n || cv_str_has_byte(name, '$') || cv_str_has_byte(name, '"'))
		return fail_line(r, "it can't be told which image from=%.*s means",
			(int)CV_MIN(name.n, (size_t)80), name.n ? name.p : "");
	if (cv_containerfile_has_stage(r->ret, name))
		return CV_OK;
	return image_add(r, name);
}

static cv_code mount_read(struct reader *r, struct cv_str value)
{
	cv_code code = CV_OK;

	value = unquoted(value);
	while (code == CV_OK && value.p) {
		struct cv_str pair = cv_str_cut(&value, ',');
		const struct cv_str key = cv_str_cut(&pair, '=');

		if (cv_str_eq_nocase(key, CV_STR("from")))
			code = option_image(r, pair);
		if (cv_str_eq_nocase(key, CV_STR("type")) &&
			(cv_str_eq_nocase(pair, CV_STR("secret")) ||
				cv_str_eq_nocase(pair, CV_STR("ssh"))))
			code = fail_line(r, "there are no secrets and no keys in a build");
	}
	return code;
}

static cv_code options_read(struct reader *r, struct cv_str rest)
{
	static const struct {
		struct cv_str name;
		cv_code (*read)(struct reader *r, struct cv_str value);
	} option[] = { { CV_STR("--from="), option_image }, { CV_STR("--mount="), mount_read } };

	for (;;) {
		const struct cv_str word = word_take(&rest);

		if (!cv_str_has_prefix(word, CV_STR("--")))
			return CV_OK;
		if (cv_str_has_prefix(word, CV_STR("--security")) ||
			(cv_str_has_prefix(word, CV_STR("--network=")) &&
				!cv_str_eq(word, CV_STR("--network=none")) &&
				!cv_str_eq(word, CV_STR("--network=default"))))
			return fail_line(r, "%.*s: a build has the sandbox's network and rights",
				(int)CV_MIN(word.n, (size_t)40), word.p);
		for (size_t i = 0; i < CV_ARRAY_LEN(option); i++)
			if (cv_str_has_prefix(word, option[i].name) &&
				option[i].read(r, cv_str_slice(word, option[i].name.n, word.n)) !=
					CV_OK)
				return r->err->code;
	}
}

static cv_code instruction_read(struct reader *r, struct cv_str line)
{
	struct cv_str rest = line;
	const struct cv_str word = word_take(&rest);

	if (cv_str_eq_nocase(word, CV_STR("from")))
		return from_read(r, rest);
	if (cv_str_eq_nocase(word, CV_STR("arg")))
		return r->ret->stage_count ? CV_OK : arg_read(r, rest);
	if (cv_str_eq_nocase(word, CV_STR("copy")) || cv_str_eq_nocase(word, CV_STR("add")) ||
		cv_str_eq_nocase(word, CV_STR("run")))
		return options_read(r, rest);
	return CV_OK;
}

cv_code cv_containerfile_read(struct cv_str text, const struct cv_containerfile_arg *args,
	size_t arg_count, struct cv_arena *arena, struct cv_containerfile *ret, struct cv_err *err)
{
	struct reader *r = cv_arena_new(arena, struct reader); /* too large for a stack */
	struct cv_buf line;

	if (text.n > CV_CONTAINERFILE_BYTES_MAX || cv_str_has_byte(text, 0))
		return cv_fail(err, CV_INVALID, "it is no text of at most %u bytes",
			CV_CONTAINERFILE_BYTES_MAX);
	if (cv_str_has_prefix(text, CV_STR("\xef\xbb\xbf")))
		text = cv_str_slice(text, 3, text.n);
	if (!r)
		return cv_fail(err, CV_LIMIT, "no memory");
	*r = (struct reader){
		.rest = text,
		.escape = '\\',
		.arena = arena,
		.given = args,
		.given_count = arg_count,
		.ret = ret,
		.err = err,
	};
	*ret = (struct cv_containerfile){ 0 };
	cv_code code = directives_read(r);
	cv_buf_init(&line, 2 * CV_CONTAINERFILE_BYTES_MAX);
	while (code == CV_OK && instruction_take(r, &line))
		code = instruction_read(r, cv_buf_str(&line));
	cv_buf_fini(&line);
	if (code == CV_OK && !ret->stage_count)
		code = cv_fail(err, CV_INVALID, "there is no FROM");
	return code;
}
