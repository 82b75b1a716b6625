/* Deflated data sets: walked whole, byte by byte and cut everywhere with one outcome; bombs are bounded,
 * broken streams are named, and nothing is allocated (the arena is all there is).
 * SPDX-License-Identifier: Apache-2.0 */
#include <ftw.h>
#include <zlib.h>

#include "storage/inflate.h"
#include "support/dataset.h"
#include "support/p10file.h"

#define ELE  SL_ELEM_EXPLICIT_LE
#define F(x) SL_ELEM_FLAW_##x
#define MAX  (4 * SL_MIB)

static _Alignas(64) uint8_t memory[64 * 1024];

/* Deflates n bytes; wbits as zlib has it: -15 raw, 15 zlib, 31 gzip. Returns the length. */
static size_t deflated(uint8_t *out, size_t cap, const uint8_t *b, size_t n, int wbits)
{
	z_stream z = {0};
	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, wbits, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = (Bytef *)b;
	z.avail_in = (unsigned)n;
	z.next_out = out;
	z.avail_out = (unsigned)cap;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	size_t len = cap - z.avail_out;
	deflateEnd(&z);
	return len;
}

static void inflate_walk(
	struct walk *w, const uint8_t *b, size_t n, size_t first, size_t step, uint64_t max)
{
	assert_true(sl_inflate_memory() <= sizeof(memory));
	memset(memory, 0xA5, sizeof(memory));
	walk_begin(w, ELE, &SL_ELEM_LIMITS_DEFAULT);
	struct sl_inflate *inf = sl_inflate_init(memory, max);
	for (size_t at = 0; at < n;) {
		size_t piece = sl_min(at == 0 ? first : step, n - at);
		enum sl_status st = sl_inflate_feed(inf, &w->e, b + at, piece);
		assert_true(st == SL_OK || st == SL_E_LIMIT);
		at += piece;
	}
	w->st = sl_inflate_end(inf, &w->e);
	if (w->e.has_pixels)
		w->e.pos = w->e.pixels_at; /* how far beyond it was inflated depends on the cut */
	for (size_t i = sl_inflate_memory(); i < sizeof(memory); i++)
		assert_int_equal(memory[i], 0xA5);
}

static struct walk *inflate_three_ways(const uint8_t *b, size_t n, uint64_t max)
{
	static struct walk whole, w;
	inflate_walk(&whole, b, n, n, n, max);
	inflate_walk(&w, b, n, 1, 1, max);
	walk_same(&whole, &w);
	for (size_t cut = 1; cut < n; cut += n / 500 + 1) {
		inflate_walk(&w, b, n, cut, n, max);
		walk_same(&whole, &w);
	}
	return &whole;
}

static struct dataset *some_report(void)
{
	struct dataset *d = ds_begin(ELE);
	ds_tail(d);
	for (uint32_t i = 0; i < 400; i++) {
		char text[64];
		snprintf(text, sizeof(text), "line %u of %u", i, i * i);
		ds_el(d, 0x00410000 + i, "LO", text);
	}
	return d;
}

static void raw_zlib_and_gzip_are_inflated(void **state)
{
	static const int wbits[] = {-15, 15, 31};
	static uint8_t out[1 << 16];
	(void)state;
	for (size_t i = 0; i < SL_ARRAY_N(wbits); i++)
		for (size_t pad = 0; pad < 2; pad++) {
			struct dataset *d = some_report();
			size_t n = deflated(out, sizeof(out) - 1, d->b, d->n, wbits[i]);
			out[n] = 0; /* PS3.5 A.5: to even length */
			struct walk *w = inflate_three_ways(out, n + pad, MAX);
			assert_flaw(w, F(NONE));
			assert_in_step(w);
			assert_int_equal(w->e.pos, d->n);
		}
}

static void a_lonely_gzip_trailer_is_no_flaw_but_more_is(void **state)
{
	static uint8_t out[1 << 16];
	(void)state;
	struct dataset *d = some_report();
	size_t n = deflated(out, sizeof(out) - 32, d->b, d->n, -15);
	memset(out + n, 'x', 16);
	assert_flaw(inflate_three_ways(out, n + 8, MAX), F(NONE));
	assert_flaw(inflate_three_ways(out, n + 9, MAX), F(TRAILING));
	out[n + 8] = 0;
	assert_flaw(inflate_three_ways(out, n + 9, MAX), F(NONE));
}

static void a_truncated_stream_is_named(void **state)
{
	static uint8_t out[1 << 16];
	(void)state;
	struct dataset *d = some_report();
	size_t n = deflated(out, sizeof(out), d->b, d->n, -15);
	for (size_t len = 1; len < n; len++) {
		static struct walk w;
		inflate_walk(&w, out, len, len, len, MAX);
		assert_flaw(&w, F(TRUNCATED_DEFLATE));
	}
	assert_flaw(inflate_three_ways(out, 0, MAX), F(EMPTY));
}

static void a_broken_stream_is_named(void **state)
{
	static uint8_t out[1 << 16];
	(void)state;
	memcpy(out, "\xFF\xFF not deflate at all", 21);
	struct walk *w = inflate_three_ways(out, 21, MAX);
	assert_flaw(w, F(BAD_DEFLATE));
	assert_false(sl_elem_has_identity(&w->e));

	/* bits turned over in the middle: named, or (a literal) a walk that stands; never worse */
	struct dataset *d = some_report();
	size_t n = deflated(out, sizeof(out), d->b, d->n, -15);
	for (size_t i = 0; i < n; i++) {
		out[i] ^= 0x55;
		static struct walk v;
		inflate_walk(&v, out, n, 700, 700, MAX);
		out[i] ^= 0x55;
	}
}

/* HOSTILE 27: what comes out is bounded, however little went in; the object is kept as it came. */
static void deflate_bomb_is_inflated_up_to_the_limit_only(void **state)
{
	static uint8_t out[1 << 17];
	static uint8_t zeros[1 << 20];
	(void)state;
	struct dataset *d = ds_begin(ELE);
	ds_tail(d);
	ds_head(d, 0x00104000, "UT", 64 * SL_MIB);
	z_stream z = {0};
	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_out = out;
	z.avail_out = sizeof(out);
	z.next_in = d->b;
	z.avail_in = (unsigned)d->n;
	assert_int_equal(deflate(&z, Z_NO_FLUSH), Z_OK);
	for (unsigned i = 0; i < 64; i++) {
		z.next_in = zeros;
		z.avail_in = sizeof(zeros);
		assert_int_equal(deflate(&z, Z_NO_FLUSH), Z_OK);
	}
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	size_t n = sizeof(out) - z.avail_out;
	deflateEnd(&z);
	static struct walk w;
	inflate_walk(&w, out, n, n, n, MAX);
	assert_flaw(&w, F(NONE));
	assert_in_step(&w);
	assert_int_equal(w.e.pos, MAX);
	inflate_walk(&w, out, n, 1000, 1, 100 * SL_MIB);
	assert_flaw(&w, F(NONE));
	assert_int_equal(w.e.pos, d->n + 64 * SL_MIB);
}

static void it_stops_at_pixel_data(void **state)
{
	static uint8_t out[1 << 16];
	(void)state;
	struct dataset *d = ds_begin(ELE);
	ds_tail(d);
	ds_head(d, 0x7FE00010, "OW", 1 << 20);
	ds_fill(d, 0x77, 1 << 20);
	size_t n = deflated(out, sizeof(out), d->b, d->n, -15);
	static struct walk w;
	inflate_walk(&w, out, n, n, n, MAX);
	assert_flaw(&w, F(NONE));
	assert_in_step(&w);
	assert_true(w.e.has_pixels);

	/* a piece or two came out, not the whole MiB: so a limit of three pieces is not noticed */
	inflate_walk(&w, out, n, n, n, 12 * SL_KIB);
	assert_flaw(&w, F(NONE));
	assert_true(w.e.has_pixels);
	struct sl_inflate *inf = sl_inflate_init(memory, MAX);
	walk_begin(&w, ELE, &SL_ELEM_LIMITS_DEFAULT);
	assert_int_equal(sl_inflate_feed(inf, &w.e, out, n), SL_OK);
	assert_true(sl_elem_is_done(&w.e));
	assert_true(w.e.pos <= 8 * SL_KIB);
}

static unsigned files;

static int on_file(const char *path, const struct stat *sb, int type, struct FTW *ftw)
{
	struct p10file f;
	(void)sb;
	(void)ftw;
	if (type != FTW_F)
		return 0;
	assert_true(p10file_read(&f, path));
	if (f.is_deflated) {
		print_message("%s\n", path);
		struct walk *w = inflate_three_ways(f.bytes + f.at, f.len - f.at, 256 * SL_MIB);
		assert_flaw(w, F(NONE));
		assert_true(sl_elem_has_identity(&w->e));
		files++;
	}
	free(f.bytes);
	return 0;
}

static void deflated_files_of_the_corpus_are_sound(void **state)
{
	char path[1100];
	const char *root = p10file_corpus();
	(void)state;
	if (root == NULL)
		skip();
	snprintf(path, sizeof(path), "%s/valid", root);
	assert_int_equal(nftw(path, on_file, 16, FTW_PHYS), 0);
	assert_true(files > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(raw_zlib_and_gzip_are_inflated),
		cmocka_unit_test(a_lonely_gzip_trailer_is_no_flaw_but_more_is),
		cmocka_unit_test(a_truncated_stream_is_named),
		cmocka_unit_test(a_broken_stream_is_named),
		cmocka_unit_test(deflate_bomb_is_inflated_up_to_the_limit_only),
		cmocka_unit_test(it_stops_at_pixel_data),
		cmocka_unit_test(deflated_files_of_the_corpus_are_sound),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
