/* A look over a configuration file: where strings and comments are, and what stands outside of them.
 *
 * One state, one byte at a time. After the first thing that is no TOML the scan may be wrong about
 * what is a string; the parser stops there, so it does not matter.
 * SPDX-License-Identifier: Apache-2.0 */
#include "conf/scan.h"

#include <string.h>

enum place {
	OUTSIDE,
	COMMENT,
	STRING, /* between `quote`s, one or three */
};

struct scan {
	const char *p, *end;
	enum place place;
	char quote;
	size_t quotes_n;
};

static bool starts_with_three(const struct scan *s, char quote)
{
	return s->end - s->p >= 3 && s->p[0] == quote && s->p[1] == quote && s->p[2] == quote;
}

/* Moves over one thing: a quote or three, an escape, a byte. */
static void step(struct scan *s)
{
	char c = *s->p;
	size_t n = 1;
	switch (s->place) {
	case OUTSIDE:
		if (c == '#')
			s->place = COMMENT;
		if (c == '"' || c == '\'') {
			s->place = STRING;
			s->quote = c;
			n = s->quotes_n = starts_with_three(s, c) ? 3 : 1;
		}
		break;
	case COMMENT:
		if (c == '\n')
			s->place = OUTSIDE;
		break;
	case STRING:
		if (c == '\\' && s->quote == '"' && s->end - s->p >= 2) {
			n = s->p[1] == '\n' ? 1 : 2; /* newlines are counted one by one */
		} else if (c == s->quote && (s->quotes_n == 1 || starts_with_three(s, c))) {
			n = s->quotes_n;
			while (n == 3 && s->end - s->p > 3 &&
				s->p[3] == c) /* """" ends one later */
				s->p++;
			s->place = OUTSIDE;
		} else if (c == '\n' && s->quotes_n == 1) {
			s->place = OUTSIDE; /* not closed: the parser says so */
		}
		break;
	}
	s->p += n;
}

bool sl_scan_text(const char *text, size_t n, struct sl_conf_pos *pos, const char **why)
{
	static const char mark[] = "\xef\xbb\xbf"; /* UTF-8's byte order mark */
	struct scan s = {.p = text, .end = text + n};
	const char *line_start = text;
	*pos = (struct sl_conf_pos){.line = 1};
	if (n >= 3 && memcmp(text, mark, 3) == 0)
		s.p += 3;
	while (s.p < s.end) {
		const char *at = s.p;
		pos->column = (uint32_t)(at - line_start) + 1;
		_Static_assert(SL_CONF_LINE_MAX == 4096, "the text below says so");
		*why = "a line is longer than 4096 bytes";
		if (at - line_start >= SL_CONF_LINE_MAX && *at != '\n')
			return false;
		*why = "a character that belongs in quotes";
		if (s.place == OUTSIDE && (unsigned char)*at > 0x7f)
			return false;
		step(&s);
		if (*at == '\n') {
			pos->line++;
			line_start = s.p;
		}
	}
	return true;
}
