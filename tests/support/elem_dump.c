/* elem_dump FILE...: what the element walker finds in DICOM files, one tab-separated line each:
 * path, sound|unsound|limit, flaw, its offset, class, instance, study and series UID ("-" absent, "!"
 * invalid), offset of the data set, then Keyword=hex of every indexed attribute that has a value.
 *
 * A test tool: tests/core/test_walk.py compares its output with what pydicom reads.
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "storage/inflate.h"
#include "support/p10file.h"

static enum sl_status walk(const struct p10file *f, struct sl_elem *e, struct sl_record *r)
{
	static _Alignas(64) uint8_t memory[64 * 1024];
	const uint8_t *at = f->bytes + f->at;
	size_t n = f->len - f->at;
	sl_assert(sl_inflate_memory() <= sizeof(memory));
	sl_record_init(r);
	sl_elem_init(e, &SL_ELEM_LIMITS_DEFAULT, f->encoding, r);
	if (!f->is_deflated) {
		if (sl_elem_feed(e, at, n) == SL_OK) {
			/* the verdict is the end's */
		}
		return sl_elem_end(e);
	}
	struct sl_inflate *inf = sl_inflate_init(memory, 16 * SL_MIB);
	if (sl_inflate_feed(inf, e, at, n) == SL_OK) {
		/* likewise */
	}
	return sl_inflate_end(inf, e);
}

static void dump(const char *path)
{
	static const char *const marks[] = {
		[SL_ELEM_ABSENT] = "-", [SL_ELEM_OK] = "", [SL_ELEM_INVALID] = "!"};
	static struct sl_elem e;
	static struct sl_record r;
	struct p10file f;
	if (!p10file_read(&f, path)) {
		printf("%s\tunreadable\n", path);
		return;
	}
	enum sl_status st = walk(&f, &e, &r);
	printf("%s\t%s\t%s\t%" PRIu64, path,
		st == SL_OK        ? "sound"
		: st == SL_E_LIMIT ? "limit"
				   : "unsound",
		sl_elem_flaw_name(e.flaw), e.flaw_at);
	for (int i = 0; i < SL_ELEM_UID_N; i++)
		printf("\t%s%s", marks[e.uid_found[i]], e.uid[i].s);
	printf("\t%zu", f.at);
	for (enum sl_attr a = 0; a < SL_ATTR_N; a++) {
		size_t n;
		const char *v = sl_record_get(&r, a, &n);
		if (n > 0)
			printf("\t%s=", sl_attrs[a].keyword);
		for (size_t i = 0; i < n; i++)
			printf("%02x", (unsigned char)v[i]);
	}
	printf("\n");
	free(f.bytes);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		dump(argv[i]);
	return 0;
}
