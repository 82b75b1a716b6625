/* What net.c tells of the server's bytes, as they leave it.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* The server has sent these bytes on connection `conn`: what they promise holds from now on, whether
 * they arrive or not. */
void sim_peer_is_told(int conn, const uint8_t *bytes, size_t n);
