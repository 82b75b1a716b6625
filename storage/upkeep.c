/* The rebuild by order, and what all work on a stopped node shares.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/upkeep.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "storage/path.h"
#include "storage/recover.h"

enum sl_status sl_upkeep_open(struct sl_root *root, const struct sl_storage_conf *conf,
	const struct sl_env *env, struct sl_diag *d)
{
	const struct sl_root_opts opts = {
		.index_path = conf->index_path,
		.group = conf->group,
		.is_durable = conf->is_durable,
		.env = env,
	};
	char archive[SL_ROOT_PATH_MAX + sizeof(SL_PATH_ARCHIVE) + 1];
	struct stat sb;
	snprintf(archive, sizeof(archive), "%s/%s", conf->root, SL_PATH_ARCHIVE);
	if (stat(archive, &sb) != 0 || !S_ISDIR(sb.st_mode))
		return sl_fail(d, SL_E_CONFIG, 0, "storage.root",
			"%.90s is not the folder of a node: no archive/ in it", conf->root);
	return sl_root_open(conf->root, &opts, root, d);
}

/* ---- a process of its own ----------------------------------------------------------------------- */

void *sl_upkeep_share(size_t n)
{
	void *at = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return at == MAP_FAILED ? NULL : at;
}

void sl_upkeep_unshare(void *at, size_t n)
{
	if (at != NULL)
		munmap(at, n);
}

bool sl_upkeep_apart(void (*work)(void *arg), void *arg)
{
	int status = 0;
	fflush(NULL); /* not to be written twice */
	pid_t parent = getpid(), child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* it holds the lock, too */
		if (getppid() != parent)
			_exit(0); /* killed before we asked to hear of it */
		work(arg);
		fflush(NULL);
		_exit(0);
	}
	if (child < 0)
		return false;
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return false;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* ---- rebuild ------------------------------------------------------------------------------------ */

/* The old index, looked at in the child. */
struct old {
	const struct sl_storage_conf *conf;
	const struct sl_root *root;
	enum sl_status status;
	struct sl_diag why;
	uint64_t next_seq, tombstones;
};

/* Finishes what the old index says is to be removed, and asks how far seqs have come. */
static void read_old(void *arg)
{
	struct old *o = arg;
	struct sl_index *index;
	const struct sl_index_lmdb_options options = {
		.path = o->root->index_path,
		.map_size = o->conf->map_size,
		.readers = 1,
		.batch_max = 1,
	};
	o->status = sl_index_lmdb_open(&options, &index, &o->why);
	if (o->status != SL_OK)
		return;
	struct sl_index_snapshot snap;
	sl_index_snapshot(index, &snap);
	o->next_seq = snap.next_seq;
	o->status = sl_recover_tombstones(o->root, index, &o->tombstones, &o->why);
	sl_index_close(index);
}

/* The old index decides only whether there is something to finish; SL_OK also without one, or where it
 * is damaged. */
static enum sl_status use_old(struct old *o, struct sl_upkeep_rebuilt *out, struct sl_diag *d)
{
	bool is_whole = !sl_rebuild_is_due(o->root);
	bool has_ended = is_whole && sl_upkeep_apart(read_old, o);
	out->is_old_read = has_ended && o->status == SL_OK;
	out->had_index = !has_ended || o->status != SL_E_NOTFOUND;
	out->tombstones = o->tombstones;
	if (!is_whole)
		snprintf(out->why_not, sizeof(out->why_not), "its own rebuild did not end");
	else if (!has_ended)
		snprintf(out->why_not, sizeof(out->why_not), "reading it crashes");
	else if (o->status != SL_OK && o->status != SL_E_NOTFOUND)
		snprintf(out->why_not, sizeof(out->why_not), "%s", o->why.text);
	bool is_hopeless = has_ended && (o->status == SL_E_BUSY || o->status == SL_E_UNSUPPORTED ||
						o->status == SL_E_FULL || o->status == SL_E_SYNC);
	return is_hopeless ? sl_fail(d, o->status, o->why.errnum, o->why.where, "%s", o->why.text)
			   : SL_OK;
}

enum sl_status sl_upkeep_rebuild(const struct sl_storage_conf *conf, const struct sl_env *env,
	void (*on_progress)(void *arg, const struct sl_rebuild_report *so_far), void *arg,
	struct sl_upkeep_rebuilt *out, struct sl_diag *d)
{
	struct sl_root root;
	struct sl_ops *ops = NULL;
	*out = (struct sl_upkeep_rebuilt){0};
	enum sl_status st = sl_upkeep_open(&root, conf, env, d);
	if (st != SL_OK)
		return st;
	struct old *old = sl_upkeep_share(sizeof(*old));
	if (old == NULL) {
		st = sl_fail(d, SL_E_NOMEM, ENOMEM, "rebuild", "no memory");
		goto out;
	}
	old->conf = conf;
	old->root = &root;
	st = use_old(old, out, d);
	if (st != SL_OK)
		goto out;
	st = sl_ops_open(&ops, &root, d);
	if (st != SL_OK)
		goto out;
	const struct sl_rebuild_conf rebuild = {
		.root = &root,
		.ops = ops,
		.env = env,
		.limits = conf->ingest.elem,
		.charsets = &conf->charsets,
		.inflate_max = conf->ingest.inflate_max,
		.map_size = conf->map_size,
		.threads = conf->threads,
		.next_seq = old->next_seq,
		.keep_ms = conf->keep_ms,
		.on_progress = on_progress,
		.arg = arg,
	};
	st = sl_rebuild(&rebuild, &out->rebuild, d);
out:
	sl_ops_close(ops);
	sl_upkeep_unshare(old, sizeof(*old));
	sl_root_close(&root);
	return st;
}

/* ---- verify ------------------------------------------------------------------------------------- */

struct look {
	struct sl_verify_conf conf;
	const struct sl_upkeep_verify *how;
	uint64_t told[SL_VERIFY_KINDS]; /* also by a child that crashed later */
	struct sl_verify_report report;
	enum sl_status status;
	struct sl_diag why;
};

static void on_finding(void *arg, enum sl_verify_kind kind, const char *path, const char *text)
{
	struct look *l = arg;
	l->told[kind]++;
	l->how->on_finding(l->how->arg, kind, path, text);
}

static void on_verify_progress(void *arg, const struct sl_verify_report *so_far, unsigned permille)
{
	struct look *l = arg;
	l->how->on_progress(l->how->arg, so_far, permille);
}

static void look_at_index(void *arg)
{
	struct look *l = arg;
	l->status = sl_verify_index(&l->conf, &l->report, &l->why);
}

static void look_at_files(void *arg)
{
	struct look *l = arg;
	l->status = sl_verify_files(&l->conf, &l->report, &l->why);
}

/* One look in a process of its own; a crash of it is a finding. */
static enum sl_status look(
	struct look *l, void (*work)(void *arg), struct sl_verify_report *out, struct sl_diag *d)
{
	static const char crashed[] = "reading the index crashes: it is damaged";
	l->report = (struct sl_verify_report){0};
	l->status = SL_OK;
	memset(l->told, 0, sizeof(l->told));
	if (!sl_upkeep_apart(work, l)) {
		l->conf.has_no_index = true;
		on_finding(l, SL_VERIFY_INDEX, SL_PATH_INDEX, crashed);
		memcpy(l->report.found, l->told, sizeof(l->told));
	}
	out->files += l->report.files;
	out->rows += l->report.rows;
	out->bytes += l->report.bytes;
	out->spool += l->report.spool;
	out->tombstones += l->report.tombstones;
	out->ms += l->report.ms;
	for (size_t i = 0; i < SL_VERIFY_KINDS; i++)
		out->found[i] += l->report.found[i];
	return l->status == SL_OK
		       ? SL_OK
		       : sl_fail(d, l->status, l->why.errnum, l->why.where, "%s", l->why.text);
}

enum sl_status sl_upkeep_verify(const struct sl_storage_conf *conf, const struct sl_env *env,
	const struct sl_upkeep_verify *how, struct sl_verify_report *out, struct sl_diag *d)
{
	struct sl_root root;
	*out = (struct sl_verify_report){0};
	enum sl_status st = sl_upkeep_open(&root, conf, env, d);
	if (st != SL_OK)
		return st;
	struct look *l = sl_upkeep_share(sizeof(*l));
	if (l == NULL) {
		sl_root_close(&root);
		return sl_fail(d, SL_E_NOMEM, ENOMEM, "verify", "no memory");
	}
	l->conf = (struct sl_verify_conf){
		.root = &root,
		.env = env,
		.limits = conf->ingest.elem,
		.inflate_max = conf->ingest.inflate_max,
		.map_size = conf->map_size,
		.threads = conf->threads,
		.is_full = how->is_full,
		.on_finding = on_finding,
		.on_progress = how->on_progress != NULL ? on_verify_progress : NULL,
		.arg = l,
	};
	l->how = how;
	st = look(l, look_at_index, out, d);
	bool could_read = !l->conf.has_no_index;
	if (st == SL_OK)
		st = look(l, look_at_files, out, d);
	/* It crashed only now: the files once more, without it. */
	if (st == SL_OK && could_read && l->conf.has_no_index)
		st = look(l, look_at_files, out, d);
	sl_upkeep_unshare(l, sizeof(*l));
	sl_root_close(&root);
	return st;
}
