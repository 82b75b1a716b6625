/* The simulated process: what main.c does with storage and server, and its sudden ends.
 *
 * A life begins with sl_storage_open() (recovery and all), the oracle looks at what it finds, then the
 * port opens and memory is sealed. It ends by order, by a crash that the plan names, or when the store
 * has failed: main.c would exit with 70 and the machine is taken to lose what was not synced.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "server/server.h"
#include "sim/sim.h"
#include "sim/wraps.h"

#define PATIENCE_NS (120 * 1000 * SIM_MS) /* simulated, for what must come to an end */

static struct {
	struct sl_storage storage;
	struct sl_server *server;
	struct sl_stats stats;
	bool is_opening, is_rebuilding, is_up, is_down, is_stopped, is_told_to_stop;
	bool has_failed;
	uint64_t dies_ns;       /* then main.c has got round to leaving */
	unsigned orders_thread; /* the operator's */
	bool is_forgiven, has_reloaded;
} node;

static uint64_t env_now_ns(void *arg)
{
	(void)arg;
	return sim_now_ns();
}

static int64_t env_wall_ms(void *arg)
{
	(void)arg;
	return 1700000000000 + (int64_t)(sim_now_ns() / SIM_MS);
}

static void env_random(void *arg, void *bytes, size_t n)
{
	(void)arg;
	for (size_t i = 0; i < n; i++)
		((uint8_t *)bytes)[i] = (uint8_t)sim_below(256);
}

static const struct sl_env env = {env_now_ns, env_wall_ms, env_random, NULL};

bool sim_node_may_fail(void)
{
	return sim_is_node() && !sim_is_quiet() && !node.is_forgiven;
}

void sim_node_forgive(void)
{
	node.is_forgiven = true;
	sim_disk_grow();
	sim_index_grow();
	sim_wake(&node, true);
}

/* ---- news of the storage ---- */

static void on_fail(void *arg, const struct sl_diag *cause)
{
	(void)arg;
	sim_note("store failed", (uint64_t)cause->errnum, 0);
	if (!sim_plan.has_faults)
		sim_fail("the store fails though nothing did: %s: %s", cause->where, cause->text);
	sim_saw(SIM_SAW_LATCHED);
	node.has_failed = true;
	node.dies_ns = sim_now_ns() + sim_below(300) * SIM_MS;
}

static void on_conflict(void *arg, const struct sl_record *r, uint32_t attributes)
{
	(void)arg;
	(void)r;
	(void)attributes;
}

static void on_stopped(void *arg)
{
	(void)arg;
	node.is_stopped = true;
	sim_wake(&node, true);
}

/* ---- a life ---- */

static struct sl_storage_conf storage_conf(void)
{
	return (struct sl_storage_conf){
		.root = "/root",
		.index_path = "",
		.group = "",
		.is_durable = true,
		.threads = sim_plan.threads,
		.names_ahead = sim_plan.names_ahead,
		.map_size = SL_MIB,
		.water = {.low = {.share = 75},
			.high = {.share = 85},
			.full = {.share = 95},
			.quota = node.is_forgiven ? 0 : sim_plan.quota,
			.reserve_step = 64 * SL_KIB,
			.reserve_max = 20 * SL_GIB},
		.ingest = {.is_durable = true,
			.max_object = SL_MIB,
			.inflate_max = SL_MIB,
			.elem = SL_ELEM_LIMITS_DEFAULT},
		.indexer = {.batch = sim_plan.batch, .max_delay_ms = sim_plan.max_delay_ms},
		.evict = {.is_on = sim_plan.evicts, .min_age_ms = sim_plan.min_age_ms},
	};
}

static struct sl_server_conf server_conf(void)
{
	return (struct sl_server_conf){
		.ae_title = sl_ae_of("SLUICE"),
		.listen = {.addr = {"127.0.0.1"}, .addr_n = 1},
		.loops = sim_plan.loops,
		.max_associations = sim_plan.associations,
		.async_window = (uint16_t)sim_plan.window,
		.max_pdu = 16384,
		.recv_area = sim_plan.recv_area,
		.buffer_size = sim_plan.buffer_size,
		.buffers = sim_plan.buffers,
		.highest_fd = 10,
		.assoc = {.artim_ms = sim_plan.artim_ms,
			.idle_ms = sim_plan.idle_ms,
			.min_rate = sim_plan.min_rate,
			.min_rate_window_ms = sim_plan.rate_window_ms},
	};
}

static bool open_storage(void)
{
	const struct sl_storage_news news = {.on_fail = on_fail, .on_conflict = on_conflict};
	const struct sl_storage_conf conf = storage_conf();
	struct sl_diag d = {0};
	enum sl_status st = sl_storage_open(&node.storage, &conf, &news, &env, &d);
	if (st == SL_OK)
		return true;
	if (!sim_plan.has_faults || node.is_forgiven)
		sim_fail("the node does not start: %s: %s", d.where, d.text);
	sim_note("does not start", (uint64_t)st, (uint64_t)d.errnum);
	node.has_failed = true;
	node.dies_ns = sim_now_ns();
	return false;
}

static void open_server(void)
{
	struct sl_peers_conf peers = {
		.accepts_unknown = true, .unlisted = {.duplicates = sim_plan.duplicates}};
	const struct sl_server_conf conf = server_conf();
	const struct sl_server_deps deps = {
		.ingest = node.storage.ingest, .stats = &node.stats, .on_stopped = on_stopped};
	struct sl_diag d = {0};
	sl_nego_policy_init(&peers.unlisted.nego);
	peers.unlisted.nego.async_max = (uint16_t)sim_plan.window;
	if (sl_server_open(&node.server, &conf, &peers, &deps, &d) != SL_OK ||
		sl_server_start(node.server, &d) != SL_OK)
		sim_fail("the server does not start: %s: %s", d.where, d.text);
}

bool sim_node_is_idle(void)
{
	return node.is_up && sl_server_associations(node.server) == 0 &&
	       sl_server_pool(node.server).used == 0 &&
	       sl_slab_pool_stats(&node.server->pools.areas).used == 0;
}

/* What the marks count is what the index has, once the trash is empty. */
static void check_kept(uint64_t until)
{
	for (;;) {
		struct sl_index_snapshot snap;
		sl_index_snapshot(node.storage.index, &snap);
		uint64_t kept = sl_water_now(node.storage.water).kept;
		if (kept == snap.usage.bytes && sl_trash_stats(node.storage.trash).bytes == 0)
			return;
		if (sim_now_ns() >= until)
			sim_fail("%llu bytes are counted as kept, and the index has %llu",
				(unsigned long long)kept, (unsigned long long)snap.usage.bytes);
		sim_sleep(50 * SIM_MS);
	}
}

/* Nothing comes any more: whatever was handed out is back. */
static void check_idle(void)
{
	struct sl_slab_stats areas = sl_slab_pool_stats(&node.server->pools.areas);
	struct sl_slab_stats buffers = sl_server_pool(node.server);
	uint64_t until = sim_now_ns() + PATIENCE_NS;
	struct sl_pending_stats pending;
	if (areas.used != 0 || buffers.used != 0 || buffers.waiters != 0)
		sim_fail("all associations are over, and %u buffers and %u areas are held, %u wait",
			(unsigned)buffers.used, (unsigned)areas.used, (unsigned)buffers.waiters);
	if (sl_server_associations(node.server) != 0)
		sim_fail("all associations are over, and %u are counted",
			(unsigned)sl_server_associations(node.server));
	while ((pending = sl_pending_stats(node.storage.pending)).used != 0) {
		if (sim_now_ns() >= until)
			sim_fail("%u entries of the pending table never become free",
				(unsigned)pending.used);
		sim_sleep(50 * SIM_MS);
	}
	check_kept(until);
	struct sl_water_now water = sl_water_now(node.storage.water);
	if (water.reserved != 0 || water.waiting != 0)
		sim_fail("nothing is written, and %llu bytes are reserved, %u wait for room",
			(unsigned long long)water.reserved, (unsigned)water.waiting);
}

/* Until the order to stop; what is forgiven is reloaded, as by SIGHUP. */
static void obey(void)
{
	while (!node.is_told_to_stop || !sim_is_over(node.orders_thread)) {
		if (node.is_forgiven && !node.has_reloaded) {
			const struct sl_storage_conf conf = storage_conf();
			node.has_reloaded = true;
			sl_storage_configure(&node.storage, &conf);
			continue;
		}
		(void)sim_block(
			node.is_told_to_stop ? sim_thread_channel(node.orders_thread) : &node,
			SIM_NEVER);
	}
}

static void *node_main(void *arg)
{
	(void)arg;
	sim_sleep((1 + sim_below(500)) * SIM_MS); /* whoever watches it takes his time */
	node.is_opening = true;
	sim_oracle_look_at_spool();
	if (!open_storage())
		return NULL;
	sim_quiet(true);
	sim_oracle_check_store(&node.storage);
	sim_studies_check_pins(node.storage.ops);
	sim_quiet(false);
	open_server();
	sim_disk_begin_marks();
	sim_memory_seal(true);
	node.orders_thread = sim_operator_start(&node.storage);
	node.is_up = true;
	sim_note("up", 0, 0);
	obey();
	node.is_up = false;
	sl_server_stop(node.server, 5000);
	while (!node.is_stopped)
		(void)sim_block(&node, SIM_NEVER);
	check_idle();
	sim_memory_seal(false);
	sl_server_close(node.server);
	sl_storage_close(&node.storage);
	sim_index_check_idle();
	if (sim_files_open() != 0 || sim_memory_blocks() != 0)
		sim_fail("the node has stopped and keeps %u descriptors and %u blocks of memory",
			sim_files_open(), sim_memory_blocks());
	node.is_down = true;
	return NULL;
}

/* ---- from outside ---- */

void sim_node_reset(void)
{
	memset(&node, 0, sizeof(node));
}

void sim_node_start(void)
{
	bool is_forgiven = node.is_forgiven;
	memset(&node, 0, sizeof(node));
	node.is_forgiven = is_forgiven;
	sim_memory_reset();
	sim_files_reset();
	sim_loops_reset();
	(void)sim_start(node_main, NULL, true, "main");
}

void sim_node_order_stop(void)
{
	node.is_told_to_stop = true;
	sim_wake(&node, true);
}

bool sim_node_is_up(void)
{
	return node.is_up;
}

bool sim_node_is_down(void)
{
	return node.is_down;
}

void sim_node_rebuilds(bool is_begun)
{
	node.is_rebuilding = is_begun;
}

bool sim_node_has_failed(void)
{
	return node.has_failed;
}

bool sim_node_wants_to_die(void)
{
	return node.has_failed && sim_now_ns() >= node.dies_ns;
}

void sim_node_crash(bool is_power_cut)
{
	sim_note(is_power_cut ? "power cut" : "kill", 0, 0);
	if (node.is_opening && !node.is_up && !node.has_failed)
		sim_saw(SIM_SAW_CRASH_IN_START);
	if (node.is_rebuilding)
		sim_saw(SIM_SAW_CRASH_IN_REBUILD);
	sim_kill_node();
	sim_net_kill();
	sim_loops_reset();
	sim_files_reset();
	sim_disk_crash(is_power_cut);
	sim_index_crash();
	if (sim_one_in(sim_plan.lose_den))
		sim_index_lose();
	sim_studies_crash();
	node.is_opening = node.is_rebuilding = false;
	node.is_up = false;
	node.has_failed = false;
}

/* ---- what the plan makes smaller ---- */

enum sl_status __wrap_sl_pending_open(
	struct sl_pending **out, uint32_t entries, const struct sl_env *e, struct sl_diag *d)
{
	(void)entries;
	return __real_sl_pending_open(out, sim_plan.pending, e, d);
}
