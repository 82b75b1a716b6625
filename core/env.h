/* Time and randomness, handed in: nothing below server/ asks the system for either, so that a test
 * or a simulator can give its own.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/base.h"

struct sl_env {
	uint64_t (*now_ns)(void *arg);			  /* monotonic [ns]; any thread */
	int64_t (*wall_ms)(void *arg);			  /* Unix time [ms]; may jump; any thread */
	void (*random)(void *arg, void *bytes, size_t n); /* fills n bytes; any thread */
	void *arg;
};

static inline uint64_t sl_env_now_ns(const struct sl_env *env)
{
	return env->now_ns(env->arg);
}

static inline int64_t sl_env_wall_ms(const struct sl_env *env)
{
	return env->wall_ms(env->arg);
}
