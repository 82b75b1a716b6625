/* Building one line of the log, field by field, in a struct on the caller's stack.
 *
 * A field is written whole or not at all: what does not fit marks the line as cut, and the fields
 * after it are left out too, so that a reader never takes half a value for a value.
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "core/esc.h"
#include "core/wbuf.h"
#include "server/log_ring.h"

#define CUT_ROOM 16 /* for " cut=yes" or ",\"cut\":true" */

static void put_text(struct sl_wbuf *w, const char *text)
{
	sl_wbuf_put(w, text, strlen(text));
}

/* A writer over the rest of the line, with `key=` in it. */
static struct sl_wbuf field_begin(struct sl_log_line *l, const char *key)
{
	struct sl_wbuf w = sl_wbuf_of(NULL, 0);
	w.bad = l->log == NULL || l->is_cut;
	if (w.bad)
		return w;
	w = sl_wbuf_of(l->text + l->len, sizeof(l->text) - CUT_ROOM - l->len);
	put_text(&w, l->is_json ? ",\"" : " ");
	put_text(&w, key);
	put_text(&w, l->is_json ? "\":" : "=");
	return w;
}

static void field_end(struct sl_log_line *l, const struct sl_wbuf *w)
{
	if (l->log == NULL || l->is_cut)
		return;
	l->is_cut = w->bad;
	if (!w->bad)
		l->len = (uint16_t)(l->len + w->len);
}

/* A value that is escaped already: as JSON its backslashes double, as logfmt it may need quotes. */
static void put_escaped(struct sl_wbuf *w, bool is_json, const char *text, size_t n)
{
	if (!is_json) {
		bool is_quoted =
			n == 0 || memchr(text, ' ', n) != NULL || memchr(text, '=', n) != NULL;
		put_text(w, is_quoted ? "\"" : "");
		sl_wbuf_put(w, text, n);
		put_text(w, is_quoted ? "\"" : "");
		return;
	}
	put_text(w, "\"");
	for (size_t i = 0; i < n; i++) {
		if (text[i] == '\\')
			sl_wbuf_u8(w, '\\');
		sl_wbuf_u8(w, (uint8_t)text[i]);
	}
	put_text(w, "\"");
}

static void field_escaped(
	struct sl_log_line *l, const char *key, const void *bytes, size_t n, size_t limit)
{
	char text[SL_ESC_CAP(SL_ESC_TEXT_MAX)];
	struct sl_wbuf w = field_begin(l, key);
	size_t len = sl_esc_put(text, sizeof(text), bytes, n, limit);
	put_escaped(&w, l->is_json, text, len);
	field_end(l, &w);
}

/* A value that is plain in both forms: a number, true. */
static void field_plain(struct sl_log_line *l, const char *key, const char *text)
{
	struct sl_wbuf w = field_begin(l, key);
	put_text(&w, text);
	field_end(l, &w);
}

void sl_log_begin_always(
	struct sl_log_line *l, struct sl_log *log, enum sl_log_level level, const char *event)
{
	l->log = log;
	l->level = level;
	l->is_json = log->conf.is_json;
	l->is_cut = false;
	int n = snprintf(l->text, sizeof(l->text), l->is_json ? "\"event\":\"%s\"" : "%s", event);
	l->len = (uint16_t)n;
}

void sl_log_begin(
	struct sl_log_line *l, struct sl_log *log, enum sl_log_level level, const char *event)
{
	l->log = NULL;
	l->is_json = l->is_cut = false;
	if (sl_log_is_on(log, level))
		sl_log_begin_always(l, log, level, event);
}

void sl_log_end(struct sl_log_line *l)
{
	if (l->log == NULL)
		return;
	if (l->is_cut) {
		const char *mark = l->is_json ? ",\"cut\":true" : " cut=yes";
		memcpy(l->text + l->len, mark, strlen(mark));
		l->len = (uint16_t)(l->len + strlen(mark));
	}
	(void)sl_log_push(l->log, l->level, l->text, l->len); /* no room: counted there */
	l->log = NULL;
}

void sl_log_word(struct sl_log_line *l, const char *key, const char *word)
{
	field_escaped(l, key, word, strlen(word), SL_ESC_TEXT_MAX);
}

void sl_log_str(struct sl_log_line *l, const char *key, const char *text)
{
	field_escaped(l, key, text, text == NULL ? 0 : strlen(text), SL_ESC_TEXT_MAX);
}

void sl_log_bytes(struct sl_log_line *l, const char *key, const void *bytes, size_t n)
{
	field_escaped(l, key, bytes, n, SL_ESC_TEXT_MAX);
}

void sl_log_fmt(struct sl_log_line *l, const char *key, const char *fmt, ...)
{
	char text[SL_ESC_TEXT_MAX + 2];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	sl_log_str(l, key, text);
}

void sl_log_ae(struct sl_log_line *l, const char *key, const void *title, size_t n)
{
	const char *p = title;
	while (n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\0'))
		n--;
	for (; n > 0 && *p == ' '; p++)
		n--;
	field_escaped(l, key, p, n, SL_ESC_ID_MAX);
}

void sl_log_uid(struct sl_log_line *l, const char *key, const void *uid, size_t n)
{
	char hash[20];
	if (l->log == NULL)
		return;
	switch (l->log->conf.identifiers) {
	case SL_LOG_ID_NONE:
		return;
	case SL_LOG_ID_HASH:
		snprintf(hash, sizeof(hash), "~%016" PRIx64, sl_sip_hash(l->log->key, uid, n));
		sl_log_word(l, key, hash);
		return;
	case SL_LOG_ID_UID:
		field_escaped(l, key, uid, n, SL_ESC_ID_MAX);
		return;
	}
}

void sl_log_uint(struct sl_log_line *l, const char *key, uint64_t v)
{
	char text[24];
	snprintf(text, sizeof(text), "%" PRIu64, v);
	field_plain(l, key, text);
}

void sl_log_int(struct sl_log_line *l, const char *key, int64_t v)
{
	char text[24];
	snprintf(text, sizeof(text), "%" PRId64, v);
	field_plain(l, key, text);
}

void sl_log_hex(struct sl_log_line *l, const char *key, uint64_t v, int digits)
{
	char text[24];
	snprintf(text, sizeof(text), "%0*" PRIX64, digits < 16 ? digits : 16, v);
	sl_log_word(l, key, text);
}

void sl_log_flag(struct sl_log_line *l, const char *key, bool v)
{
	if (l->is_json)
		field_plain(l, key, v ? "true" : "false");
	else
		field_plain(l, key, v ? "yes" : "no");
}

void sl_log_of(struct sl_log_line *l, const char *key, uint64_t a, uint64_t b)
{
	char text[48];
	snprintf(text, sizeof(text), "%" PRIu64 "/%" PRIu64, a, b);
	sl_log_word(l, key, text);
}

void sl_log_ms(struct sl_log_line *l, const char *key, uint64_t ns)
{
	sl_log_uint(l, key, ns / 1000000);
}

void sl_log_percent(struct sl_log_line *l, const char *key, double percent)
{
	char text[32];
	bool is_sane = percent >= 0 && percent <= 1e6; /* false for NaN too; JSON knows none */
	snprintf(text, sizeof(text), "%.1f", is_sane ? percent : 0.0);
	field_plain(l, key, text);
}

void sl_log_rate(struct sl_log_line *l, const char *key, uint64_t bytes, uint64_t ns)
{
	static const char *const units[] = {"B/s", "kB/s", "MB/s", "GB/s", "TB/s"};
	char text[48];
	size_t unit = 0;
	if (ns == 0)
		return;
	double rate = (double)bytes * 1e9 / (double)ns;
	if (l->is_json) {
		sl_log_uint(l, key, (uint64_t)(rate < 1e18 ? rate : 1e18));
		return;
	}
	for (; rate >= 999.5 && unit + 1 < SL_ARRAY_N(units); unit++)
		rate /= 1000;
	int decimals = unit == 0 || rate >= 99.95 ? 0 : rate >= 9.995 ? 1 : 2;
	snprintf(text, sizeof(text), "%.*f%s", decimals, rate, units[unit]);
	sl_log_word(l, key, text);
}

void sl_log_diag(struct sl_log_line *l, const struct sl_diag *d)
{
	if (d == NULL || d->status == SL_OK)
		return;
	sl_log_str(l, "why", d->text);
	const char *name = d->errnum != 0 ? strerrorname_np(d->errnum) : NULL;
	if (name != NULL)
		sl_log_word(l, "errno", name);
	else if (d->errnum != 0)
		sl_log_int(l, "errno", d->errnum);
	if (d->where != NULL)
		sl_log_word(l, "at", d->where);
}

bool sl_log_limit_pass(
	struct sl_log_limit *limit, uint64_t now_ns, uint64_t period_ns, uint64_t *quiet_n)
{
	if (now_ns < limit->next_ns) {
		limit->quiet_n++;
		return false;
	}
	*quiet_n = limit->quiet_n;
	limit->quiet_n = 0;
	limit->next_ns = now_ns + period_ns;
	return true;
}
