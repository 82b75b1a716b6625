/* The driver of a fuzz target where there is no libFuzzer: feeds it files, and changes of them.
 *
 *	replay_x [--changes N] FILE|FOLDER ...
 *
 * Each file goes in as it is, then N times (0) changed: a few bits, bytes, cuts and repetitions, by the
 * target's own mutator if it has one. What is drawn follows from the files alone, so a run that fails fails
 * again. The file in hand is named on standard error when the target aborts.
 * SPDX-License-Identifier: Apache-2.0 */
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base.h"

#define INPUT_MAX (1 << 20)
#define HANG_S    120 /* for one input */

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);
size_t LLVMFuzzerMutate(uint8_t *bytes, size_t n, size_t max);
__attribute__((weak)) size_t LLVMFuzzerCustomMutator(
	uint8_t *bytes, size_t n, size_t max, unsigned seed);

static uint64_t chance;
static char in_hand[4096];
static unsigned long files_n, inputs_n;

static size_t draw(size_t n)
{
	chance = chance * 6364136223846793005u + 1442695040888963407u;
	return n == 0 ? 0 : (size_t)((chance >> 33) % n);
}

static void on_abort(int signal)
{
	static const char what[] = "\nreplay: the target fails on ";
	(void)signal;
	if (write(STDERR_FILENO, what, sizeof(what) - 1) < 0 ||
		write(STDERR_FILENO, in_hand, strlen(in_hand)) < 0 ||
		write(STDERR_FILENO, "\n", 1) < 0)
		_exit(98);
	_exit(99);
}

/* A sanitizer's own handlers stay. */
static void name_input_on_death(void)
{
	static const int deaths[] = {SIGABRT, SIGILL, SIGTRAP, SIGALRM, SIGSEGV, SIGBUS, SIGFPE};
	for (size_t i = 0; i < SL_ARRAY_N(deaths); i++) {
		struct sigaction is;
		if (sigaction(deaths[i], NULL, &is) == 0 && is.sa_handler == SIG_DFL)
			(void)signal(deaths[i], on_abort);
	}
}

/* ---- changes ---- */

/* Doubles, moves or drops a piece. */
static size_t change_piece(uint8_t *bytes, size_t n, size_t max)
{
	size_t from = draw(n), len = 1 + draw(sl_min(n - from, 64)), to = draw(n - len + 1);
	if (draw(3) == 0) {
		memmove(bytes + from, bytes + from + len, n - from - len);
		return n - len;
	}
	if (draw(2) == 0 || len > max - n) {
		memmove(bytes + to, bytes + from, len);
		return n;
	}
	uint8_t piece[64];
	memcpy(piece, bytes + from, len);
	memmove(bytes + to + len, bytes + to, n - to);
	memcpy(bytes + to, piece, len);
	return n + len;
}

size_t LLVMFuzzerMutate(uint8_t *bytes, size_t n, size_t max)
{
	static const uint8_t edges[] = {0, 1, 2, 0x7F, 0x80, 0xFE, 0xFF, ' ', '.'};
	if (n == 0)
		return 0;
	for (size_t times = 1 + draw(4); times > 0 && n > 0; times--) {
		switch (draw(4)) {
		case 0:
			bytes[draw(n)] ^= (uint8_t)(1u << draw(8));
			break;
		case 1:
			bytes[draw(n)] = edges[draw(sizeof(edges))];
			break;
		case 2:
			bytes[draw(n)] = (uint8_t)draw(256);
			break;
		default:
			n = change_piece(bytes, n, max);
			break;
		}
	}
	return n;
}

/* ---- inputs ---- */

/* In memory of its exact size, so that a sanitizer sees the end of it. */
static void feed(const uint8_t *bytes, size_t n)
{
	uint8_t *exact = malloc(n + (n == 0));
	sl_assert(exact != NULL);
	memcpy(exact, bytes, n);
	alarm(HANG_S);
	(void)LLVMFuzzerTestOneInput(exact, n);
	free(exact);
	inputs_n++;
}

static void feed_file(const char *path, unsigned long changes)
{
	static uint8_t bytes[INPUT_MAX], changed[INPUT_MAX];
	FILE *in = fopen(path, "rb");
	if (in == NULL)
		return;
	size_t n = fread(bytes, 1, sizeof(bytes), in);
	fclose(in);
	chance = n;
	snprintf(in_hand, sizeof(in_hand), "%s", path);
	feed(bytes, n);
	files_n++;
	for (unsigned long i = 1; i <= changes; i++) {
		size_t now = n, max = sl_min(n + 256, INPUT_MAX);
		snprintf(in_hand, sizeof(in_hand), "change %lu of %s", i, path);
		memcpy(changed, bytes, n);
		now = LLVMFuzzerCustomMutator != NULL
			      ? LLVMFuzzerCustomMutator(changed, now, max, (unsigned)draw(1u << 30))
			      : LLVMFuzzerMutate(changed, now, max);
		feed(changed, now);
	}
}

int main(int argc, char **argv)
{
	unsigned long changes = 0;
	name_input_on_death();
	for (int i = 1; i < argc; i++) {
		char pattern[4096];
		glob_t found;
		if (strcmp(argv[i], "--changes") == 0 && i + 1 < argc) {
			changes = strtoul(argv[++i], NULL, 10);
			continue;
		}
		snprintf(pattern, sizeof(pattern), "%s/*", argv[i]);
		if (glob(pattern, 0, NULL, &found) == 0) {
			for (size_t k = 0; k < found.gl_pathc; k++)
				feed_file(found.gl_pathv[k], changes);
			globfree(&found);
		} else {
			feed_file(argv[i], changes);
		}
	}
	printf("%lu files, %lu inputs\n", files_n, inputs_n);
	return files_n == 0;
}
