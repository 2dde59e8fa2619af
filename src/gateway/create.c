/* SPDX-License-Identifier: Apache-2.0 */
/*
 * create.c - what a request for a sandbox may say, and what of it the driver is told
 *
 * The limits are those of openshell-api 7.  What is refused names its field; nothing has happened
 * then.  Whether the host can give what was asked for (an image, an enforced limit) shows only when
 * the sandbox is started, and is a condition of the sandbox.
 */
#include "gateway/sandbox_int.h"

#include "driver/host.h"
#include "driver/quantity.h"
#include "gateway/access.h"
#include "gateway/config.h"
#include "gateway/external.h"
#include "gateway/labels.h"
#include "gateway/pb.h"
#include "gateway/pod.h"
#include "rpc/policy_pb.h"

#include <stdlib.h>

#define ENV_ENTRIES_MAX      128
#define ENV_KEY_BYTES_MAX    256
#define ENV_VALUE_BYTES_MAX  8192
#define ENV_BYTES_MAX        (256u << 10)
#define LOG_LEVEL_BYTES_MAX  32
#define TEMPLATE_TEXT_MAX    1024
#define TEMPLATE_ENTRIES_MAX 128
#define STRUCT_BYTES_MAX     (64u << 10)
#define PROVIDERS_MAX        32
#define COMMAND_ARGS_MAX     256
#define COMMAND_ARG_MAX      (32u << 10)
#define COMMAND_BYTES_MAX    (256u << 10)
#define COMMAND_VARIABLE     "OPENSHELL_SANDBOX_COMMAND" /* a client without spec.command says it so */
#define CPU_MILLI_MAX        (1000u * 4096)              /* as many CPUs as Linux knows */
#define MEMORY_BYTES_MAX     (UINT64_C(1) << 52)         /* what x86 can address */
#define PIDS_MAX             4194304                     /* PID_MAX_LIMIT, proc(5) */
#define DRIVER               "cove" /* its block of driver_config, and what that may say */
#define DRIVER_PIDS          "pids"

typedef enum cv_rpc_status status;

static status too_much(const char *field, const char *of, size_t n, size_t max, struct cv_err *err)
{
	cv_fail(err, CV_INVALID, "%s exceeds maximum %s (%zu > %zu)", field, of, n, max);
	return CV_RPC_INVALID_ARGUMENT;
}

static status text_check(const char *field, const char *s, size_t max, struct cv_err *err)
{
	const size_t n = strlen(s);

	return n > max ? too_much(field, "length", n, max, err) : CV_RPC_OK;
}

/* ---- environments ---- */

static bool is_name(struct cv_str s)
{
	for (size_t i = 0; i < s.n; i++) {
		const char c = cv_ascii_lower(s.p[i]);

		if (!(c >= 'a' && c <= 'z') && c != '_' && !(i && c >= '0' && c <= '9'))
			return false;
	}
	return s.n != 0;
}

static status env_entry_check(const char *field, const struct cv_pb_entry *e, size_t value_max,
	const char *allowed, struct cv_err *err)
{
	const struct cv_str key = cv_str_of(e->key), value = cv_str_of(e->value);

	if (key.n > ENV_KEY_BYTES_MAX)
		return too_much(field, "key length", key.n, ENV_KEY_BYTES_MAX, err);
	if (value.n > value_max)
		return too_much(field, "value length", value.n, value_max, err);
	if (!is_name(key))
		return cv_fail(err, CV_INVALID, "%s key '%.*s' must match ^[A-Za-z_][A-Za-z0-9_]*$",
			       field, (int)CV_MIN(key.n, (size_t)64), key.n ? key.p : ""),
		       CV_RPC_INVALID_ARGUMENT;
	if (cv_str_has_prefix(key, CV_STR("OPENSHELL_")) && !cv_str_eq(key, cv_str_of(allowed)))
		return cv_fail(err, CV_INVALID, "%s key '%s' uses the reserved prefix OPENSHELL_",
			       field, e->key),
		       CV_RPC_INVALID_ARGUMENT;
	if (cv_str_has_byte(value, '\n') || cv_str_has_byte(value, '\r'))
		return cv_fail(err, CV_INVALID,
			       "%s value of '%s' must not contain newlines or carriage returns",
			       field, e->key),
		       CV_RPC_INVALID_ARGUMENT;
	return CV_RPC_OK;
}

enum cv_rpc_status environment_check(const char *field, const void *entries, size_t n,
	size_t value_max, const char *allowed, struct cv_err *err)
{
	struct cv_pb_entry *const *v = entries;
	size_t bytes = 0;

	if (n > ENV_ENTRIES_MAX)
		return too_much(field, "entries", n, ENV_ENTRIES_MAX, err);
	for (size_t i = 0; i < n; i++) {
		const status s = env_entry_check(field, v[i], value_max, allowed, err);

		if (s != CV_RPC_OK)
			return s;
		bytes += strlen(v[i]->key) + strlen(v[i]->value);
	}
	return bytes > ENV_BYTES_MAX ? too_much(field, "total size", bytes, ENV_BYTES_MAX, err)
				     : CV_RPC_OK;
}

/* ---- resources ---- */

static cv_code quantity_read(const Google__Protobuf__Value *v, uint32_t per_unit, uint64_t max,
	uint64_t *ret, struct cv_err *err)
{
	char text[32];

	if (v->kind_case == GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE)
		return cv_quantity_parse(cv_str_of(v->string_value), per_unit, max, ret, err);
	if (v->kind_case != GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE)
		return cv_fail(err, CV_INVALID, "neither a text nor a number");
	if (!(v->number_value >= 0 && v->number_value < 1e18))
		return cv_fail(err, CV_INVALID, "no quantity");
	snprintf(text, sizeof(text), "%.6f", v->number_value);
	return cv_quantity_parse(cv_str_of(text), per_unit, max, ret, err);
}

/* A quantity as text or as a number; absent: 0, which nobody may ask for. */
static cv_code quantity(const Google__Protobuf__Struct *s, const char *name, uint32_t per_unit,
	uint64_t max, uint64_t *ret, struct cv_err *err)
{
	const Google__Protobuf__Value *v = struct_get(s, name);

	*ret = 0;
	if (value_is_null(v))
		return CV_OK;
	const cv_code code = quantity_read(v, per_unit, max, ret, err);
	return code == CV_OK && !*ret ? cv_fail(err, CV_INVALID,
						"must be greater than 0; leave it out for no limit")
				      : code;
}

static cv_code resources_read(
	const Openshell__V1__SandboxTemplate *t, struct cv_driver_sandbox *s, struct cv_err *err)
{
	const Google__Protobuf__Struct *limits =
		t ? value_struct(struct_get(t->resources, "limits")) : NULL;
	const Google__Protobuf__Struct *own =
		t ? value_struct(struct_get(t->driver_config, DRIVER)) : NULL;
	uint64_t cpu, memory, pids;

	if (quantity(limits, "cpu", 1000, CPU_MILLI_MAX, &cpu, err) != CV_OK)
		return cv_wrap(err, "template.resources.limits.cpu");
	if (quantity(limits, "memory", 1, MEMORY_BYTES_MAX, &memory, err) != CV_OK)
		return cv_wrap(err, "template.resources.limits.memory");
	if (quantity(own, DRIVER_PIDS, 1, PIDS_MAX, &pids, err) != CV_OK)
		return cv_wrap(err, "template.driver_config." DRIVER "." DRIVER_PIDS);
	s->cpu_milli = (uint32_t)cpu;
	s->memory_bytes = memory;
	s->pids = (uint32_t)pids;
	return CV_OK;
}

void create_asks(const Openshell__V1__SandboxSpec *spec, uint64_t *ret_memory, uint64_t *ret_cpu)
{
	struct cv_driver_sandbox s = { .memory_bytes = 0 };
	struct cv_err unused;
	const bool is_good = spec && resources_read(spec->template_, &s, &unused) == CV_OK;

	*ret_memory = is_good ? s.memory_bytes : 0;
	*ret_cpu = is_good ? s.cpu_milli : 0;
}

/* ---- the request ---- */

static status map_check(const char *field, const void *entries, size_t n, struct cv_err *err)
{
	struct cv_pb_entry *const *v = entries;
	status s = CV_RPC_OK;

	if (n > TEMPLATE_ENTRIES_MAX)
		return too_much(field, "entries", n, TEMPLATE_ENTRIES_MAX, err);
	for (size_t i = 0; s == CV_RPC_OK && i < n; i++) {
		s = text_check(field, v[i]->key, TEMPLATE_TEXT_MAX, err);
		if (s == CV_RPC_OK)
			s = text_check(field, v[i]->value, TEMPLATE_TEXT_MAX, err);
	}
	return s;
}

static status struct_check(const char *field, const Google__Protobuf__Struct *m, struct cv_err *err)
{
	const size_t n = m ? protobuf_c_message_get_packed_size(&m->base) : 0;

	return n > STRUCT_BYTES_MAX ? too_much(field, "serialized size", n, STRUCT_BYTES_MAX, err)
				    : CV_RPC_OK;
}

/* Absent or null: nothing is said. */
static status object_check(
	const char *field, const Google__Protobuf__Struct *s, const char *name, struct cv_err *err)
{
	const Google__Protobuf__Value *v = struct_get(s, name);

	if (value_is_null(v) || value_struct(v))
		return CV_RPC_OK;
	return cv_gw_invalid(err, "%s.%s must be an object", field, name);
}

/* The block of our driver is ours to judge: what is misspelt there would be a limit that nobody
 * keeps.  Those of others are theirs. */
static status driver_config_check(const Google__Protobuf__Struct *config, struct cv_err *err)
{
	const Google__Protobuf__Struct *own = value_struct(struct_get(config, DRIVER));
	const status s = object_check("template.driver_config", config, DRIVER, err);

	for (size_t i = 0; own && i < own->n_fields; i++)
		if (strcmp(own->fields[i]->key, DRIVER_PIDS) != 0)
			return cv_gw_invalid(err,
				"template.driver_config." DRIVER
				" has no key '%.64s'; there is " DRIVER_PIDS,
				own->fields[i]->key);
	return s;
}

static status template_check(const Openshell__V1__SandboxTemplate *t, struct cv_err *err)
{
	struct cv_driver_sandbox unused;
	status s = text_check("template.image", t->image, TEMPLATE_TEXT_MAX, err);

	if (s == CV_RPC_OK)
		s = text_check("template.runtime_class_name", t->runtime_class_name,
			TEMPLATE_TEXT_MAX, err);
	if (s == CV_RPC_OK)
		s = text_check("template.agent_socket", t->agent_socket, TEMPLATE_TEXT_MAX, err);
	if (s == CV_RPC_OK)
		s = map_check("template.labels", t->labels, t->n_labels, err);
	if (s == CV_RPC_OK)
		s = map_check("template.annotations", t->annotations, t->n_annotations, err);
	if (s == CV_RPC_OK)
		s = environment_check("template.environment", t->environment, t->n_environment,
			ENV_VALUE_BYTES_MAX, COMMAND_VARIABLE, err);
	if (s == CV_RPC_OK)
		s = struct_check("template.resources", t->resources, err);
	if (s == CV_RPC_OK)
		s = struct_check("template.driver_config", t->driver_config, err);
	if (s == CV_RPC_OK)
		s = object_check("template.resources", t->resources, "limits", err);
	if (s == CV_RPC_OK)
		s = driver_config_check(t->driver_config, err);
	if (s == CV_RPC_OK && resources_read(t, &unused, err) != CV_OK)
		s = CV_RPC_INVALID_ARGUMENT;
	return s;
}

static status command_check(const Openshell__V1__SandboxSpec *spec, struct cv_err *err)
{
	size_t bytes = 0;

	if (spec->n_command > COMMAND_ARGS_MAX)
		return too_much(
			"spec.command", "arguments", spec->n_command, COMMAND_ARGS_MAX, err);
	for (size_t i = 0; i < spec->n_command; i++) {
		const size_t n = strlen(spec->command[i]);

		if (n > COMMAND_ARG_MAX)
			return too_much("spec.command argument", "length", n, COMMAND_ARG_MAX, err);
		bytes += n;
	}
	if (bytes > COMMAND_BYTES_MAX)
		return too_much("spec.command", "total size", bytes, COMMAND_BYTES_MAX, err);
	if (spec->n_command && !*spec->command[0])
		return cv_fail(err, CV_INVALID, "spec.command[0] must not be empty"),
		       CV_RPC_INVALID_ARGUMENT;
	return CV_RPC_OK;
}

static status gpu_check(const Openshell__V1__ResourceRequirements *r, struct cv_err *err)
{
	if (!r || !r->gpu)
		return CV_RPC_OK;
	if (r->gpu->_count_case == OPENSHELL__V1__GPU_RESOURCE_REQUIREMENTS___COUNT_COUNT &&
		!r->gpu->count)
		return cv_fail(err, CV_INVALID,
			       "spec.resource_requirements.gpu.count must be greater than 0"),
		       CV_RPC_INVALID_ARGUMENT;
	return cv_fail(err, CV_UNAVAILABLE, "this gateway has no GPU to give"),
	       CV_RPC_FAILED_PRECONDITION;
}

/* An attachment is there or not: attaching twice does nothing, and a list can't say it twice. */
static status providers_check(const Openshell__V1__SandboxSpec *spec, struct cv_err *err)
{
	if (spec->n_providers > PROVIDERS_MAX)
		return too_much("spec.providers", "entries", spec->n_providers, PROVIDERS_MAX, err);
	for (size_t i = 0; i < spec->n_providers; i++)
		for (size_t k = 0; k < i; k++)
			if (strcmp(spec->providers[i], spec->providers[k]) == 0)
				return cv_gw_invalid(err, "spec.providers names '%.253s' twice",
					spec->providers[i]);
	return CV_RPC_OK;
}

static status fields_check(const Openshell__V1__SandboxSpec *spec, struct cv_err *err)
{
	const size_t policy_bytes =
		spec->policy ? protobuf_c_message_get_packed_size(&spec->policy->base) : 0;
	status s = text_check("spec.log_level", spec->log_level, LOG_LEVEL_BYTES_MAX, err);

	if (s == CV_RPC_OK)
		s = environment_check("spec.environment", spec->environment, spec->n_environment,
			ENV_VALUE_BYTES_MAX, COMMAND_VARIABLE, err);
	if (s == CV_RPC_OK)
		s = providers_check(spec, err);
	if (s == CV_RPC_OK && policy_bytes > CV_POLICY_PB_BYTES_MAX)
		s = too_much("spec.policy", "serialized size", policy_bytes, CV_POLICY_PB_BYTES_MAX,
			err);
	if (s == CV_RPC_OK)
		s = command_check(spec, err);
	if (s == CV_RPC_OK && spec->template_)
		s = template_check(spec->template_, err);
	return s == CV_RPC_OK ? gpu_check(spec->resource_requirements, err) : s;
}

/* Words between blanks: there may be no shell in the image. */
static void command_of_variable(Openshell__V1__SandboxSpec *spec)
{
	const Openshell__V1__SandboxTemplate *t = spec->template_;
	struct cv_str rest =
		cv_pb_map_get(spec->environment, spec->n_environment, CV_STR(COMMAND_VARIABLE));

	if (!rest.n && t)
		rest = cv_pb_map_get(t->environment, t->n_environment, CV_STR(COMMAND_VARIABLE));
	while (rest.n) {
		const struct cv_str word = cv_str_cut(&rest, ' ');

		if (word.n)
			cv_pb_append_str(&spec->command, &spec->n_command, word);
	}
}

/* What may be said in another way is put where it belongs. */
static void spec_complete(Openshell__V1__SandboxSpec *spec)
{
	if (!spec->n_command)
		command_of_variable(spec);
	if (pod_is_there(spec->template_))
		pod_take(spec);
}

static status spec_check(const Openshell__V1__SandboxSpec *spec, struct cv_err *err)
{
	if (pod_check(spec->template_, err) != CV_OK)
		return CV_RPC_INVALID_ARGUMENT;
	Openshell__V1__SandboxSpec *whole = cv_pb_copy(spec);
	spec_complete(whole);
	const status s = fields_check(whole, err);
	cv_pb_free(whole);
	return s;
}

enum cv_rpc_status create_check(const Openshell__V1__CreateSandboxRequest *r, struct cv_err *err)
{
	status s = cv_labels_check("labels", r->labels, r->n_labels, err);

	if (s == CV_RPC_OK)
		s = cv_annotations_check("annotations", r->annotations, r->n_annotations, err);
	if (s == CV_RPC_OK && !r->spec)
		return cv_fail(err, CV_INVALID, "spec is required"), CV_RPC_INVALID_ARGUMENT;
	return s == CV_RPC_OK ? spec_check(r->spec, err) : s;
}

static void map_copy(void *to, size_t *to_n, const ProtobufCMessageDescriptor *type,
	const void *from, size_t from_n)
{
	struct cv_pb_entry *const *v = from;

	for (size_t i = 0; i < from_n; i++)
		cv_pb_map_set(to, to_n, type, cv_str_of(v[i]->key), cv_str_of(v[i]->value));
}

static struct cv_str image_of(const struct cv_gateway *g, const Openshell__V1__SandboxTemplate *t)
{
	return t && *t->image ? cv_str_of(t->image) : g->config->default_image;
}

/* `host`, `external`, or a directory; p NULL: nobody says. */
static struct cv_str image_meaning(const struct cv_gateway *g, struct cv_str image)
{
	const struct cv_gw_config_map *images = &g->config->images;

	if (!image.n || cv_str_eq(image, CV_STR("host")))
		return CV_STR("host");
	for (size_t i = 0; i < images->n; i++)
		if (cv_str_eq(images->key[i], image))
			return images->value[i];
	return CV_STR_NONE;
}

/* The directory of its image; empty: the host's own, or nobody's. */
static struct cv_str rootfs_of(const struct cv_gateway *g, const Openshell__V1__SandboxTemplate *t)
{
	const struct cv_str is = image_meaning(g, image_of(g, t));

	return cv_str_has_prefix(is, CV_STR("/")) ? is : CV_STR_NONE;
}

/* A shell, where its image has one; else it stands without a main process. */
static void command_default(const struct cv_gateway *g, Openshell__V1__SandboxSpec *spec)
{
	const struct cv_str shell = cv_driver_shell(rootfs_of(g, spec->template_));

	if (!shell.n)
		return;
	cv_pb_append_str(&spec->command, &spec->n_command, shell);
	cv_pb_append_str(&spec->command, &spec->n_command, CV_STR("-l"));
	spec->tty = true;
}

Openshell__V1__Sandbox *create_message(const struct cv_gateway *g,
	const Openshell__V1__CreateSandboxRequest *r, struct cv_str name, struct cv_str workspace)
{
	Openshell__V1__Sandbox *m = cv_pb_new(&openshell__v1__sandbox__descriptor);
	Openshell__Datamodel__V1__ObjectMeta *meta =
		cv_pb_new(&openshell__datamodel__v1__object_meta__descriptor);

	m->metadata = meta;
	cv_pb_str_set(&meta->name, name);
	cv_pb_str_set(&meta->workspace, workspace);
	map_copy(&meta->labels, &meta->n_labels,
		&openshell__datamodel__v1__object_meta__labels_entry__descriptor, r->labels,
		r->n_labels);
	map_copy(&meta->annotations, &meta->n_annotations,
		&openshell__datamodel__v1__object_meta__annotations_entry__descriptor,
		r->annotations, r->n_annotations);
	m->spec = cv_pb_copy(r->spec);
	spec_complete(m->spec);
	if (!m->spec->n_command)
		command_default(g, m->spec);
	m->status = cv_pb_new(&openshell__v1__sandbox_status__descriptor);
	m->status->phase = OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_READY;
	return m;
}

/* ---- what the driver is told ---- */

bool cv_gw_box_is_external(const struct cv_gw_box *b)
{
	const Openshell__V1__SandboxSpec *spec = cv_gw_box_stored(b)->spec;

	return cv_str_eq(
		image_meaning(b->g, image_of(b->g, spec->template_)), CV_STR(CV_GW_IMAGE_EXTERNAL));
}

/* No image, or one that the configuration says is the host's: the host's own /usr. */
static cv_code image_describe(const struct cv_gateway *g, const Openshell__V1__SandboxTemplate *t,
	struct cv_driver_sandbox *s, struct cv_err *err)
{
	const struct cv_str image = image_of(g, t), is = image_meaning(g, image);

	if (is.p) {
		if (!cv_str_eq(is, CV_STR("host")))
			s->rootfs_dir = is;
		return CV_OK;
	}
	return cv_fail(err, CV_NOT_FOUND,
		"image '%.*s' is not known to this gateway; name it under `images` in its "
		"configuration",
		CV_STR_ARG(image));
}

static bool env_put(
	struct cv_arena *arena, struct cv_str *v, size_t *n, const void *entries, size_t count)
{
	struct cv_pb_entry *const *e = entries;

	for (size_t i = 0; i < count; i++, (*n)++) {
		v[*n] = cv_arena_printf(arena, "%s=%s", e[i]->key, e[i]->value);
		if (!v[*n].p)
			return false;
	}
	return true;
}

#define ENV_OWN 3

static cv_code env_describe(const struct cv_gw_box *b, struct cv_driver_sandbox *s,
	struct cv_arena *arena, struct cv_err *err)
{
	const Openshell__V1__SandboxSpec *spec = cv_gw_box_stored(b)->spec;
	const Openshell__V1__SandboxTemplate *t = spec->template_;
	struct cv_str *v = cv_arena_array(
		arena, ENV_OWN + spec->n_environment + (t ? t->n_environment : 0), sizeof(*v));
	size_t n = 0;

	if (!v)
		return cv_fail(err, CV_LIMIT, "no memory");
	v[n++] = cv_arena_printf(arena, "OPENSHELL_SANDBOX=%.*s", CV_STR_ARG(b->object->name));
	v[n++] = cv_arena_printf(arena, "OPENSHELL_SANDBOX_ID=%s", b->object->id);
	if (spec->tty)
		v[n++] = CV_STR("TERM=xterm-256color");
	if ((t && !env_put(arena, v, &n, t->environment, t->n_environment)) ||
		!env_put(arena, v, &n, spec->environment, spec->n_environment) ||
		arena->is_overflown)
		return cv_fail(err, CV_LIMIT, "no memory");
	s->env = v;
	s->env_count = n;
	return CV_OK;
}

cv_code create_describe(const struct cv_gw_box *b, struct cv_driver_sandbox *s,
	struct cv_arena *arena, struct cv_err *err)
{
	const Openshell__V1__SandboxSpec *spec = cv_gw_box_stored(b)->spec;
	struct cv_str *argv = cv_arena_array(arena, spec->n_command + 1, sizeof(*argv));
	cv_code code = argv ? CV_OK : cv_fail(err, CV_LIMIT, "no memory");

	for (size_t i = 0; argv && i < spec->n_command; i++)
		argv[i] = cv_str_of(spec->command[i]);
	s->argv = argv;
	s->argv_count = spec->n_command;
	s->has_tty = spec->tty;
	if (code == CV_OK)
		code = image_describe(b->g, spec->template_, s, err);
	if (code == CV_OK)
		code = env_describe(b, s, arena, err);
	return code == CV_OK ? resources_read(spec->template_, s, err) : code;
}
