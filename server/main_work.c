/* What rebuild and verify say, and with which code they end.
 *
 * Results go to standard output, progress and failures to standard error, so that either can be kept.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/main_work.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/esc.h"
#include "server/env.h"
#include "storage/upkeep.h"

enum { EXIT_GOOD = 0, EXIT_BAD = 1, EXIT_USAGE = 2, EXIT_STORAGE = 70 };

static int fail(enum sl_status st, const struct sl_diag *d)
{
	fprintf(stderr, "sluiced: %s: %s\n", d->where, d->text);
	if (st == SL_E_BUSY)
		fprintf(stderr, "sluiced: stop the node first\n");
	if (st == SL_E_CONFIG || st == SL_E_BUSY || st == SL_E_UNSUPPORTED)
		return EXIT_USAGE;
	return st == SL_E_SYNC ? EXIT_STORAGE : EXIT_BAD;
}

/* ---- rebuild ------------------------------------------------------------------------------------ */

static uint64_t per_second(uint64_t n, uint64_t ms)
{
	return n * 1000 / sl_max64(ms, 1);
}

static void on_progress(void *arg, const struct sl_rebuild_report *r)
{
	(void)arg;
	if (r->phase == SL_REBUILD_RESUMED) {
		if (r->why_not[0] != '\0')
			fprintf(stderr,
				"rebuild: an earlier one was killed; %u folders of what it kept "
				"are read again: %s\n",
				r->dropped_fans, r->why_not);
		if (r->kept_fans > 0)
			fprintf(stderr,
				"rebuild: resumed: %" PRIu64 " files in %u of 256 folders were "
				"read before\n",
				r->kept_files, r->kept_fans);
		return;
	}
	bool writes = r->phase == SL_REBUILD_WRITING;
	fprintf(stderr,
		"rebuild: %s, %u %% done: %" PRIu64 " files read, %" PRIu64 " rows written, "
		"%" PRIu64 "/s\n",
		writes ? "writing" : "reading", r->permille / 10, r->files, r->indexed,
		per_second(r->files, r->ms));
}

static int rebuild(const struct sl_storage_conf *conf)
{
	struct sl_upkeep_rebuilt m;
	struct sl_diag d = {0};
	enum sl_status st = sl_upkeep_rebuild(conf, &sl_env_system, on_progress, NULL, &m, &d);
	const struct sl_rebuild_report *r = &m.rebuild;
	if (m.tombstones > 0)
		printf("rebuild: %" PRIu64 " removals of the old index were finished first\n",
			m.tombstones);
	if (m.why_not[0] != '\0')
		printf("rebuild: the old index could not be read (%s): what it was about to "
		       "remove, if anything, is back\n",
			m.why_not);
	if (st != SL_OK) {
		fprintf(stderr, "sluiced: no new index was made%s\n",
			m.had_index ? "; the old one is as it was" : "");
		return fail(st, &d);
	}
	printf("rebuild: done: %" PRIu64 " files, %" PRIu64 " rows, %" PRIu64 " bad, %" PRIu64
	       ".%03" PRIu64 " s, %" PRIu64 " files/s\n",
		r->files, r->indexed, r->bad, r->ms / 1000, r->ms % 1000,
		per_second(r->files, r->ms));
	if (r->bad > 0)
		printf("rebuild: bad files are left alone and have no row, the first met: %s; "
		       "--verify names them all\n",
			r->first_bad);
	return fflush(stdout) == 0 ? EXIT_GOOD : EXIT_BAD;
}

/* ---- verify ------------------------------------------------------------------------------------- */

/* A string of JSON: what the escaper leaves is ASCII without quotes; its backslashes are doubled. */
static void put_json(const char *s)
{
	char safe[SL_ESC_CAP(1024)];
	sl_esc_put(safe, sizeof(safe), s, strlen(s), 1024);
	putchar('"');
	for (const char *c = safe; *c != '\0'; c++)
		printf(*c == '\\' ? "\\\\" : "%c", *c);
	putchar('"');
}

static void on_finding(void *arg, enum sl_verify_kind kind, const char *path, const char *text)
{
	const struct sl_main_args *args = arg;
	char safe_path[SL_ESC_CAP(1024)], safe_text[SL_ESC_CAP(512)];
	if (args->is_json) {
		printf("{\"finding\":\"%s\",\"path\":", sl_verify_kind_name(kind));
		put_json(path);
		printf(",\"text\":");
		put_json(text);
		printf("}\n");
	} else {
		sl_esc_put(safe_path, sizeof(safe_path), path, strlen(path), 1024);
		sl_esc_put(safe_text, sizeof(safe_text), text, strlen(text), 512);
		printf("%-10s %s: %s\n", sl_verify_kind_name(kind), safe_path, safe_text);
	}
	fflush(stdout); /* whatever becomes of this process */
}

static void on_verify_progress(void *arg, const struct sl_verify_report *r, unsigned permille)
{
	(void)arg;
	fprintf(stderr,
		"verify: %u %% done: %" PRIu64 " files, %" PRIu64 " rows, %" PRIu64
		" findings, %" PRIu64 " files/s\n",
		permille / 10, r->files, r->rows, sl_verify_findings(r),
		per_second(r->files, r->ms));
}

static void say_verified(const struct sl_main_args *args, const struct sl_verify_report *r)
{
	uint64_t findings = sl_verify_findings(r);
	const char *depth = args->is_full ? "full" : "quick";
	if (args->is_json) {
		printf("{\"verify\":\"%s\",\"sound\":%s,\"findings\":%" PRIu64, depth,
			findings == 0 ? "true" : "false", findings);
		for (int k = 0; k < SL_VERIFY_KINDS; k++)
			printf(",\"%s\":%" PRIu64, sl_verify_kind_name((enum sl_verify_kind)k),
				r->found[k]);
		printf(",\"files\":%" PRIu64 ",\"rows\":%" PRIu64 ",\"bytes\":%" PRIu64
		       ",\"spool\":%" PRIu64 ",\"removals\":%" PRIu64 ",\"ms\":%" PRIu64 "}\n",
			r->files, r->rows, r->bytes, r->spool, r->tombstones, r->ms);
		return;
	}
	printf("verify %s: %s: %" PRIu64 " findings; %" PRIu64 " files, %" PRIu64 " rows, %" PRIu64
	       " bytes read, %" PRIu64 ".%03" PRIu64 " s",
		depth, findings == 0 ? "sound" : "DAMAGE", findings, r->files, r->rows, r->bytes,
		r->ms / 1000, r->ms % 1000);
	for (int k = 0; k < SL_VERIFY_KINDS; k++)
		if (r->found[k] > 0)
			printf("; %s %" PRIu64, sl_verify_kind_name((enum sl_verify_kind)k),
				r->found[k]);
	if (r->spool > 0)
		printf("; %" PRIu64 " in spool/ for the next start", r->spool);
	if (r->tombstones > 0)
		printf("; %" PRIu64 " removals for the next start", r->tombstones);
	printf("\n");
}

static int verify(const struct sl_main_args *args, const struct sl_storage_conf *conf)
{
	union {
		const struct sl_main_args *in;
		void *out;
	} unconst = {.in = args};
	const struct sl_upkeep_verify how = {
		.is_full = args->is_full,
		.on_finding = on_finding,
		.on_progress = on_verify_progress,
		.arg = unconst.out,
	};
	struct sl_verify_report r;
	struct sl_diag d = {0};
	enum sl_status st = sl_upkeep_verify(conf, &sl_env_system, &how, &r, &d);
	if (st != SL_OK)
		return fail(st, &d);
	say_verified(args, &r);
	return fflush(stdout) == 0 && sl_verify_findings(&r) == 0 ? EXIT_GOOD : EXIT_BAD;
}

int sl_main_work(
	enum sl_main_mode mode, const struct sl_main_args *args, const struct sl_storage_conf *conf)
{
	return mode == SL_MAIN_VERIFY ? verify(args, conf) : rebuild(conf);
}
