/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limits_profile.h - what credentials and their profiles may cost, and why
 */
#pragma once

/* The language's own number (openshell-behaviour 6.1). */
#define CV_CRED_PROVIDERS_MAX 32

/* The largest that is in use is a service account's JSON with its key, 2.5 KiB; a request head that
 * carries a value is bounded far below this. */
#define CV_CRED_VALUE_BYTES_MAX (64u << 10)

/* Variables that one provider exposes, and all of them together. */
#define CV_CRED_KEYS_MAX 256
/* Tools and servers of a catalog, times the credentials of each: few have more than one. */
#define CV_CRED_GRANTS_MAX 2048

/* Endpoints of a profile, and endpoints of a policy that name a provider. */
#define CV_CRED_BINDINGS_MAX 1024

/* Rules of one endpoint: those of a profile are written by hand. */
#define CV_CRED_RULES_MAX 1024

/* An OAuth client has four materials. */
#define CV_CRED_MATERIALS_MAX 64

/* Words of a command that prints a token. */
#define CV_CRED_ARGS_MAX 64

/* A set in memory and as bytes: room for a few hundred values of a usual size. */
#define CV_CRED_SET_BYTES_MAX (16u << 20)

/* A profile's file: twenty endpoints with rules take 8 KiB. */
#define CV_CRED_PROFILE_BYTES_MAX  (256u << 10)
#define CV_CRED_PROFILE_MEMORY_MAX (8u << 20)

/* "kebab-case", and part of a rule's name that logs show. */
#define CV_CRED_ID_BYTES_MAX 64

/* An environment variable's name. */
#define CV_CRED_KEY_BYTES_MAX 128
