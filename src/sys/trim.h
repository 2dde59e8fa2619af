/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trim.h - memory that only start-up needed
 *
 * For the programs built against glibc; malloc_trim(3) is its own.
 */
#pragma once

/* Gives back the memory that only start-up needed: free heap, and the pages of the program's own
 * code that were read in around those it ran (the kernel brings them back when they are wanted).
 * A process that mostly waits then costs what it uses. */
void cv_trim(void);
