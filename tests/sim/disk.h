/* The disk's own side: inodes, names, and what of them is durable. For disk.c and files.c.
 *
 * A file has bytes as programs see them and bytes that were synced. A folder has names as programs see
 * them, names that were synced, and a journal in between: each change of a name is durable when a folder
 * of it is fsynced afterwards, or by chance when the power goes. Changes that come while an fsync runs
 * are not covered by it. A rename is one change of two folders.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "sim/sim.h"

#define DISK_INODES  16384
#define DISK_NAME    96 /* longest name and its end */
#define DISK_BLOCK   4096u
#define DISK_JOURNAL 65536

struct disk_bytes {
	uint8_t *at;
	size_t n, cap;
};

struct disk_name {
	char s[DISK_NAME];
	unsigned ino;
	size_t no; /* names are in the order of their numbers; who reads a folder goes on behind one */
};

struct disk_names {
	struct disk_name *at;
	size_t n, cap;
	size_t last_no;
};

struct disk_inode {
	bool is_used, is_folder, is_counted;
	bool is_lost;          /* an fsync of it failed: what is not durable never will be */
	unsigned links, opens; /* names, as seen; descriptors */
	size_t kept;           /* bytes from the start that have blocks, beyond its end too */
	struct disk_bytes bytes, synced;
	struct disk_names names, synced_names;
};

/* A change of names: `name` in `folder` goes, or becomes `ino`; and likewise the second. */
struct disk_change {
	bool is_durable, is_lost;
	unsigned n; /* 1 or 2 */
	struct {
		unsigned folder, ino; /* ino 0: the name goes */
		char name[DISK_NAME];
	} of[2];
};

struct disk {
	struct disk_inode inodes[DISK_INODES]; /* [1] is / */
	unsigned inodes_n;
	struct disk_change journal[DISK_JOURNAL];
	size_t journal_first, journal_n; /* what comes before the first is settled */
	uint64_t size, used, hog;        /* blocks */
	uint64_t inodes_max;             /* 0: not counted */
	uint64_t files_used;             /* inodes in use, folders too */
	uint64_t keeps, keeps_inodes;    /* must stay free while the node is up */
	unsigned folders, own_folders;   /* in use; those of a root that holds nothing */
	bool is_grown;                   /* and stays so */
};
extern struct disk disk;

#define DISK_ROOT 1u

/* 0 where they are not counted. */
uint64_t disk_free_inodes(void);
/* A new inode without a name; 0: no room. */
unsigned disk_make(bool is_folder);
void disk_release_if_gone(unsigned ino);
unsigned disk_find(unsigned folder, const char *name); /* 0: none */
/* The name behind number `no`, whatever has gone or come since; NULL: none. */
const struct disk_name *disk_next(unsigned folder, size_t no);
void disk_add(unsigned folder, const char *name, unsigned ino);
void disk_remove(unsigned folder, const char *name);
void disk_rename(unsigned from, const char *old_name, unsigned to, const char *new_name);
/* False: no room. */
bool disk_resize(unsigned ino, size_t n);
/* Keeps room for n bytes. */
bool disk_keep(unsigned ino, size_t n);
void disk_sync_bytes(unsigned ino);
/* The changes of the folder among the journal's first `upto`. */
void disk_sync_names(unsigned folder, size_t upto);
void disk_sync_all(void);
/* An fsync failed: what it should have made durable is never going to be. */
void disk_lose(unsigned ino);
