/* The log of everything a process did to its files: what record_preload.c writes and tests/power reads.
 *
 * Two records for each call, one written before it is made and one after it has returned; the order of
 * the records is the order of time. What ended before something else began was over by then; what began
 * and has not ended may be half done. A record is followed by its name, its second name and its bytes.
 *
 * The log of several processes, one after the other, is one log: inode numbers name the files, and a
 * number that is used again is a new file from the record that makes it.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#define RECORD_ALIGN 8 /* a record begins and ends at a multiple of this [bytes] */

enum record_kind {
	RECORD_CREATE,  /* folder, name; the end: inode */
	RECORD_TMPFILE, /* the end: inode */
	RECORD_MKDIR,   /* folder, name; the end: inode */
	RECORD_LINK,    /* inode, folder, name */
	RECORD_UNLINK,  /* folder, name; of a folder too */
	RECORD_RENAME,  /* folder, name, to_folder, to_name */
	RECORD_WRITE,   /* inode, offset, bytes; is_dsync */
	RECORD_RESIZE,  /* inode, offset = the new length */
	RECORD_SYNC,    /* inode: fsync or fdatasync of a file or folder */
	RECORD_SYNCFS,
	RECORD_SEND, /* port = the peer's; bytes */
	RECORD_KINDS
};

struct record {
	uint32_t len;  /* bytes of the whole record, what follows it included */
	uint16_t kind; /* enum record_kind */
	uint8_t is_end;
	uint8_t is_dsync;   /* the descriptor is O_DSYNC or O_SYNC: durable when the call ends */
	uint64_t call;      /* the same in both records of a call */
	uint64_t inode;     /* 0 = none */
	uint64_t folder;    /* inode of the folder that holds `name` */
	uint64_t to_folder; /* likewise, of `to_name` */
	int64_t offset;     /* [bytes]; in an end: what the call returned */
	uint16_t name_len, to_name_len;
	uint16_t port, reserved;
	uint32_t data_len;
	uint32_t reserved_too;
};
