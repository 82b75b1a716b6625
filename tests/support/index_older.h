/* Makes an index what an older program left, behind its back.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <lmdb.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INDEX_OLDER_MUST(call)                                                            \
	do {                                                                              \
		int index_older_rc = (call);                                              \
		if (index_older_rc != 0) {                                                \
			fprintf(stderr, "%s: %s\n", #call, mdb_strerror(index_older_rc)); \
			abort();                                                          \
		}                                                                         \
	} while (0)

/* Makes an index what an older program left: schema 1 had no order of arrival, schema 2 did not count
 * versions at the end of its state, schema 3 had no ordered keys. A schema of the future only says so. */
static inline void index_older_make(const char *path, uint8_t schema)
{
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi meta, tree;
	MDB_val key = {5, "state"}, found;
	uint8_t state[256];
	INDEX_OLDER_MUST(mdb_env_create(&env));
	INDEX_OLDER_MUST(mdb_env_set_maxdbs(env, 16));
	INDEX_OLDER_MUST(mdb_env_open(env, path, 0, 0640));
	INDEX_OLDER_MUST(mdb_txn_begin(env, NULL, 0, &txn));
	INDEX_OLDER_MUST(mdb_dbi_open(txn, "meta", 0, &meta));
	INDEX_OLDER_MUST(mdb_get(txn, meta, &key, &found));
	/* No version of anything: what the last byte counts. */
	if (found.mv_size >= sizeof(state) || ((uint8_t *)found.mv_data)[found.mv_size - 1] != 0)
		abort();
	memcpy(state, found.mv_data, found.mv_size);
	found = (MDB_val){found.mv_size - (schema < 3), state};
	INDEX_OLDER_MUST(mdb_put(txn, meta, &key, &found, 0));
	uint8_t number[4] = {0, 0, 0, schema};
	key = (MDB_val){6, "schema"};
	found = (MDB_val){sizeof(number), number};
	INDEX_OLDER_MUST(mdb_put(txn, meta, &key, &found, 0));
	if (schema < 4) {
		INDEX_OLDER_MUST(mdb_dbi_open(txn, "key", 0, &tree));
		INDEX_OLDER_MUST(mdb_drop(txn, tree, 1));
	}
	if (schema < 3) {
		INDEX_OLDER_MUST(mdb_dbi_open(txn, "version", 0, &tree));
		INDEX_OLDER_MUST(mdb_drop(txn, tree, 1));
	}
	if (schema < 2) {
		INDEX_OLDER_MUST(mdb_dbi_open(txn, "arrival", 0, &tree));
		INDEX_OLDER_MUST(mdb_drop(txn, tree, 1));
	}
	INDEX_OLDER_MUST(mdb_txn_commit(txn));
	mdb_env_close(env);
}
