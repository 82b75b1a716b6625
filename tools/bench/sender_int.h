/* What sender.c (sending) and sender_recv.c (what the peer says) share.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tools/bench/sender.h"

/* Reads all that has come. */
void sl_sender_read(struct sl_sender *s);

/* The association is over, one way or another. */
void sl_sender_end(struct sl_sender *s, enum sl_tally_end end);
