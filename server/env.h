/* The real clocks and the real randomness, as the rest of the program gets them (core/env.h).
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/env.h"

/* CLOCK_MONOTONIC, CLOCK_REALTIME, getrandom(). Constant; needs no init. */
extern const struct sl_env sl_env_system;
