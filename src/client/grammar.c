/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grammar.c - reads a command line by the table
 *
 * Two steps.  Words are taken one by one into a path, as long as they are the next word of some
 * row or group; flags between them must be global ones.  From the word on that completes a row, the
 * row's own flags and arguments are read.
 */
#include "client/grammar.h"

#include "base/assert.h"
#include "base/word.h"

#include <stdio.h>
#include <string.h>

#define PATH_BYTES_MAX 128 /* of three words */

struct reading {
	const struct cl_grammar *g;
	const struct cl_command *command;
	char **argv;
	int argc, at;
	struct cl_words *into;
	struct cv_err *err;
};

/* ---- paths ---- */

/* Whether path begins with prefix, whole words only. */
static bool path_is_below(const char *path, const char *prefix)
{
	const size_t n = strlen(prefix);

	return n == 0 || (strncmp(path, prefix, n) == 0 && (path[n] == ' ' || !path[n]));
}

static const struct cl_command *command_find(const struct cl_grammar *g, const char *path)
{
	for (size_t i = 0; i < g->command_count; i++)
		if (strcmp(g->commands[i].path, path) == 0)
			return &g->commands[i];
	return NULL;
}

/* The word that follows `path` when it is typed as `word` (a name or an alias); NULL: none. */
static const char *path_extend(
	const struct cl_grammar *g, const char *path, const char *word, char out[PATH_BYTES_MAX])
{
	const char *gap = *path ? " " : "";

	for (size_t i = 0; i < g->group_count; i++) {
		const struct cl_group *row = &g->groups[i];
		const char *last = strrchr(row->path, ' ');
		const size_t above = last ? (size_t)(last - row->path) : 0;

		last = last ? last + 1 : row->path;
		if (strlen(path) != above || strncmp(path, row->path, above) != 0)
			continue;
		if (strcmp(word, last) == 0 || (row->alias && strcmp(word, row->alias) == 0)) {
			snprintf(out, PATH_BYTES_MAX, "%s", row->path);
			return out;
		}
	}
	if (snprintf(out, PATH_BYTES_MAX, "%s%s%s", path, gap, word) >= PATH_BYTES_MAX ||
		strchr(word, ' '))
		return NULL;
	return command_find(g, out) ? out : NULL;
}

static cv_code fail_unknown_command(struct reading *r, const char *path, const char *word)
{
	struct cv_word_search near;
	const size_t depth = strlen(path);

	cv_word_search_init(&near, cv_str_of(word));
	for (size_t i = 0; i < r->g->command_count; i++) {
		const struct cl_command *row = &r->g->commands[i];

		if (row->is_hidden || !path_is_below(row->path, path))
			continue;
		struct cv_str rest = cv_str_of(row->path + depth + (depth ? 1 : 0));
		(void)cv_word_search_offer(&near, cv_str_cut(&rest, ' '));
	}
	if (near.nearest.p)
		return cv_fail(r->err, CV_INVALID,
			"unrecognized subcommand '%s'; did you mean '%s%s%.*s'?", word, path,
			depth ? " " : "", CV_STR_ARG(near.nearest));
	return cv_fail(r->err, CV_INVALID, "unrecognized subcommand '%s'", word);
}

/* ---- flags ---- */

struct typed { /* a flag as it stands on the command line */
	struct cv_str name;
	char letter;
	const char *value; /* behind '=' or the letter; NULL */
};

static const struct cl_flag *flag_in(
	const struct cl_flag *flags, size_t n, const struct typed *typed)
{
	for (size_t i = 0; i < n; i++) {
		if (typed->letter ? flags[i].letter == typed->letter
				  : cv_str_eq(typed->name, cv_str_of(flags[i].name)))
			return &flags[i];
	}
	return NULL;
}

static const struct cl_flag *flag_find(const struct reading *r, const struct typed *typed)
{
	const struct cl_flag *f = NULL;

	if (r->command)
		f = flag_in(r->command->flags, r->command->flag_count, typed);
	return f ? f : flag_in(r->g->globals, r->g->global_count, typed);
}

static cv_code fail_unknown_flag(struct reading *r, const struct typed *typed)
{
	struct cv_word_search near;

	if (typed->letter)
		return cv_fail(
			r->err, CV_INVALID, "unexpected argument '-%c' found", typed->letter);
	cv_word_search_init(&near, typed->name);
	for (size_t i = 0; r->command && i < r->command->flag_count; i++)
		if (!r->command->flags[i].is_hidden)
			(void)cv_word_search_offer(&near, cv_str_of(r->command->flags[i].name));
	for (size_t i = 0; i < r->g->global_count; i++)
		(void)cv_word_search_offer(&near, cv_str_of(r->g->globals[i].name));
	if (near.nearest.p)
		return cv_fail(r->err, CV_INVALID,
			"unexpected argument '--%.*s' found; did you mean '--%.*s'?",
			CV_STR_ARG(typed->name), CV_STR_ARG(near.nearest));
	return cv_fail(
		r->err, CV_INVALID, "unexpected argument '--%.*s' found", CV_STR_ARG(typed->name));
}

static bool choice_has(const char *choices, const char *value)
{
	struct cv_str rest = cv_str_of(choices);

	while (rest.p)
		if (cv_str_eq(cv_str_cut(&rest, '|'), cv_str_of(value)))
			return true;
	return false;
}

static cv_code value_check(struct reading *r, const struct cl_flag *f, const char *value)
{
	uint64_t n;

	if ((f->kind == CL_FLAG_NUMBER || (f->kind == CL_FLAG_OPTIONAL && value)) &&
		!cv_str_to_u64(cv_str_of(value), CL_NUMBER_MAX, &n))
		return cv_fail(r->err, CV_INVALID,
			"invalid value '%.60s' for '--%s <%s>': not a number", value, f->name,
			f->value);
	if (f->kind == CL_FLAG_CHOICE && !choice_has(f->choices, value))
		return cv_fail(r->err, CV_INVALID,
			"invalid value '%.60s' for '--%s <%s>' [possible values: %s]", value,
			f->name, f->value, f->choices);
	/* The value may be a secret: only what is left of it is shown. */
	if (f->kind == CL_FLAG_PAIRS && (value[0] == '=' || !strchr(value, '=')))
		return cv_fail(r->err, CV_INVALID, "invalid value for '--%s <%s>': expected %s",
			f->name, f->value, f->value);
	return CV_OK;
}

static bool kind_is_single(enum cl_flag_kind kind)
{
	return kind == CL_FLAG_TEXT || kind == CL_FLAG_NUMBER || kind == CL_FLAG_CHOICE ||
	       kind == CL_FLAG_OPTIONAL || kind == CL_FLAG_SWITCH;
}

static cv_code flag_put(struct reading *r, const struct cl_flag *f, const char *value)
{
	const bool is_bare = f->kind == CL_FLAG_SWITCH || f->kind == CL_FLAG_COUNT;
	cv_code code;

	if (is_bare && value)
		return cv_fail(r->err, CV_INVALID, "unexpected value for '--%s' found", f->name);
	if (!is_bare && f->kind != CL_FLAG_OPTIONAL && !value) {
		if (r->at >= r->argc)
			return cv_fail(r->err, CV_INVALID,
				"a value is required for '--%s <%s>' but none was supplied",
				f->name, f->value);
		value = r->argv[r->at++];
	}
	for (size_t i = 0; i < r->into->set_count; i++) {
		const struct cl_flag *other = r->into->sets[i].flag;

		if (other == f && kind_is_single(f->kind) && f->kind != CL_FLAG_SWITCH)
			return cv_fail(r->err, CV_INVALID,
				"the argument '--%s <%s>' cannot be used multiple times", f->name,
				f->value);
		if ((f->against && strcmp(f->against, other->name) == 0) ||
			(other->against && strcmp(other->against, f->name) == 0))
			return cv_fail(r->err, CV_INVALID,
				"the argument '--%s' cannot be used with '--%s'", f->name,
				other->name);
	}
	if (!is_bare && (code = value_check(r, f, value)) != CV_OK)
		return code;
	r->into->sets[r->into->set_count++] = (struct cl_set){ f, value };
	return CV_OK;
}

/* One word that begins with '-': one long flag, or some letters. */
static cv_code flag_read(struct reading *r)
{
	const char *word = r->argv[r->at++];
	struct typed typed = { CV_STR_NONE, 0, NULL };

	if (word[1] == '-') {
		const char *eq = strchr(word, '=');

		typed.name = eq ? cv_str_range(word + 2, eq) : cv_str_of(word + 2);
		typed.value = eq ? eq + 1 : NULL;
		if (cv_str_eq(typed.name, CV_STR("help"))) {
			r->into->wants = CL_WANTS_HELP;
			return CV_OK;
		}
		if (cv_str_eq(typed.name, CV_STR("version")) && !r->command) {
			r->into->wants = CL_WANTS_VERSION;
			return CV_OK;
		}
		const struct cl_flag *f = flag_find(r, &typed);
		return f ? flag_put(r, f, typed.value) : fail_unknown_flag(r, &typed);
	}
	for (const char *p = word + 1; *p; p++) {
		typed.letter = *p;
		if (*p == 'h') {
			r->into->wants = CL_WANTS_HELP;
			return CV_OK;
		}
		if (*p == 'V' && !r->command) {
			r->into->wants = CL_WANTS_VERSION;
			return CV_OK;
		}
		const struct cl_flag *f = flag_find(r, &typed);
		if (!f)
			return fail_unknown_flag(r, &typed);
		if (f->kind == CL_FLAG_SWITCH || f->kind == CL_FLAG_COUNT) {
			const cv_code code = flag_put(r, f, NULL);
			if (code != CV_OK)
				return code;
			continue;
		}
		return flag_put(r, f, p[1] == '=' ? p + 2 : p[1] ? p + 1 : NULL);
	}
	return CV_OK;
}

/* ---- arguments ---- */

static size_t args_defined(const struct cl_command *row)
{
	size_t n = 0;

	while (n < CL_ARGS_MAX && row->args[n].name)
		n++;
	return n;
}

/* The row's argument that the next word belongs to; NULL: one word too many. */
static const struct cl_arg *arg_next(const struct reading *r)
{
	const size_t defined = args_defined(r->command);
	const size_t given = r->into->arg_count;

	if (given < defined)
		return &r->command->args[given];
	return defined && r->command->args[defined - 1].is_many ? &r->command->args[defined - 1]
								: NULL;
}

static cv_code args_check(struct reading *r)
{
	const size_t defined = args_defined(r->command);

	for (size_t i = r->into->arg_count; i < defined; i++) {
		const struct cl_arg *arg = &r->command->args[i];

		if (arg->is_required && !(arg->is_verbatim && r->into->tail_count))
			return cv_fail(r->err, CV_INVALID,
				"the following required arguments were not provided: <%s>",
				arg->name);
	}
	return CV_OK;
}

/* All that stands behind the command's own words. */
static cv_code rest_read(struct reading *r)
{
	const bool has_verbatim = args_defined(r->command) &&
				  r->command->args[args_defined(r->command) - 1].is_verbatim;
	bool has_dashes = false;

	while (r->at < r->argc) {
		char *word = r->argv[r->at];
		cv_code code = CV_OK;

		if (strcmp(word, "--") == 0 && !has_dashes) {
			if (!r->command->tail && !has_verbatim) {
				has_dashes = true; /* arguments may begin with '-' from here on */
				r->at++;
				continue;
			}
			r->into->tail = r->argv + r->at + 1;
			r->into->tail_count = (size_t)(r->argc - r->at - 1);
			break;
		}
		if (word[0] == '-' && word[1] && !has_dashes) {
			if ((code = flag_read(r)) != CV_OK)
				return code;
			if (r->into->wants != CL_WANTS_RUN)
				return CV_OK;
			continue;
		}
		const struct cl_arg *arg = arg_next(r);
		if (!arg)
			return cv_fail(
				r->err, CV_INVALID, "unexpected argument '%.60s' found", word);
		if (arg->is_verbatim) {
			r->into->tail = r->argv + r->at;
			r->into->tail_count = (size_t)(r->argc - r->at);
			break;
		}
		r->into->args[r->into->arg_count++] = word;
		r->at++;
	}
	return args_check(r);
}

cv_code cl_grammar_parse(const struct cl_grammar *g, struct cv_arena *arena, int argc, char **argv,
	struct cl_words *ret, struct cv_err *err)
{
	struct reading r = { g, NULL, argv, argc, 0, ret, err };
	char path[PATH_BYTES_MAX] = "", longer[PATH_BYTES_MAX];
	cv_code code;

	*ret = (struct cl_words){ .group = "" };
	/* of "-vvv" each letter is a set */
	size_t sets = 1;
	for (int i = 0; i < argc; i++)
		sets += argv[i][0] == '-' && argv[i][1] != '-' ? strlen(argv[i]) : 1;
	ret->sets = cv_arena_array(arena, sets, sizeof(*ret->sets));
	ret->args = cv_arena_array(arena, (size_t)argc + 1, sizeof(*ret->args));
	if (!ret->sets || !ret->args)
		return cv_fail(err, CV_LIMIT, "the command line is too long");
	while (r.at < argc && !r.command) {
		const char *word = argv[r.at];

		if (word[0] == '-' && word[1]) {
			if ((code = flag_read(&r)) != CV_OK)
				return code;
			if (ret->wants != CL_WANTS_RUN)
				break;
			continue;
		}
		if (strcmp(word, "help") == 0) {
			ret->wants = CL_WANTS_HELP;
			r.at++;
			continue;
		}
		if (!path_extend(g, path, word, longer))
			return fail_unknown_command(&r, path, word);
		memcpy(path, longer, sizeof(path));
		r.at++;
		r.command = command_find(g, path);
		/* "exec" is a command, and "exec list" another. */
		if (r.command && r.at < argc && path_extend(g, path, argv[r.at], longer))
			r.command = NULL;
	}
	ret->command = r.command;
	ret->group = cv_arena_str(arena, cv_str_of(path)).p;
	if (!r.command || ret->wants != CL_WANTS_RUN)
		return CV_OK;
	return rest_read(&r);
}

/* ---- what is being typed ---- */

struct cv_str cl_word_below(const char *path, const char *group, bool must_be_last)
{
	const size_t n = strlen(group);

	if (!path_is_below(path, group) || !path[n])
		return CV_STR_NONE;
	struct cv_str rest = cv_str_of(path + n + (n ? 1 : 0));
	const struct cv_str word = cv_str_cut(&rest, ' ');
	return must_be_last && rest.p ? CV_STR_NONE : word;
}

/* The flag that takes the next word; one that has its value is put into the words. */
static const struct cl_flag *flag_locate(struct reading *r, const char *word)
{
	const bool is_long = word[1] == '-';
	const char *eq = is_long ? strchr(word, '=') : NULL;
	struct typed typed = { CV_STR_NONE, 0, NULL };

	if (is_long)
		typed.name = eq ? cv_str_range(word + 2, eq) : cv_str_of(word + 2);
	else
		typed.letter = word[strlen(word) - 1];
	const struct cl_flag *f = flag_find(r, &typed);
	if (!f || f->kind == CL_FLAG_SWITCH || f->kind == CL_FLAG_COUNT ||
		f->kind == CL_FLAG_OPTIONAL)
		return NULL;
	if (!eq)
		return f;
	r->into->sets[r->into->set_count++] = (struct cl_set){ f, eq + 1 };
	return NULL;
}

/* One word that is neither a flag nor a flag's value. */
static void word_locate(
	struct reading *r, char path[PATH_BYTES_MAX], const char *word, struct cl_place *ret)
{
	char longer[PATH_BYTES_MAX];

	/* `exec` is a command, and `exec kill` is another */
	const bool may_extend = !r->command || !r->into->arg_count;
	if (may_extend && path_extend(r->g, path, word, longer)) {
		memcpy(path, longer, sizeof(longer));
		r->command = command_find(r->g, path);
	} else if (r->command) {
		const struct cl_arg *arg = arg_next(r);

		ret->is_foreign = arg && arg->is_verbatim;
		r->into->args[r->into->arg_count++] = r->argv[r->at];
	}
}

cv_code cl_grammar_locate(const struct cl_grammar *g, struct cv_arena *arena, int argc, char **argv,
	struct cl_words *ret_words, struct cl_place *ret)
{
	struct reading r = { g, NULL, argv, argc, 0, ret_words, NULL };
	char path[PATH_BYTES_MAX] = "";

	*ret = (struct cl_place){ .group = "" };
	*ret_words = (struct cl_words){ .group = "" };
	ret_words->sets = cv_arena_array(arena, (size_t)argc + 1, sizeof(*ret_words->sets));
	ret_words->args = cv_arena_array(arena, (size_t)argc + 1, sizeof(*ret_words->args));
	if (!ret_words->sets || !ret_words->args)
		return CV_LIMIT;
	for (; r.at < argc && !ret->is_foreign; r.at++) {
		const char *word = argv[r.at];

		if (ret->flag && strcmp(word, "=") == 0) /* bash has it as a word of its own */
			continue;
		if (ret->flag) {
			ret_words->sets[ret_words->set_count++] =
				(struct cl_set){ ret->flag, word };
			ret->flag = NULL;
		} else if (strcmp(word, "--") == 0) {
			ret->is_foreign = true;
		} else if (word[0] == '-' && word[1]) {
			ret->flag = flag_locate(&r, word);
		} else {
			word_locate(&r, path, word, ret);
		}
	}
	ret->command = r.command;
	ret->group = cv_arena_str(arena, cv_str_of(path)).p;
	ret->arg = r.command ? arg_next(&r) : NULL;
	return ret->group ? CV_OK : CV_LIMIT;
}

/* ---- of what was parsed ---- */

const char *cl_flag_at(const struct cl_words *w, const char *name, size_t n)
{
	for (size_t i = 0; i < w->set_count; i++)
		if (strcmp(w->sets[i].flag->name, name) == 0 && n-- == 0)
			return w->sets[i].value;
	return NULL;
}

const char *cl_flag(const struct cl_words *w, const char *name)
{
	return cl_flag_at(w, name, 0);
}

size_t cl_flag_count(const struct cl_words *w, const char *name)
{
	size_t n = 0;

	for (size_t i = 0; i < w->set_count; i++)
		n += strcmp(w->sets[i].flag->name, name) == 0;
	return n;
}

bool cl_has(const struct cl_words *w, const char *name)
{
	return cl_flag_count(w, name) > 0;
}

uint32_t cl_number(const struct cl_words *w, const char *name, uint32_t otherwise)
{
	const char *text = cl_flag(w, name);
	uint64_t n;

	return text && cv_str_to_u64(cv_str_of(text), CL_NUMBER_MAX, &n) ? (uint32_t)n : otherwise;
}

const char *cl_arg(const struct cl_words *w, size_t n)
{
	return n < w->arg_count ? w->args[n] : NULL;
}
