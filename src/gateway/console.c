/* SPDX-License-Identifier: Apache-2.0 */
/*
 * console.c - the web console: three files, and the heads that keep a browser to them
 *
 * The files are open to all, as they hold nothing: what they show comes from /v1/, which asks who it
 * is (the browser's certificate, a token typed in, or a local user) like for any other client.  Each
 * answer tells the browser to run our script alone, to send nothing anywhere else, to let nobody
 * frame the page, and to refuse text as markup (trusted types), so that a name which a sandbox chose
 * stays text even where the script is wrong.
 */
#include "gateway/console.h"
#include "gateway/gateway.h"

#include <string.h>

#define ROOT "/console/"

static const char heads[] =
	"content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; "
	"img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
	"frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'\r\n"
	"x-content-type-options: nosniff\r\n"
	"x-frame-options: DENY\r\n"
	"referrer-policy: no-referrer\r\n"
	"cross-origin-opener-policy: same-origin\r\n"
	"cross-origin-resource-policy: same-origin\r\n"
	"permissions-policy: camera=(), geolocation=(), microphone=()\r\n"
	"cache-control: no-cache\r\n";

static const struct {
	const char *path, *stem, *type;
} files[] = {
	{ ROOT, "index", "text/html; charset=utf-8" },
	{ ROOT "index.html", "index", "text/html; charset=utf-8" },
	{ ROOT "console.js", "console", "text/javascript; charset=utf-8" },
	{ ROOT "style.css", "style", "text/css; charset=utf-8" },
};

static void file_send(struct cv_rpc_request *r, const char *stem, const char *type)
{
	for (size_t i = 0; i < cv_gw_console_file_count; i++) {
		const struct cv_gw_console_file *f = &cv_gw_console_file[i];

		if (strcmp(f->stem, stem) == 0)
			cv_rpc_respond(r, 200, type, heads, (struct cv_str){ f->text, f->bytes });
	}
}

static void page_file(struct cv_rpc_request *r)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(files); i++)
		if (cv_str_eq(cv_rpc_request_path(r), cv_str_of(files[i].path))) {
			file_send(r, files[i].stem, files[i].type);
			return;
		}
	cv_rpc_respond_error(r, CV_RPC_NOT_FOUND, "the console has no such file");
}

static void page_root(struct cv_rpc_request *r)
{
	cv_rpc_respond(r, 308, NULL, "location: " ROOT "\r\n", CV_STR(""));
}

#define OPEN                                                      \
	{                                                         \
		CV_RPC_AUTH_UNAUTHENTICATED, "", CV_RPC_ROLE_NONE \
	}
static const struct cv_rpc_page pages[] = {
	{ "GET", "/console", OPEN, page_root, NULL, NULL, true },
	{ "GET", ROOT, OPEN, page_file, NULL, NULL, true },
};

const struct cv_gw_part cv_gw_part_console = {
	.name = "console",
	.pages = pages,
	.page_count = CV_ARRAY_LEN(pages),
};
