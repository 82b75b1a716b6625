/* index_damage INDEX_FOLDER: what a disk, a bug or a hand may do to the index of a stopped node, for the
 * tests of --verify. Prints each tree's name and number of entries; or changes one thing:
 *
 *   index_damage FOLDER del TREE N        takes out the N-th entry
 *   index_damage FOLDER flip TREE N BIT   flips a bit of the N-th entry's value (counted modulo its length)
 *   index_damage FOLDER add TREE          puts in an entry that nothing refers to
 *
 * Below the seam on purpose: what is done here no call of the index would do.
 * SPDX-License-Identifier: Apache-2.0 */
#include <lmdb.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TREES = 32, VALUE_MAX = 4096 };

static int fail(const char *what, int rc)
{
	fprintf(stderr, "index_damage: %s: %s\n", what, mdb_strerror(rc));
	return 1;
}

/* The names are the keys of LMDB's main tree. */
static int list(MDB_txn *txn)
{
	MDB_dbi main_tree, tree;
	MDB_cursor *cursor;
	MDB_val key, value;
	int rc = mdb_dbi_open(txn, NULL, 0, &main_tree);
	if (rc == 0)
		rc = mdb_cursor_open(txn, main_tree, &cursor);
	if (rc != 0)
		return rc;
	while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
		char name[64];
		MDB_stat stat;
		snprintf(name, sizeof(name), "%.*s", (int)key.mv_size, (const char *)key.mv_data);
		if (mdb_dbi_open(txn, name, 0, &tree) == 0 && mdb_stat(txn, tree, &stat) == 0)
			printf("%s\t%zu\n", name, stat.ms_entries);
	}
	mdb_cursor_close(cursor);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

/* Deletes the entry the cursor is at, or flips a bit of its value. */
static int change(MDB_cursor *cursor, const char *how, MDB_val key, MDB_val value, size_t bit)
{
	unsigned char bytes[VALUE_MAX];
	if (strcmp(how, "del") == 0)
		return mdb_cursor_del(cursor, 0);
	if (value.mv_size == 0 || value.mv_size > sizeof(bytes))
		return MDB_BAD_VALSIZE;
	memcpy(bytes, value.mv_data, value.mv_size);
	bit %= value.mv_size * 8;
	bytes[bit / 8] = (unsigned char)(bytes[bit / 8] ^ 1u << bit % 8);
	value.mv_data = bytes;
	return mdb_cursor_put(cursor, &key, &value, MDB_CURRENT);
}

static int damage(MDB_txn *txn, int argc, char **argv)
{
	MDB_dbi tree;
	MDB_cursor *cursor;
	MDB_val key = {0, NULL}, value = {0, NULL};
	int rc = mdb_dbi_open(txn, argv[3], 0, &tree);
	if (rc != 0)
		return rc;
	if (strcmp(argv[2], "add") == 0) {
		char stranger[] = "\1stranger";
		key = (MDB_val){sizeof(stranger), stranger};
		value = (MDB_val){1, stranger};
		return mdb_put(txn, tree, &key, &value, MDB_NOOVERWRITE);
	}
	rc = mdb_cursor_open(txn, tree, &cursor);
	for (long n = argc > 4 ? atol(argv[4]) : 0; rc == 0 && n >= 0; n--)
		rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
	if (rc != 0)
		return rc;
	rc = change(cursor, argv[2], key, value, argc > 5 ? (size_t)atol(argv[5]) : 0);
	mdb_cursor_close(cursor);
	return rc;
}

int main(int argc, char **argv)
{
	MDB_env *env;
	MDB_txn *txn;
	if (argc != 2 && argc < 4) {
		fprintf(stderr, "usage: index_damage FOLDER [del|flip|add TREE [N [BIT]]]\n");
		return 2;
	}
	int rc = mdb_env_create(&env);
	if (rc == 0)
		rc = mdb_env_set_maxdbs(env, TREES);
	if (rc == 0)
		rc = mdb_env_set_mapsize(env, (size_t)1 << 30);
	if (rc == 0)
		rc = mdb_env_open(env, argv[1], 0, 0640);
	if (rc == 0)
		rc = mdb_txn_begin(env, NULL, 0, &txn);
	if (rc != 0)
		return fail("open", rc);
	rc = argc == 2 ? list(txn) : damage(txn, argc, argv);
	if (rc == 0)
		rc = mdb_txn_commit(txn);
	mdb_env_close(env);
	return rc == 0 ? 0 : fail(argc > 2 ? argv[2] : "list", rc);
}
