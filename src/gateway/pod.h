/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pod.h - a pod that stands for a sandbox: template.driver_config.pod_template
 *
 * Clients of March 2026 describe what is to run as a Kubernetes pod (`pod_template`, which their listener
 * puts where this looks).  Of its first container image, command, args and env are what a sandbox has too,
 * and are taken where the request itself says nothing.  All the rest is not given, whoever asks:
 * a security context above all.  It refuses nothing for that, and is told.
 *
 *     {"spec": {"containers": [{"image": .., "command": [..], "args": [..], "env": [{"name", "value"}]}]}}
 *
 * Pure.
 */
#pragma once
#include "gateway/structs.h"

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"

#define POD_BLOCK "pod_template"

bool pod_is_there(const Openshell__V1__SandboxTemplate *t); /* t may be NULL */
/* Whether what is taken can be read.  CV_INVALID, naming the field. */
CV_MUST cv_code pod_check(const Openshell__V1__SandboxTemplate *t, struct cv_err *err);
/* Puts what is taken into the spec, where that is silent; of a pod that was checked. */
void pod_take(Openshell__V1__SandboxSpec *spec);
/* The fields that are not given, between commas, as many as fit; CV_STR_NONE: none. */
struct cv_str pod_left_out(const Openshell__V1__SandboxTemplate *t, struct cv_arena *arena);
