/* Options of sluice-bench.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/opts.h"

#include <getopt.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "conf/unit.h"
#include "core/pdu.h"

static const char usage[] =
	"usage: sluice-bench [options] HOST PORT\n"
	"       sluice-bench floor --help, sluice-bench pool --help\n"
	"\n"
	"Sends synthetic objects to a Storage SCP and says how fast, how evenly and with what "
	"answers.\n"
	"Sizes: bytes, KB, KiB, MB, MiB, GiB. Times: ms, s, min.\n"
	"\n"
	"what to send\n"
	"  -o, --object KIND[:SIZE][*N],...  ct (512KiB of pixels), mr (40KB), dx (10MB), mf "
	"(multi-frame,\n"
	"                        500MB); SIZE of pixels, N of a round of the mix (default ct)\n"
	"  -m, --objects N       of all associations together (default 100)\n"
	"  -e, --each N          of each association instead\n"
	"  -d, --duration TIME   begin no object after it\n"
	"      --series N        objects of a series; a study has 4 series (150)\n"
	"      --run N           number in the UIDs, to send the same objects again (default: the "
	"clock)\n"
	"how\n"
	"  -n, --associations N  at the same time (1)\n"
	"  -c, --churn N         objects of one association, then a new one (default: all in one)\n"
	"  -p, --pdu SIZE        of a data PDU, or \"peer\" for its maximum (128KiB)\n"
	"  -w, --window N        asynchronous operations to ask for (1)\n"
	"  -r, --rate SIZE       bytes a second of each association: a slow sender\n"
	"      --think TIME      between an answer and the next object\n"
	"      --hold TIME       stay open and silent before the release\n"
	"      --reconnect TIME  go on after a broken association, unless none succeeds for that "
	"long\n"
	"      --timeout TIME    give up a silent peer (60s; 0 never)\n"
	"  -t, --threads N       (1)\n"
	"      --called AE, --calling AE\n"
	"what to say\n"
	"      --ledger FILE     append \"uid status\" after each answer is read\n"
	"      --json FILE       the figures as JSON; \"-\" instead of the text\n"
	"      --histogram       show how the answers' times are spread\n"
	"      --quiet           say nothing\n"
	"      --expect-failures exit 0 whatever was answered\n"
	"\n"
	"Exit: 0 every object was stored (0000), 1 not so, 2 usage.\n";

enum {
	SERIES = 1000,
	RUN,
	THINK,
	HOLD,
	RECONNECT,
	TIMEOUT,
	CALLED,
	CALLING,
	LEDGER,
	JSON,
	HISTOGRAM,
	QUIET,
	EXPECT
};

static const struct option options[] = {
	{"object", required_argument, NULL, 'o'},
	{"objects", required_argument, NULL, 'm'},
	{"each", required_argument, NULL, 'e'},
	{"duration", required_argument, NULL, 'd'},
	{"series", required_argument, NULL, SERIES},
	{"run", required_argument, NULL, RUN},
	{"associations", required_argument, NULL, 'n'},
	{"churn", required_argument, NULL, 'c'},
	{"pdu", required_argument, NULL, 'p'},
	{"window", required_argument, NULL, 'w'},
	{"rate", required_argument, NULL, 'r'},
	{"think", required_argument, NULL, THINK},
	{"hold", required_argument, NULL, HOLD},
	{"reconnect", required_argument, NULL, RECONNECT},
	{"timeout", required_argument, NULL, TIMEOUT},
	{"threads", required_argument, NULL, 't'},
	{"called", required_argument, NULL, CALLED},
	{"calling", required_argument, NULL, CALLING},
	{"ledger", required_argument, NULL, LEDGER},
	{"json", required_argument, NULL, JSON},
	{"histogram", no_argument, NULL, HISTOGRAM},
	{"quiet", no_argument, NULL, QUIET},
	{"expect-failures", no_argument, NULL, EXPECT},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static bool complain(const char *what, const char *text)
{
	fprintf(stderr, "sluice-bench: %s '%s'\n", what, text);
	return false;
}

static bool read_number(const char *text, uint64_t least, uint64_t most, uint64_t *out)
{
	char *end;
	unsigned long long n = strtoull(text, &end, 10);
	if (end == text || *end != '\0' || *text == '-' || n < least || n > most)
		return complain("no number that can be used:", text);
	*out = n;
	return true;
}

static bool read_number32(const char *text, uint64_t least, uint64_t most, uint32_t *out)
{
	uint64_t n;
	if (!read_number(text, least, most, &n))
		return false;
	*out = (uint32_t)n;
	return true;
}

static bool read_time(const char *text, uint64_t *ms)
{
	return sl_unit_time(text, ms) || complain("no time (as 10s):", text);
}

static bool read_pdu(const char *text, uint32_t *len)
{
	uint64_t n = 0;
	if (strcmp(text, "peer") != 0 && (!sl_unit_size(text, &n) || n < 128 || n > SL_GIB))
		return complain("no size of a PDU (128 bytes to 1GiB, or peer):", text);
	*len = (uint32_t)n;
	return true;
}

static bool read_rate(const char *text, uint64_t *rate)
{
	return (sl_unit_size(text, rate) && *rate > 0) || complain("no rate (as 4KB):", text);
}

static bool read_ae(const char *text, struct sl_ae *ae)
{
	return sl_ae_parse(ae, text, strlen(text)) == SL_OK || complain("no AE title:", text);
}

static bool add_kind(struct sl_opts *o, const char *text)
{
	struct sl_diag d = {.status = SL_OK};
	if (o->kinds_n == SL_KIND_MAX)
		return complain("too many kinds of objects:", text);
	if (sl_kind_init(&o->kinds[o->kinds_n], text, o->series_len, &d) != SL_OK) {
		fprintf(stderr, "sluice-bench: %s\n", d.text);
		return false;
	}
	o->kinds_weight += o->kinds[o->kinds_n++].weight;
	return true;
}

static bool read_mix(struct sl_opts *o, const char *text)
{
	char mix[512], *rest = mix;
	snprintf(mix, sizeof(mix), "%s", text);
	for (char *one; (one = strsep(&rest, ",")) != NULL;)
		if (!add_kind(o, one))
			return false;
	return true;
}

static bool read_how(struct sl_opts *o, int option)
{
	switch (option) {
	case 'n':
		return read_number32(optarg, 1, SL_OPTS_SENDERS_MAX, &o->associations);
	case 'c':
		return read_number(optarg, 1, UINT64_MAX, &o->per_association);
	case 'p':
		return read_pdu(optarg, &o->pdu_len);
	case 'w':
		return read_number32(optarg, 1, SL_OPTS_WINDOW_MAX, &o->window);
	case 'r':
		return read_rate(optarg, &o->rate);
	case 't':
		return read_number32(optarg, 1, SL_OPTS_THREADS_MAX, &o->threads);
	case THINK:
		return read_time(optarg, &o->think_ms);
	case HOLD:
		return read_time(optarg, &o->hold_ms);
	case RECONNECT:
		return read_time(optarg, &o->reconnect_ms);
	case TIMEOUT:
		return read_time(optarg, &o->timeout_ms);
	case CALLED:
		return read_ae(optarg, &o->called);
	case CALLING:
		return read_ae(optarg, &o->calling);
	default:
		return false;
	}
}

/* mix: what --object said, read when the series' length is known. */
static bool read_option(struct sl_opts *o, int option, const char **mix)
{
	switch (option) {
	case 'o':
		*mix = optarg;
		return true;
	case 'm':
	case 'e':
		o->is_each = option == 'e';
		return read_number(optarg, 0, UINT64_MAX - 1, &o->objects);
	case 'd':
		return read_time(optarg, &o->duration_ms);
	case SERIES:
		return read_number32(optarg, 1, 9000000, &o->series_len);
	case RUN:
		return read_number(optarg, 0, 999999999, &o->run);
	case LEDGER:
		o->ledger = optarg;
		return true;
	case JSON:
		o->json = optarg;
		return true;
	case HISTOGRAM:
		return o->has_histogram = true;
	case QUIET:
		return o->is_quiet = true;
	case EXPECT:
		return o->expects_failures = true;
	default:
		return read_how(o, option);
	}
}

static bool find_node(struct sl_opts *o, const char *host, const char *port)
{
	const struct addrinfo want = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *found;
	int rc = getaddrinfo(host, port, &want, &found);
	if (rc != 0) {
		fprintf(stderr, "sluice-bench: %s %s: %s\n", host, port, gai_strerror(rc));
		return false;
	}
	memcpy(&o->node, found->ai_addr, found->ai_addrlen);
	o->node_len = found->ai_addrlen;
	freeaddrinfo(found);
	return true;
}

static void set_defaults(struct sl_opts *o)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	*o = (struct sl_opts){
		.called = sl_ae_of("ANY-SCP"),
		.calling = sl_ae_of("SLUICE-BENCH"),
		.associations = 1,
		.threads = 1,
		.objects = UINT64_MAX,
		.per_association = UINT64_MAX,
		.series_len = 150,
		.pdu_len = 128 * SL_KIB,
		.window = 1,
		.timeout_ms = 60000,
		.run = ((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000) % 1000000000,
	};
}

enum sl_opts_verdict sl_opts_parse(struct sl_opts *o, int argc, char **argv)
{
	const char *mix = "ct";
	int option;
	set_defaults(o);
	while ((option = getopt_long(argc, argv, "o:m:e:d:n:c:p:w:r:t:h", options, NULL)) != -1) {
		if (option == 'h') {
			fputs(usage, stdout);
			return SL_OPTS_HELP;
		}
		if (option == '?' || !read_option(o, option, &mix))
			return SL_OPTS_USAGE;
	}
	if (argc - optind != 2) {
		fputs(usage, stderr);
		return SL_OPTS_USAGE;
	}
	if (o->objects == UINT64_MAX && o->duration_ms == 0)
		o->objects = 100;
	if (!read_mix(o, mix) || !find_node(o, argv[optind], argv[optind + 1]))
		return SL_OPTS_USAGE;
	o->threads = (uint32_t)sl_min(o->threads, o->associations);
	return SL_OPTS_RUN;
}

void sl_opts_fini(struct sl_opts *o)
{
	for (uint32_t i = 0; i < o->kinds_n; i++)
		sl_kind_fini(&o->kinds[i]);
}
