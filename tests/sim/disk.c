/* A disk that remembers what was synced; see disk.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "sim/disk.h"

#include <stdlib.h>
#include <string.h>

#include "sim/wraps.h"

struct disk disk;

/* ---- bytes and names ---- */

static void bytes_set(struct disk_bytes *b, const uint8_t *at, size_t n)
{
	if (n > b->cap) {
		b->cap = n + n / 2 + 64;
		b->at = __real_realloc(b->at, b->cap);
	}
	if (n > 0 && at != NULL)
		memcpy(b->at, at, n);
	b->n = n;
}

static struct disk_name *names_find(struct disk_names *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->at[i].s, name) == 0)
			return &l->at[i];
	return NULL;
}

/* ino 0: the name goes. */
static void names_set(struct disk_names *l, const char *name, unsigned ino)
{
	struct disk_name *found = names_find(l, name);
	if (found != NULL && ino != 0) {
		found->ino = ino;
	} else if (found != NULL) {
		memmove(found, found + 1, (size_t)(l->at + --l->n - found) * sizeof(*found));
	} else if (ino != 0) {
		if (l->n == l->cap) {
			l->cap = l->cap * 2 + 8;
			l->at = __real_realloc(l->at, l->cap * sizeof(*l->at));
		}
		struct disk_name *new = &l->at[l->n++];
		strncpy(new->s, name, DISK_NAME - 1);
		new->s[DISK_NAME - 1] = '\0';
		new->ino = ino;
		new->no = ++l->last_no;
	}
}

static void names_copy(struct disk_names *to, const struct disk_names *from)
{
	if (from->n > to->cap) {
		to->cap = from->n + 8;
		to->at = __real_realloc(to->at, to->cap * sizeof(*to->at));
	}
	if (from->n > 0)
		memcpy(to->at, from->at, from->n * sizeof(*to->at));
	to->n = from->n;
	to->last_no = from->last_no;
}

/* ---- space ---- */

static uint64_t blocks_for(const struct disk_inode *i, size_t n)
{
	return 1 + (sl_max(n, i->kept) + DISK_BLOCK - 1) / DISK_BLOCK;
}

static uint64_t blocks_of(const struct disk_inode *i)
{
	return blocks_for(i, i->bytes.n);
}

uint64_t sim_disk_used_blocks(void)
{
	return disk.used;
}

uint64_t sim_disk_free_blocks(void)
{
	uint64_t taken = disk.used + disk.hog;
	return disk.size > taken ? disk.size - taken : 0;
}

void sim_disk_hog(uint64_t blocks)
{
	disk.hog = disk.is_grown ? 0 : blocks;
	sim_note("hog", blocks, 0);
}

void sim_disk_grow(void)
{
	disk.size = 1u << 20;
	disk.inodes_max = 0;
	disk.is_grown = true;
	sim_disk_hog(0);
}

uint64_t disk_free_inodes(void)
{
	return disk.inodes_max - sl_min64(disk.inodes_max, disk.files_used);
}

/* What a crash brought back may be above the mark already: then no more may come. */
void sim_disk_begin_marks(void)
{
	if (disk.own_folders == 0)
		disk.own_folders = disk.folders;
	disk.keeps = sl_min64(disk.size / 20, sim_disk_free_blocks());
	disk.keeps_inodes = sl_min64(disk.inodes_max / 20, disk_free_inodes());
}

static void check_gauge(const char *name, uint64_t is_free, uint64_t keeps)
{
	/* The folders that objects bring are not reserved. */
	uint64_t brought = disk.folders - sl_min(disk.folders, disk.own_folders);
	if (is_free + brought < keeps)
		sim_fail("%llu %s are free, %llu went to folders, and the full mark keeps %llu",
			(unsigned long long)is_free, name, (unsigned long long)brought,
			(unsigned long long)keeps);
}

void sim_disk_check_mark(void)
{
	if (sim_plan.has_outsider || disk.is_grown)
		return;
	check_gauge("blocks", sim_disk_free_blocks(), disk.keeps);
	check_gauge("inodes", disk_free_inodes(), disk.keeps_inodes);
}

/* ---- changes, as programs see them ---- */

static void count_in(const struct disk_inode *i)
{
	disk.used += blocks_of(i);
	disk.files_used++;
	disk.folders += i->is_folder;
}

unsigned disk_make(bool is_folder)
{
	if (disk.inodes_n == DISK_INODES)
		sim_fail("more than %d inodes", DISK_INODES);
	if (sim_disk_free_blocks() == 0 || (disk.inodes_max > 0 && disk_free_inodes() == 0)) {
		sim_saw(SIM_SAW_ENOSPC);
		return 0;
	}
	struct disk_inode *i = &disk.inodes[disk.inodes_n];
	*i = (struct disk_inode){.is_used = true,
		.is_folder = is_folder,
		.bytes = {i->bytes.at, 0, i->bytes.cap},
		.synced = {i->synced.at, 0, i->synced.cap},
		.names = {i->names.at, 0, i->names.cap},
		.synced_names = {i->synced_names.at, 0, i->synced_names.cap}};
	count_in(i);
	return disk.inodes_n++;
}

/* Its room is free; what is durable of it stays for the case that a name of it does. */
void disk_release_if_gone(unsigned ino)
{
	struct disk_inode *i = &disk.inodes[ino];
	if (!i->is_used || i->links > 0 || i->opens > 0)
		return;
	disk.used -= blocks_of(i);
	disk.files_used--;
	disk.folders -= i->is_folder;
	i->is_used = false;
}

unsigned disk_find(unsigned folder, const char *name)
{
	struct disk_name *found = names_find(&disk.inodes[folder].names, name);
	return found != NULL ? found->ino : 0;
}

const struct disk_name *disk_next(unsigned folder, size_t no)
{
	const struct disk_names *l = &disk.inodes[folder].names;
	for (size_t i = 0; i < l->n; i++)
		if (l->at[i].no > no)
			return &l->at[i];
	return NULL;
}

static struct disk_change *journal(unsigned n)
{
	if (disk.journal_n == DISK_JOURNAL)
		sim_fail("more than %d changes of names", DISK_JOURNAL);
	struct disk_change *c = &disk.journal[disk.journal_n++];
	c->is_durable = c->is_lost = false;
	c->n = n;
	return c;
}

static void set_name(
	struct disk_change *c, unsigned k, unsigned folder, const char *name, unsigned ino)
{
	c->of[k].folder = folder;
	c->of[k].ino = ino;
	strncpy(c->of[k].name, name, DISK_NAME - 1);
	c->of[k].name[DISK_NAME - 1] = '\0';
	names_set(&disk.inodes[folder].names, name, ino);
}

void disk_add(unsigned folder, const char *name, unsigned ino)
{
	if (strlen(name) >= DISK_NAME)
		sim_fail("a name of %zu characters", strlen(name));
	disk.inodes[ino].links++;
	set_name(journal(1), 0, folder, name, ino);
}

void disk_remove(unsigned folder, const char *name)
{
	unsigned ino = disk_find(folder, name);
	set_name(journal(1), 0, folder, name, 0);
	disk.inodes[ino].links--;
	disk_release_if_gone(ino);
}

void disk_rename(unsigned from, const char *old_name, unsigned to, const char *new_name)
{
	unsigned ino = disk_find(from, old_name), replaced = disk_find(to, new_name);
	struct disk_change *c = journal(2);
	set_name(c, 0, from, old_name, 0);
	set_name(c, 1, to, new_name, ino);
	if (replaced != 0) {
		disk.inodes[replaced].links--;
		disk_release_if_gone(replaced);
	}
}

bool disk_resize(unsigned ino, size_t n)
{
	struct disk_inode *i = &disk.inodes[ino];
	size_t was = i->bytes.n;
	uint64_t had = blocks_of(i);
	uint64_t wants = blocks_for(i, n);
	if (wants > had && wants - had > sim_disk_free_blocks()) {
		sim_saw(SIM_SAW_ENOSPC);
		return false;
	}
	bytes_set(&i->bytes, NULL, n);
	if (n > was)
		memset(i->bytes.at + was, 0, n - was);
	disk.used += wants - had;
	return true;
}

bool disk_keep(unsigned ino, size_t n)
{
	struct disk_inode *i = &disk.inodes[ino];
	size_t was = i->kept;
	uint64_t had = blocks_of(i);
	i->kept = sl_max(was, n);
	uint64_t more = blocks_of(i) - had;
	if (more > sim_disk_free_blocks()) {
		i->kept = was;
		return false;
	}
	disk.used += more;
	return true;
}

/* ---- durability ---- */

void disk_sync_bytes(unsigned ino)
{
	struct disk_inode *i = &disk.inodes[ino];
	if (!i->is_lost)
		bytes_set(&i->synced, i->bytes.at, i->bytes.n);
}

static void apply(struct disk_change *c)
{
	c->is_durable = true;
	for (unsigned k = 0; k < c->n; k++)
		names_set(&disk.inodes[c->of[k].folder].synced_names, c->of[k].name, c->of[k].ino);
}

static bool concerns(const struct disk_change *c, unsigned folder)
{
	return c->of[0].folder == folder || (c->n == 2 && c->of[1].folder == folder);
}

void disk_sync_names(unsigned folder, size_t upto)
{
	while (disk.journal_first < disk.journal_n &&
		(disk.journal[disk.journal_first].is_durable ||
			disk.journal[disk.journal_first].is_lost))
		disk.journal_first++;
	for (size_t i = disk.journal_first; i < upto && i < disk.journal_n; i++) {
		struct disk_change *c = &disk.journal[i];
		if (!c->is_durable && !c->is_lost && concerns(c, folder))
			apply(c);
	}
}

void disk_sync_all(void)
{
	for (unsigned i = 1; i < disk.inodes_n; i++) {
		disk_sync_bytes(i);
		disk_sync_names(i, disk.journal_n);
	}
}

void disk_lose(unsigned ino)
{
	disk.inodes[ino].is_lost = !disk.inodes[ino].is_folder;
	for (size_t i = 0; i < disk.journal_n; i++)
		disk.journal[i].is_lost |= concerns(&disk.journal[i], ino);
}

/* ---- crash ---- */

/* What is on the disk of bytes that were not synced: all, none, or pages of each. */
static void tear(struct disk_inode *i)
{
	unsigned fate = i->is_lost ? 0 : sim_below(4);
	if (fate == 0) {
		bytes_set(&i->bytes, i->synced.at, i->synced.n);
	} else if (fate >= 2 && i->synced.n == 0) {
		for (size_t at = 0; at < i->bytes.n; at += DISK_BLOCK)
			if (sim_one_in(2))
				memset(i->bytes.at + at, 0, sl_min(DISK_BLOCK, i->bytes.n - at));
		if (fate == 3 && i->bytes.n > 0)
			i->bytes.n = sim_below((uint32_t)i->bytes.n);
	}
	bytes_set(&i->synced, i->bytes.at, i->bytes.n);
	i->is_lost = false;
}

/* Of the changes that were not synced chance keeps none, all, the first ones, or any. */
static void settle_journal(void)
{
	unsigned fate = sim_below(4);
	size_t first = disk.journal_n > 0 ? sim_below((uint32_t)disk.journal_n + 1) : 0;
	for (size_t i = 0; i < disk.journal_n; i++) {
		struct disk_change *c = &disk.journal[i];
		bool is_kept =
			fate == 1 || (fate == 2 && i < first) || (fate == 3 && sim_one_in(2));
		if (!c->is_durable && !c->is_lost && is_kept)
			apply(c);
	}
	disk.journal_n = disk.journal_first = 0;
}

/* Counts names and blocks anew, from what is there. */
static void count_links(void)
{
	disk.used = disk.files_used = disk.folders = 0;
	for (unsigned i = 1; i < disk.inodes_n; i++)
		disk.inodes[i].links = disk.inodes[i].opens = 0;
	disk.inodes[DISK_ROOT].links = 1;
	for (unsigned i = 1; i < disk.inodes_n; i++)
		for (size_t k = 0; k < disk.inodes[i].names.n; k++)
			disk.inodes[disk.inodes[i].names.at[k].ino].links++;
	for (unsigned i = 1; i < disk.inodes_n; i++) {
		disk.inodes[i].is_used = disk.inodes[i].links > 0;
		if (disk.inodes[i].is_used)
			count_in(&disk.inodes[i]);
	}
}

void sim_disk_crash(bool is_power_cut)
{
	disk.keeps = disk.keeps_inodes = 0;
	if (is_power_cut) {
		settle_journal();
		for (unsigned i = 1; i < disk.inodes_n; i++) {
			struct disk_inode *in = &disk.inodes[i];
			names_copy(&in->names, &in->synced_names);
			if (!in->is_folder)
				tear(in);
		}
	}
	count_links();
}

void sim_disk_reset(void)
{
	disk.inodes_n = 1;
	disk.journal_n = disk.journal_first = 0;
	disk.used = disk.hog = disk.files_used = 0;
	disk.folders = disk.own_folders = 0;
	disk.inodes_max = sim_plan.inodes;
	disk.keeps = disk.keeps_inodes = 0;
	disk.is_grown = false;
	disk.size = sim_plan.disk_blocks;
	disk.inodes[disk_make(true)].links = 1;
}

/* ---- looking at it ---- */

static void count_kept(unsigned ino, uint64_t *sum)
{
	struct disk_inode *i = &disk.inodes[ino];
	for (size_t k = 0; i->is_folder && k < i->names.n; k++)
		count_kept(i->names.at[k].ino, sum);
	if (i->is_folder || i->is_counted)
		return;
	*sum += i->bytes.n;
	i->is_counted = true;
}

uint64_t sim_disk_kept(void)
{
	static const char *const folders[] = {"spool", "archive"};
	uint64_t sum = 0;
	unsigned root = disk_find(DISK_ROOT, "root");
	for (unsigned i = 1; i < disk.inodes_n; i++)
		disk.inodes[i].is_counted = false;
	for (unsigned f = 0; f < SL_ARRAY_N(folders) && root != 0; f++) {
		unsigned folder = disk_find(root, folders[f]);
		if (folder != 0)
			count_kept(folder, &sum);
	}
	return sum;
}

static void walk(unsigned ino, bool durable, bool is_spooled,
	void (*visit)(void *arg, const struct sim_file *f), void *arg)
{
	const struct disk_inode *i = &disk.inodes[ino];
	const struct disk_names *names = durable ? &i->synced_names : &i->names;
	const struct disk_bytes *bytes = durable ? &i->synced : &i->bytes;
	const struct sim_file f = {.bytes = bytes->at, .n = bytes->n, .is_spooled = is_spooled};
	if (!i->is_folder)
		visit(arg, &f);
	for (size_t k = 0; i->is_folder && k < names->n; k++)
		walk(names->at[k].ino, durable, is_spooled, visit, arg);
}

void sim_disk_walk(bool durable, void (*visit)(void *arg, const struct sim_file *f), void *arg)
{
	static const char *const folders[] = {"spool", "archive"};
	struct disk_inode *top = &disk.inodes[DISK_ROOT];
	struct disk_name *root = names_find(durable ? &top->synced_names : &top->names, "root");
	for (unsigned f = 0; f < SL_ARRAY_N(folders) && root != NULL; f++) {
		struct disk_inode *r = &disk.inodes[root->ino];
		struct disk_name *sub =
			names_find(durable ? &r->synced_names : &r->names, folders[f]);
		if (sub != NULL)
			walk(sub->ino, durable, f == 0, visit, arg);
	}
}
