/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options.c - options as tables, read by getopt_long(3); see options.h
 */
#include "cli/options.h"

#include "base/assert.h"
#include "base/str.h"
#include "base/word.h"

#include <getopt.h>
#include <stdlib.h>

#define OPTIONS_MAX 40  /* rows of one command, help among them */
#define HELP_VALUE  256 /* getopt's value of row i is HELP_VALUE + i: no letter collides */

/* The struct option table and the letters of getopt, built from our rows. */
struct getopt_tables {
	struct option longs[OPTIONS_MAX + 2];
	char letters[2 * OPTIONS_MAX + 4];
};

static void tables_build(const struct cv_command *cmd, struct getopt_tables *t)
{
	size_t l = 0;

	cv_assert(cmd->option_count <= OPTIONS_MAX);
	memset(t, 0, sizeof(*t));
	t->letters[l++] = '+'; /* stop at the first operand: what follows belongs to the command */
	t->letters[l++] = ':'; /* tell a missing value from an unknown option */
	t->letters[l++] = 'h';
	for (size_t i = 0; i < cmd->option_count; i++) {
		const struct cv_option *o = &cmd->options[i];

		t->longs[i] = (struct option){ o->name, o->value ? required_argument : no_argument,
			NULL, HELP_VALUE + (int)i };
		if (!o->letter)
			continue;
		t->letters[l++] = o->letter;
		if (o->value)
			t->letters[l++] = ':';
	}
	t->longs[cmd->option_count] = (struct option){ "help", no_argument, NULL, 'h' };
}

static cv_code fail_unknown(const struct cv_command *cmd, const char *word, struct cv_err *err)
{
	const char *names[OPTIONS_MAX];
	struct cv_str rest = cv_str_of(word);

	for (size_t i = 0; i < cmd->option_count; i++)
		names[i] = cmd->options[i].name;
	while (rest.n && rest.p[0] == '-')
		rest = cv_str_slice(rest, 1, rest.n);
	const size_t near = cv_word_nearest(cv_str_cut(&rest, '='), names, cmd->option_count);
	if (near < cmd->option_count)
		return cv_fail(err, CV_INVALID, "unknown option %s; did you mean --%s?", word,
			names[near]);
	return cv_fail(err, CV_INVALID, "unknown option %s", word);
}

/* getopt takes unique prefixes; we do not. */
static bool is_spelled_out(const char *word, const char *name)
{
	const size_t n = strlen(name);

	return strncmp(word, "--", 2) != 0 ||
	       (strncmp(word + 2, name, n) == 0 && (word[2 + n] == '\0' || word[2 + n] == '='));
}

static const struct cv_option *option_of(const struct cv_command *cmd, int value)
{
	if (value >= HELP_VALUE)
		return &cmd->options[value - HELP_VALUE];
	for (size_t i = 0; i < cmd->option_count; i++)
		if (cmd->options[i].letter == value)
			return &cmd->options[i];
	cv_unreachable();
}

cv_code cv_options_parse(const struct cv_command *cmd, int argc, char **argv, void *into,
	int *ret_first, bool *ret_wants_help, struct cv_err *err)
{
	struct getopt_tables t;
	int c;

	tables_build(cmd, &t);
	*ret_wants_help = false;
	optind = 0; /* glibc: start anew, also after an earlier command's parse */
	for (;;) {
		const int at = optind ? optind : 1;

		c = getopt_long(argc, argv, t.letters, t.longs, NULL);
		if (c < 0)
			break;
		if (c == '?')
			return fail_unknown(cmd, argv[at], err);
		if (c == ':')
			return cv_fail(err, CV_INVALID, "option %s needs a value", argv[at]);
		if (c == 'h') {
			*ret_wants_help = true;
			return CV_OK;
		}
		const struct cv_option *o = option_of(cmd, c);
		if (!is_spelled_out(argv[at], o->name))
			return fail_unknown(cmd, argv[at], err);
		if (o->set((char *)into + o->at, optarg, err) != CV_OK)
			return cv_wrap(err, "--%s", o->name);
	}
	*ret_first = optind;
	return CV_OK;
}

void cv_command_help(const struct cv_command *cmd, FILE *to)
{
	fprintf(to, "%s\n\nUsage: cove %s%s%s%s\n", cmd->summary, cmd->name,
		cmd->option_count ? " [OPTION]..." : "", cmd->operands[0] ? " " : "",
		cmd->operands);
	if (cmd->option_count)
		fputs("\nOptions:\n", to);
	for (size_t i = 0; i < cmd->option_count; i++) {
		const struct cv_option *o = &cmd->options[i];
		char left[64];

		snprintf(left, sizeof(left), "%c%c%s--%s%s%s", o->letter ? '-' : ' ',
			o->letter ? o->letter : ' ', o->letter ? ", " : "  ", o->name,
			o->value ? " " : "", o->value ? o->value : "");
		fprintf(to, "  %-30s %s\n", left, o->help);
	}
}

/* Options may stand before, between and behind operands, but for the command that gets another
 * program's words.  The operands end up last in argv. */
static cv_code words_parse(const struct cv_command *cmd, int argc, char **argv, void *into,
	int *ret_first, bool *ret_wants_help, struct cv_err *err)
{
	const bool is_mixed = strncmp(cmd->operands, "--", 2) != 0;
	int from = 0, n = 0;

	for (;;) {
		int first;

		if (cv_options_parse(cmd, argc - from, argv + from, into, &first, ret_wants_help,
			    err) != CV_OK)
			return err->code;
		from += first;
		const bool is_end = from == argc || (first > 1 && !strcmp(argv[from - 1], "--"));
		if (*ret_wants_help || is_end || !is_mixed)
			break;
		/* Those before it are read: there is room. */
		argv[++n] = argv[from];
	}
	/* argv[1] to argv[n], and what begins at `from`, are operands. */
	memmove(&argv[from - n], &argv[1], (size_t)n * sizeof(argv[0]));
	*ret_first = from - n;
	return CV_OK;
}

bool cv_command_begin(const struct cv_command *cmd, int argc, char **argv, void *into,
	int *ret_first, int *ret_status)
{
	struct cv_err err = { 0 };
	bool wants_help;

	if (words_parse(cmd, argc, argv, into, ret_first, &wants_help, &err) != CV_OK) {
		*ret_status = cv_command_fail(cmd, &err);
		return false;
	}
	if (wants_help) {
		cv_command_help(cmd, stdout);
		*ret_status = 0;
	}
	return !wants_help;
}

/* Names may hold anything, and a terminal obeys escape sequences. */
static void put_printable(const char *z, FILE *to)
{
	for (; *z; z++)
		fputc((unsigned char)*z < 0x20 || *z == 0x7f ? '?' : *z, to);
}

void cv_command_put_printable(struct cv_str s)
{
	for (size_t i = 0; i < s.n; i++)
		putchar(((unsigned char)s.p[i] < 0x20 && s.p[i] != '\n') || s.p[i] == 0x7f
				? '?'
				: s.p[i]);
}

int cv_command_fail(const struct cv_command *cmd, const struct cv_err *err)
{
	fprintf(stderr, "cove %s: ", cmd->name);
	put_printable(err->msg, stderr);
	if (err->code == CV_INVALID)
		fprintf(stderr, " (see 'cove %s --help')", cmd->name);
	fputc('\n', stderr);
	return cv_code_row(err->code)->exit;
}

cv_code cv_option_set_true(void *flag, const char *value, struct cv_err *err)
{
	(void)value;
	(void)err;
	*(bool *)flag = true;
	return CV_OK;
}

cv_code cv_option_set_text(void *text, const char *value, struct cv_err *err)
{
	(void)err;
	*(const char **)text = value;
	return CV_OK;
}

cv_code cv_option_set_once(void *text, const char *value, struct cv_err *err)
{
	const char **to = text;

	if (*to)
		return cv_fail(err, CV_INVALID, "given twice");
	*to = value;
	return CV_OK;
}

cv_code cv_option_number(
	const char *text, uint64_t min, uint64_t max, uint64_t *ret, struct cv_err *err)
{
	uint64_t v;

	if (!cv_str_to_u64(cv_str_of(text), max, &v) || v < min)
		return cv_fail(err, CV_INVALID, "'%s' is not a whole number from %llu to %llu",
			text, (unsigned long long)min, (unsigned long long)max);
	*ret = v;
	return CV_OK;
}

/* A whole number with one of the suffixes of a table. */
struct suffix {
	const char *text;
	uint64_t factor;
};

static bool number_with_suffix(
	const char *text, const struct suffix *suffix, size_t count, uint64_t *ret)
{
	const struct cv_str s = cv_str_of(text);
	size_t digits = 0;
	uint64_t v;

	while (digits < s.n && s.p[digits] >= '0' && s.p[digits] <= '9')
		digits++;
	if (!cv_str_to_u64(cv_str_slice(s, 0, digits), UINT64_MAX, &v))
		return false;
	for (size_t i = 0; i < count; i++)
		if (cv_str_eq_nocase(cv_str_slice(s, digits, s.n), cv_str_of(suffix[i].text)))
			return !__builtin_mul_overflow(v, suffix[i].factor, ret);
	return false;
}

cv_code cv_option_size(const char *text, uint64_t *ret, struct cv_err *err)
{
	static const struct suffix suffix[] = { { "", 1 }, { "b", 1 }, { "k", 1 << 10 },
		{ "kib", 1 << 10 }, { "m", 1 << 20 }, { "mib", 1 << 20 }, { "g", 1 << 30 },
		{ "gib", 1 << 30 }, { "kb", 1000 }, { "mb", 1000000 }, { "gb", 1000000000 } };

	if (!number_with_suffix(text, suffix, CV_ARRAY_LEN(suffix), ret) || *ret == 0)
		return cv_fail(err, CV_INVALID, "'%s' is not a size; write 512m or 2GiB", text);
	return CV_OK;
}

cv_code cv_option_duration(const char *text, uint64_t *ret_ms, struct cv_err *err)
{
	static const struct suffix suffix[] = { { "", 1000 }, { "ms", 1 }, { "s", 1000 },
		{ "m", 60000 }, { "h", 3600000 }, { "d", 86400000 } };

	if (!number_with_suffix(text, suffix, CV_ARRAY_LEN(suffix), ret_ms) || *ret_ms == 0)
		return cv_fail(err, CV_INVALID, "'%s' is not a time; write 90s, 10m or 2h", text);
	return CV_OK;
}

cv_code cv_option_cpu(const char *text, uint32_t *ret_milli, struct cv_err *err)
{
	struct cv_str fraction = cv_str_of(text);
	const struct cv_str whole = cv_str_cut(&fraction, '.');
	uint64_t w, f = 0;
	bool is_ok = cv_str_to_u64(whole, 100000, &w);

	if (is_ok && fraction.p) {
		is_ok = fraction.n <= 3 && cv_str_to_u64(fraction, 999, &f);
		for (size_t i = fraction.n; i < 3; i++)
			f *= 10;
	}
	if (!is_ok || w * 1000 + f == 0)
		return cv_fail(
			err, CV_INVALID, "'%s' is not a number of CPUs; write 2 or 0.5", text);
	*ret_milli = (uint32_t)(w * 1000 + f);
	return CV_OK;
}
