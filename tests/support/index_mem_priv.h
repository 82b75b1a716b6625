/* Inside the in-memory twin: its arrays, shared by its files.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>
#include <string.h>

#include "support/index_mem.h"

/* First values of one level as sent, each with its character set when that matters. */
struct values {
	struct sl_record record;
	char charset[SL_ATTR_N][129];
};

struct patient {
	bool is_gone, is_conflict;
	struct values values;
	size_t own_study; /* without PatientID: the study it is of, plus 1 */
};

struct study {
	bool is_gone, is_conflict;
	struct sl_uid uid;
	size_t patient;
	struct sl_index_counts counts;
	struct values values;
};

struct series {
	bool is_gone, is_conflict;
	struct sl_uid uid;
	size_t study;
	struct sl_index_counts counts;
	struct values values;
};

struct instance {
	bool is_gone;
	size_t series;
	struct sl_index_instance shown;
};

struct array {
	void *at;
	size_t n, size; /* elements, bytes of one */
};

struct index_mem {
	struct sl_index base;
	struct sl_index_ops ops; /* of this file and the reading one */
	pthread_mutex_t lock;
	struct array patients, studies, series, instances, tombstones;
	size_t capacity, reserved;
	uint64_t next_seq, commits;
};

static inline struct index_mem *mem_of(struct sl_index *base)
{
	return sl_container_of(base, struct index_mem, base);
}

static inline void *item(struct array *a, size_t i)
{
	return (char *)a->at + i * a->size;
}

/* A new element, zeroed. */
void *index_mem_grow(struct array *a);

/* The row that is there, and its place, or NULL. study NULL: of any study. */
struct study *index_mem_study(struct index_mem *m, const struct sl_uid *uid, size_t *no);
struct series *index_mem_series(
	struct index_mem *m, const struct sl_uid *study, const struct sl_uid *uid, size_t *no);
/* The current version of a UID. */
struct instance *index_mem_instance(struct index_mem *m, const struct sl_uid *uid);

/* Whether an instance is the current version of its UID, with what is counted of it. */
void index_mem_set_current(struct index_mem *m, struct instance *in, bool is_current);
/* Chooses the current version of a UID anew from all there are. */
void index_mem_elect(struct index_mem *m, const struct sl_uid *uid);

/* A value in UTF-8, at most cap bytes. */
size_t index_mem_utf8(const struct values *v, enum sl_attr a, char *out, size_t cap);

/* index_read_mem.c: rows as the seam shows them. */
void index_mem_show_values(const struct values *v, struct sl_index_text *t);
void index_mem_show_series(
	struct index_mem *m, const struct series *s, struct sl_index_series *out);
void index_mem_show_study(struct index_mem *m, size_t no, struct sl_index_study *out);

/* index_find_mem.c */
enum sl_status index_mem_find(struct sl_index_reader *rd, enum sl_attr_level level,
	const struct sl_index_query *q, struct sl_index_cursor *at, void *out, size_t *n,
	struct sl_index_plan *plan, struct sl_diag *diag);

/* index_remove_mem.c */
enum sl_status index_mem_remove_instance(struct sl_index *base, const struct sl_uid *uid,
	uint64_t tombstone_seq, struct sl_index_removed *removed, struct sl_diag *diag);
enum sl_status index_mem_remove_studies(
	struct sl_index *base, struct sl_index_removal *removals, size_t n, struct sl_diag *diag);
enum sl_status index_mem_drop_tombstones(
	struct sl_index *base, const uint64_t *seqs, size_t n, struct sl_diag *diag);

/* index_read_mem.c: the reading half of the vtable. */
extern const struct sl_index_ops index_mem_reading;
