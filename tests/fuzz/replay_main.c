/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay_main.c - runs a fuzz target over files, and says so in TAP
 *
 *     fuzz_FOLDER_NAME CORPUS-DIRECTORY|FILE...
 *
 * This is the main() of a fuzz target that was built without libFuzzer.  Each input is handed over
 * in a block of exactly its size, so that the address sanitizer sees a read one byte past it.  A
 * crash ends the process: the plan stands at the top, so the runner counts what did not come, and
 * the last "# replaying" line names the input.  An empty corpus is a failure: a target that is
 * never run protects nothing.
 */
#include "fuzz/fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/attr.h"

#define INPUT_BYTES_MAX (64 << 20) /* far above any parser's own limit */
#define INPUT_COUNT_MAX 100000     /* a corpus of seeds, not the fuzzer's working directory */

/* Weak: most targets have nothing to prepare. */
__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv);

struct inputs {
	char **path;
	size_t count;
};

CV_PRINTF(1, 2) CV_NORETURN static void die(const char *fmt, ...);
static void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	printf("Bail out! ");
	vprintf(fmt, ap);
	printf(" (%s)\n", strerror(errno));
	va_end(ap);
	exit(1);
}

static void inputs_add(struct inputs *in, const char *dir, const char *name)
{
	char *path = NULL;

	if (asprintf(&path, "%s%s%s", dir, *dir ? "/" : "", name) < 0)
		die("no memory");
	in->path = reallocarray(in->path, in->count + 1, sizeof(*in->path));
	if (!in->path || in->count == INPUT_COUNT_MAX)
		die("too many inputs in %s", dir);
	in->path[in->count++] = path;
}

/* A directory's regular files, in the order of their names; anything else as it is. */
static void inputs_find(struct inputs *in, const char *arg)
{
	struct dirent **entry = NULL;
	struct stat st;

	if (stat(arg, &st) < 0)
		die("%s", arg);
	if (!S_ISDIR(st.st_mode)) {
		inputs_add(in, "", arg);
		return;
	}
	int count = scandir(arg, &entry, NULL, alphasort);
	if (count < 0)
		die("%s", arg);
	for (int i = 0; i < count; i++) {
		if (entry[i]->d_name[0] != '.')
			inputs_add(in, arg, entry[i]->d_name);
		free(entry[i]);
	}
	free(entry);
}

static uint8_t *input_read(const char *path, size_t *ret_size)
{
	FILE *f = fopen(path, "rb");
	struct stat st;

	if (!f || fstat(fileno(f), &st) < 0)
		die("%s", path);
	if (!S_ISREG(st.st_mode) || st.st_size > INPUT_BYTES_MAX)
		die("%s: not a regular file of at most %d bytes", path, INPUT_BYTES_MAX);
	uint8_t *data = malloc((size_t)st.st_size);
	*ret_size = (size_t)st.st_size;
	if ((!data && *ret_size) || fread(data, 1, *ret_size, f) != *ret_size)
		die("%s", path);
	fclose(f);
	return data;
}

int main(int argc, char **argv)
{
	struct inputs in = { 0 };

	if (LLVMFuzzerInitialize)
		LLVMFuzzerInitialize(&argc, &argv);
	for (int i = 1; i < argc; i++)
		inputs_find(&in, argv[i]);
	if (in.count == 0) {
		printf("1..1\nnot ok 1 - the corpus has at least one seed\n");
		return 1;
	}
	printf("1..%zu\n", in.count);
	for (size_t i = 0; i < in.count; i++) {
		size_t size;
		uint8_t *data = input_read(in.path[i], &size);

		printf("# replaying %s\n", in.path[i]);
		fflush(stdout); /* before what may be a crash */
		LLVMFuzzerTestOneInput(data, size);
		free(data);

		const char *slash = strrchr(in.path[i], '/');
		printf("ok %zu - %s\n", i + 1, slash ? slash + 1 : in.path[i]);
		free(in.path[i]);
	}
	free(in.path);
	return 0;
}
