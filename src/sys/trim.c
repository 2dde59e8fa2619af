/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trim.c - a process that mostly waits gives back what only its start needed; see trim.h
 */
#include "sys/trim.h"

#include <link.h>
#include <malloc.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* Read-only segments of a program are clean copies of its file: dropping them loses nothing. */
static int segments_drop(struct dl_phdr_info *info, size_t bytes, void *page)
{
	const uintptr_t mask = *(const uintptr_t *)page - 1;

	(void)bytes;
	for (size_t i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *h = &info->dlpi_phdr[i];
		const uintptr_t from = info->dlpi_addr + h->p_vaddr;
		const uintptr_t to = from + h->p_memsz;

		if (h->p_type == PT_LOAD && !(h->p_flags & PF_W))
			madvise((void *)(from & ~mask), (to & ~mask) - (from & ~mask),
				MADV_DONTNEED); /* advice: nothing depends on it */
	}
	return 1; /* the program itself comes first; libraries are shared anyway */
}

void cv_trim(void)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	malloc_trim(0);
	dl_iterate_phdr(segments_drop, &page);
}
