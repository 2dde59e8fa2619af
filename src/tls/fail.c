/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fail.c - the crypto library's errors as ours; needs libcrypto only, so the keeper has it too
 */
#include "tls/fail.h"

#include <openssl/err.h>

cv_code cv_tls_fail(struct cv_err *err, const char *what)
{
	const unsigned long e = ERR_get_error();
	char text[160] = "unknown cause";

	if (e)
		ERR_error_string_n(e, text, sizeof(text));
	ERR_clear_error();
	return cv_fail(err, CV_SYSTEM, "%s: %s", what, text);
}
