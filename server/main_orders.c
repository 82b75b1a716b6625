/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers go to standard output, what went wrong to standard error. */
#include "server/main_orders.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/env.h"

enum { EXIT_DONE = 0, EXIT_NOT = 1, EXIT_USAGE = 2, EXIT_STORAGE = 70 };

#define UNLINK_PERIOD_US 10000

bool sl_main_is_order(enum sl_main_mode mode)
{
	return mode >= SL_MAIN_PIN && mode <= SL_MAIN_COMPACT;
}

static int fail(enum sl_status st, const struct sl_diag *d)
{
	fprintf(stderr, "sluiced: %s: %s\n", d->where, d->text);
	if (st == SL_E_BUSY)
		fprintf(stderr, "sluiced: stop the node first\n");
	if (st == SL_E_SYNC)
		return EXIT_STORAGE;
	return st == SL_E_BUSY || st == SL_E_CONFIG || st == SL_E_UNSUPPORTED ? EXIT_USAGE
									      : EXIT_NOT;
}

/* What an order came to, in words. */
static int answer(enum sl_status st, const char *uid)
{
	switch (st) {
	case SL_OK:
		return EXIT_DONE;
	case SL_E_NOTFOUND:
		fprintf(stderr, "sluiced: %s is not in the index\n", uid);
		return EXIT_NOT;
	case SL_E_BUSY:
		fprintf(stderr, "sluiced: the study is pinned: --unpin it first\n");
		return EXIT_NOT;
	case SL_E_FULL:
		fprintf(stderr, "sluiced: there is no room to note it: make some on the disk\n");
		return EXIT_NOT;
	default:
		fprintf(stderr, "sluiced: the storage failed: %s\n", sl_status_name(st));
		return EXIT_STORAGE;
	}
}

/* ---- the orders --------------------------------------------------------------------------------- */

static int pin(struct sl_storage *s, const struct sl_uid *study, bool is_pinned)
{
	static struct sl_index_study row; /* large */
	struct sl_index_reader *rd;
	struct sl_diag d = {0};
	enum sl_status st = sl_index_open_reader(s->index, &rd, &d);
	if (st != SL_OK)
		return fail(st, &d);
	enum sl_status known = sl_index_locate_study(rd, study, &row, &d);
	sl_index_close_reader(rd);
	st = sl_evict_pin(s->evict, study, is_pinned);
	if (st != SL_OK)
		return answer(st, study->s);
	printf("%s %s", is_pinned ? "pinned" : "unpinned", study->s);
	if (known == SL_OK)
		printf(": %" PRIu64 " objects, %" PRIu64 " bytes\n", row.counts.instances,
			row.counts.bytes);
	else
		printf(": not in the index%s\n", is_pinned ? " yet" : "");
	return EXIT_DONE;
}

static int list_pins(struct sl_storage *s)
{
	struct sl_uid study;
	for (size_t i = 0; sl_ops_pinned(s->ops, i, &study); i++)
		puts(study.s);
	return EXIT_DONE;
}

/* Until what was taken out is unlinked: the operator wants the room. */
static void wait_for_trash(struct sl_storage *s)
{
	struct sl_trash_stats trash;
	while (trash = sl_trash_stats(s->trash), trash.files > 0 && trash.failures == 0)
		usleep(UNLINK_PERIOD_US);
	if (trash.failures > 0)
		fprintf(stderr, "sluiced: some files in trash/ could not be unlinked\n");
}

static int delete (struct sl_storage *s, const struct sl_uid *uid, bool is_study)
{
	struct sl_index_removed gone;
	enum sl_status st = is_study ? sl_evict_study(s->evict, uid, &gone)
				     : sl_evict_instance(s->evict, uid, &gone);
	if (st != SL_OK)
		return answer(st, uid->s);
	wait_for_trash(s);
	printf("deleted %s: %" PRIu64 " objects, %" PRIu64 " files, %" PRIu64 " bytes\n", uid->s,
		gone.instances, gone.versions, gone.bytes);
	return EXIT_DONE;
}

static int compact(const struct sl_storage_conf *conf)
{
	struct sl_index_compacted c;
	struct sl_root root;
	struct sl_diag d = {0};
	const struct sl_root_opts opts = {.index_path = conf->index_path,
		.group = conf->group,
		.is_durable = conf->is_durable,
		.env = &sl_env_system};
	enum sl_status st = sl_root_open(conf->root, &opts, &root, &d);
	if (st != SL_OK)
		return fail(st, &d);
	const struct sl_index_lmdb_options options = {
		.path = root.index_path, .map_size = conf->map_size, .readers = 1, .batch_max = 1};
	st = sl_index_lmdb_compact(&options, &c, &d);
	sl_root_close(&root);
	if (st != SL_OK)
		return fail(st, &d);
	printf("compacted %s: %" PRIu64 " bytes before, %" PRIu64 " after\n",
		conf->index_path[0] != '\0' ? conf->index_path : "the index", c.before, c.after);
	return EXIT_DONE;
}

/* ---- the store ---------------------------------------------------------------------------------- */

/* Unlike the start of a node, an order makes no new store. */
static bool is_store(const char *root)
{
	char path[SL_ROOT_PATH_MAX + 16];
	struct stat sb;
	snprintf(path, sizeof(path), "%.*s/archive", SL_ROOT_PATH_MAX, root);
	return stat(path, &sb) == 0 && S_ISDIR(sb.st_mode);
}

int sl_main_order(
	enum sl_main_mode mode, const struct sl_main_args *args, const struct sl_storage_conf *conf)
{
	static struct sl_storage s; /* large, and does not move */
	struct sl_storage_conf own = *conf;
	struct sl_diag d = {0};
	struct sl_uid uid = {0};
	const struct sl_storage_news news = {0};
	bool has_uid = args->uid != NULL;
	if (has_uid &&
		(sl_uid_parse(&uid, args->uid, strlen(args->uid)) != SL_OK || uid.len == 0)) {
		fprintf(stderr, "sluiced: %s is not a UID\n", args->uid);
		return EXIT_USAGE;
	}
	if (!is_store(conf->root)) {
		fprintf(stderr, "sluiced: there is no store in %s (storage.root)\n", conf->root);
		return EXIT_USAGE;
	}
	if (mode == SL_MAIN_COMPACT)
		return compact(conf);
	own.evict.is_on = false; /* nothing goes but what is ordered */
	enum sl_status st = sl_storage_open(&s, &own, &news, &sl_env_system, &d);
	if (st != SL_OK)
		return fail(st, &d);
	int code = mode == SL_MAIN_PINS    ? list_pins(&s)
		   : mode == SL_MAIN_PIN   ? pin(&s, &uid, true)
		   : mode == SL_MAIN_UNPIN ? pin(&s, &uid, false)
					   : delete (&s, &uid, mode == SL_MAIN_DELETE_STUDY);
	sl_storage_close(&s);
	return fflush(stdout) == 0 ? code : EXIT_NOT;
}
