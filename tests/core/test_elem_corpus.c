/* Every file of the corpus in valid/, series/ and charset/ is sound and has its UIDs, in every transfer
 * syntax (deflated ones: tests/storage/test_inflate.c), and the outcome does not depend on how the bytes
 * were cut. Files of malformed/ only must not: their verdicts are in malformed_walk.tsv.
 * SPDX-License-Identifier: Apache-2.0 */
#include <ftw.h>

#include "support/dataset.h"
#include "support/p10file.h"

static struct {
	unsigned files, wrong;
	bool is_malformed;
} count;

/* Long files are not cut everywhere, but at these distances: inside and around every header of the first
 * KiB, and at random places by a fixed generator. */
static void walk_file(const struct p10file *f, struct walk *whole)
{
	static struct walk w;
	const uint8_t *b = f->bytes + f->at;
	size_t n = f->len - f->at;
	walk_begin(whole, f->encoding, &SL_ELEM_LIMITS_DEFAULT);
	walk_feed(whole, b, n);
	whole->st = sl_elem_end(&whole->e);

	walk_begin(&w, f->encoding, &SL_ELEM_LIMITS_DEFAULT);
	uint32_t random = 1;
	for (size_t at = 0; at < n;) {
		random = random * 1664525 + 1013904223;
		size_t piece = at < 1024 ? 1 : 1 + (random >> 16) % (1 + n / 64);
		piece = sl_min(piece, n - at);
		walk_feed(&w, b + at, piece);
		at += piece;
	}
	w.st = sl_elem_end(&w.e);
	walk_same(whole, &w);
	if (n <= 2048)
		(void)walk_bytes(b, n, f->encoding, &SL_ELEM_LIMITS_DEFAULT);
}

static int on_file(const char *path, const struct stat *sb, int type, struct FTW *ftw)
{
	(void)ftw;
	static struct walk whole;
	struct p10file f;
	(void)sb;
	if (type != FTW_F)
		return 0;
	assert_true(p10file_read(&f, path));
	if (!f.is_deflated) {
		walk_file(&f, &whole);
		count.files++;
		/* a DICOMDIR begins with group 0004 and has no UIDs of its own; one is broken on purpose */
		bool is_dicomdir = f.len > f.at + 1 && (f.bytes[f.at] | f.bytes[f.at + 1]) == 4;
		bool is_broken = strstr(path, "DICOMDIR-nooffset") != NULL;
		bool is_unsound = whole.e.flaw != SL_ELEM_FLAW_NONE && !is_broken;
		bool lacks_identity = !sl_elem_has_identity(&whole.e) && !is_dicomdir;
		if (!count.is_malformed && (is_unsound || lacks_identity)) {
			print_message("%s: %s\n", path, sl_elem_flaw_name(whole.e.flaw));
			count.wrong++;
		}
	}
	free(f.bytes);
	return 0;
}

static void walk_folder(const char *folder)
{
	char path[1100];
	const char *root = p10file_corpus();
	if (root == NULL)
		skip();
	memset(&count, 0, sizeof(count));
	count.is_malformed = strcmp(folder, "malformed") == 0;
	snprintf(path, sizeof(path), "%s/%s", root, folder);
	assert_int_equal(nftw(path, on_file, 16, FTW_PHYS), 0);
	print_message("%s: %u files\n", folder, count.files);
	assert_true(count.files > 0);
	assert_int_equal(count.wrong, 0);
}

static void valid_files_are_sound(void **state)
{
	(void)state;
	walk_folder("valid");
}

static void series_are_sound(void **state)
{
	(void)state;
	walk_folder("series");
}

static void charset_files_are_sound(void **state)
{
	(void)state;
	walk_folder("charset");
}

static void malformed_files_are_the_same_however_cut(void **state)
{
	(void)state;
	walk_folder("malformed");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(valid_files_are_sound),
		cmocka_unit_test(series_are_sound),
		cmocka_unit_test(charset_files_are_sound),
		cmocka_unit_test(malformed_files_are_the_same_however_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
