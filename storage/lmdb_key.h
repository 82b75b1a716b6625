/* How keys of the index become bytes that sort, as memory, in the order we want.
 *
 * Numbers: one byte up to 240, then longer ones, the length told by the first byte; equal numbers have
 * one form. UIDs: four bits for each of '-', '.' and the digits, twelve for a letter, so 64 characters
 * of an ordinary UID are 32 bytes. Both keep the order of what they encode, and the packed form of a
 * prefix is (but for its last half byte) a prefix: keys stay together as their UIDs do, which is what
 * keeps inserts near each other at 10^7 rows. Never hashed (DESIGN 5).
 *
 * The same forms are used inside rows (index_row.h), where they are merely compact.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/cursor.h"
#include "core/uid.h"
#include "core/wbuf.h"

#define SL_LMDB_KEY_UINT_MAX 9			      /* bytes of a number */
#define SL_LMDB_KEY_UID_MAX  (SL_UID_MAX * 3 / 2 + 1) /* bytes of a packed UID with its end mark */
#define SL_LMDB_KEY_MAX	     511		      /* bytes of any key; what LMDB allows */

/* Appends v; at most SL_LMDB_KEY_UINT_MAX bytes. */
void sl_lmdb_key_put_uint(struct sl_wbuf *w, uint64_t v);

/* The next number; 0 and c->bad when it is cut off or not in its shortest form. */
uint64_t sl_lmdb_key_uint(struct sl_cur *c);

/* Signed numbers, small ones of either sign short. Not ordered: for rows. */
void sl_lmdb_key_put_int(struct sl_wbuf *w, int64_t v);
int64_t sl_lmdb_key_int(struct sl_cur *c);

/* Appends n characters of [0-9A-Za-z.-] (any piece of a UID, also none); another character is a
 * programming error. Its end is the end of the key or row: nothing may follow. */
void sl_lmdb_key_put_uid(struct sl_wbuf *w, const char *chars, size_t n);

/* The same with an end mark, at least one byte: something may follow, and the absent UID has a key. */
void sl_lmdb_key_put_uid_end(struct sl_wbuf *w, const char *chars, size_t n);

/* Reads what either of the two wrote: up to the end mark, or to the end of c. Appends the characters
 * to *u (which may hold a beginning already); c->bad when they do not fit or are not ours. */
void sl_lmdb_key_uid(struct sl_cur *c, struct sl_uid *u);
