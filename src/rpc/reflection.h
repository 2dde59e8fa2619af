/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reflection.h - services that tell about the server: grpc.reflection.v1 (and v1alpha) and
 * grpc.health.v1
 *
 * Rows for the program's table of methods, complete with their handlers.  They need nobody to be
 * authenticated: the API is public, and probes have no tokens.  Health is SERVING for the server
 * ("") and each service it has methods of, and NOT_SERVING when it drains.
 */
#pragma once
#include "rpc/call.h"

extern const struct cv_rpc_method cv_rpc_reflection_methods[];
extern const size_t cv_rpc_reflection_method_count;
extern const struct cv_rpc_method cv_rpc_health_methods[];
extern const size_t cv_rpc_health_method_count;

/* ---- for tests: the descriptors ---- */

/* The bytes of a file by its name, or of the file that says what a name is; CV_STR_NONE. */
struct cv_str cv_rpc_reflection_file(struct cv_str name);
struct cv_str cv_rpc_reflection_symbol(struct cv_str name);
