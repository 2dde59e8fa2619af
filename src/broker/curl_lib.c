/* SPDX-License-Identifier: Apache-2.0 */
/*
 * curl_lib.c - see curl_lib.h; dlopen(3)
 *
 * Found as the linker would find it: a broker is started with an empty environment, so nobody says
 * where.
 */
#include "broker/curl_lib.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

#define CURL_LIB_NAME      "libcurl.so.4" /* since 7.16, of 2006 */

#define CURL_LIB_ROW(name) { "curl_" #name, offsetof(struct curl_lib, name) },
static const struct {
	const char *name;
	size_t at;
} row[] = { CURL_LIB_CALLS(CURL_LIB_ROW) };

cv_code curl_lib_load(struct curl_lib *ret, struct cv_err *err)
{
	void *const lib = dlopen(CURL_LIB_NAME, RTLD_NOW | RTLD_LOCAL);

	if (!lib)
		return cv_fail(err, CV_UNAVAILABLE, "load libcurl: %s", dlerror());
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		void *const call = dlsym(lib, row[i].name);

		if (!call)
			return cv_fail(err, CV_UNAVAILABLE, "load libcurl: %s", dlerror());
		memcpy((char *)ret + row[i].at, &call, sizeof(call));
	}
	return CV_OK;
}
