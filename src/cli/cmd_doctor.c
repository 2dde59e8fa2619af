/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_doctor.c - `cove doctor`: what can this machine enforce, and what would make it more?
 *
 * A line for each mechanism; below one that is not whole, what a run is without and the command
 * that would help; the tier last.  The exit status is 0 when the tier is at least the required
 * one, 1 when it is not, 2 for wrong words: a script may ask before it relies on a sandbox.
 */
#include "cli/commands.h"

#include "base/buf.h"
#include "cli/doctor.h"
#include "sys/probe.h"

#define OUTPUT_BYTES_MAX (256u << 10) /* some rows of a few hundred bytes */

struct doctor_options {
	enum cv_output output;
	enum cv_tier require;
	bool wants_apparmor;
};

#define TIER_NAME(name, text) [CV_TIER_##name] = text,
static const char *const tier_name[CV_TIER_COUNT] = { CV_TIERS(TIER_NAME) };
#undef TIER_NAME

static cv_code set_require(void *into, const char *value, struct cv_err *err)
{
	struct doctor_options *o = into;

	for (int t = 0; t < CV_TIER_COUNT; t++)
		if (cv_str_eq(cv_str_of(value), cv_str_of(tier_name[t]))) {
			o->require = (enum cv_tier)t;
			return CV_OK;
		}
	return cv_fail(err, CV_INVALID,
		"'%s' is not a tier; write vm, gvisor, namespaces, landlock or none", value);
}

static const struct cv_option option[] = {
	{ "output", 'o', "text|json", "how to print it", cv_option_set_output,
		offsetof(struct doctor_options, output) },
	{ "require", 0, "vm|gvisor|namespaces|landlock|none",
		"exit with 1 when this host is below the tier", set_require },
	{ "apparmor", 0, NULL,
		"print a profile that lets cove make user namespaces, and nothing else",
		cv_option_set_true, offsetof(struct doctor_options, wants_apparmor) },
};

/* --- As text ------------------------------------------------------------------------------ */

static void print_text(
	const struct cv_probe_report *r, const struct doctor_options *o, struct cv_buf *out)
{
	for (size_t i = 0; i < CV_PROBE_COUNT; i++) {
		const struct cv_probe_row *row = &r->rows[i];

		cv_buf_printf(out, "%-9s %-21s %s\n", cv_probe_status_name(row->status), row->name,
			row->detail);
		if (row->status == CV_PROBE_OK)
			continue;
		cv_buf_printf(out, "%-32swithout it: %s\n", "", row->lost);
		cv_buf_printf(out, "%-32sto enable:  %s\n", "", row->enable);
	}
	cv_buf_printf(out, "tier      %s", tier_name[r->tier]);
	if (r->tier < o->require)
		cv_buf_printf(out, ", below %s, which is required", tier_name[o->require]);
	cv_buf_put_byte(out, '\n');
}

/* --- As JSON ------------------------------------------------------------------------------ */

static void put_member(struct cv_buf *out, const char *key, const char *value)
{
	cv_buf_put_json_member(out, key, cv_str_of(value));
	cv_buf_put_byte(out, ',');
}

static void print_row_json(const struct cv_probe_row *row, struct cv_buf *out)
{
	bool is_first = true;

	cv_buf_put_byte(out, '{');
	put_member(out, "name", row->name);
	put_member(out, "status", cv_probe_status_name(row->status));
	put_member(out, "detail", row->detail);
	put_member(out, "protects", row->protects);
	if (row->status != CV_PROBE_OK) {
		put_member(out, "missing", row->lost);
		put_member(out, "enable", row->enable);
	}
	cv_buf_put(out, CV_STR("\"needed_for\":["));
	for (int t = 0; t < CV_TIER_COUNT; t++) {
		if (!(row->needed_for & CV_PROBE_TIER_BIT(t)))
			continue;
		cv_buf_printf(out, "%s\"%s\"", is_first ? "" : ",", tier_name[t]);
		is_first = false;
	}
	cv_buf_put(out, CV_STR("]}"));
}

static void print_json(
	const struct cv_probe_report *r, const struct doctor_options *o, struct cv_buf *out)
{
	cv_buf_printf(out, "{\"tier\":\"%s\",\"required\":\"%s\",\"is_enough\":%s,",
		tier_name[r->tier], tier_name[o->require],
		r->tier >= o->require ? "true" : "false");
	if (r->interception != CV_INTERCEPTION_AUTO)
		put_member(out, "interception", cv_interception_name(r->interception));
	cv_buf_put(out, CV_STR("\"mechanisms\":["));
	for (size_t i = 0; i < CV_PROBE_COUNT; i++) {
		if (i)
			cv_buf_put_byte(out, ',');
		print_row_json(&r->rows[i], out);
	}
	cv_buf_put(out, CV_STR("]}\n"));
}

/* Tries everything.  Whether the tier is enough. */
static bool report_put(const struct doctor_options *o, struct cv_buf *out)
{
	struct cv_probe_report report;

	cv_probe_all(&report);
	if (o->output == CV_OUTPUT_JSON)
		print_json(&report, o, out);
	else
		print_text(&report, o, out);
	return report.tier >= o->require;
}

static cv_code out_write(const struct cv_buf *out, struct cv_err *err)
{
	const struct cv_str text = cv_buf_str(out);

	if (!text.n || fwrite(text.p, 1, text.n, stdout) != text.n || fflush(stdout) != 0)
		return cv_fail(err, CV_SYSTEM, "write the report");
	return CV_OK;
}

static int doctor_run(const struct cv_command *self, int argc, char **argv)
{
	struct doctor_options o = { .require = CV_TIER_NAMESPACES };
	struct cv_err err = { 0 };
	struct cv_buf out;
	int first, status;

	if (!cv_command_begin(self, argc, argv, &o, &first, &status))
		return status;
	if (first < argc) {
		(void)cv_fail(&err, CV_INVALID, "takes no operand: %s", argv[first]);
		return cv_command_fail(self, &err);
	}
	cv_buf_init(&out, OUTPUT_BYTES_MAX);
	const bool is_enough = o.wants_apparmor ? doctor_apparmor_profile(&out, &err) == CV_OK
						: report_put(&o, &out);
	if (err.code == CV_OK)
		(void)out_write(&out, &err);
	cv_buf_fini(&out);
	return err.code == CV_OK ? !is_enough : cv_command_fail(self, &err);
}

const struct cv_command cv_cmd_doctor = {
	.name = "doctor",
	.operands = "",
	.summary = "say what this machine can enforce, and what would make it more",
	.options = option,
	.option_count = CV_ARRAY_LEN(option),
	.run = doctor_run,
};
