/* sluiced: the node.
 *
 * Happy path: read the command line and the configuration, check what the machine allows, open the
 * storage (recovery included), open the port, then wait for signals and beat the heart until one says
 * stop. The main thread does nothing else; the loops, disk threads and the indexer work.
 *
 * Signals: TERM and INT drain for dicom.stop_timeout, the second one stops at once; HUP reloads what
 * can be reloaded and names what cannot; USR1 opens the log file anew. A failed store (the latch)
 * wakes this thread by USR2: associations are aborted and the process leaves with 70.
 *
 * Exit: 0 clean stop, 1 failure at run time, 2 usage or configuration, 70 storage failed.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "server/env.h"
#include "server/heartbeat.h"
#include "server/main_args.h"
#include "server/main_conf.h"
#include "server/main_news.h"
#include "server/main_orders.h"
#include "server/main_work.h"
#include "server/seal.h"

enum { EXIT_CLEAN = 0, EXIT_RUN = 1, EXIT_USAGE = 2, EXIT_STORAGE = 70 };

#define FAIL_GRACE_MS 1000 /* to abort associations after the store has failed */

struct node {
	struct sl_main_args args;
	struct sl_conf conf;
	struct sl_conf fresh; /* of a reload */
	struct sl_conf_errors errors;
	struct sl_main_conf main_conf;
	struct sl_log *log;
	struct sl_stats stats;
	struct sl_main_news news;
	struct sl_storage storage;
	bool is_storage_open;
	struct sl_server *server;
	struct sl_heartbeat heartbeat;
	atomic_bool is_stopped; /* the server's on_stopped came */
	struct sl_diag failure; /* why the store failed; complete once has_failed is set */
	atomic_bool has_failed;
	sigset_t signals;
};

/* ---- news from other threads: passed on as signals to the main thread --------------------------- */

static void on_fail(void *arg, const struct sl_diag *cause)
{
	struct node *n = sl_container_of(arg, struct node, news);
	n->failure = *cause; /* once in a process' life */
	atomic_store(&n->has_failed, true);
	kill(getpid(), SIGUSR2);
}

static void on_stopped(void *arg)
{
	struct node *n = arg;
	atomic_store(&n->is_stopped, true);
	kill(getpid(), SIGUSR2);
}

/* ---- start -------------------------------------------------------------------------------------- */

/* "sluiced: memory: ..." for who sits at the terminal, the same line in the log for who reads that. */
static int refuse(struct node *n, int code, const struct sl_diag *d)
{
	struct sl_log_line l;
	if (n->log == NULL) {
		fprintf(stderr, "sluiced: %s: %s\n", d->where, d->text);
		return code;
	}
	sl_log_begin(&l, n->log, SL_LOG_ERROR, "node.failed");
	sl_log_diag(&l, d);
	sl_log_end(&l);
	return code;
}

static int code_of(enum sl_status st)
{
	switch (st) {
	case SL_E_CONFIG:
	case SL_E_BUSY:
	case SL_E_UNSUPPORTED:
		return EXIT_USAGE;
	case SL_E_SYNC:
		return EXIT_STORAGE;
	default:
		return EXIT_RUN;
	}
}

static void say_start(struct node *n)
{
	const struct sl_main_conf *c = &n->main_conf;
	struct sl_log_line l;
	sl_log_begin(&l, n->log, SL_LOG_INFO, "node.start");
	sl_log_word(&l, "version", SL_VERSION);
	sl_log_ae(&l, "ae", c->server.ae_title.s, c->server.ae_title.len);
	sl_log_word(&l, "called", c->server.assoc.checks_called_ae ? "checked" : "any");
	sl_log_str(&l, "root", c->storage.root);
	sl_log_word(&l, "durability", c->storage.is_durable ? "fsync" : "none");
	sl_log_fmt(&l, "pool", "%ux%zuKiB", c->server.buffers, c->server.buffer_size / SL_KIB);
	sl_log_uint(&l, "max_assocs", c->server.max_associations);
	sl_log_fmt(&l, "memory_ceiling", "%" PRIu64 "MiB", c->memory.ceiling / SL_MIB);
	if (!c->storage.is_durable)
		sl_log_str(
			&l, "note", "a power cut loses acknowledged objects (storage.durability)");
	sl_log_end(&l);
}

static void say_recovered(struct node *n)
{
	const struct sl_recover_report *r = &n->storage.recovered;
	struct sl_log_line l;
	if (r->found + r->removed + r->foreign + r->tombstones == 0)
		return;
	sl_log_begin(&l, n->log, r->quarantined + r->left > 0 ? SL_LOG_WARN : SL_LOG_INFO,
		"node.recovered");
	sl_log_uint(&l, "spool", r->found);
	sl_log_uint(&l, "indexed", r->indexed);
	sl_log_uint(&l, "moved", r->moved);
	sl_log_uint(&l, "removed", r->removed);
	sl_log_uint(&l, "quarantined", r->quarantined);
	sl_log_uint(&l, "foreign", r->foreign);
	if (r->left > 0)
		sl_log_uint(&l, "left", r->left);
	sl_log_uint(&l, "tombstones", r->tombstones);
	if (r->first_bad[0] != '\0')
		sl_log_str(&l, "first_bad", r->first_bad);
	sl_log_end(&l);
}

static void say_listening(struct node *n)
{
	char disk[160];
	struct sl_water_now water = sl_water_now(n->storage.water);
	struct sl_log_line l;
	sl_heartbeat_disk(&water, disk, sizeof(disk));
	sl_log_begin(&l, n->log, SL_LOG_INFO, "node.disk");
	sl_log_str(&l, "text", disk);
	sl_log_end(&l);
	sl_log_begin(&l, n->log, SL_LOG_INFO, "node.listening");
	for (size_t i = 0; i < n->main_conf.server.listen.addr_n; i++)
		sl_log_str(&l, "bind", n->main_conf.server.listen.addr[i]);
	sl_log_uint(&l, "port", sl_server_port(n->server));
	sl_log_end(&l);
}

static enum sl_status open_all(struct node *n, struct sl_diag *d)
{
	const struct sl_main_conf *c = &n->main_conf;
	n->news = (struct sl_main_news){n->log, &n->stats};
	struct sl_storage_news news = sl_main_news(&n->news);
	news.on_fail = on_fail;
	enum sl_status st = sl_seal_uv(d);
	if (st == SL_OK)
		st = sl_limits_descriptors(c->descriptors, d);
	if (st == SL_OK)
		st = sl_limits_check_memory(&c->memory, d);
	if (st == SL_OK)
		st = sl_storage_open(&n->storage, &c->storage, &news, &sl_env_system, d);
	if (st != SL_OK)
		return st;
	n->is_storage_open = true;
	if (n->storage.has_rebuilt)
		sl_main_news_rebuild(&n->news, &n->storage.rebuilt);
	say_recovered(n);
	const struct sl_server_deps deps = {
		.ingest = n->storage.ingest,
		.log = n->log,
		.stats = &n->stats,
		.on_thread = sl_seal_thread,
		.on_stopped = on_stopped,
		.arg = n,
	};
	st = sl_server_open(&n->server, &c->server, &c->peers, &deps, d);
	if (st == SL_OK)
		st = sl_server_start(n->server, d);
	return st;
}

/* ---- reload ------------------------------------------------------------------------------------- */

static void on_change(void *arg, const char *key, bool is_live)
{
	struct node *n = arg;
	struct sl_log_line l;
	sl_log_begin(&l, n->log, is_live ? SL_LOG_INFO : SL_LOG_WARN, "config.changed");
	sl_log_str(&l, "key", key);
	sl_log_word(&l, "applied", is_live ? "now" : "after-restart");
	sl_log_end(&l);
}

static void reload(struct node *n)
{
	struct sl_log_line l;
	memset(&n->errors, 0, sizeof(n->errors));
	enum sl_status st =
		sl_conf_load(&n->fresh, n->args.config, n->args.sets, n->args.sets_n, &n->errors);
	for (size_t i = 0; i < n->errors.n; i++) {
		sl_log_begin(&l, n->log, SL_LOG_ERROR, "config.error");
		sl_log_str(&l, "text", n->errors.items[i].text);
		sl_log_end(&l);
	}
	if (st != SL_OK || !sl_main_conf_check(&n->fresh, stderr)) {
		sl_log_begin(&l, n->log, SL_LOG_ERROR, "config.kept");
		sl_log_str(&l, "why", "the new configuration has errors; the running one stays");
		sl_log_end(&l);
		return;
	}
	sl_conf_reload(&n->conf, &n->fresh, on_change, n);
	sl_main_conf_fill(&n->main_conf, &n->conf, &sl_env_system);
	sl_log_set_level(n->log, n->main_conf.log.level);
	sl_storage_configure(&n->storage, &n->main_conf.storage);
	sl_server_configure(n->server, &n->main_conf.server.assoc, &n->main_conf.peers);
	sl_log_begin(&l, n->log, SL_LOG_INFO, "config.reloaded");
	sl_log_end(&l);
}

/* ---- waiting ------------------------------------------------------------------------------------ */

/* The next signal, or 0 when `at_ns` has come. */
static int next_signal(struct node *n, uint64_t at_ns)
{
	uint64_t now = sl_env_now_ns(&sl_env_system);
	uint64_t left = at_ns > now ? at_ns - now : 0;
	if (left > 3600ull * 1000000000u)
		left = 3600ull * 1000000000u;
	const struct timespec ts = {
		.tv_sec = (time_t)(left / 1000000000u), .tv_nsec = (long)(left % 1000000000u)};
	int sig = sigtimedwait(&n->signals, NULL, &ts);
	return sig > 0 ? sig : 0;
}

static void say_failed(struct node *n)
{
	struct sl_log_line l;
	sl_log_begin(&l, n->log, SL_LOG_ERROR, "storage.failed");
	sl_log_diag(&l, &n->failure);
	sl_log_str(&l, "note", "nothing acknowledged is lost; restart to recover");
	sl_log_end(&l);
}

static int leave_failed(struct node *n)
{
	sl_server_stop(n->server, 0);
	uint64_t until = sl_env_now_ns(&sl_env_system) + FAIL_GRACE_MS * 1000000ull;
	while (!atomic_load(&n->is_stopped) && sl_env_now_ns(&sl_env_system) < until)
		(void)next_signal(n, until);
	say_failed(n);
	sl_log_flush(n->log);
	_exit(EXIT_STORAGE);
}

static void begin_stop(struct node *n, bool is_first)
{
	uint64_t patience = is_first ? n->conf.dicom.stop_timeout : 0;
	struct sl_log_line l;
	sl_log_begin(&l, n->log, SL_LOG_INFO, "node.stopping");
	sl_log_uint(&l, "assocs", sl_server_associations(n->server));
	sl_log_uint(&l, "deadline_ms", patience);
	sl_log_end(&l);
	sl_server_stop(n->server, patience);
}

/* Until the server has stopped. */
static void serve(struct node *n)
{
	bool is_stopping = false;
	uint64_t beat_ns = sl_env_now_ns(&sl_env_system);
	n->heartbeat.at_ns = beat_ns;
	while (!atomic_load(&n->is_stopped)) {
		uint64_t period = n->conf.log.heartbeat * 1000000u;
		int sig = next_signal(n, period == 0 ? UINT64_MAX : beat_ns + period);
		if (atomic_load(&n->has_failed))
			leave_failed(n);
		if (sig == SIGTERM || sig == SIGINT) {
			begin_stop(n, !is_stopping);
			is_stopping = true;
		} else if (sig == SIGHUP) {
			reload(n);
		} else if (sig == SIGUSR1) {
			sl_log_reopen(n->log);
		}
		uint64_t now = sl_env_now_ns(&sl_env_system);
		if (period != 0 && now >= beat_ns + period) {
			sl_heartbeat_beat(&n->heartbeat, now);
			beat_ns = now;
		}
	}
}

static int run(struct node *n)
{
	struct sl_diag d = {0};
	struct sl_log_line l;
	if (sl_log_open(&n->log, &n->main_conf.log, &d) != SL_OK)
		return refuse(n, EXIT_USAGE, &d);
	say_start(n);
	enum sl_status st = open_all(n, &d);
	int code = EXIT_CLEAN;
	if (st == SL_OK) {
		say_listening(n);
		n->heartbeat = (struct sl_heartbeat){.log = n->log,
			.stats = &n->stats,
			.server = n->server,
			.storage = &n->storage,
			.is_durable = n->main_conf.storage.is_durable,
			.is_evicting = n->main_conf.storage.evict.is_on};
		serve(n);
	} else {
		code = refuse(n, code_of(st), &d);
	}
	sl_server_close(n->server);
	/* The last batch is committed while closing, so the store may fail even now. */
	if (n->is_storage_open)
		sl_storage_close(&n->storage);
	if (atomic_load(&n->has_failed)) {
		say_failed(n);
		code = EXIT_STORAGE;
	} else if (st == SL_OK) {
		sl_log_begin(&l, n->log, SL_LOG_INFO, "node.stopped");
		sl_log_uint(&l, "stored", sl_stats_get(&n->stats.objects_stored));
		sl_log_end(&l);
	}
	sl_log_close(n->log);
	return code;
}

/* Signals go to the main thread alone: blocked before any other thread exists. */
static void take_signals(struct node *n)
{
	static const int taken[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};
	sigemptyset(&n->signals);
	for (size_t i = 0; i < SL_ARRAY_N(taken); i++)
		sigaddset(&n->signals, taken[i]);
	pthread_sigmask(SIG_BLOCK, &n->signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_DUMPABLE, 0); /* patient data is in memory: no core dumps */
}

int main(int argc, char **argv)
{
	struct node *n = calloc(1, sizeof(*n));
	if (n == NULL)
		return EXIT_RUN;
	int code = EXIT_USAGE;
	enum sl_main_mode mode = sl_main_args_parse(&n->args, argc, argv);
	if (mode == SL_MAIN_HELP || mode == SL_MAIN_VERSION) {
		code = EXIT_CLEAN;
		goto out;
	}
	if (mode == SL_MAIN_USAGE)
		goto out;
	enum sl_status st =
		sl_conf_load(&n->conf, n->args.config, n->args.sets, n->args.sets_n, &n->errors);
	if (st != SL_OK) {
		sl_conf_errors_print(&n->errors, stderr);
		goto out;
	}
	if (!sl_main_conf_check(&n->conf, stderr))
		goto out;
	sl_main_conf_fill(&n->main_conf, &n->conf, &sl_env_system);
	if (sl_main_is_order(mode)) {
		code = sl_main_order(mode, &n->args, &n->main_conf.storage);
		goto out;
	}
	if (mode == SL_MAIN_REBUILD_INDEX || mode == SL_MAIN_VERIFY) {
		code = sl_main_work(mode, &n->args, &n->main_conf.storage);
		goto out;
	}
	if (mode != SL_MAIN_RUN) {
		code = sl_main_print(mode, &n->conf, &n->main_conf) ? EXIT_CLEAN : EXIT_RUN;
		goto out;
	}
	take_signals(n);
	code = run(n);
out:
	free(n);
	return code;
}
