/* SPDX-License-Identifier: Apache-2.0 */
/*
 * box_file.h - small files that are made for a start of a sandbox, and hold while it runs
 *
 *     started/ID.routes   where model calls go; its proxy reads it (inference_box.c)
 *     started/ID.token    the envelope of its token of host tools (tools_token.c)
 *
 * They are apart from the sandbox's own directory, which the driver may yet move into its place.
 * Each is whole or not there to who reads it; none is sent to the disk, because no sandbox outlives
 * the machine, and the next start makes them anew.  So those of sandboxes that do not run are removed
 * when a gateway starts.
 */
#pragma once
#include "gateway/gateway.h"

enum cv_gw_box_file { CV_GW_BOX_ROUTES, CV_GW_BOX_TOKEN, CV_GW_BOX_FILE_COUNT };

#define CV_GW_BOX_FILE_BYTES 64 /* of a path, below the state directory */

void cv_gw_box_file_path(
	enum cv_gw_box_file what, const struct cv_object *sandbox, char ret[CV_GW_BOX_FILE_BYTES]);
CV_MUST cv_code cv_gw_box_file_write(const struct cv_gateway *g, enum cv_gw_box_file what,
	const struct cv_object *sandbox, struct cv_str text, struct cv_err *err);
bool cv_gw_box_file_is_there(
	const struct cv_gateway *g, enum cv_gw_box_file what, const struct cv_object *sandbox);
/* False: there was none. */
bool cv_gw_box_file_remove(
	const struct cv_gateway *g, enum cv_gw_box_file what, const struct cv_object *sandbox);
/* Of all that does not run. */
void cv_gw_box_files_sweep(
	const struct cv_gateway *g, bool (*is_running)(void *arg, struct cv_str id), void *arg);
