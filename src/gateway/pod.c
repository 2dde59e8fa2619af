/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pod.c - see pod.h; the fields are those of the Kubernetes API's Pod and Container, core/v1
 */
#include "gateway/pod.h"

#include "gateway/pb.h"

#include "base/buf.h"

#include <string.h>

#define CONTAINER      "template." POD_BLOCK ".spec.containers[0]"
#define LEFT_BYTES_MAX 512 /* of a message that people read */

typedef const Google__Protobuf__Struct Struct;
typedef const Google__Protobuf__Value Value;
typedef const Google__Protobuf__ListValue List;

static Value *block_of(const Openshell__V1__SandboxTemplate *t)
{
	return struct_get(t ? t->driver_config : NULL, POD_BLOCK);
}

static Struct *spec_of(const Openshell__V1__SandboxTemplate *t)
{
	return value_struct(struct_get(value_struct(block_of(t)), "spec"));
}

static List *containers_of(const Openshell__V1__SandboxTemplate *t)
{
	return value_list(struct_get(spec_of(t), "containers"));
}

static Struct *container_of_pod(const Openshell__V1__SandboxTemplate *t)
{
	List *l = containers_of(t);

	return l && l->n_values ? value_struct(l->values[0]) : NULL;
}

bool pod_is_there(const Openshell__V1__SandboxTemplate *t)
{
	return !value_is_null(block_of(t));
}

/* ---- whether it can be read ---- */

static cv_code must_be(const char *field, const char *what, struct cv_err *err)
{
	return cv_fail(err, CV_INVALID, "%s must be %s", field, what);
}

static cv_code words_check(Struct *container, const char *name, struct cv_err *err)
{
	Value *v = struct_get(container, name);
	List *l = value_list(v);

	if (value_is_null(v))
		return CV_OK;
	for (size_t i = 0; l && i < l->n_values; i++)
		if (!value_text(l->values[i]))
			l = NULL;
	return l ? CV_OK
		 : cv_fail(err, CV_INVALID, CONTAINER ".%s must be a list of strings", name);
}

/* A variable whose value comes from elsewhere in a cluster has a name here and no value. */
static cv_code env_check(Struct *container, struct cv_err *err)
{
	Value *v = struct_get(container, "env");
	List *l = value_list(v);

	if (!value_is_null(v) && !l)
		return must_be(CONTAINER ".env", "a list", err);
	for (size_t i = 0; l && i < l->n_values; i++) {
		Struct *entry = value_struct(l->values[i]);
		Value *value = struct_get(entry, "value");

		if (!value_text(struct_get(entry, "name")) ||
			(!value_is_null(value) && !value_text(value)))
			return cv_fail(err, CV_INVALID,
				CONTAINER ".env[%zu] must be an object with name and value", i);
	}
	return CV_OK;
}

cv_code pod_check(const Openshell__V1__SandboxTemplate *t, struct cv_err *err)
{
	Value *block = block_of(t), *spec = struct_get(value_struct(block), "spec"),
	      *containers = struct_get(value_struct(spec), "containers");
	List *l = value_list(containers);
	Struct *c = container_of_pod(t);
	Value *image = struct_get(c, "image");
	cv_code code = CV_OK;

	if (!value_is_null(block) && !value_struct(block))
		code = must_be("template." POD_BLOCK, "an object", err);
	else if (!value_is_null(spec) && !value_struct(spec))
		code = must_be("template." POD_BLOCK ".spec", "an object", err);
	else if (!value_is_null(containers) && !l)
		code = must_be("template." POD_BLOCK ".spec.containers", "a list", err);
	else if (l && l->n_values && !c)
		code = must_be(CONTAINER, "an object", err);
	else if (!value_is_null(image) && !value_text(image))
		code = must_be(CONTAINER ".image", "a string", err);
	if (code == CV_OK)
		code = words_check(c, "command", err);
	if (code == CV_OK)
		code = words_check(c, "args", err);
	return code == CV_OK ? env_check(c, err) : code;
}

/* ---- what is taken ---- */

static bool comes_from_elsewhere(Struct *entry)
{
	return !value_is_null(struct_get(entry, "valueFrom"));
}

static void env_take(Struct *container, Openshell__V1__SandboxTemplate *t)
{
	List *l = value_list(struct_get(container, "env"));

	for (size_t i = 0; l && i < l->n_values; i++) {
		Struct *entry = value_struct(l->values[i]);
		const struct cv_str name = cv_str_of(value_text(struct_get(entry, "name")));
		const char *value = value_text(struct_get(entry, "value"));

		if (!comes_from_elsewhere(entry) &&
			!cv_pb_map_get(t->environment, t->n_environment, name).p)
			cv_pb_map_set(&t->environment, &t->n_environment,
				&openshell__v1__sandbox_template__environment_entry__descriptor,
				name, cv_str_of(value ? value : ""));
	}
}

static void words_take(Struct *container, const char *name, Openshell__V1__SandboxSpec *spec)
{
	List *l = value_list(struct_get(container, name));

	for (size_t i = 0; l && i < l->n_values; i++)
		cv_pb_append_str(
			&spec->command, &spec->n_command, cv_str_of(value_text(l->values[i])));
}

void pod_take(Openshell__V1__SandboxSpec *spec)
{
	Openshell__V1__SandboxTemplate *t = spec->template_;
	Struct *c = container_of_pod(t);
	const char *image = value_text(struct_get(c, "image"));

	if (!c)
		return;
	if (!*t->image && image)
		cv_pb_str_set(&t->image, cv_str_of(image));
	env_take(c, t);
	if (spec->n_command)
		return;
	words_take(c, "command", spec);
	words_take(c, "args", spec);
}

/* ---- what is not ---- */

static bool is_one_of(const char *name, const char *const *names)
{
	while (*names && strcmp(*names, name) != 0)
		names++;
	return *names;
}

/* Nothing is asked for by it: null, and what is empty or false. */
static bool is_empty(Value *v)
{
	Struct *s = value_struct(v);
	List *l = value_list(v);
	const char *text = value_text(v);

	return value_is_null(v) || (s && !s->n_fields) || (l && !l->n_values) || (text && !*text) ||
	       (v->kind_case == GOOGLE__PROTOBUF__VALUE__KIND_BOOL_VALUE && !v->bool_value);
}

static void left_put(struct cv_buf *out, const char *where, const char *name)
{
	cv_buf_printf(out, "%s%s%s", cv_buf_len(out) ? ", " : "", where, name);
}

static void fields_left(struct cv_buf *out, const char *where, Struct *s, const char *const *taken)
{
	for (size_t i = 0; s && i < s->n_fields; i++)
		if (!is_one_of(s->fields[i]->key, taken) && !is_empty(s->fields[i]->value))
			left_put(out, where, s->fields[i]->key);
}

struct cv_str pod_left_out(const Openshell__V1__SandboxTemplate *t, struct cv_arena *arena)
{
	static const char *const of_spec[] = { "containers", NULL };
	static const char *const of_container[] = { "name", "image", "command", "args", "env",
		NULL };
	List *l = containers_of(t), *env = value_list(struct_get(container_of_pod(t), "env"));
	struct cv_str ret = CV_STR_NONE;
	struct cv_buf out;

	if (!pod_is_there(t))
		return CV_STR_NONE;
	cv_buf_init(&out, LEFT_BYTES_MAX);
	fields_left(&out, "spec.containers[0].", container_of_pod(t), of_container);
	for (size_t i = 0; env && i < env->n_values; i++)
		if (comes_from_elsewhere(value_struct(env->values[i])))
			left_put(&out, "spec.containers[0].env ",
				value_text(struct_get(value_struct(env->values[i]), "name")));
	fields_left(&out, "spec.", spec_of(t), of_spec);
	if (l && l->n_values > 1)
		left_put(&out, "further containers", "");
	if (cv_buf_len(&out))
		ret = cv_arena_printf(arena, "%.*s%s", CV_STR_ARG(cv_buf_str(&out)),
			out.is_overflown ? ", and more" : "");
	cv_buf_fini(&out);
	return ret;
}
