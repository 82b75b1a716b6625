/* index_reader FOLDER: reads the index in FOLDER and does not stop: a transaction stays open until standard
 * input ends. Prints "reading" once it is. SPDX-License-Identifier: Apache-2.0 */
#include <lmdb.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	MDB_env *env;
	MDB_txn *txn;
	if (argc != 2 || mdb_env_create(&env) != 0 || mdb_env_set_maxdbs(env, 16) != 0 ||
		mdb_env_open(env, argv[1], MDB_RDONLY, 0) != 0 ||
		mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) != 0) {
		fprintf(stderr, "index_reader: cannot read the index\n");
		return 1;
	}
	puts("reading");
	fflush(stdout);
	while (getchar() != EOF)
		continue;
	mdb_txn_abort(txn);
	mdb_env_close(env);
	return 0;
}
