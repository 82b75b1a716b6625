/* sluice-bench floor: the least that a receiver can do, so that what the machine allows is measured beside
 * those who do more.
 *
 * It takes whatever sluice-bench or storescu offers, keeps each object in a file of its own and answers
 * success; `sync` says what happens before the answer. A failing disk ends it.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SL_FLOOR_RQ_MAX  65536
#define SL_FLOOR_RSP_LEN 64
#define SL_FLOOR_RP_LEN  10

enum sl_floor_sync {
	SL_FLOOR_NONE,
	SL_FLOOR_PLAIN, /* fdatasync of the file */
	SL_FLOOR_NAMED /* and an fsync of the folder that began after the file had its name; shared */
};

struct sl_floor {
	enum sl_floor_sync sync;
	int folder;        /* descriptor */
	atomic_uint files; /* made so far: the next one's name */
	pthread_mutex_t lock;
	pthread_cond_t done;
	uint64_t begun, ended;      /* folder syncs; equal when none is running; under lock */
	struct sl_floor_seat *free; /* under lock */
};

/* What an association needs; used again by a later one, its pages warm. */
struct sl_floor_seat {
	struct sl_floor *floor;
	struct sl_floor_seat *next;
	int socket, file; /* file: of the object under way; -1: none yet */
	uint8_t pcid, message_id[2];
	uint8_t buffer[4 << 20]; /* only as much as came at once is ever touched */
};

/* Serves an association to its end, then frees the seat. The thread's function; returns NULL. */
void *sl_floor_serve(void *seat);

static inline uint32_t sl_floor_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* A request of at most SL_FLOOR_RQ_MAX bytes becomes its answer, in place: each context accepted with the first syntax
 * proposed, PDUs up to 128 KiB. The answer's length. */
size_t sl_floor_accept(uint8_t *pdu, size_t n);

/* Reads the PDVs of a P-DATA-TF, the message ID of a command among them. True: a data set ends. */
bool sl_floor_ends_object(struct sl_floor_seat *s, const uint8_t *p, const uint8_t *end);

/* The C-STORE-RSP of the object that ended: 0000. PS3.7 9.3.1.2. */
void sl_floor_store_rsp(const struct sl_floor_seat *s, uint8_t rsp[SL_FLOOR_RSP_LEN]);

extern const uint8_t sl_floor_release_rp[SL_FLOOR_RP_LEN];

/* Closes what the seat has open, and frees it. */
void sl_floor_leave(struct sl_floor_seat *s);

/* "floor" of the command line: runs until it is killed. 1: cannot start, 2: wrong usage. */
int sl_floor_main(int argc, char **argv);
