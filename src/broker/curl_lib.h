/* SPDX-License-Identifier: Apache-2.0 */
/*
 * curl_lib.h - libcurl, loaded when the first request to a server is made
 *
 * It brings thirty libraries, whose relocations take a broker ten times the processor time of its
 * own start and a MiB of its own; most sandboxes never call a tool that needs it.
 */
#pragma once
#include "base/err.h"

#include <curl/curl.h>

/* clang-format off */
#define CURL_LIB_CALLS(X)                                                                        \
	X(global_init_mem) X(free) X(slist_append) X(slist_free_all)                                  \
	X(easy_init) X(easy_setopt) X(easy_getinfo) X(easy_cleanup)                                   \
	X(multi_init) X(multi_setopt) X(multi_assign) X(multi_add_handle) X(multi_remove_handle)      \
	X(multi_info_read) X(multi_socket_action)                                                     \
	X(url) X(url_set) X(url_get) X(url_cleanup)
/* clang-format on */

#define CURL_LIB_CALL(name) __typeof__(&curl_##name) name;
struct curl_lib {
	CURL_LIB_CALLS(CURL_LIB_CALL)
};
#undef CURL_LIB_CALL

/* Once; it stays until the process ends.  CV_UNAVAILABLE: it is not there. */
CV_MUST cv_code curl_lib_load(struct curl_lib *ret, struct cv_err *err);
