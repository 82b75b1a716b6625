/* The configuration: one TOML file and --set overrides become plain option structs.
 *
 * Every key stands once, in params.def; the structs below, the checks, the sample file, the effective
 * configuration, the help text and the manual are made from it. All errors of a load are reported at
 * once, each with line and column; nothing is half taken over.
 *
 * Used before the threads start, and on SIGHUP by the main loop; may allocate and do I/O. A struct
 * sl_conf is large (all peers inside): keep it on the heap or static in a test.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdio.h>

#include "core/status.h"

#define SL_TIB (1024 * (uint64_t)SL_GIB)
#define SL_PIB (1024 * SL_TIB)

#define SL_CONF_PEERS      256
#define SL_CONF_FILE_MAX   SL_MIB /* bytes of the file */
#define SL_CONF_LINE_MAX   4096   /* bytes of one line of it; bounds the depth of a dotted key */
#define SL_CONF_ERRORS_MAX 64     /* reported at once; more are counted */

#define SL_CONF_AE_MAX     17   /* AE title with its NUL (PS3.5: 16 characters) */
#define SL_CONF_PATH_MAX   4096 /* PATH_MAX, with the NUL */
#define SL_CONF_HOST_MAX   256  /* host name or address, with the NUL */
#define SL_CONF_WORD_MAX   64   /* a group name, a character set, with the NUL */
#define SL_CONF_ADDR_MAX   46   /* INET6_ADDRSTRLEN */
#define SL_CONF_SYNTAX_MAX 65   /* a UID, with the NUL */

/* SL_CONF_DURABILITY_FSYNC and the like, in the order of choices.def. */
#define SL_CHOICES(tag)    \
	enum sl_conf_##tag \
	{
#define SL_CHOICE(tag, value, word, not_yet) SL_CONF_##value,
#define SL_CHOICES_END(tag) \
	}                   \
	;
#include "conf/choices.def"

/* A watermark: a share of the disk in use, or an absolute amount that stays free. */
struct sl_conf_mark {
	bool is_free_bytes;  /* "free 20GiB"; else a share */
	uint32_t hundredths; /* share in use, 0.01 %; 7500 is "75%" */
	uint64_t free_bytes;
};

/* A network: the first prefix_len bits of addr. */
struct sl_conf_net {
	bool is_v6;
	uint8_t prefix_len; /* 0 .. 32, or 128 for v6 */
	uint8_t addr[16];   /* network order, host bits 0; IPv4 in the first four */
};

/* Element types of texts and lists, by KIND. */
typedef char sl_conf_ae_t[SL_CONF_AE_MAX];
typedef char sl_conf_path_t[SL_CONF_PATH_MAX];
typedef char sl_conf_host_t[SL_CONF_HOST_MAX];
typedef char sl_conf_word_t[SL_CONF_WORD_MAX];
typedef char sl_conf_addr_t[SL_CONF_ADDR_MAX];
typedef char sl_conf_syntax_t[SL_CONF_SYNTAX_MAX];
#define SL_CONF_TYPE_AE     sl_conf_ae_t
#define SL_CONF_TYPE_PATH   sl_conf_path_t
#define SL_CONF_TYPE_HOST   sl_conf_host_t
#define SL_CONF_TYPE_WORD   sl_conf_word_t
#define SL_CONF_TYPE_ADDR   sl_conf_addr_t
#define SL_CONF_TYPE_NET    struct sl_conf_net
#define SL_CONF_TYPE_SYNTAX sl_conf_syntax_t

/* struct sl_conf_dicom, sl_conf_pool, ... sl_conf_peer: one member for each key. Numbers are
 * uint64_t in bytes, bytes/s or ms; texts are terminated, "" = not given; a list has its length in
 * <name>_n; a choice is its enum; a set of choices is a mask. */
#define SL_GROUP(group, text) struct sl_conf_##group {
#define SL_GROUP_END(group) \
	}                   \
	;
#define SL_FLAG(group, name, def, reload, text)                bool name;
#define SL_NUM(group, name, kind, min, max, def, reload, text) uint64_t name;
#define SL_MARK(group, name, percent, reload, text)            struct sl_conf_mark name;
#define SL_TEXT(group, name, kind, def, reload, text)          SL_CONF_TYPE_##kind name;
#define SL_LIST(group, name, kind, n, def, reload, text) \
	SL_CONF_TYPE_##kind name[n];                     \
	size_t name##_n;
#define SL_ONE(group, name, tag, def, reload, text)   enum sl_conf_##tag name;
#define SL_MANY(group, name, tag, mask, reload, text) uint32_t name;
#include "conf/params.def"

/* Every key as a number, for positions and reloading: SL_CONF_dicom_port. */
enum sl_conf_key_id {
#define SL_CONF_ROW(group, name)                               SL_CONF_##group##_##name,
#define SL_FLAG(group, name, def, reload, text)                SL_CONF_ROW(group, name)
#define SL_NUM(group, name, kind, min, max, def, reload, text) SL_CONF_ROW(group, name)
#define SL_MARK(group, name, percent, reload, text)            SL_CONF_ROW(group, name)
#define SL_TEXT(group, name, kind, def, reload, text)          SL_CONF_ROW(group, name)
#define SL_LIST(group, name, kind, n, def, reload, text)       SL_CONF_ROW(group, name)
#define SL_ONE(group, name, tag, def, reload, text)            SL_CONF_ROW(group, name)
#define SL_MANY(group, name, tag, mask, reload, text)          SL_CONF_ROW(group, name)
#include "conf/params.def"
#undef SL_CONF_ROW
	SL_CONF_KEY_N
};

/* Where a value was written. line 0: in --set when is_set, else nowhere (the default). */
struct sl_conf_pos {
	uint32_t line, column; /* from 1 */
	bool is_set;           /* by --set */
	bool is_bad;           /* the value was refused: cross-checks pass over it */
};

struct sl_conf {
#define SL_GROUP(group, text) struct sl_conf_##group group;
#define SL_PEERS(text)                           \
	struct sl_conf_peer peer[SL_CONF_PEERS]; \
	size_t peer_n;
#include "conf/params.def"
	struct sl_conf_pos at[SL_CONF_KEY_N];      /* of the keys outside [[peer]] */
	struct sl_conf_pos peer_at[SL_CONF_PEERS]; /* of each [[peer]] line */
};

/* One thing that is wrong, ready to print: "conf/sluice.toml:12:8: dicom.port: 70000 is ...". */
struct sl_conf_error {
	char text[384];
};

/* Everything that is wrong. Owned by the caller; zeroed before the first use. */
struct sl_conf_errors {
	struct sl_conf_error items[SL_CONF_ERRORS_MAX];
	size_t n;      /* in items[] */
	size_t more_n; /* that found no place */
};

/* One row of the table, for those who walk it (tests, manual, reload). */
enum sl_conf_kind {
	SL_CONF_FLAG,
	SL_CONF_COUNT,
	SL_CONF_SIZE,
	SL_CONF_RATE,
	SL_CONF_TIME,
	SL_CONF_MARK,
	SL_CONF_AE,
	SL_CONF_PATH,
	SL_CONF_HOST,
	SL_CONF_WORD,
	SL_CONF_ADDR,
	SL_CONF_NET,
	SL_CONF_SYNTAX,
	SL_CONF_ONE,
	SL_CONF_MANY,
};

struct sl_conf_choice {
	const char *word;
	const char *not_yet; /* NULL, or why the word is refused for now */
};

struct sl_conf_key {
	const char *group, *name;
	enum sl_conf_kind kind;
	size_t base;          /* of its group's struct in struct sl_conf; of peer[0] for [[peer]] */
	size_t offset;        /* in its group's struct */
	size_t size;          /* of one value [bytes] */
	size_t list_n;        /* places of a list; 0 = not a list */
	size_t list_n_offset; /* of the list's length in its group's struct */
	uint64_t min, max;    /* of a number */
	uint64_t def_number;  /* default of a flag, number, choice, mask; a mark's percent */
	const char *def_text; /* default of a text or list, or NULL */
	const struct sl_conf_choice *choices;
	size_t choices_n;
	bool is_live; /* SIGHUP takes it over */
	const char *text;
};
extern const struct sl_conf_key sl_conf_keys[SL_CONF_KEY_N]; /* in the order of params.def */

void sl_conf_defaults(struct sl_conf *conf);

/* Defaults, then the file, then the overrides, then the cross-checks.
 *
 * path    NULL: no file
 * sets    "dicom.port=104", sets_n of them, in order; see sl_conf_set()
 * errors  appended to; all that was found
 *
 * Returns SL_OK, or SL_E_CONFIG with *conf unspecified and at least one error. */
SL_MUST enum sl_status sl_conf_load(struct sl_conf *conf, const char *path, const char *const *sets,
	size_t sets_n, struct sl_conf_errors *errors);

/* The same from memory; `name` stands before the line in errors. Borrows. */
SL_MUST enum sl_status sl_conf_parse(struct sl_conf *conf, const char *name, const char *text,
	size_t n, struct sl_conf_errors *errors);

/* One "group.key=value". The value is TOML, or a bare word where that is a string (storage.root=/srv);
 * a list also takes a single value. Changes nothing on failure. Peers cannot be set this way. */
SL_MUST enum sl_status sl_conf_set(
	struct sl_conf *conf, const char *assignment, struct sl_conf_errors *errors);

/* What no key can say alone: order of the marks, loopback or peers, sizes that must fit each other. */
SL_MUST enum sl_status sl_conf_check(
	const struct sl_conf *conf, const char *name, struct sl_conf_errors *errors);

/* One line each, and how many more there were. */
void sl_conf_errors_print(const struct sl_conf_errors *errors, FILE *out);

/* Takes over what SIGHUP may change and names every difference: `on_change` is called once for each
 * key that differs, "peer" once for all peers. False from is_live: the running value stays. */
void sl_conf_reload(struct sl_conf *running, const struct sl_conf *fresh,
	void (*on_change)(void *arg, const char *key, bool is_live), void *arg);

/* The effective configuration as TOML; loads back to the same values. */
void sl_conf_print(const struct sl_conf *conf, FILE *out);

/* conf/sluice.toml: every key at its default under its explanation. */
void sl_conf_sample(FILE *out);

/* Every key in a few words for a terminal (--help), and as Markdown tables for the manual. */
void sl_conf_help(FILE *out);
void sl_conf_manual(FILE *out);

/* "dicom.port: 0 .. 65535" and the like: what a key allows, in its own units, into buf. */
void sl_conf_allowed(const struct sl_conf_key *key, char *buf, size_t cap);
