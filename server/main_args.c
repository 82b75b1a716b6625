/* Options of sluiced, and the modes that only print.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/main_args.h"

#include <getopt.h>
#include <inttypes.h>
#include <string.h>

#include "server/conformance.h"
#include "server/main_conf.h"

static const char usage[] = "usage: sluiced [--config FILE] [--set key=value ...]\n"
			    "               [--check-config | --print-config | --print-conformance "
			    "| --version | --help]\n"
			    "               [--pin UID | --unpin UID | --pins | --delete-study UID "
			    "| --delete-object UID | --compact]\n"
			    "       sluiced [--config FILE] [--set key=value ...] --rebuild-index\n"
			    "       sluiced [--config FILE] [--set key=value ...] "
			    "--verify[=quick|full] [--json]\n";

static const char text[] =
	"\n"
	"A DICOM Storage SCP: keeps what it is sent, exactly, and says so only when it is "
	"durable.\n"
	"\n"
	"  --config FILE         TOML configuration; without it every key has its default\n"
	"  --set key=value       overrides one key; may be repeated\n"
	"  --check-config        checks the configuration, prints what it needs and allows\n"
	"  --print-config        prints the effective configuration\n"
	"  --print-sample        prints the sample configuration with all explanations\n"
	"  --print-conformance   prints the DICOM conformance statement\n"
	"  --version, --help\n"
	"\n"
	"On a stopped node's store (exit 0 done, or sound; 1 not, or damage; 2 in use):\n"
	"  --pin UID             a study is never evicted nor deleted; --unpin UID takes it back\n"
	"  --pins                lists the pinned studies\n"
	"  --delete-study UID    deletes a study, unless it is pinned\n"
	"  --delete-object UID   deletes an object by its SOP Instance UID, in all versions\n"
	"  --compact             writes the index anew without its free pages\n"
	"  --rebuild-index       makes the index anew from the files; the old one stays until then\n"
	"  --verify[=quick]      compares files and index: names, sizes, headers, rows, counters\n"
	"  --verify=full         also every byte against its digest, and the values in the rows\n"
	"  --json                findings as JSON, one object a line\n"
	"\n"
	"Signals: TERM stops (again: at once), HUP reloads, USR1 opens the log file anew.\n"
	"Exit: 0 clean stop, 1 failure at run time, 2 usage or configuration, 70 storage failed.\n"
	"\n"
	"Keys:\n";

/* quick or full; depth NULL: quick. */
static bool read_depth(struct sl_main_args *args, const char *depth)
{
	args->is_full = depth != NULL && strcmp(depth, "full") == 0;
	if (depth == NULL || args->is_full || strcmp(depth, "quick") == 0)
		return true;
	fprintf(stderr, "sluiced: --verify=quick or --verify=full\n");
	return false;
}

enum sl_main_mode sl_main_args_parse(struct sl_main_args *args, int argc, char **argv)
{
	enum { CONFIG = 1000, SET, JSON };
	static const struct option options[] = {
		{"config", required_argument, NULL, CONFIG},
		{"set", required_argument, NULL, SET},
		{"check-config", no_argument, NULL, SL_MAIN_CHECK_CONFIG},
		{"print-config", no_argument, NULL, SL_MAIN_PRINT_CONFIG},
		{"print-sample", no_argument, NULL, SL_MAIN_PRINT_SAMPLE},
		{"print-manual", no_argument, NULL, SL_MAIN_PRINT_MANUAL},
		{"print-conformance", no_argument, NULL, SL_MAIN_PRINT_CONFORMANCE},
		{"pin", required_argument, NULL, SL_MAIN_PIN},
		{"unpin", required_argument, NULL, SL_MAIN_UNPIN},
		{"pins", no_argument, NULL, SL_MAIN_PINS},
		{"delete-study", required_argument, NULL, SL_MAIN_DELETE_STUDY},
		{"delete-object", required_argument, NULL, SL_MAIN_DELETE_OBJECT},
		{"compact", no_argument, NULL, SL_MAIN_COMPACT},
		{"rebuild-index", no_argument, NULL, SL_MAIN_REBUILD_INDEX},
		{"verify", optional_argument, NULL, SL_MAIN_VERIFY},
		{"json", no_argument, NULL, JSON},
		{"help", no_argument, NULL, SL_MAIN_HELP},
		{"version", no_argument, NULL, SL_MAIN_VERSION},
		{NULL, 0, NULL, 0},
	};
	enum sl_main_mode mode = SL_MAIN_RUN;
	int option;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == '?') {
			fputs(usage, stderr);
			return SL_MAIN_USAGE;
		} else if (option == CONFIG) {
			args->config = optarg;
		} else if (option == SET && args->sets_n < SL_MAIN_SETS_MAX) {
			args->sets[args->sets_n++] = optarg;
		} else if (option == SET) {
			fprintf(stderr, "sluiced: more than %d --set\n", SL_MAIN_SETS_MAX);
			return SL_MAIN_USAGE;
		} else if (option == JSON) {
			args->is_json = true;
		} else if (option == SL_MAIN_VERIFY && !read_depth(args, optarg)) {
			return SL_MAIN_USAGE;
		} else {
			mode = (enum sl_main_mode)option;
			args->uid = optarg;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "sluiced: what is \"%s\"?\n%s", argv[optind], usage);
		return SL_MAIN_USAGE;
	}
	if (mode == SL_MAIN_HELP) {
		fputs(usage, stdout);
		fputs(text, stdout);
		sl_conf_help(stdout);
	} else if (mode == SL_MAIN_VERSION) {
		puts("sluiced " SL_VERSION);
	}
	return mode;
}

/* What the configuration buys, in the words of an operator. */
static void print_check(const struct sl_conf *conf, const struct sl_main_conf *c)
{
	const struct sl_limits_memory *m = &c->memory;
	char low[32], high[32], full[32];
	sl_main_conf_mark(&conf->storage.low_watermark, low, sizeof(low));
	sl_main_conf_mark(&conf->storage.high_watermark, high, sizeof(high));
	sl_main_conf_mark(&conf->storage.full_watermark, full, sizeof(full));
	printf("configuration: good\n");
	printf("memory: pool %u x %zu KiB = %" PRIu64 " MiB, connections %" PRIu64
	       " MiB, tables %" PRIu64 " MiB; ceiling %" PRIu64 " MiB\n",
		c->server.buffers, c->server.buffer_size / SL_KIB, m->pool / SL_MIB,
		m->associations / SL_MIB, m->tables / SL_MIB, m->ceiling / SL_MIB);
	printf("pool: an object up to %zu KiB is one write, a larger one streams through 2 buffers "
	       "at a "
	       "time; %u objects can be on their way to the disk at once, the others wait their "
	       "turn\n",
		c->server.buffer_size / SL_KIB, c->server.buffers);
	printf("associations: %u at once, %" PRIu64 " open files needed\n",
		c->server.max_associations, c->descriptors);
	printf("disk: marks %s, %s, %s; objects up to %" PRIu64 " MiB\n", low, high, full,
		c->storage.ingest.max_object / SL_MIB);
	if (!c->storage.is_durable)
		printf("durability: NONE: a power cut loses acknowledged objects\n");
	printf("pool.buffer_size fits when the heartbeat gives no advice; it knows the sizes that "
	       "come\n");
}

static void print_conformance(const struct sl_conf *conf, const struct sl_main_conf *c)
{
	const struct sl_conformance_opts opts = {
		.policy = &c->peers.unlisted.nego,
		.version = SL_VERSION,
		.ae_title = c->server.ae_title.s,
		.check_called_ae = c->server.assoc.checks_called_ae,
		.accept_unknown_peers = c->peers.accepts_unknown,
		.port = c->server.listen.port,
		.max_associations = c->server.max_associations,
		.max_pdu = c->server.max_pdu,
		.artim_ms = c->server.assoc.artim_ms,
		.idle_ms = c->server.assoc.idle_ms,
		.min_rate = c->server.assoc.min_rate,
		.min_rate_window_ms = c->server.assoc.min_rate_window_ms,
		.max_object = c->storage.ingest.max_object,
		.limits = c->storage.ingest.elem,
		.durable = c->storage.is_durable,
		.duplicates = conf->storage.duplicates == SL_CONF_DUPLICATES_LATEST  ? "latest"
			      : conf->storage.duplicates == SL_CONF_DUPLICATES_FIRST ? "first"
										     : "refuse",
		.unsound = conf->storage.unsound == SL_CONF_UNSOUND_KEEP   ? "keep"
			   : conf->storage.unsound == SL_CONF_UNSOUND_WARN ? "warn"
									   : "refuse",
	};
	sl_conformance_print(stdout, &opts);
}

bool sl_main_print(
	enum sl_main_mode mode, const struct sl_conf *conf, const struct sl_main_conf *main_conf)
{
	if (mode == SL_MAIN_CHECK_CONFIG)
		print_check(conf, main_conf);
	else if (mode == SL_MAIN_PRINT_CONFIG)
		sl_conf_print(conf, stdout);
	else if (mode == SL_MAIN_PRINT_SAMPLE)
		sl_conf_sample(stdout);
	else if (mode == SL_MAIN_PRINT_MANUAL)
		sl_conf_manual(stdout);
	else
		print_conformance(conf, main_conf);
	return fflush(stdout) == 0 && !ferror(stdout);
}
