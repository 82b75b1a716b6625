/* The log read, its inode numbers turned into nodes, and played forward.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/power/disk.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

void *disk_grow(void *p, size_t n)
{
	p = realloc(p, n > 0 ? n : 1);
	if (p == NULL)
		abort();
	return p;
}

/* ---- reading the log ---------------------------------------------------------------------------- */

/* Which node a number of an inode means now, while the log is read. */
struct census {
	struct disk *d;
	struct disk_node **by_inode; /* open addressing */
	size_t cap;
};

static struct disk_node **slot_of(struct census *c, uint64_t inode)
{
	size_t i = (inode * 0x9E3779B97F4A7C15u >> 32) & (c->cap - 1);
	while (c->by_inode[i] != NULL && c->by_inode[i]->inode != inode)
		i = (i + 1) & (c->cap - 1);
	return &c->by_inode[i];
}

static struct disk_node *add_node(struct census *c, uint64_t inode, bool is_folder)
{
	struct disk *d = c->d;
	struct disk_node *node = calloc(1, sizeof(*node));
	if (node == NULL)
		abort();
	d->nodes = disk_grow(d->nodes, (d->nodes_n + 1) * sizeof(*d->nodes));
	node->number = d->nodes_n;
	node->inode = inode;
	node->is_folder = is_folder;
	d->nodes[d->nodes_n++] = node;
	*slot_of(c, inode) = node;
	return node;
}

static struct disk_node *node_of(struct census *c, uint64_t inode)
{
	return inode == 0 ? NULL : *slot_of(c, inode);
}

static char *name_of(const uint8_t *at, size_t n)
{
	char *name = disk_grow(NULL, n + 1);
	memcpy(name, at, n);
	name[n] = '\0';
	return name;
}

static void read_begin(struct census *c, struct disk_op *op, const struct record *r, size_t at)
{
	const uint8_t *tail = (const uint8_t *)(r + 1);
	*op = (struct disk_op){
		.kind = (enum record_kind)r->kind,
		.number = (size_t)(op - c->d->ops),
		.begin = at,
		.end = DISK_NEVER,
		.node = node_of(c, r->inode),
		.folder = node_of(c, r->folder),
		.to_folder = node_of(c, r->to_folder),
		.name = name_of(tail, r->name_len),
		.to_name = name_of(tail + r->name_len, r->to_name_len),
		.bytes = tail + r->name_len + r->to_name_len,
		.offset = (uint64_t)r->offset,
		.n = r->data_len,
		.is_dsync = r->is_dsync,
	};
}

static void read_end(struct census *c, struct disk_op *op, const struct record *r, size_t at)
{
	bool is_made =
		op->kind == RECORD_CREATE || op->kind == RECORD_TMPFILE || op->kind == RECORD_MKDIR;
	op->end = at;
	if (r->offset < 0)
		op->kind = RECORD_KINDS; /* it failed: nothing has happened */
	else if (op->kind == RECORD_WRITE)
		op->n = (uint64_t)r->offset;
	else if (is_made && (op->kind == RECORD_TMPFILE || op->folder != NULL))
		op->node = add_node(c, r->inode, op->kind == RECORD_MKDIR);
}

/* Calls in order of begin; ends find them from the back, they are never far. */
static struct disk_op *op_of(struct disk *d, const uint64_t *calls, uint64_t call)
{
	for (size_t i = d->ops_n; i > 0; i--)
		if (calls[i - 1] == call)
			return &d->ops[i - 1];
	return NULL;
}

static size_t count_records(const struct disk *d)
{
	size_t n = 0;
	for (size_t off = 0; off + sizeof(struct record) <= d->log_len; n++) {
		const struct record *r = (const void *)(d->log + off);
		if (r->len < sizeof(*r) || r->len > d->log_len - off)
			break; /* cut by the kill */
		off += r->len;
	}
	return n;
}

/* Numbers the pairs of folder and name; the last ones first, changes of one name are near each other. */
static size_t number_place(
	struct disk *d, size_t upto, const struct disk_node *folder, const char *name)
{
	for (size_t i = upto; i > 0; i--) {
		const struct disk_op *op = &d->ops[i - 1];
		if (op->folder == folder && strcmp(op->name, name) == 0)
			return op->place;
		if (op->to_folder == folder && strcmp(op->to_name, name) == 0)
			return op->to_place;
	}
	return d->places_n++;
}

static void number_places(struct disk *d)
{
	for (size_t i = 0; i < d->ops_n; i++) {
		struct disk_op *op = &d->ops[i];
		if (op->folder != NULL)
			op->place = number_place(d, i, op->folder, op->name);
		if (op->to_folder != NULL)
			op->to_place = number_place(d, i, op->to_folder, op->to_name);
	}
}

static bool read_records(struct disk *d, uint64_t root)
{
	struct census c = {.d = d, .cap = 1u << 18};
	uint64_t *calls = disk_grow(NULL, d->records_n * sizeof(*calls));
	bool is_good = true;
	c.by_inode = calloc(c.cap, sizeof(struct disk_node *));
	d->ops = disk_grow(NULL, d->records_n * sizeof(*d->ops));
	d->by_record = disk_grow(NULL, d->records_n * sizeof(struct disk_op *));
	if (c.by_inode == NULL)
		abort();
	d->root = add_node(&c, root, true);
	struct record copy;
	for (size_t i = 0, off = 0; i < d->records_n && is_good; i++, off += copy.len) {
		memcpy(&copy, d->log + off, sizeof(copy));
		if (!copy.is_end) {
			/* Records are of any length: the tail is read from where it lies. */
			struct disk_op *op = &d->ops[d->ops_n];
			read_begin(&c, op, (const void *)(d->log + off), i);
			calls[d->ops_n++] = copy.call;
			d->by_record[i] = op;
		} else {
			d->by_record[i] = op_of(d, calls, copy.call);
			is_good = d->by_record[i] != NULL && d->nodes_n < c.cap / 2;
			if (is_good)
				read_end(&c, d->by_record[i], &copy, i);
		}
	}
	number_places(d);
	free(calls);
	free(c.by_inode);
	if (!is_good)
		fprintf(stderr, "power: the log has an end without a begin, or too many files\n");
	return is_good;
}

bool disk_open(struct disk *d, const char *path, uint64_t root)
{
	struct stat sb;
	*d = (struct disk){0};
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &sb) != 0 || sb.st_size == 0) {
		perror(path);
		if (fd >= 0)
			close(fd);
		return false;
	}
	d->log_len = (size_t)sb.st_size;
	void *map = mmap(NULL, d->log_len, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (map == MAP_FAILED) {
		perror(path);
		return false;
	}
	d->log = map;
	d->records_n = count_records(d);
	return read_records(d, root);
}

void disk_close(struct disk *d)
{
	for (size_t i = 0; i < d->ops_n; i++) {
		free(d->ops[i].name);
		free(d->ops[i].to_name);
	}
	for (size_t i = 0; i < d->nodes_n; i++) {
		free(d->nodes[i]->entries);
		free(d->nodes[i]->bytes);
		free(d->nodes[i]->pending);
		free(d->nodes[i]);
	}
	free(d->nodes);
	free(d->names);
	free(d->ops);
	free(d->by_record);
	munmap((void *)(uintptr_t)d->log, d->log_len);
	*d = (struct disk){0};
}

/* ---- what a change does ------------------------------------------------------------------------- */

static size_t find(const struct disk_entry *entries, size_t n, const char *name)
{
	size_t i = 0;
	while (i < n && strcmp(entries[i].name, name) != 0)
		i++;
	return i;
}

static void set_entry(struct disk_entry **entries, size_t *n, size_t *cap, const char *name,
	struct disk_node *node)
{
	size_t i = find(*entries, *n, name);
	if (i == *n) {
		if (*n == *cap) {
			*cap = *cap * 2 + 8;
			*entries = disk_grow(*entries, *cap * sizeof(**entries));
		}
		(*n)++;
	}
	(*entries)[i] = (struct disk_entry){name, node};
}

static void drop_entry(struct disk_entry *entries, size_t *n, const char *name)
{
	size_t i = find(entries, *n, name);
	if (i < *n)
		entries[i] = entries[--*n];
}

void disk_apply_name(const struct disk_op *op, struct disk_node *folder,
	struct disk_entry **entries, size_t *n, size_t *cap)
{
	switch (op->kind) {
	case RECORD_CREATE:
	case RECORD_MKDIR:
	case RECORD_LINK:
		set_entry(entries, n, cap, op->name, op->node);
		return;
	case RECORD_UNLINK:
		drop_entry(*entries, n, op->name);
		return;
	case RECORD_RENAME: /* called for each of its folders; op->node was found before */
		if (folder == op->folder)
			drop_entry(*entries, n, op->name);
		if (folder == op->to_folder)
			set_entry(entries, n, cap, op->to_name, op->node);
		return;
	default:
		return;
	}
}

static void resize(uint64_t to, uint8_t **bytes, uint64_t *len, uint64_t *cap)
{
	if (to > *cap) {
		*cap = to * 2;
		*bytes = disk_grow(*bytes, *cap);
	}
	if (to > *len)
		memset(*bytes + *len, 0, to - *len);
	*len = to;
}

void disk_apply_bytes(const struct disk_op *op, uint64_t from, uint64_t to, uint8_t **bytes,
	uint64_t *len, uint64_t *cap)
{
	if (op->kind == RECORD_RESIZE) {
		resize(op->offset, bytes, len, cap);
		return;
	}
	from = from > op->offset ? from : op->offset;
	to = to < op->offset + op->n ? to : op->offset + op->n;
	if (from >= to)
		return;
	if (to > *len)
		resize(to, bytes, len, cap);
	memcpy(*bytes + from, op->bytes + (from - op->offset), to - from);
}

/* ---- playing it --------------------------------------------------------------------------------- */

bool disk_is_of_names(const struct disk_op *op)
{
	switch (op->kind) {
	case RECORD_CREATE:
	case RECORD_MKDIR:
	case RECORD_LINK:
		return op->folder != NULL && op->node != NULL;
	case RECORD_UNLINK:
		return op->folder != NULL;
	case RECORD_RENAME:
		return op->folder != NULL && op->to_folder != NULL;
	default:
		return false;
	}
}

/* What has that name for whoever looks now, on the disk or not. */
static struct disk_node *look_up(
	const struct disk *d, const struct disk_node *folder, const char *name)
{
	size_t i = find(folder->entries, folder->entries_n, name);
	struct disk_node *node = i < folder->entries_n ? folder->entries[i].node : NULL;
	for (i = 0; i < d->names_n; i++) {
		const struct disk_op *op = d->names[i];
		if (op->folder == folder && strcmp(op->name, name) == 0)
			node = op->kind == RECORD_UNLINK || op->kind == RECORD_RENAME ? NULL
										      : op->node;
		if (op->kind == RECORD_RENAME && op->to_folder == folder &&
			strcmp(op->to_name, name) == 0)
			node = op->node;
	}
	return node;
}

static void begin_op(struct disk *d, struct disk_op *op)
{
	if (disk_is_of_names(op)) {
		if (op->kind == RECORD_RENAME)
			op->node = look_up(d, op->folder, op->name);
		d->names = disk_grow(d->names, (d->names_n + 1) * sizeof(struct disk_op *));
		d->names[d->names_n++] = op;
	} else if ((op->kind == RECORD_WRITE || op->kind == RECORD_RESIZE) && op->node != NULL) {
		struct disk_node *f = op->node;
		if (f->pending_n == f->pending_cap) {
			f->pending_cap = f->pending_cap * 2 + 8;
			f->pending =
				disk_grow(f->pending, f->pending_cap * sizeof(struct disk_op *));
		}
		f->pending[f->pending_n++] = op;
	}
}

/* A name's change is on the disk, in each folder that it is about. */
static void settle_name(struct disk *d, struct disk_op *op)
{
	struct disk_node *f = op->folder, *to = op->to_folder;
	disk_apply_name(op, f, &f->entries, &f->entries_n, &f->entries_cap);
	if (op->kind == RECORD_RENAME && to != f)
		disk_apply_name(op, to, &to->entries, &to->entries_n, &to->entries_cap);
	d->settled_n++;
}

/* Names in `folder` (NULL: in any) whose change ended before `before`. */
static void settle_names(struct disk *d, const struct disk_node *folder, size_t before)
{
	size_t kept = 0;
	for (size_t i = 0; i < d->names_n; i++) {
		struct disk_op *op = d->names[i];
		bool is_about = folder == NULL || op->folder == folder || op->to_folder == folder;
		if (is_about && op->end < before)
			settle_name(d, op);
		else
			d->names[kept++] = op;
	}
	d->names_n = kept;
}

/* Bytes of `f` written before `before`; only those of `only`, where that is not NULL. */
static void settle_bytes(
	struct disk *d, struct disk_node *f, size_t before, const struct disk_op *only)
{
	size_t kept = 0;
	for (size_t i = 0; i < f->pending_n; i++) {
		struct disk_op *op = f->pending[i];
		if (op->end <= before && (only == NULL || op == only)) {
			disk_apply_bytes(op, 0, UINT64_MAX, &f->bytes, &f->len, &f->cap);
			d->settled_n++;
			f->version++;
		} else {
			f->pending[kept++] = op;
		}
	}
	f->pending_n = kept;
}

static void end_op(struct disk *d, struct disk_op *op)
{
	if (op->kind == RECORD_SYNC && op->node != NULL) {
		if (op->node->is_folder)
			settle_names(d, op->node, op->begin);
		else
			settle_bytes(d, op->node, op->begin, NULL);
	} else if (op->kind == RECORD_SYNCFS) {
		settle_names(d, NULL, op->begin);
		for (size_t i = 0; i < d->nodes_n; i++)
			settle_bytes(d, d->nodes[i], op->begin, NULL);
	} else if (op->kind == RECORD_WRITE && op->is_dsync && op->node != NULL) {
		settle_bytes(d, op->node, op->end, op);
	}
}

void disk_step(struct disk *d)
{
	struct disk_op *op = d->by_record[d->at];
	if (op->begin == d->at)
		begin_op(d, op);
	else
		end_op(d, op);
	d->at++;
}
