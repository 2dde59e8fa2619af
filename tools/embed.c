/* SPDX-License-Identifier: Apache-2.0 */
/*
 * embed.c - files as C strings; runs at build time only
 *
 *     embed HEADER TYPE NAME FILE... > out.c
 *
 * Makes an array NAME of TYPE, { "github", "text", bytes } for .../github.yaml, in the order given,
 * and NAME_count.  A line of the file is a line of the source.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void put(int c)
{
	if (c == '"' || c == '\\')
		printf("\\%c", c);
	else if (c == '\n')
		fputs("\\n\"\n\t  \"", stdout);
	else if (c < 0x20 || c >= 0x7f)
		printf("\\%03o", (unsigned)c);
	else
		putchar(c);
}

static void put_stem(const char *path)
{
	const char *slash = strrchr(path, '/'), *stem = slash ? slash + 1 : path;
	const char *dot = strchr(stem, '.');

	printf("%.*s", (int)(dot ? dot - stem : (long)strlen(stem)), stem);
}

int main(int argc, char **argv)
{
	if (argc < 4)
		return 2;
	printf("/* made by tools/embed.c */\n#include \"%s\"\n\nconst %s %s[] = {\n", argv[1],
		argv[2], argv[3]);
	for (int i = 4; i < argc; i++) {
		FILE *f = fopen(argv[i], "rb");
		long bytes = 0;

		if (!f)
			die(argv[i]);
		fputs("\t{ \"", stdout);
		put_stem(argv[i]);
		fputs("\",\n\t  \"", stdout);
		for (int c; (c = getc(f)) != EOF; bytes++)
			put(c);
		printf("\", %ld },\n", bytes);
		if (ferror(f))
			die(argv[i]);
		fclose(f);
	}
	printf("};\nconst unsigned long %s_count = %d;\n", argv[3], argc - 4);
	return fflush(stdout) || ferror(stdout);
}
