/* Both kinds of output, from the same sums.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/report.h"

#include <inttypes.h>

#define BAR 50 /* characters of the longest bar */

static double seconds(uint64_t ns)
{
	return (double)ns * 1e-9;
}

static double per_second(const struct sl_report *r, uint64_t n)
{
	return r->ns == 0 ? 0.0 : (double)n / seconds(r->ns);
}

/* ---- text -------------------------------------------------------------------------------------- */

/* "850us", "12.4ms", "3.21s" */
static void put_time(FILE *out, const char *name, uint64_t ns)
{
	if (ns < 1000000)
		fprintf(out, " %s %.0fus", name, (double)ns * 1e-3);
	else if (ns < 1000000000)
		fprintf(out, " %s %.1fms", name, (double)ns * 1e-6);
	else
		fprintf(out, " %s %.2fs", name, seconds(ns));
}

static void put_lat(FILE *out, const char *name, const struct sl_lat *l)
{
	if (l->n == 0)
		return;
	fprintf(out, "%-12s", name);
	put_time(out, "min", l->min_ns);
	put_time(out, "mean", sl_lat_mean(l));
	put_time(out, "p50", sl_lat_quantile(l, 0.5));
	put_time(out, "p90", sl_lat_quantile(l, 0.9));
	put_time(out, "p99", sl_lat_quantile(l, 0.99));
	put_time(out, "max", l->max_ns);
	fputc('\n', out);
}

/* One line for each power of two of microseconds. */
static void put_histogram(FILE *out, const struct sl_lat *l)
{
	uint64_t sums[64] = {0}, most = 0;
	size_t first = 64, last = 0;
	for (size_t i = 0; i < SL_LAT_BUCKETS; i++) {
		if (l->counts[i] == 0)
			continue;
		uint64_t us = sl_lat_edge(i) / 1000;
		size_t power = us == 0 ? 0 : 64u - (size_t)__builtin_clzll(us);
		sums[power] += l->counts[i];
		most = sl_max64(most, sums[power]);
		first = sl_min(first, power);
		last = power;
	}
	for (size_t p = first; p <= last && most > 0; p++) {
		fprintf(out, "%12s", "");
		put_time(out, "<", (UINT64_C(1) << p) * 1000);
		fprintf(out, "\t%8" PRIu64 " ", sums[p]);
		for (uint64_t i = 0; i < (sums[p] * BAR + most - 1) / most; i++)
			fputc('#', out);
		fputc('\n', out);
	}
}

static void put_counts(const struct sl_report *r, FILE *out)
{
	const struct sl_tally *t = r->tally;
	fprintf(out, "%-12s", "statuses");
	for (size_t i = 0; i < t->statuses_n; i++)
		fprintf(out, " %04X %" PRIu64, t->statuses[i].code, t->statuses[i].n);
	if (t->lost > 0)
		fprintf(out, " unanswered %" PRIu64, t->lost);
	if (t->unsent > 0)
		fprintf(out, " unsent %" PRIu64, t->unsent);
	fprintf(out, "\n%-12s", "ends");
	for (int i = 0; i < SL_TALLY_END_N; i++)
		if (t->ends[i] > 0)
			fprintf(out, " %s %" PRIu64, sl_tally_end_name((enum sl_tally_end)i),
				t->ends[i]);
	fputc('\n', out);
}

void sl_report_text(const struct sl_report *r, FILE *out)
{
	const struct sl_tally *t = r->tally;
	fprintf(out, "%" PRIu64 " objects stored in %.2f s: %.1f/s, %.1f MB/s; %u associations\n",
		t->stored, seconds(r->ns), per_second(r, t->stored),
		per_second(r, t->stored_len) * 1e-6, r->opts->associations);
	put_counts(r, out);
	put_lat(out, "object", &t->object);
	put_lat(out, "answer", &t->answer);
	if (r->opts->has_histogram)
		put_histogram(out, &t->answer);
	put_lat(out, "association", &t->association);
	if (r->opts->per_association != UINT64_MAX)
		fprintf(out, "%-12s %.1f associations/s\n", "churn",
			per_second(r, t->ends[SL_TALLY_RELEASED]));
	put_lat(out, "sender", &t->sender);
	fprintf(out, "%-12s %.2f s of the bench itself\n", "cpu", seconds(r->cpu_ns));
}

/* ---- JSON -------------------------------------------------------------------------------------- */

static void json_lat(FILE *out, const char *name, const struct sl_lat *l)
{
	fprintf(out,
		",\n \"%s\": {\"n\": %" PRIu64 ", \"min\": %.6f, \"mean\": %.6f, \"p50\": %.6f, "
		"\"p90\": %.6f, \"p99\": %.6f, \"max\": %.6f}",
		name, l->n, seconds(l->min_ns), seconds(sl_lat_mean(l)),
		seconds(sl_lat_quantile(l, 0.5)), seconds(sl_lat_quantile(l, 0.9)),
		seconds(sl_lat_quantile(l, 0.99)), seconds(l->max_ns));
}

/* [upper end in seconds, count] of every bucket that has some. */
static void json_histogram(FILE *out, const struct sl_lat *l)
{
	const char *comma = "";
	fputs(",\n \"answer_histogram\": [", out);
	for (size_t i = 0; i < SL_LAT_BUCKETS; i++) {
		if (l->counts[i] == 0)
			continue;
		fprintf(out, "%s[%.6f, %" PRIu64 "]", comma, seconds(sl_lat_edge(i)), l->counts[i]);
		comma = ", ";
	}
	fputc(']', out);
}

void sl_report_json(const struct sl_report *r, FILE *out)
{
	const struct sl_tally *t = r->tally;
	const char *comma = "";
	fprintf(out,
		"{\"associations\": %u, \"run\": %" PRIu64 ", \"stored\": %" PRIu64
		", \"failed\": %" PRIu64 ", \"unanswered\": %" PRIu64 ", \"unsent\": %" PRIu64
		",\n \"seconds\": %.6f, \"objects_per_s\": %.3f, \"bytes\": %" PRIu64
		", \"bytes_per_s\": %.0f, \"wire_bytes\": %" PRIu64
		", \"cpu_seconds\": %.3f, \"associations_per_s\": %.3f",
		r->opts->associations, r->opts->run, t->stored, t->failed, t->lost, t->unsent,
		seconds(r->ns), per_second(r, t->stored), t->stored_len,
		per_second(r, t->stored_len), t->wire_len, seconds(r->cpu_ns),
		per_second(r, t->ends[SL_TALLY_RELEASED]));
	fputs(",\n \"statuses\": {", out);
	for (size_t i = 0; i < t->statuses_n; i++, comma = ", ")
		fprintf(out, "%s\"%04X\": %" PRIu64, comma, t->statuses[i].code, t->statuses[i].n);
	fputs("},\n \"ends\": {", out);
	comma = "";
	for (int i = 0; i < SL_TALLY_END_N; i++, comma = ", ")
		fprintf(out, "%s\"%s\": %" PRIu64, comma, sl_tally_end_name((enum sl_tally_end)i),
			t->ends[i]);
	fputc('}', out);
	json_lat(out, "object", &t->object);
	json_lat(out, "answer", &t->answer);
	json_lat(out, "association", &t->association);
	json_lat(out, "sender", &t->sender);
	json_histogram(out, &t->answer);
	fputs("}\n", out);
}
