/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_provider_show.c - `cove provider show [NAME|FILE]`: what a provider is, and what it would find
 *
 * Without an operand, a line for each profile that a name can mean.  With one: its credentials, the
 * variables the sandbox would get, where each value would come from and whether it is there, the
 * endpoints and binaries.  No value is shown, and no command is run to get one.
 */
#include "cli/commands.h"
#include "cli/profiles.h"

#include "policy/findings.h"

#include <stdlib.h>
#include <unistd.h>

#define OUTPUT_BYTES_MAX (4u << 20)

struct show_options {
	enum cv_output output;
};

static const struct cv_option option[] = {
	{ "output", 'o', "text|json", "how to print it", cv_option_set_output,
		offsetof(struct show_options, output) },
};

/* Where a value would come from, and whether something is there. */
struct origin {
	const char *kind; /* "env" */
	struct cv_str detail;
	const char *state; /* "set" */
};

static struct origin origin_of_env(struct cv_str name)
{
	const char *value = getenv(name.p); /* arena strings end in a NUL */

	return (struct origin){ "env", name, value && *value ? "set" : "not set" };
}

static struct origin origin_of(const struct cv_instance_source *s, const char *from)
{
	if (s->env.is_present)
		return origin_of_env(s->env.s);
	if (s->has_fd)
		return (struct origin){ "fd", CV_STR_NONE, "read when run" };
	if (s->command.is_present)
		return (struct origin){ "command", s->command.v[0].s, "run when run" };
	char *path = cv_provider_path(s->file.s.p, from);
	const bool is_there = path && access(path, R_OK) == 0;
	free(path);
	return (struct origin){ "file", s->file.s, is_there ? "there" : "not there" };
}

/* ---- as text ---- */

static void put_line(struct cv_buf *out, const char *label, struct cv_str s)
{
	if (s.n)
		cv_buf_printf(out, "%-14s%.*s\n", label, CV_STR_ARG(s));
}

static void put_origin(struct cv_buf *out, struct cv_str key, const struct origin *o)
{
	cv_buf_printf(out, "    %-28.*s %s%s%.*s: %s\n", CV_STR_ARG(key), o->kind,
		o->detail.n ? " " : "", CV_STR_ARG(o->detail), o->state);
}

static void credential_text(const struct cv_provider_found *f,
	const struct cv_profile_credential *c, struct cv_buf *out)
{
	const struct cv_instance_source *source = cv_instance_source_find(f->instance, c->name.s);
	const struct cv_instance_refresh *refresh =
		cv_instance_refresh_find(f->instance, c->name.s);

	cv_buf_printf(out, "  %.*s%s%s%.*s\n", CV_STR_ARG(c->name.s),
		c->is_required ? ", required" : "", c->description.s.n ? ": " : "",
		CV_STR_ARG(c->description.s));
	for (size_t i = 0; i < c->env_vars.n; i++) {
		const struct cv_str key = c->env_vars.v[i].s;
		const struct cv_instance_source *own = cv_instance_source_find(f->instance, key);
		const struct origin o = own      ? origin_of(own, f->path)
					: source ? origin_of(source, f->path)
						 : origin_of_env(key);

		put_origin(out, key, &o);
	}
	if (c->has_refresh || refresh)
		cv_buf_printf(out, "    renewed by %s%s\n",
			cv_profile_strategy_name(refresh && refresh->strategy
							 ? refresh->strategy
							 : c->refresh.strategy),
			refresh ? "" : ", once an instance gives its material");
}

static void show_text(const struct cv_provider_found *f, struct cv_buf *out)
{
	const struct cv_profile *p = f->profile;

	put_line(out, "profile", p->id.s);
	if (f->instance)
		put_line(out, "instance", f->instance->name.s.n ? f->instance->name.s : p->id.s);
	put_line(out, "from", cv_str_of(f->profile_from));
	put_line(out, "description", p->description.s);
	for (size_t i = 0; i < p->aliases.n; i++)
		put_line(out, i ? "" : "also", p->aliases.v[i].s);
	cv_buf_printf(out, "credentials%s\n", p->credential_count ? "" : "   none of its own");
	for (size_t i = 0; i < p->credential_count; i++)
		credential_text(f, &p->credentials[i], out);
	for (size_t i = 0; !p->credential_count && f->instance && i < f->instance->credential_count;
		i++) {
		const struct origin o = origin_of(&f->instance->credentials[i], f->path);

		put_origin(out, f->instance->credentials[i].key.s, &o);
	}
	cv_buf_printf(out, "endpoints%s\n",
		p->network.endpoint_count ? ""
					  : "     none: the policy binds with credential_binding");
	for (size_t i = 0; i < p->network.endpoint_count; i++) {
		const struct cv_policy_endpoint *e = &p->network.endpoints[i];

		cv_buf_printf(out, "  %.*s:%u%.*s %.*s%s\n", CV_STR_ARG(e->host.s),
			e->port_count ? e->ports[0] : 0, CV_STR_ARG(e->path.s),
			CV_STR_ARG(e->access_text.s), e->rules.n ? "by rules" : "");
	}
	for (size_t i = 0; i < p->network.binary_count; i++)
		put_line(out, i ? "" : "binaries", p->network.binaries[i].path.s);
}

/* ---- as JSON ---- */

static void put_json_str(struct cv_buf *out, const char *before, struct cv_str s)
{
	cv_buf_put(out, cv_str_of(before));
	cv_buf_put_json_str(out, s);
}

static void origin_json(
	struct cv_buf *out, const char *before, struct cv_str key, const struct origin *o)
{
	put_json_str(out, before, key);
	put_json_str(out, ":{\"source\":", cv_str_of(o->kind));
	put_json_str(out, ",\"name\":", o->detail);
	put_json_str(out, ",\"state\":", cv_str_of(o->state));
	cv_buf_put_byte(out, '}');
}

/* The profile as it is, and "values": where each variable's would come from. */
static void show_json(const struct cv_provider_found *f, struct cv_buf *out)
{
	const struct cv_profile *p = f->profile;
	const char *comma = "";

	cv_buf_put(out, CV_STR("{\"profile\":"));
	cv_fill_write(&cv_profile_schema, p, out);
	put_json_str(out, ",\"from\":", cv_str_of(f->profile_from));
	put_json_str(out,
		",\"name\":", f->instance && f->instance->name.s.n ? f->instance->name.s : p->id.s);
	cv_buf_put(out, CV_STR(",\"values\":{"));
	for (size_t i = 0; i < p->credential_count; i++)
		for (size_t k = 0; k < p->credentials[i].env_vars.n; k++) {
			const struct cv_str key = p->credentials[i].env_vars.v[k].s;
			const struct cv_instance_source *s =
				cv_instance_source_find(f->instance, key);
			if (!s)
				s = cv_instance_source_find(f->instance, p->credentials[i].name.s);
			const struct origin o = s ? origin_of(s, f->path) : origin_of_env(key);

			origin_json(out, comma, key, &o);
			comma = ",";
		}
	for (size_t i = 0; !p->credential_count && f->instance && i < f->instance->credential_count;
		i++) {
		const struct origin o = origin_of(&f->instance->credentials[i], f->path);

		origin_json(out, comma, f->instance->credentials[i].key.s, &o);
		comma = ",";
	}
	cv_buf_put(out, CV_STR("}}"));
}

/* ---- the list ---- */

struct listing {
	enum cv_output output;
	struct cv_buf *out;
	size_t count;
};

static cv_code list_one(const struct cv_provider_found *f, void *arg)
{
	struct listing *l = arg;
	const struct cv_profile *p = f->profile;

	if (l->output == CV_OUTPUT_JSON) {
		cv_buf_put(l->out, l->count++ ? CV_STR(",\n") : CV_STR_NONE);
		show_json(f, l->out);
		return CV_OK;
	}
	cv_buf_printf(l->out, "%-18.*s %.*s%s\n", CV_STR_ARG(p->id.s), CV_STR_ARG(p->description.s),
		strcmp(f->profile_from, "built-in") != 0 ? " (your own)" : "");
	return CV_OK;
}

static int show_run(const struct cv_command *self, int argc, char **argv)
{
	struct show_options o = { 0 };
	struct cv_provider_found found;
	struct cv_err err = { 0 };
	struct cv_buf out;
	cv_code code;
	int first, status;

	if (!cv_command_begin(self, argc, argv, &o, &first, &status))
		return status;
	if (argc - first > 1) {
		(void)cv_fail(&err, CV_INVALID, "one provider at a time, or none for the list");
		return cv_command_fail(self, &err);
	}
	cv_buf_init(&out, OUTPUT_BYTES_MAX);
	struct listing l = { .output = o.output, .out = &out };
	const bool is_json = o.output == CV_OUTPUT_JSON;
	if (first == argc) {
		cv_buf_put(&out, is_json ? CV_STR("[") : CV_STR_NONE);
		code = cv_provider_each(list_one, &l, &err);
		cv_buf_put(&out, is_json ? CV_STR("]\n") : CV_STR_NONE);
	} else {
		code = cv_provider_find(argv[first], false, &found, &err);
		if (code == CV_OK) {
			(is_json ? show_json : show_text)(&found, &out);
			cv_buf_put(&out, is_json ? CV_STR("\n") : CV_STR_NONE);
			cv_provider_found_fini(&found);
		}
	}
	if (code == CV_OK)
		cv_command_put_printable(cv_buf_str(&out));
	cv_buf_fini(&out);
	return code == CV_OK ? 0 : cv_command_fail(self, &err);
}

const struct cv_command cv_cmd_provider_show = {
	.name = "provider show",
	.operands = "[NAME|FILE]",
	.summary = "list provider profiles, or tell what one is and would find here",
	.options = option,
	.option_count = CV_ARRAY_LEN(option),
	.run = show_run,
};
