/* What a seed decides. Small numbers everywhere: they make the rare common.
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sim/sim.h"

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

static void plan_crashes(struct sim_plan *p)
{
	p->crashes = 1 + sim_below(SIM_CRASHES);
	for (unsigned i = 0; i < p->crashes; i++) {
		unsigned scale = 6 + sim_below(8); /* early and late ones alike */
		p->crash_after[i] = (1u << scale) + sim_below(1u << scale);
		p->is_power_cut[i] = !sim_one_in(3);
	}
}

void sim_plan_make(uint64_t seed)
{
	static const unsigned dens[] = {1, 1, 2, 4, 16, 64};
	struct sim_plan *p = &sim_plan;
	*p = (struct sim_plan){.seed = seed};
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
	p->uids = 1 + sim_below(SIM_UIDS);
	p->versions = 1 + sim_below(SIM_VERSIONS);
	p->studies = 1 + sim_below(4);
	p->size_max = sim_one_in(3) ? 40000 : 3000;
	p->switch_den = dens[sim_below(SL_ARRAY_N(dens))];
	p->slow_den = sim_one_in(2) ? 1 + sim_below(4) : 0;
	p->short_den = sim_one_in(4) ? 3 : 0;
	p->disk_blocks = 1u << 20;
	p->index_capacity = 10000;
	p->pipe_max = 1 + sim_below(sim_one_in(3) ? 1500 : 32000);
	if (sim_one_in(2))
		plan_faults(p);
	if (sim_one_in(2))
		plan_crashes(p);
	p->evicts = p->disk_blocks < 1000 && sim_one_in(2);
}

void sim_plan_print(void)
{
	static const char *const policies[] = {"refuse", "latest", "first"};
	const struct sim_plan *p = &sim_plan;
	printf("seed %" PRIu64
	       ": loops=%u threads=%u associations=%u window=%u buffers=%ux%zu area=%zu\n"
	       "  pending=%u batch=%u max_delay=%ums duplicates=%s policy=%s index=%zu "
	       "disk=%" PRIu64
	       "\n  peers=%u objects=%u uids=%u versions=%u studies=%u size=%zu pipe=%zu bad=1/%u\n"
	       "  switch=1/%u slow=1/%u eio=1/%u enospc=1/%u short=1/%u outsider=%d crashes=",
		p->seed, p->loops, p->threads, p->associations, p->window, p->buffers,
		p->buffer_size, p->recv_area, p->pending, p->batch, p->max_delay_ms,
		policies[p->duplicates], p->evicts ? "evict" : "refuse", p->index_capacity,
		p->disk_blocks, p->peers, p->objects, p->uids, p->versions, p->studies, p->size_max,
		p->pipe_max, p->bad_peer_den, p->switch_den, p->slow_den, p->eio_den, p->enospc_den,
		p->short_den, p->has_outsider);
	for (unsigned i = 0; i < p->crashes; i++)
		printf("%s%s@%" PRIu64, i > 0 ? "," : "", p->is_power_cut[i] ? "power" : "kill",
			p->crash_after[i]);
	printf("%s\n", p->crashes == 0 ? "none" : "");
}
