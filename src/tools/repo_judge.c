/* SPDX-License-Identifier: Apache-2.0 */
/*
 * repo_judge.c - what is suspicious in a repository; see repo.h
 *
 * Nothing here is certain but what is `high`: that leads out of the repository, or is a way to make
 * git itself run something.  The rest is for a person, or an agent, to know of before they open it.
 */
#include "tools/repo.h"

#include "wire/json.h"

#include <stdlib.h>
#include <string.h>

/* ---- findings ---- */

#define FINDINGS_BYTES_MAX ((size_t)CV_REPO_FINDINGS_MAX * 32768)
#define FILE_SHOWN_MAX     512

void cv_repo_findings_init(struct cv_repo_findings *f)
{
	*f = (struct cv_repo_findings){ 0 };
	cv_buf_init(&f->json, FINDINGS_BYTES_MAX);
}

void cv_repo_findings_fini(struct cv_repo_findings *f)
{
	cv_buf_fini(&f->json);
}

void cv_repo_finding(struct cv_repo_findings *f, struct cv_str file, enum cv_repo_severity severity,
	const char *issue)
{
	static const char *const word[] = {
		[CV_REPO_LOW] = "low",
		[CV_REPO_MEDIUM] = "medium",
		[CV_REPO_HIGH] = "high",
	};

	f->has_high = f->has_high || severity == CV_REPO_HIGH;
	/* A thousand harmless ones must not hide the reason of a refusal. */
	if (f->n >= CV_REPO_FINDINGS_MAX ||
		(f->n >= CV_REPO_FINDINGS_MAX / 2 && severity != CV_REPO_HIGH)) {
		f->dropped++;
		return;
	}
	cv_buf_printf(&f->json, "%s{\"file\":\"", f->n ? "," : "");
	cv_buf_put_json(&f->json, cv_str_slice(file, 0, CV_MIN(file.n, (size_t)FILE_SHOWN_MAX)));
	cv_buf_printf(&f->json, "\",\"issue\":\"%s\",\"severity\":\"%s\"}", issue, word[severity]);
	f->n++;
}

/* ---- names ---- */

/* dir is "name/", and stands at the top of path. */
static bool is_in(struct cv_str path, const char *dir)
{
	const struct cv_str d = cv_str_of(dir);

	return path.n > d.n && cv_str_eq_nocase(cv_str_slice(path, 0, d.n), d);
}

static bool has_suffix(struct cv_str path, const char *suffix)
{
	const struct cv_str s = cv_str_of(suffix);

	return path.n > s.n && cv_str_eq_nocase(cv_str_slice(path, path.n - s.n, path.n), s);
}

static struct cv_str base_name(struct cv_str path)
{
	const size_t slash = cv_str_rfind_byte(path, '/');

	return slash < path.n ? cv_str_slice(path, slash + 1, path.n) : path;
}

/* Files that some program runs things of when their directory is opened.  Directories end in '/'. */
static const char *const automatic[] = { ".vscode/tasks.json", ".vscode/settings.json",
	".vscode/launch.json", ".idea/runconfigurations/", ".claude/settings.json",
	".claude/settings.local.json", ".mcp.json", ".cursor/mcp.json", ".envrc", ".husky/",
	".githooks/", ".devcontainer/", ".pre-commit-config.yaml" };

static bool is_automatic(struct cv_str path)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(automatic); i++) {
		const struct cv_str s = cv_str_of(automatic[i]);

		if (s.p[s.n - 1] == '/' ? is_in(path, automatic[i]) : cv_str_eq_nocase(path, s))
			return true;
	}
	return false;
}

static const char *const automation[] = { ".github/", ".gitlab/", ".vscode/", ".idea/" };

bool cv_repo_is_automation(struct cv_str path)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(automation); i++)
		if (is_in(path, automation[i]))
			return true;
	return false;
}

static const char *const documents[] = { ".md", ".txt", ".rst", ".adoc", ".html", ".json", ".yaml",
	".yml", ".toml", "/AGENTS", "/README" };

bool cv_repo_is_document(struct cv_str path)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(documents); i++)
		if (has_suffix(path, documents[i]))
			return true;
	return cv_str_eq(path, CV_STR("README")) || cv_str_eq(path, CV_STR("AGENTS"));
}

/* Names that git takes for .git on some file system: .GIT, git~1, ".git ", ".git::$INDEX". */
static bool is_git_dir(struct cv_str part)
{
	struct cv_str s = cv_str_slice(part, 0, cv_str_find_byte(part, ':'));

	while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '.'))
		s.n--;
	return cv_str_eq_nocase(s, CV_STR(".git")) || cv_str_eq_nocase(s, CV_STR("git~1"));
}

static void parts_judge(struct cv_repo_findings *f, struct cv_str path)
{
	struct cv_str rest = path;

	while (rest.p) {
		const struct cv_str part = cv_str_cut(&rest, '/');

		if (!part.n || cv_str_eq(part, CV_STR(".")) || cv_str_eq(part, CV_STR("..")))
			cv_repo_finding(f, path, CV_REPO_HIGH, "path that leaves the repository");
		else if (is_git_dir(part))
			cv_repo_finding(f, path, CV_REPO_HIGH, "path within a .git directory");
	}
}

void cv_repo_entry_judge(struct cv_repo_findings *f, const struct cv_repo_entry *e)
{
	const struct cv_str name = base_name(e->path);

	parts_judge(f, e->path);
	if (cv_str_has_control(e->path))
		cv_repo_finding(f, e->path, CV_REPO_HIGH, "control characters in a name");
	if (e->kind == CV_REPO_SUBMODULE)
		cv_repo_finding(f, e->path, CV_REPO_MEDIUM, "submodule; it is not fetched");
	if (e->kind == CV_REPO_LINK && (cv_str_eq_nocase(name, CV_STR(".gitmodules")) ||
					       cv_str_eq_nocase(name, CV_STR(".gitattributes")) ||
					       cv_str_eq_nocase(name, CV_STR(".gitignore"))))
		cv_repo_finding(f, e->path, CV_REPO_HIGH, "a file of git's own is a symlink");
	if (is_automatic(e->path))
		cv_repo_finding(f, e->path, CV_REPO_LOW,
			"runs programs when an editor, agent or shell opens the directory");
	/* HEAD beside objects/ and refs/ is a repository to whoever runs git there. */
	if (e->kind == CV_REPO_FILE && has_suffix(e->path, "/config") && e->path.n > 7 &&
		has_suffix(cv_str_slice(e->path, 0, e->path.n - 7), ".git"))
		cv_repo_finding(f, e->path, CV_REPO_MEDIUM,
			"configuration of a repository within this one; git would read it there");
}

/* ---- letter case ---- */

struct fold {
	uint64_t folded, exact;
	uint32_t entry; /* whose path it is, or begins */
};

static uint64_t hash(uint64_t h, char c)
{
	return (h ^ (unsigned char)c) * 0x100000001b3ull;
}

static int fold_order(const void *a, const void *b)
{
	const struct fold *x = a, *y = b;

	if (x->folded != y->folded)
		return x->folded < y->folded ? -1 : 1;
	if (x->exact != y->exact)
		return x->exact < y->exact ? -1 : 1;
	return (x->entry > y->entry) - (x->entry < y->entry);
}

/* Of each directory on the way and of the path itself; v NULL: only counts. */
static size_t folds_put(const struct cv_repo_entry *e, uint32_t number, struct fold *v)
{
	uint64_t folded = 0xcbf29ce484222325ull, exact = folded;
	size_t n = 0;

	for (size_t i = 0; i <= e->path.n; i++) {
		if (i == e->path.n || e->path.p[i] == '/') {
			if (v)
				v[n] = (struct fold){ folded, exact, number };
			n++;
		}
		if (i < e->path.n) {
			folded = hash(folded, cv_ascii_lower(e->path.p[i]));
			exact = hash(exact, e->path.p[i]);
		}
	}
	return n;
}

void cv_repo_case_judge(
	struct cv_repo_findings *f, const struct cv_repo_entry *v, size_t n, struct cv_arena *arena)
{
	size_t total = 0, at = 0;

	for (size_t i = 0; i < n; i++)
		total += folds_put(&v[i], (uint32_t)i, NULL);
	struct fold *fold = total ? cv_arena_array(arena, total, sizeof(*fold)) : NULL;
	if (!fold) {
		if (total)
			cv_repo_finding(f, CV_STR_NONE, CV_REPO_MEDIUM,
				"too many names to compare their letter case");
		return;
	}
	for (size_t i = 0; i < n; i++)
		at += folds_put(&v[i], (uint32_t)i, fold + at);
	qsort(fold, total, sizeof(*fold), fold_order);
	for (size_t i = 1; i < total; i++)
		if (fold[i].folded == fold[i - 1].folded && fold[i].exact != fold[i - 1].exact)
			cv_repo_finding(f, v[CV_MAX(fold[i].entry, fold[i - 1].entry)].path,
				CV_REPO_MEDIUM, "differs from another name in letter case alone");
}

/* ---- what files say ---- */

/* url of a submodule: https, ssh or a path to beside this repository are what people use. */
static bool is_usual_url(struct cv_str url)
{
	return (cv_str_has_prefix(url, CV_STR("https://")) ||
		       cv_str_has_prefix(url, CV_STR("http://")) ||
		       cv_str_has_prefix(url, CV_STR("ssh://")) ||
		       cv_str_has_prefix(url, CV_STR("git://")) ||
		       cv_str_has_prefix(url, CV_STR("git@")) ||
		       cv_str_has_prefix(url, CV_STR("../")) ||
		       cv_str_has_prefix(url, CV_STR("./"))) &&
	       !cv_str_has_control(url);
}

static struct cv_str unquoted(struct cv_str s)
{
	s = cv_str_trim(s);
	return s.n > 1 && s.p[0] == '"' && s.p[s.n - 1] == '"' ? cv_str_slice(s, 1, s.n - 1) : s;
}

void cv_repo_modules_judge(struct cv_repo_findings *f, struct cv_str text)
{
	const struct cv_str file = CV_STR(".gitmodules");

	while (text.p) {
		struct cv_str value = cv_str_cut(&text, '\n');
		const struct cv_str key = cv_str_trim(cv_str_cut(&value, '='));

		value = unquoted(value);
		if (cv_str_eq_nocase(key, CV_STR("url")) && !is_usual_url(value))
			cv_repo_finding(f, file, CV_REPO_HIGH,
				"submodule from a place that runs a program or is of this host");
		if (cv_str_eq_nocase(key, CV_STR("update")) &&
			cv_str_has_prefix(value, CV_STR("!")))
			cv_repo_finding(
				f, file, CV_REPO_HIGH, "submodule whose update is a program");
		if (cv_str_eq_nocase(key, CV_STR("path")) &&
			(cv_str_has_prefix(value, CV_STR("/")) ||
				cv_str_has_prefix(value, CV_STR("-")) ||
				memmem(value.p ? value.p : "", value.n, "..", 2)))
			cv_repo_finding(
				f, file, CV_REPO_HIGH, "submodule outside of the repository");
	}
}

void cv_repo_attributes_judge(struct cv_repo_findings *f, struct cv_str path, struct cv_str text)
{
	while (text.p) {
		struct cv_str line = cv_str_trim(cv_str_cut(&text, '\n'));

		if (!line.p || !line.n || line.p[0] == '#')
			continue;
		if (memmem(line.p, line.n, "filter=lfs", 10)) {
			cv_repo_finding(
				f, path, CV_REPO_LOW, "files of Git LFS; their pointers are there");
			return; /* there are usually many lines */
		}
		if (memmem(line.p, line.n, "filter=", 7)) {
			cv_repo_finding(f, path, CV_REPO_MEDIUM,
				"names a filter, which git would run where it is configured");
			return;
		}
	}
}

/* Texts that speak to a model instead of a reader, in small letters and single blanks. */
static const char *const instructions[] = { "ignore all previous instructions",
	"ignore previous instructions", "ignore your previous instructions",
	"disregard all previous", "forget your instructions", "do not tell the user",
	"you are now in developer mode", "<|im_start|>system" };

/* Small letters, and one blank for any that stand together. */
static size_t flat(struct cv_str s, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		const char c = cv_ascii_lower(s.p[i]);
		const bool is_blank = c == ' ' || c == '\t' || c == '\n' || c == '\r';

		if (!is_blank)
			out[n++] = c;
		else if (n && out[n - 1] != ' ')
			out[n++] = ' ';
	}
	return n;
}

static void document_judge(struct cv_repo_findings *f, struct cv_str path, struct cv_str text)
{
	char *out = malloc(text.n ? text.n : 1);

	if (!out)
		return;
	const size_t n = flat(text, out);
	for (size_t i = 0; i < CV_ARRAY_LEN(instructions); i++)
		if (memmem(out, n, instructions[i], strlen(instructions[i]))) {
			cv_repo_finding(
				f, path, CV_REPO_MEDIUM, "text that gives a model instructions");
			break;
		}
	free(out);
}

static bool is_program(struct cv_str text)
{
	static const unsigned char magic[][4] = { { 0x7f, 'E', 'L', 'F' },
		{ 0xfe, 0xed, 0xfa, 0xce }, { 0xfe, 0xed, 0xfa, 0xcf }, { 0xce, 0xfa, 0xed, 0xfe },
		{ 0xcf, 0xfa, 0xed, 0xfe }, { 0xca, 0xfe, 0xba, 0xbe } };

	for (size_t i = 0; i < CV_ARRAY_LEN(magic); i++)
		if (text.n >= 4 && memcmp(text.p, magic[i], 4) == 0)
			return true;
	return false;
}

void cv_repo_file_judge(struct cv_repo_findings *f, struct cv_str path, struct cv_str text)
{
	text = cv_str_slice(text, 0, CV_MIN(text.n, (size_t)CV_REPO_TEXT_BYTES_MAX));
	if (cv_repo_is_automation(path) && is_program(text))
		cv_repo_finding(f, path, CV_REPO_MEDIUM, "a program in a directory of automation");
	if (cv_repo_is_document(path))
		document_judge(f, path, text);
	if (cv_str_eq(path, CV_STR(".gitmodules")))
		cv_repo_modules_judge(f, text);
	if (cv_str_eq(base_name(path), CV_STR(".gitattributes")))
		cv_repo_attributes_judge(f, path, text);
}

void cv_repo_link_judge(struct cv_repo_findings *f, struct cv_str path, struct cv_str target)
{
	struct cv_str rest = target;

	if (!target.n || target.p[0] == '/') {
		cv_repo_finding(f, path, CV_REPO_HIGH, "symlink that leads out of the repository");
		return;
	}
	while (rest.p)
		if (is_git_dir(cv_str_cut(&rest, '/'))) {
			cv_repo_finding(f, path, CV_REPO_HIGH, "symlink into .git");
			return;
		}
}
