/* SPDX-License-Identifier: Apache-2.0 */
/*
 * complete.c - see complete.h
 *
 * Commands here are tables too, so words, options and the kinds of their values come from the same
 * rows as `--help`: "FILE" in a row is a file, "text|json" are two words.  What stands behind the
 * first operand is not ours (of `run` it is the command), and is completed as files.
 *
 * Groups such as `policy` have commands of both halves, so the client is asked for its own words while
 * the command is not known yet; a word that both have is said once.  `gateway` has the client's and
 * those of cove-gateway, which answers for them.
 */
#include "cli/complete.h"

#include "base/attr.h"
#include "base/buf.h"
#include "base/str.h"
#include "cli/profiles.h"
#include "cli/remote.h"
#include "sys/child.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_BYTES_MAX (1u << 20) /* the client's: a thousand names and what they are */
#define WORDS_AT         3          /* cove complete -- WORD... */

struct asked {
	struct cv_str word;   /* what is typed of it */
	struct cv_str before; /* "--output=" of the same word */
	struct cv_buf *out;
};

/* ---- lines ---- */

static bool is_said(struct cv_str lines, struct cv_str word)
{
	while (lines.n) {
		struct cv_str line = cv_str_cut(&lines, '\n');

		if (cv_str_eq(cv_str_cut(&line, '\t'), word))
			return true;
	}
	return false;
}

static void offer(const struct asked *a, struct cv_str word, const char *what)
{
	if (word.n && cv_str_has_prefix(word, a->word) && !is_said(cv_buf_str(a->out), word))
		cv_buf_printf(
			a->out, "%.*s%.*s\t%s\n", CV_STR_ARG(a->before), CV_STR_ARG(word), what);
}

static void offer_files(const struct asked *a)
{
	if (!is_said(cv_buf_str(a->out), CV_STR(":files")))
		cv_buf_put(a->out, CV_STR(":files\n"));
}

/* ---- our own commands ---- */

static bool is_word(struct cv_str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < 'a' || s.p[i] > 'z')
			return false;
	return s.n > 0;
}

/* What help says stands there: "text|json", "host|DIR", "FILE...". */
static void offer_kind(const struct asked *a, const char *kind)
{
	static const char *const files[] = { "FILE", "DIR", "PATH", "COMMAND", "SRC" };
	struct cv_str rest = cv_str_of(kind);

	for (size_t i = 0; i < CV_ARRAY_LEN(files); i++)
		if (strstr(kind, files[i]) && !strchr(kind, '@') && !strstr(kind, "file:"))
			offer_files(a);
	while (rest.n) {
		const struct cv_str one = cv_str_cut(&rest, '|');

		if (is_word(one))
			offer(a, one, "");
	}
}

/* "--policy", "--policy=x" or "-p"; NULL: none of them. */
static const struct cv_option *option_of(const struct cv_command *c, struct cv_str word)
{
	const struct cv_str name = cv_str_slice(word, 2, cv_str_find_byte(word, '='));

	for (size_t i = 0; i < c->option_count; i++) {
		const struct cv_option *o = &c->options[i];

		if (cv_str_has_prefix(word, CV_STR("--"))
				? cv_str_eq(name, cv_str_of(o->name))
				: word.n == 2 && word.p[0] == '-' && word.p[1] == o->letter)
			return o;
	}
	return NULL;
}

static void offer_options(const struct asked *a, const struct cv_command *c)
{
	for (size_t i = 0; i < c->option_count; i++) {
		char name[64];
		const int n = snprintf(name, sizeof(name), "--%s", c->options[i].name);

		offer(a, (struct cv_str){ name, (size_t)CV_MIN(n, (int)sizeof(name) - 1) },
			c->options[i].help);
	}
	offer(a, CV_STR("--help"), "What it does");
}

static void offer_operands(const struct asked *a, const struct cv_command *c)
{
	for (unsigned long i = 0;
		i < cv_builtin_profiles_count && strcmp(c->name, "provider show") == 0; i++)
		offer(a, cv_str_of(cv_builtin_profiles[i].id), "profile");
	offer_kind(a, c->operands);
}

/* words: behind the command's name; the last is what is typed. */
static void command_complete(struct asked *a, const struct cv_command *c, int n, char **words)
{
	const struct cv_option *value_of = NULL;
	bool is_behind = false; /* the first operand, or "--" */

	for (int i = 0; i < n - 1 && !is_behind; i++) {
		const struct cv_str w = cv_str_of(words[i]);
		const struct cv_option *o = option_of(c, w);

		if (value_of) {
			/* bash cuts "--output=text" at its '=' */
			if (!cv_str_eq(w, CV_STR("=")))
				value_of = NULL;
			continue;
		}
		value_of = o && o->value && cv_str_find_byte(w, '=') == w.n ? o : NULL;
		is_behind = cv_str_eq(w, CV_STR("--")) || !w.n || w.p[0] != '-';
	}
	const struct cv_option *here = is_behind || value_of ? NULL : option_of(c, a->word);
	const size_t eq = cv_str_find_byte(a->word, '=');
	if (value_of && cv_str_eq(a->word, CV_STR("=")))
		a->word = CV_STR("");
	if (here && here->value && eq < a->word.n) {
		a->before = cv_str_slice(a->word, 0, eq + 1);
		a->word = cv_str_slice(a->word, eq + 1, a->word.n);
		value_of = here;
	}
	if (value_of)
		offer_kind(a, value_of->value);
	else if (!is_behind && a->word.n && a->word.p[0] == '-')
		offer_options(a, c);
	else
		offer_operands(a, c);
}

/* How many words of v are all of the name's; 0: they are not. */
static int name_matches(const char *name, int n, char **v)
{
	struct cv_str rest = cv_str_of(name);
	int k = 0;

	for (; rest.n; k++)
		if (k >= n || !cv_str_eq(cv_str_cut(&rest, ' '), cv_str_of(v[k])))
			return 0;
	return k;
}

/* The next word of names that begin with these. */
static void offer_commands(const struct asked *a, const struct cv_command *const *commands,
	size_t count, int n, char **v)
{
	for (size_t i = 0; i < count; i++) {
		struct cv_str rest = cv_str_of(commands[i]->name);
		int k = 0;

		while (k < n && rest.n && cv_str_eq(cv_str_cut(&rest, ' '), cv_str_of(v[k])))
			k++;
		if (k < n || !rest.n)
			continue;
		const struct cv_str word = cv_str_cut(&rest, ' ');
		offer(a, word, rest.n ? "" : commands[i]->summary);
	}
}

/* ---- the client's ---- */

static void lines_merge(const struct asked *a, struct cv_str lines)
{
	while (lines.n) {
		const struct cv_str line = cv_str_cut(&lines, '\n');
		struct cv_str rest = line;

		if (!is_said(cv_buf_str(a->out), cv_str_cut(&rest, '\t')))
			cv_buf_printf(a->out, "%.*s\n", CV_STR_ARG(line));
	}
}

typedef int become_fn(int argc, char **argv);

/* What another program of ours offers. */
static void other_ask(const struct asked *a, become_fn *become, int argc, char **argv)
{
	struct cv_buf answer;
	char buf[4096];
	int p[2];

	if (pipe(p) < 0)
		return;
	const pid_t pid = fork();
	if (pid == 0) {
		(void)dup2(p[1], STDOUT_FILENO);
		close(p[0]);
		close(p[1]);
		_exit(become(argc, argv));
	}
	close(p[1]);
	cv_buf_init(&answer, ANSWER_BYTES_MAX);
	for (ssize_t n; pid > 0 && (n = read(p[0], buf, sizeof(buf))) != 0;) {
		if (n < 0 && errno != EINTR)
			break;
		if (n > 0)
			cv_buf_put(&answer, (struct cv_str){ buf, (size_t)n });
	}
	close(p[0]);
	(void)cv_child_wait(pid, NULL);
	lines_merge(a, cv_buf_str(&answer));
	cv_buf_fini(&answer);
}

/* gateway complete -- WORD..., in place of cove complete -- gateway WORD... */
static int gateway_become(int argc, char **argv)
{
	static char name[] = "cove-gateway", command[] = "complete", dashes[] = "--";
	char **words = argv + 1;

	(void)argc;
	words[0] = name;
	words[1] = command;
	words[2] = dashes;
	return cv_remote_run_gateway(words);
}

/* Words of a gateway: the client's, cove-gateway's, or, while that is open, of both. */
static void others_ask(const struct asked *a, int argc, char **argv)
{
	char **words = argv + WORDS_AT;
	const int n = argc - WORDS_AT;
	const bool is_gateways = cv_remote_is_gateways(n - 1, words);

	if (!is_gateways)
		other_ask(a, cv_remote_run, argc, argv);
	if (is_gateways || (n == 2 && (!strcmp(words[0], "gateway") || !strcmp(words[0], "gw"))))
		other_ask(a, gateway_become, argc, argv);
}

int cv_complete(const struct cv_command *const *commands, size_t count, int argc, char **argv)
{
	const int n = argc - WORDS_AT;
	char **words = argv + WORDS_AT;
	struct cv_buf out;

	if (n < 1 || strcmp(argv[WORDS_AT - 1], "--") != 0)
		return cv_remote_run(argc, argv); /* which says what is wrong */
	cv_buf_init(&out, 2 * ANSWER_BYTES_MAX);
	struct asked a = { .word = cv_str_of(words[n - 1]), .before = CV_STR(""), .out = &out };
	const struct cv_command *mine = NULL;
	for (size_t i = 0; i < count; i++) {
		const int k = name_matches(commands[i]->name, n - 1, words);

		if (!k)
			continue;
		mine = commands[i];
		command_complete(&a, mine, n - k, words + k);
		break;
	}
	if (!mine)
		offer_commands(&a, commands, count, n - 1, words);
	/* `run` and its kin are nobody else's; `approve` is both's. */
	const bool is_clients = n == 1 || words[0][0] == '-' || cv_remote_has_word(words[0]);
	if (mine ? !strcmp(mine->name, "approve") : is_clients)
		others_ask(&a, argc, argv);
	fwrite(cv_buf_str(&out).p, 1, cv_buf_len(&out), stdout);
	cv_buf_fini(&out);
	return 0;
}
