/* A-ASSOCIATE PDUs for tests: "these items, in an RQ, tell these lines".
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "support/wire.h"

#define TITLES                                                     \
	"0001 0000"          /* protocol version, reserved */      \
	"'ANY-SCP         '" /* called AE title */                 \
	"'STORESCU        '" /* calling AE title */                \
	"00000000 00000000 00000000 00000000 00000000 00000000 00" \
	"000000 00000000" /* reserved */
#define TITLES_LINE "AE_TITLES v=0001 [ANY-SCP_________][STORESCU________]\n"
#define SEEN_NONE   "END RQ seen=00 pctx=0 ignored=0\n"

static inline struct wire assoc_begin(const char *type)
{
	struct wire w = wire_of(type);
	wire_text(&w, "00 00000000" TITLES);
	return w;
}

static inline void assoc_end(struct wire *w)
{
	uint32_t n = (uint32_t)(w->n - SL_PDU_HEAD_LEN);
	for (int i = 0; i < 4; i++)
		w->p[2 + i] = (uint8_t)(n >> (24 - 8 * i));
}

/* A finished PDU tells BEGIN, the titles and then `lines`, in every split; frees it. */
static inline void assert_lines(struct wire *w, const char *lines)
{
	struct trace t = {0};
	assoc_end(w);
	trace_add(&t, "BEGIN %s %zu\n" TITLES_LINE, w->p[0] == 1 ? "RQ" : "AC",
		w->n - SL_PDU_HEAD_LEN);
	char *expected = malloc(t.len + strlen(lines) + 1);
	assert_non_null(expected);
	memcpy(expected, t.text, t.len);
	memcpy(expected + t.len, lines, strlen(lines) + 1);
	assert_story(w, 0, expected);
	free(expected);
	free(t.text);
	wire_free(w);
}

static inline void assert_rq(const char *items, const char *lines)
{
	struct wire w = assoc_begin("01");
	wire_text(&w, items);
	assert_lines(&w, lines);
}

static inline void assert_ac(const char *items, const char *lines)
{
	struct wire w = assoc_begin("02");
	wire_text(&w, items);
	assert_lines(&w, lines);
}

/* What echoscu sends: each field named. */
#define ECHOSCU_RQ                                                          \
	"01 00 000000cd"                 /* A-ASSOCIATE-RQ */                \
	TITLES                           /* version, AE titles */           \
	"10 00 0015"                     /* application context */           \
	"'1.2.840.10008.3.1.1.1'"        /* DICOM */                         \
	"20 00 002e"                     /* presentation context */          \
	"01 00 00 00"                    /* ID 1, reserved */                \
	"30 00 0011 '1.2.840.10008.1.1'" /* abstract syntax: Verification */ \
	"40 00 0011 '1.2.840.10008.1.2'" /* transfer syntax: implicit LE */  \
	"50 00 003a"                     /* user information */              \
	"51 00 0004 00004000"            /* maximum length 16384 */          \
	"52 00 001b"                     /* implementation class UID */      \
	"'1.2.276.0.7230010.3.0.3.6.7'"                                      \
	"55 00 000f 'OFFIS_DCMTK_367'" /* implementation version name */
