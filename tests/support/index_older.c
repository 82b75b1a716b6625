/* index_older FOLDER SCHEMA: the index in FOLDER, as a program of that schema would have left it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/index_older.h"

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: index_older FOLDER SCHEMA\n");
		return 2;
	}
	index_older_make(argv[1], (uint8_t)atoi(argv[2]));
	return 0;
}
