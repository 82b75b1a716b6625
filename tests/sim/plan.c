/* What a seed decides. Small numbers everywhere: they make the rare common.
 *
 * A seed has a profile, and the profile turns one kind of trouble from rare to certain; the rest of the
 * plan stays any mix.
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sim/sim.h"

#define FOREVER_MS (24u * 3600 * 1000) /* a clock that never strikes in a run */

struct sim_plan sim_plan;

static void plan_faults(struct sim_plan *p)
{
	p->has_faults = true;
	p->bad_peer_den = sim_one_in(2) ? 2 + sim_below(4) : 0;
	p->eio_den = sim_one_in(3) ? 10 + sim_below(60) : 0;
	p->enospc_den = sim_one_in(4) ? 5 + sim_below(30) : 0;
	p->has_outsider = sim_one_in(3);
	if (sim_one_in(3))
		p->disk_blocks = 100 + sim_below(300);
	if (sim_one_in(4))
		p->index_capacity = 2 + sim_below(10);
}

/* Crashes early and late in a life; the second and third often while it is still starting. */
static void plan_crashes(struct sim_plan *p)
{
	p->crashes = 1 + sim_below(SIM_CRASHES);
	for (unsigned i = 0; i < p->crashes; i++) {
		unsigned scale = i > 0 && sim_one_in(2) ? 3 + sim_below(5) : 6 + sim_below(8);
		p->crash_after[i] = (1u << scale) + sim_below(1u << scale);
		p->is_power_cut[i] = !sim_one_in(3);
	}
}

/* Enough different objects for what there is room for. */
static void plan_plenty(struct sim_plan *p)
{
	p->peers = 3 + sim_below(SIM_PEERS - 2);
	p->associations = 2 + sim_below(p->peers);
	p->objects = 4 + sim_below(SIM_OBJECTS - 3);
	p->uids = SIM_UIDS / 2 + sim_below(SIM_UIDS / 2);
	p->piece_min = 2000;
	p->versions = SIM_VERSIONS;
	p->size_max = 48000;
	p->pipe_max = 4000 + sim_below(28000);
}

/* One gauge is small, now and then all three. */
static void plan_small_disk(struct sim_plan *p)
{
	unsigned which = sim_below(4);
	p->has_faults = true;
	p->has_outsider = sim_one_in(8);
	p->eio_den = p->enospc_den = 0;
	p->index_capacity = sim_one_in(4) ? 5 + sim_below(30) : 10000;
	if (which == 0 || which == 3)
		p->disk_blocks = 150 + sim_below(100);
	if (which == 1 || which == 3)
		p->quota = (250 + sim_below(200)) * SL_KIB;
	if (which == 2 || which == 3)
		p->inodes = 40 + sim_below(30);
}

static void plan_profile(struct sim_plan *p)
{
	switch (p->profile) {
	case SIM_FULL:
		plan_plenty(p);
		plan_small_disk(p);
		p->studies = 1 + sim_below(2);
		break;
	case SIM_EVICTING:
		plan_plenty(p);
		plan_small_disk(p);
		p->evicts = true;
		p->studies = 2 + sim_below(SIM_STUDIES - 1);
		p->pause_den = sim_one_in(2) ? 2 + sim_below(8) : 0;
		p->min_age_ms = sim_one_in(3) ? 100 + sim_below(2000) : 0;
		p->index_short_den = sim_one_in(4) ? 2 + sim_below(4) : 0;
		break;
	case SIM_LATCHING:
		p->has_faults = true;
		p->peers = 2 + sim_below(SIM_PEERS - 1);
		p->associations = p->peers;
		p->threads = 2 + sim_below(2);
		p->eio_den = 4 + sim_below(20);
		break;
	case SIM_STALLING:
		p->has_faults = true;
		p->peers = 1 + sim_below(4);
		p->bad_peer_den = 1 + sim_below(2);
		break;
	case SIM_ORDINARY:
	case SIM_PROFILE_N:
		if (sim_one_in(2))
			plan_faults(p);
		p->evicts = p->disk_blocks < 1000 && sim_one_in(2);
		break;
	}
}

/* What a peer that stops is ended by: more than one clock, or one alone. */
static void plan_clocks(struct sim_plan *p)
{
	p->artim_ms = 500 + sim_below(2000);
	p->idle_ms = sim_one_in(2) ? 2000 + sim_below(2000) : FOREVER_MS;
	p->min_rate = sim_one_in(2) ? 256 : 0;
	p->rate_window_ms = 5000 + sim_below(10000);
}

void sim_plan_make(uint64_t seed)
{
	static const unsigned dens[] = {1, 1, 2, 4, 16, 64};
	static const enum sim_profile rare[] = {SIM_FULL, SIM_EVICTING, SIM_FULL, SIM_EVICTING,
		SIM_EVICTING, SIM_LATCHING, SIM_LATCHING, SIM_STALLING, SIM_STALLING};
	struct sim_plan *p = &sim_plan;
	*p = (struct sim_plan){.seed = seed};
	p->profile = seed % 2 == 0 ? SIM_ORDINARY : rare[seed / 2 % SL_ARRAY_N(rare)];
	p->loops = 1 + sim_one_in(4);
	p->threads = 1 + sim_below(3);
	p->peers = 1 + sim_below(SIM_PEERS);
	p->associations = 1 + sim_below(p->peers + 1);
	p->window = 1 + sim_below(4);
	p->buffers = 1 + sim_below(4);
	p->recv_area = sim_one_in(2) ? 2 * SL_KIB : 4 * SL_KIB;
	p->buffer_size = p->recv_area << (1 + sim_below(2));
	p->pending = 1u << sim_below(4);
	p->batch = 1 + sim_below(6);
	p->max_delay_ms = sim_one_in(3) ? 0 : sim_below(200);
	p->duplicates = (enum sl_duplicates)sim_below(3);
	p->objects = 1 + sim_below(5);
	p->uids = 1 + sim_below(SIM_UIDS / 2);
	p->versions = 1 + sim_below(SIM_VERSIONS);
	p->studies = 1 + sim_below(4);
	p->size_max = sim_one_in(3) ? 40000 : 3000;
	p->switch_den = dens[sim_below(SL_ARRAY_N(dens))];
	p->slow_den = sim_one_in(2) ? 1 + sim_below(4) : 0;
	p->short_den = sim_one_in(4) ? 3 : 0;
	p->disk_blocks = 1u << 20;
	p->index_capacity = 10000;
	p->pipe_max = 1 + sim_below(sim_one_in(3) ? 1500 : 32000);
	p->orders = sim_one_in(3) ? 1 + sim_below(6) : 0;
	p->names_ahead = sim_one_in(4) ? 0 : 1 + sim_below(6);
	plan_clocks(p);
	plan_profile(p);
	if (sim_one_in(2))
		plan_crashes(p);
	/* A removal that the journal had no room to say may be undone where the index is lost too. */
	bool is_roomy = p->disk_blocks == 1u << 20 && p->inodes == 0 && p->enospc_den == 0 &&
			!p->has_outsider && p->index_capacity == 10000;
	p->lose_den = is_roomy && sim_one_in(3) ? 1 + sim_below(2) : 0;
	for (unsigned i = 1; i < p->crashes && p->lose_den > 0; i++)
		p->crash_after[i] = (16u << sim_below(6)) + sim_below(32); /* while it is rebuilt */
}

void sim_plan_make_sound(uint64_t seed)
{
	struct sim_plan *p = &sim_plan;
	sim_plan_make(seed);
	p->profile = SIM_ORDINARY;
	p->has_faults = p->has_outsider = p->evicts = false;
	p->eio_den = p->enospc_den = p->index_short_den = p->bad_peer_den = 0;
	p->crashes = p->orders = 0;
	p->disk_blocks = 1u << 20;
	p->quota = p->inodes = 0;
	p->index_capacity = 10000;
	p->artim_ms = 1000;
	p->idle_ms = 2000;
	p->min_rate = 0;
}

void sim_plan_print(void)
{
	static const char *const policies[] = {"refuse", "latest", "first"};
	static const char *const profiles[SIM_PROFILE_N] = {
		"ordinary", "full", "evicting", "latching", "stalling"};
	const struct sim_plan *p = &sim_plan;
	printf("seed %" PRIu64
	       " (%s): loops=%u threads=%u associations=%u window=%u buffers=%ux%zu "
	       "area=%zu\n  pending=%u batch=%u max_delay=%ums duplicates=%s policy=%s "
	       "min_age=%" PRIu64 "ms index=%zu disk=%" PRIu64 " quota=%" PRIu64 " inodes=%" PRIu64
	       "\n",
		p->seed, profiles[p->profile], p->loops, p->threads, p->associations, p->window,
		p->buffers, p->buffer_size, p->recv_area, p->pending, p->batch, p->max_delay_ms,
		policies[p->duplicates], p->evicts ? "evict" : "refuse", p->min_age_ms,
		p->index_capacity, p->disk_blocks, p->quota, p->inodes);
	printf("  peers=%u objects=%u uids=%u versions=%u studies=%u size=%zu pipe=%zu bad=1/%u "
	       "pause=1/%u orders=%u\n  artim=%ums idle=%ums min_rate=%u window=%ums\n",
		p->peers, p->objects, p->uids, p->versions, p->studies, p->size_max, p->pipe_max,
		p->bad_peer_den, p->pause_den, p->orders, p->artim_ms, p->idle_ms, p->min_rate,
		p->rate_window_ms);
	printf("  names=%u switch=1/%u slow=1/%u eio=1/%u enospc=1/%u short=1/%u index_short=1/%u lose=1/%u "
	       "outsider=%d "
	       "crashes=",
		p->names_ahead, p->switch_den, p->slow_den, p->eio_den, p->enospc_den, p->short_den,
		p->index_short_den, p->lose_den, p->has_outsider);
	for (unsigned i = 0; i < p->crashes; i++)
		printf("%s%s@%" PRIu64, i > 0 ? "," : "", p->is_power_cut[i] ? "power" : "kill",
			p->crash_after[i]);
	printf("%s\n", p->crashes == 0 ? "none" : "");
}
