/* CRC-32C (Castagnoli, reflected): the checksum of a file's header, which a rebuild takes of every file.
 * Pure. SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

uint32_t sl_crc32c(const void *bytes, size_t n);
