/* A disk, as a log of calls (tests/support/record.h) made it: what is durable on it for sure, and what
 * was only asked for.
 *
 * The rules are those of POSIX and no better: fsync or fdatasync of a file makes its bytes and its length
 * durable, not its name; fsync of a folder makes durable the names in it that were made, taken away or
 * moved before the fsync began; a write to an O_DSYNC descriptor is durable when it has returned. Until
 * then each of them may have happened on the disk or not, in any order, but: names of one kind in one
 * folder and bytes of one sector take their changes in order; a rename happens wholly or not at all; a
 * link is to a file, so what is in it follows the rules of that file.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/support/record.h"

#define DISK_NEVER SIZE_MAX /* a call that did not end */

struct disk_node;

/* A call that changes something, made durable or not. */
struct disk_op {
	enum record_kind kind;
	size_t number;               /* in order of begin, over all */
	size_t begin, end;           /* positions in the log; end may be DISK_NEVER */
	struct disk_node *node;      /* file written, linked, made, synced */
	struct disk_node *folder;    /* of name */
	struct disk_node *to_folder; /* of to_name */
	char *name, *to_name;        /* owned by the disk */
	const uint8_t *bytes;        /* borrowed from the log */
	uint64_t offset, n;          /* [bytes] of a write; offset: length of a resize */
	size_t place, to_place;      /* the same for all changes of one name in one folder */
	bool is_dsync;
};

struct disk_entry {
	const char *name; /* borrowed from the op that made it */
	struct disk_node *node;
};

/* A file or a folder. */
struct disk_node {
	size_t number;
	uint64_t inode;
	bool is_folder;
	/* For sure: */
	struct disk_entry *entries; /* of a folder */
	size_t entries_n, entries_cap;
	uint8_t *bytes; /* of a file */
	uint64_t len, cap;
	uint64_t version; /* of bytes: grows with each change */
	/* Asked for, in order: writes and resizes of a file. */
	struct disk_op **pending;
	size_t pending_n, pending_cap;
};

struct disk {
	const uint8_t *log; /* mapped */
	size_t log_len;
	size_t records_n;    /* positions are 0 .. records_n */
	struct disk_op *ops; /* in order of begin */
	size_t ops_n;
	size_t places_n;            /* places are 0 .. places_n - 1 */
	struct disk_op **by_record; /* record: the op it begins or ends; NULL */
	struct disk_node **nodes;
	size_t nodes_n;
	struct disk_node *root;
	/* As far as the log was played: */
	size_t at;
	size_t settled_n;       /* changes that are durable */
	struct disk_op **names; /* changes of names asked for, over all folders, in order */
	size_t names_n;
};

/* Reads a log; `root` is the inode of the folder that stood, empty, when it began. On failure says why
 * on stderr and returns false. */
bool disk_open(struct disk *d, const char *path, uint64_t root);
void disk_close(struct disk *d);

/* True for what makes, takes away or moves a name. */
bool disk_is_of_names(const struct disk_op *op);

/* Plays the next record. disk.at < disk.records_n. */
void disk_step(struct disk *d);

/* A change of names, on any copy of the entries of one of its folders. */
void disk_apply_name(const struct disk_op *op, struct disk_node *folder,
	struct disk_entry **entries, size_t *n, size_t *cap);

/* The bytes of a write that lie in [from, to) of the file, or a resize, on any copy of a file. */
void disk_apply_bytes(const struct disk_op *op, uint64_t from, uint64_t to, uint8_t **bytes,
	uint64_t *len, uint64_t *cap);

/* realloc that does not fail. */
void *disk_grow(void *p, size_t n);
