/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store_int.h"
