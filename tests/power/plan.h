/* What was promised in a recorded run, by a ledger that was written outside of the store: what was sent,
 * byte for byte, when each success was put on the wire, and when a study was evicted; "when" is a
 * position in the log (tests/support/record.h). A text file, a line each:
 *
 *	root INODE
 *	policy latest|first
 *	object N UID STUDY FILE         N counts from 0; FILE holds the data set
 *	ack POSITION1 POSITION2 N       object N was sent after 1; at 2 success was begun to be told
 *	sent POSITION N                 and once more, before that; nobody was told what became of it
 *	gone POSITION1 POSITION2 STUDY  its rows went in a commit begun at 1; at 2 that was durable
 *	chain UID N N ...               versions in the order in which one sender sent them
 *
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/uid.h"

enum plan_policy { PLAN_LATEST, PLAN_FIRST };

struct sent {
	struct sl_uid uid, study;
	uint8_t *bytes; /* owned */
	size_t len;
	uint64_t asked, told; /* positions of its first success; UINT64_MAX = never */
	uint64_t last;        /* and of its last, or of a try that was not answered */
};

struct gone {
	uint64_t begun, done;
	struct sl_uid study;
};

struct promise {
	uint64_t asked, position;
	size_t object;
};

struct chain {
	size_t objects[16], n;
};

struct plan {
	uint64_t root;
	enum plan_policy policy;
	struct sent *sent;
	struct promise *promises;
	struct gone *gone;
	struct chain *chains;
	size_t sent_n, promises_n, gone_n, chains_n;
};

/* False: said why on stderr, and nothing stays open. */
bool plan_open(struct plan *p, const char *path);
void plan_close(struct plan *p);
