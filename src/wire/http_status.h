/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_status.h - reason phrases of HTTP status codes
 */
#pragma once

/* "Not Found" for 404; a word for the class if the code is not registered.  Static storage. */
const char *cv_http_status_text(int status);
