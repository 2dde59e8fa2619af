/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_exec.c - `exec attach`, `exec list`, `exec kill`: commands that outlive who started them
 */
#include "client/commands.h"
#include "client/sandbox.h"

#include "cove.pb-c.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#define METHOD(rpc)       "/cove.v1.Cove/" #rpc
#define COMMAND_BYTES_MAX 60 /* of a line of the table */

const Cove__V1__ListExecsResponse *cl_execs_of(struct cl *c, const char *sandbox_id)
{
	Cove__V1__ListExecsRequest in;

	cove__v1__list_execs_request__init(&in);
	in.sandbox_id = cl_dup(c, sandbox_id);
	return (const Cove__V1__ListExecsResponse *)cl_ask(c, METHOD(ListExecs), &in.base,
		&cove__v1__list_execs_response__descriptor, NULL, NULL);
}

/* NULL: there is none; who follows it hears so. */
static const Cove__V1__Exec *exec_find(struct cl *c, const struct cl_kept *k)
{
	const Cove__V1__ListExecsResponse *m = cl_execs_of(c, k->sandbox_id);

	for (size_t i = 0; i < m->n_execs; i++)
		if (strcmp(m->execs[i]->id, k->id) == 0)
			return m->execs[i];
	return NULL;
}

int cl_run_exec_attach(struct cl *c)
{
	const char *from = cl_flag(&c->w, "from");
	uint64_t offset = 0;

	if (from && !cv_str_to_u64(cv_str_of(from), UINT64_MAX, &offset))
		cl_die_usage(c, "invalid value '%s' for '--from <OFFSET>': not a number", from);
	const Openshell__V1__Sandbox *s = cl_sandbox_of(c, cl_arg(&c->w, 0), false);
	const struct cl_kept k = { s->metadata->id, s->metadata->name, cl_arg(&c->w, 1) };
	const bool has_stdin = cl_has(&c->w, "stdin") || cl_has(&c->w, "eof");
	const Cove__V1__Exec *x = cl_has(&c->w, "no-input") ? NULL : exec_find(c, &k);
	const bool has_terminal =
		x && x->tty && !has_stdin && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	const struct cl_attach how = { .offset = offset,
		.has_terminal = has_terminal,
		.takes_over = cl_has(&c->w, "take-over"),
		.ends_stdin = cl_has(&c->w, "eof"),
		.leaves = !has_terminal && !cl_has(&c->w, "eof") };
	if (x && !x->end && (has_terminal || has_stdin))
		return cl_exec_attach(c, &k, &how);
	return cl_exec_follow(c, &k, offset);
}

/* ---- list ---- */

static const char *state_of(struct cl *c, const Cove__V1__Exec *x)
{
	if (!x->end && *x->attached)
		return cl_print(c, "attached (%s)", cl_shown(c, x->attached));
	if (!x->end)
		return x->tty ? "running (tty)" : "running";
	return cl_print(c, "%s %d", cl_shown(c, x->end->reason), x->end->exit_code);
}

static const char *command_of(struct cl *c, const Cove__V1__Exec *x)
{
	struct cv_buf b;

	cv_buf_init(&b, 1u << 16);
	for (size_t i = 0; i < x->n_command; i++)
		cv_buf_printf(&b, "%s%s", i ? " " : "", x->command[i]);
	const struct cv_str all = cv_buf_str(&b);
	const bool is_cut = x->is_command_cut || all.n > COMMAND_BYTES_MAX;
	const char *shown =
		cl_shown(c, cl_print(c, "%.*s", (int)CV_MIN(all.n, (size_t)COMMAND_BYTES_MAX),
				    all.p ? all.p : ""));
	cv_buf_fini(&b);
	return is_cut ? cl_print(c, "%s...", shown) : shown;
}

static void table_print(struct cl *c, const Cove__V1__ListExecsResponse *m)
{
	static const char *const head[] = { "ID", "STATE", "STARTED", "OUTPUT", "COMMAND" };
	struct cl_table t;

	cl_table_init(&t, CV_ARRAY_LEN(head));
	for (size_t i = 0; i < CV_ARRAY_LEN(head); i++)
		cl_table_cell(&t, cv_str_of(head[i]));
	for (size_t i = 0; i < m->n_execs; i++) {
		const Cove__V1__Exec *x = m->execs[i];

		cl_table_cell(&t, cv_str_of(cl_shown(c, x->id)));
		cl_table_cell(&t, cv_str_of(state_of(c, x)));
		cl_table_cell(&t, cv_str_of(cl_time(c, x->created_at_ms)));
		cl_table_cell(
			&t, cv_str_of(cl_print(c, "%llu", (unsigned long long)x->output_bytes)));
		cl_table_cell(&t, cv_str_of(command_of(c, x)));
	}
	cl_table_done(c, &t);
}

static void value_put(struct cl *c, struct cl_out *o, const Cove__V1__Exec *x)
{
	cl_out_object(o, NULL);
	cl_out_str(o, "id", x->id);
	cl_out_str(o, "sandbox_id", x->sandbox_id);
	cl_out_array(o, "command");
	for (size_t i = 0; i < x->n_command; i++)
		cl_out_str(o, NULL, x->command[i]);
	cl_out_end(o);
	cl_out_bool(o, "is_command_cut", x->is_command_cut);
	cl_out_str(o, "workdir", x->workdir);
	cl_out_str(o, "created_by", x->created_by);
	cl_out_str(o, "created_at", cl_time(c, x->created_at_ms));
	cl_out_bool(o, "tty", x->tty);
	cl_out_bool(o, "takes_input", x->takes_input);
	cl_out_str(o, "attached", *x->attached ? x->attached : NULL);
	cl_out_u64(o, "output_bytes", x->output_bytes);
	cl_out_u64(o, "kept_from", x->kept_from);
	cl_out_str(o, "state", x->end ? x->end->reason : "running");
	if (x->end) {
		cl_out_int(o, "exit_code", x->end->exit_code);
		cl_out_str(o, "ended_at", cl_time(c, x->end->ended_at_ms));
	}
	cl_out_end(o);
}

int cl_run_exec_list(struct cl *c)
{
	const Openshell__V1__Sandbox *s = cl_sandbox_of(c, cl_arg(&c->w, 0), false);
	const Cove__V1__ListExecsResponse *m = cl_execs_of(c, s->metadata->id);
	struct cl_out o;

	if (cl_form(c) == CL_FORM_TABLE) {
		if (m->n_execs)
			table_print(c, m);
		else
			puts("No commands found.");
		return 0;
	}
	cl_out_init(&o, cl_form(c));
	cl_out_array(&o, NULL);
	for (size_t i = 0; i < m->n_execs; i++)
		value_put(c, &o, m->execs[i]);
	cl_out_end(&o);
	return cl_out_done(c, &o);
}

/* ---- kill ---- */

static uint32_t signal_of(struct cl *c, const char *text)
{
	static const struct {
		const char *name;
		int number;
	} names[] = { { "HUP", SIGHUP }, { "INT", SIGINT }, { "QUIT", SIGQUIT },
		{ "KILL", SIGKILL }, { "USR1", SIGUSR1 }, { "USR2", SIGUSR2 }, { "TERM", SIGTERM },
		{ "STOP", SIGSTOP }, { "CONT", SIGCONT } };
	const char *name = text && strncmp(text, "SIG", 3) == 0 ? text + 3 : text;
	uint64_t n;

	if (!text)
		return SIGTERM;
	for (size_t i = 0; i < CV_ARRAY_LEN(names); i++)
		if (strcmp(names[i].name, name) == 0)
			return (uint32_t)names[i].number;
	if (!cv_str_to_u64(cv_str_of(text), 64, &n) || !n)
		cl_die_usage(c, "invalid value '%s' for '--signal <SIGNAL>'", text);
	return (uint32_t)n;
}

int cl_run_exec_kill(struct cl *c)
{
	const uint32_t sig = signal_of(c, cl_flag(&c->w, "signal"));
	const Openshell__V1__Sandbox *s = cl_sandbox_of(c, cl_arg(&c->w, 0), false);
	Cove__V1__KillExecRequest in;

	cove__v1__kill_exec_request__init(&in);
	in.sandbox_id = s->metadata->id;
	in.exec_id = cl_dup(c, cl_arg(&c->w, 1));
	in.signal = sig;
	const Cove__V1__KillExecResponse *m = (const Cove__V1__KillExecResponse *)cl_ask(c,
		METHOD(KillExec), &in.base, &cove__v1__kill_exec_response__descriptor, NULL, NULL);
	if (m->exec && m->exec->end)
		cl_mark(c, '!', "It was over already: %s", state_of(c, m->exec));
	else
		cl_mark(c, 'v', "Sent signal %u", sig);
	return 0;
}
