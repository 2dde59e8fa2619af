/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limits.h - bounds of audit records, each with its reason
 */
#pragma once

/* The one-line form follows what OpenShell's log readers are used to; the JSON form is whole. */
#define CV_AUDIT_SHORT_REASON_BYTES_MAX 256
#define CV_AUDIT_SHORT_TITLE_BYTES_MAX  120
#define CV_AUDIT_SHORT_CUT              "..."

/* A request head is at most 16 KiB and may be all escapes (6 bytes for 1); with every other field
 * at its bound a record stays below this.  A buffer for one JSON line has this maximum. */
#define CV_AUDIT_LINE_BYTES_MAX (256 * 1024)

#define CV_AUDIT_ANCESTORS_MAX  64 /* as deep as process trees get; /proc walks end there too */

/* A run's summary.  A stranger chooses how many different denials there are and how long. */
#define CV_SUMMARY_DENIALS_MAX    64        /* distinct ones remembered; more are only counted */
#define CV_SUMMARY_SHOWN_MAX      10        /* of these, what fits a terminal's page */
#define CV_SUMMARY_TEXT_BYTES_MAX 4096      /* longest canonical path; what is longer is cut */
#define CV_SUMMARY_BYTES_MAX      (2 << 20) /* 64 denials with 6 texts of up to 4096 bytes */
