/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attr.h - compiler attributes as contract, and the few macros that every file may use
 *
 * Everything that differs between compilers or C standards stands here, so that a later
 * standard changes one file.
 */
#pragma once

#define CV_MUST         __attribute__((warn_unused_result))
#define CV_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define CV_NORETURN     __attribute__((noreturn))
#define CV_NONNULL(...) __attribute__((nonnull(__VA_ARGS__)))
#define CV_FALLTHROUGH  __attribute__((fallthrough))
#define CV_UNUSED       __attribute__((unused))
#define CV_PACKED       __attribute__((packed))
#define CV_COLD         __attribute__((cold))
#define CV_AUTO(fn)     __attribute__((cleanup(fn)))

#define CV_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define CV_MIN(a, b)    ((a) < (b) ? (a) : (b))
#define CV_MAX(a, b)    ((a) > (b) ? (a) : (b))
