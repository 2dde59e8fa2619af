/* SPDX-License-Identifier: Apache-2.0 */
/*
 * descriptors.h - the descriptors of all our protos, as the build made them (proto/cove.descriptors,
 * a google.protobuf.FileDescriptorSet)
 */
#pragma once

struct cv_rpc_descriptors {
	const char *name, *bytes;
	unsigned long n;
};
extern const struct cv_rpc_descriptors cv_rpc_descriptors[];
extern const unsigned long cv_rpc_descriptors_count; /* 1 */
