/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_approve.c - `cove approve`: answers what runs hold for a person
 *
 *     cove approve                  asks about each question that is held now
 *     cove approve --watch          ... and about those that come
 *     cove approve --list           prints them
 *     cove approve RUN ID           shows one, and asks
 *     cove approve RUN ID --yes     answers it
 *
 * What sandboxes of a gateway hold is cove-client's: it takes over when the words are for it
 * (--gateway, an id of a gateway's question), and when none of the user's runs is there and a
 * gateway is configured.
 *
 * Exit status: 1 when the question is not held (any more), or may not be answered so.
 *
 * An answer is a word that is typed after the question was shown; what was typed before is thrown
 * away.  Every text of the sandbox's is shown by base/shown.h.
 */
#include "cli/commands.h"

#include "cli/approve.h"
#include "cli/home.h"
#include "cli/remote.h"
#include "ipc/approve_show.h"
#include "sys/clock.h"

#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#define HELD_MAX         4096 /* as many as all runs may hold */
#define ANSWER_MS        5000 /* a run that says nothing for so long hangs */
#define LOOK_MS          500  /* for new runs, while watching */
#define OUTPUT_BYTES_MAX (64u << 20)
#define LINE_BYTES       64
#define UUID_BYTES       36

struct held {
	struct approve_run *run;
	char *body; /* malloc'd */
	struct cv_ask ask;
	bool is_gone;
};

struct approve_options {
	bool is_list, is_watch, is_yes, is_no, is_always, is_full;
	enum cv_output output;
	const char *run; /* NULL: any */
	uint64_t id;     /* 0: all */
};

static struct approve {
	struct approve_options o;
	struct approve_run run[APPROVE_RUNS_MAX];
	size_t run_count;
	struct held held[HELD_MAX];
	size_t held_count;
	enum cv_approve_result result;
	bool has_result;
	char buf[CV_IPC_BODY_BYTES_MAX + 8];
} approve;

/* ---- options ---- */

#define FLAG(name)                                                                   \
	static cv_code set_##name(void *into, const char *value, struct cv_err *err) \
	{                                                                            \
		(void)value;                                                         \
		(void)err;                                                           \
		((struct approve_options *)into)->is_##name = true;                  \
		return CV_OK;                                                        \
	}
FLAG(list)
FLAG(watch)
FLAG(yes)
FLAG(no)
FLAG(always)
FLAG(full)

static cv_code set_output(void *into, const char *value, struct cv_err *err)
{
	return cv_option_output(value, &((struct approve_options *)into)->output, err);
}

/* Never reached: cove-client has taken over. */
static cv_code set_gateway(void *into, const char *value, struct cv_err *err)
{
	(void)into;
	(void)value;
	(void)err;
	return CV_OK;
}

static const struct cv_option option[] = {
	{ "list", 'l', NULL, "print what is held, and ask nothing", set_list },
	{ "watch", 'w', NULL, "wait for questions", set_watch },
	{ "yes", 'y', NULL, "allow it", set_yes },
	{ "no", 'n', NULL, "deny it", set_no },
	{ "always", 'a', NULL, "... and all alike, as long as the run lasts", set_always },
	{ "full", 'f', NULL, "show long texts whole", set_full },
	{ "output", 'o', "text|json", "how to print", set_output },
	{ "gateway", 'g', "NAME",
		"what sandboxes of a gateway hold: more words, see 'cove approve -g NAME --help'",
		set_gateway },
};

static cv_code operand_take(struct approve_options *o, const char *word, struct cv_err *err)
{
	struct cv_err ignored;

	if (!o->run && !o->id && strncmp(word, "cove-", 5) != 0 &&
		cv_option_number(word, 1, UINT64_MAX, &o->id, &ignored) == CV_OK)
		return CV_OK;
	if (!o->run && !o->id) {
		o->run = word;
		return CV_OK;
	}
	if (!o->run) { /* two numbers: a run's and a question's */
		static char run[32];

		snprintf(run, sizeof(run), "%llu", (unsigned long long)o->id);
		o->run = run;
		o->id = 0;
	}
	if (o->id)
		return cv_fail(err, CV_INVALID, "one run and one question, not more");
	return cv_option_number(word, 1, UINT64_MAX, &o->id, err);
}

static cv_code options_check(const struct approve_options *o, struct cv_err *err)
{
	if (o->is_yes && o->is_no)
		return cv_fail(err, CV_INVALID, "--yes and --no contradict each other");
	if ((o->is_yes || o->is_no) && !o->id)
		return cv_fail(err, CV_INVALID, "say which: cove approve RUN ID %s",
			o->is_yes ? "--yes" : "--no");
	if (o->is_always && !o->is_yes && !o->is_no)
		return cv_fail(err, CV_INVALID, "--always goes with --yes or --no");
	if (o->is_list && (o->is_watch || o->is_yes || o->is_no))
		return cv_fail(err, CV_INVALID, "--list answers nothing and does not wait");
	if (o->is_watch && o->id)
		return cv_fail(err, CV_INVALID, "--watch is for whole runs");
	return CV_OK;
}

/* ---- what is held ---- */

static void held_add(struct approve *a, struct approve_run *run, const struct cv_ask *ask)
{
	struct held *h = &a->held[a->held_count];
	struct cv_buf b;

	if (a->held_count == HELD_MAX)
		return;
	cv_buf_init(&b, CV_IPC_BODY_BYTES_MAX);
	if (cv_ask_put(&b, ask) && (h->body = malloc(cv_buf_len(&b) + 1)) != NULL) {
		memcpy(h->body, cv_buf_str(&b).p, cv_buf_len(&b));
		if (cv_ask_get((struct cv_str){ h->body, cv_buf_len(&b) }, &h->ask)) {
			h->run = run;
			h->is_gone = false;
			a->held_count++;
		} else {
			free(h->body);
		}
	}
	cv_buf_fini(&b);
}

static void gone_mark(struct approve *a, const struct approve_run *run, uint64_t id)
{
	for (size_t i = 0; i < a->held_count; i++)
		if (a->held[i].run == run && (!id || a->held[i].ask.id == id))
			a->held[i].is_gone = true;
}

static void event_take(struct approve *a, struct approve_run *run, const struct approve_event *e)
{
	switch (e->what) {
	case APPROVE_HELD:
		if (!a->o.id || e->ask.id == a->o.id)
			held_add(a, run, &e->ask);
		break;
	case APPROVE_ENDED: gone_mark(a, run, e->id); break;
	case APPROVE_CLOSED: gone_mark(a, run, 0); break;
	case APPROVE_RESULT:
		a->result = e->result;
		a->has_result = true;
		break;
	case APPROVE_LISTED:
	case APPROVE_NOTHING: break;
	}
}

/* Waits for something from a run, or on stdin where that is wanted; true: stdin. */
static bool turn(struct approve *a, int ms, bool wants_stdin)
{
	struct pollfd w[APPROVE_RUNS_MAX + 1];
	struct approve_event e;

	for (size_t i = 0; i < a->run_count; i++)
		w[i] = (struct pollfd){ a->run[i].fd, POLLIN, 0 };
	w[a->run_count] = (struct pollfd){ wants_stdin ? 0 : -1, POLLIN, 0 };
	if (poll(w, a->run_count + 1, ms) <= 0)
		return false;
	for (size_t i = 0; i < a->run_count; i++)
		if (w[i].revents) {
			approve_receive(&a->run[i], 0, a->buf, &e);
			event_take(a, &a->run[i], &e);
		}
	return w[a->run_count].revents != 0;
}

static void gather(struct approve *a)
{
	struct approve_event e;

	a->run_count = approve_connect(a->run, 0, a->o.run, a->o.is_watch);
	for (size_t i = 0; i < a->run_count; i++) {
		struct approve_run *run = &a->run[i];

		while (run->fd >= 0 && !run->is_listed) {
			approve_receive(run, ANSWER_MS, a->buf, &e);
			if (e.what == APPROVE_NOTHING && run->command[0] == 0)
				approve_disconnect(run);
			event_take(a, run, &e);
		}
	}
}

/* ---- printing ---- */

static void print(struct cv_buf *b)
{
	fwrite(cv_buf_str(b).p, 1, cv_buf_len(b), stdout);
	fflush(stdout);
	cv_buf_fini(b);
}

static void member(struct cv_buf *b, const char *key, struct cv_str value)
{
	cv_buf_printf(b, "\"%s\":\"", key);
	cv_buf_put_json(b, value);
	cv_buf_put(b, CV_STR("\","));
}

static void json_put(struct cv_buf *b, const struct held *h)
{
	const struct cv_ask *ask = &h->ask;

	cv_buf_put_byte(b, '{');
	member(b, "run", cv_str_of(h->run->name));
	member(b, "command", cv_str_of(h->run->command));
	cv_buf_printf(b, "\"id\":%llu,\"seconds\":%u,", (unsigned long long)ask->id, ask->seconds);
	member(b, "kind", ask->flags & CV_ASK_NETWORK ? CV_STR("request") : CV_STR("tool"));
	member(b, "what", ask->what);
	member(b, "text", ask->text);
	cv_buf_printf(b, "\"text_bytes\":%llu,", (unsigned long long)ask->text_bytes);
	member(b, "rule", ask->rule);
	member(b, "approval", ask->flags & CV_ASK_ONCE ? CV_STR("once") : CV_STR("each"));
	member(b, "binary", ask->who);
	cv_buf_printf(b, "\"pid\":%u,\"ancestors\":[", ask->pid);
	for (size_t i = 0; i < ask->ancestor_count; i++) {
		cv_buf_put(b, i ? CV_STR(",\"") : CV_STR("\""));
		cv_buf_put_json(b, ask->ancestors[i]);
		cv_buf_put_byte(b, '"');
	}
	cv_buf_printf(b, "],\"ancestors_more\":%u}", ask->ancestors_more);
}

static void list_print(const struct approve *a)
{
	const bool is_json = a->o.output == CV_OUTPUT_JSON;
	struct cv_buf b;
	size_t n = 0;

	cv_buf_init(&b, OUTPUT_BYTES_MAX);
	if (is_json)
		cv_buf_put_byte(&b, '[');
	for (size_t i = 0; i < a->held_count; i++) {
		const struct held *h = &a->held[i];

		if (h->is_gone)
			continue;
		if (is_json) {
			cv_buf_put(&b, n ? CV_STR(",\n") : CV_STR_NONE);
			json_put(&b, h);
		} else if (a->o.is_full) {
			cv_ask_show(&b, &h->ask, true);
		} else {
			cv_buf_printf(&b, "%-14s %3llu  %4u s  ", h->run->name,
				(unsigned long long)h->ask.id, h->ask.seconds);
			cv_ask_show_line(&b, &h->ask);
			cv_buf_put_byte(&b, '\n');
		}
		n++;
	}
	if (is_json)
		cv_buf_put(&b, CV_STR("]\n"));
	else if (!n)
		cv_buf_put(&b, CV_STR("nothing is held\n"));
	print(&b);
}

static void show(const struct held *h, bool is_whole)
{
	struct cv_buf b;

	cv_buf_init(&b, CV_ASK_SHOW_BYTES_MAX);
	cv_ask_show(&b, &h->ask, is_whole);
	print(&b);
}

/* ---- answering ---- */

static const char *const result_text[CV_APPROVE_RESULT_COUNT] = {
	[CV_APPROVE_GONE] = "it needs no answer any more",
	[CV_APPROVE_EACH] = "the policy wants an answer to each call, so --always is not for it",
	[CV_APPROVE_FULL] = "the run keeps no more answers for all alike",
};

static cv_code answer(struct approve *a, const struct held *h, enum cv_approval_answer what,
	bool is_for_all, struct cv_err *err)
{
	cv_code code = approve_send(h->run, h->ask.id, what, is_for_all, err);
	const int64_t until_ms = cv_clock_ms() + ANSWER_MS;

	a->has_result = false;
	while (code == CV_OK && !a->has_result && h->run->fd >= 0 && cv_clock_ms() < until_ms)
		(void)turn(a, (int)(until_ms - cv_clock_ms()), false);
	if (code != CV_OK)
		return code;
	if (!a->has_result)
		return cv_fail(err, CV_UNAVAILABLE, "%s did not take the answer", h->run->name);
	if (a->result != CV_APPROVE_DONE)
		return cv_fail(err, a->result == CV_APPROVE_GONE ? CV_NOT_FOUND : CV_DENIED,
			"question %llu of %s: %s", (unsigned long long)h->ask.id, h->run->name,
			a->result < CV_APPROVE_RESULT_COUNT ? result_text[a->result] : "?");
	return CV_OK;
}

/* A line that was typed; false: stdin has ended. */
static bool line_read(char line[LINE_BYTES])
{
	const ssize_t n = read(0, line, LINE_BYTES - 1);

	if (n <= 0)
		return false;
	line[n] = 0;
	line[strcspn(line, "\n")] = 0;
	return true;
}

static void prompt(const struct held *h)
{
	printf("allow it? (yes, no%s%s, skip) ", h->ask.flags & CV_ASK_EACH ? "" : ", always",
		cv_ask_is_long(&h->ask) ? ", all: show all of it" : "");
	fflush(stdout);
}

enum said { SAID_NOTHING, SAID_DONE, SAID_END };

static enum said line_take(struct approve *a, struct held *h, const char *line)
{
	const bool is_always = !strcmp(line, "always");
	const bool is_yes = is_always || !strcmp(line, "yes") || !strcmp(line, "y");
	struct cv_err err = { 0 };

	if (!strcmp(line, "all")) {
		show(h, true);
		return SAID_NOTHING;
	}
	if (!strcmp(line, "skip")) {
		h->is_gone = true;
		return SAID_DONE;
	}
	if (!is_yes && strcmp(line, "no") != 0 && strcmp(line, "n") != 0)
		return SAID_NOTHING;
	if (answer(a, h, is_yes ? CV_APPROVAL_ALLOW : CV_APPROVAL_DENY, is_always, &err) == CV_OK)
		puts(is_yes ? "allowed" : "denied");
	else
		printf("%s\n", err.msg);
	if (err.code == CV_DENIED)
		return SAID_NOTHING; /* it is still held */
	h->is_gone = true;
	return SAID_DONE;
}

/* False: stdin has ended. */
static bool question_ask(struct approve *a, struct held *h)
{
	char line[LINE_BYTES];

	tcflush(0, TCIFLUSH);
	show(h, a->o.is_full);
	prompt(h);
	while (!h->is_gone) {
		if (!turn(a, -1, true))
			continue;
		if (!line_read(line))
			return false;
		if (line_take(a, h, line) == SAID_NOTHING)
			prompt(h);
		else
			return true;
	}
	puts("\nit needs no answer any more");
	return true;
}

static bool all_ask(struct approve *a)
{
	for (size_t i = 0; i < a->held_count; i++)
		if (!a->held[i].is_gone && !question_ask(a, &a->held[i]))
			return false;
	return true;
}

static void held_compact(struct approve *a)
{
	size_t n = 0;

	for (size_t i = 0; i < a->held_count; i++) {
		if (a->held[i].is_gone)
			free(a->held[i].body);
		else
			a->held[n++] = a->held[i];
	}
	a->held_count = n;
}

/* Until stdin ends, or somebody ends us. */
static void watch(struct approve *a, bool is_asking)
{
	struct cv_buf b;

	for (;;) {
		if (is_asking && !all_ask(a))
			return;
		for (size_t i = 0; i < a->held_count && !is_asking; i++) {
			struct held *h = &a->held[i];

			cv_buf_init(&b, OUTPUT_BYTES_MAX);
			if (a->o.output == CV_OUTPUT_JSON) {
				json_put(&b, h);
				cv_buf_put_byte(&b, '\n');
			} else {
				cv_ask_show(&b, &h->ask, a->o.is_full);
			}
			print(&b);
			h->is_gone = true;
		}
		held_compact(a);
		(void)turn(a, LOOK_MS, false);
		a->run_count = approve_connect(a->run, a->run_count, a->o.run, true);
	}
}

/* ---- the command ---- */

static struct held *only(struct approve *a, struct cv_err *err)
{
	struct held *found = NULL;

	for (size_t i = 0; i < a->held_count; i++) {
		if (found && found->run != a->held[i].run) {
			(void)cv_fail(err, CV_INVALID,
				"more than one run has a question %llu; name the run",
				(unsigned long long)a->o.id);
			return NULL;
		}
		found = &a->held[i];
	}
	if (!found)
		(void)cv_fail(err, CV_NOT_FOUND, "question %llu%s%s is not held",
			(unsigned long long)a->o.id, a->o.run ? " of " : "",
			a->o.run ? a->o.run : "");
	return found;
}

/* 1: there was nothing to answer, or not so; else as ever. */
static int fail(const struct cv_command *self, const struct cv_err *err)
{
	const int status = cv_command_fail(self, err);

	return err->code == CV_NOT_FOUND || err->code == CV_DENIED ? 1 : status;
}

static cv_code one(struct approve *a, bool is_asking, struct cv_err *err)
{
	struct held *h = only(a, err);

	if (!h)
		return err->code;
	if (a->o.is_yes || a->o.is_no)
		return answer(a, h, a->o.is_yes ? CV_APPROVAL_ALLOW : CV_APPROVAL_DENY,
			a->o.is_always, err);
	if (a->o.output == CV_OUTPUT_JSON)
		list_print(a);
	else if (is_asking)
		(void)question_ask(a, h);
	else
		show(h, a->o.is_full);
	return CV_OK;
}

/* ---- a gateway's ---- */

/* The id of a question of a gateway's: a UUID, and a number. */
static bool is_gateways_id(struct cv_str word)
{
	if (word.n < UUID_BYTES + 2 || word.p[UUID_BYTES] != '-')
		return false;
	for (size_t i = 0; i < word.n; i++)
		if (!cv_str_has_byte(CV_STR("0123456789abcdef-"), word.p[i]))
			return false;
	return true;
}

static bool is_for_gateway(int argc, char **argv)
{
	static const char *const words[] = { "--gateway", "--workspace", "--sandbox",
		"--all-workspaces", "--reason", "-g" };

	for (int i = 1; i < argc; i++) {
		if (is_gateways_id(cv_str_of(argv[i])))
			return true;
		for (size_t k = 0; k < CV_ARRAY_LEN(words); k++)
			if (!strncmp(argv[i], words[k], strlen(words[k])))
				return true;
	}
	return false;
}

/* One was chosen, by the environment or by `cove gateway select`. */
static bool has_gateway(void)
{
	static const char *const variables[] = { "COVE_GATEWAY", "COVE_GATEWAY_ENDPOINT",
		"OPENSHELL_GATEWAY", "OPENSHELL_GATEWAY_ENDPOINT" };
	char path[PATH_MAX];

	for (size_t i = 0; i < CV_ARRAY_LEN(variables); i++)
		if (getenv(variables[i]))
			return true;
	return cv_home_path("XDG_CONFIG_HOME", ".config", "cove/active_gateway", path, sizeof(path),
		       NULL) == CV_OK &&
	       access(path, R_OK) == 0;
}

/* The words before ours are the program's name and the command's. */
static int gateway_ask(int argc, char **argv)
{
	return cv_remote_run(argc + 1, argv - 1);
}

static int approve_run_command(const struct cv_command *self, int argc, char **argv)
{
	struct approve *a = &approve;
	struct cv_err err = { 0 };
	const int all_argc = argc;
	char **const all = argv;
	bool wants_help;
	int first;

	if (is_for_gateway(argc, argv))
		return gateway_ask(argc, argv);
	do { /* options may stand behind what they are about */
		if (cv_options_parse(self, argc, argv, &a->o, &first, &wants_help, &err) != CV_OK)
			return cv_command_fail(self, &err);
		if (wants_help) {
			cv_command_help(self, stdout);
			return 0;
		}
		if (first < argc && operand_take(&a->o, argv[first], &err) != CV_OK)
			return cv_command_fail(self, &err);
		argc -= first;
		argv += first;
	} while (argc > 1);
	if (options_check(&a->o, &err) != CV_OK)
		return cv_command_fail(self, &err);
	const bool is_asking =
		isatty(0) && isatty(1) && !a->o.is_list && a->o.output == CV_OUTPUT_TEXT;
	gather(a);
	if (!a->run_count && !a->o.run && !a->o.id && !a->o.is_watch && has_gateway())
		return gateway_ask(all_argc, all);
	if (a->o.id && !a->o.is_list)
		return one(a, is_asking, &err) == CV_OK ? 0 : fail(self, &err);
	if (a->o.is_watch)
		watch(a, is_asking);
	else if (!is_asking || !a->held_count)
		list_print(a);
	else
		(void)all_ask(a);
	return 0;
}

const struct cv_command cv_cmd_approve = {
	.name = "approve",
	.operands = "[RUN] [ID]",
	.summary = "answer what runs, or a gateway's sandboxes, hold for a person",
	.options = option,
	.option_count = CV_ARRAY_LEN(option),
	.run = approve_run_command,
};
