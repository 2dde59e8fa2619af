/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz.h - what every fuzz target defines, as libFuzzer and replay_main.c call it
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* Returns 0; a finding is a crash, a sanitizer's report or a failed cv_assert. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Optional, once before the first input. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
