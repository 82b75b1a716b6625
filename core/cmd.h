/* DIMSE command sets: the elements of group 0000, read and written (PS3.7 sections 6.3.1, 9.3, E.1).
 *
 * A command set is always Implicit VR Little Endian. Reading is tolerant where nothing is lost by it
 * (wrong group length, unsorted or doubled elements, odd lengths: noted as quirks) and strict where the
 * answer would be a guess: an element that runs past the end, a required one that is missing or whose
 * value is unusable. Every value is copied into the struct, so the bytes need not stay.
 *
 * sl_cmd_is_answerable() divides what is wrong: a faulty request that still names itself gets a
 * response with sl_cmd_fault_status(); anything else cannot be answered and ends the association.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/ae.h"
#include "core/cursor.h"
#include "core/dstat.h"
#include "core/status.h"
#include "core/uid.h"
#include "core/wbuf.h"

#define SL_CMD_MAX           4096   /* longest command set taken [bytes] */
#define SL_CMD_RSP_MAX       320    /* longest response sl_cmd_encode_rsp() writes [bytes] */
#define SL_CMD_COMMENT_MAX   64     /* characters of (0000,0902), LO */
#define SL_CMD_OFFENDERS_MAX 4      /* tags we put into (0000,0901) */
#define SL_CMD_NO_DATA_SET   0x0101 /* (0000,0800): no data set follows; any other value: one does */
#define SL_CMD_RSP_BIT       0x8000 /* of the command field: a response */

/* Command fields, PS3.7 table E.1-1. */
enum sl_cmd_field {
	SL_CMD_C_STORE_RQ = 0x0001,
	SL_CMD_C_GET_RQ = 0x0010,
	SL_CMD_C_FIND_RQ = 0x0020,
	SL_CMD_C_MOVE_RQ = 0x0021,
	SL_CMD_C_ECHO_RQ = 0x0030,
	SL_CMD_N_EVENT_REPORT_RQ = 0x0100,
	SL_CMD_N_GET_RQ = 0x0110,
	SL_CMD_N_SET_RQ = 0x0120,
	SL_CMD_N_ACTION_RQ = 0x0130,
	SL_CMD_N_CREATE_RQ = 0x0140,
	SL_CMD_N_DELETE_RQ = 0x0150,
	SL_CMD_C_CANCEL_RQ = 0x0FFF,
};

/* The elements of a command set that we know, ascending by tag. */
enum sl_cmd_el {
#define SL_CMD_EL(name, element, vr, member, keyword) SL_CMD_EL_##name,
#include "core/cmd.def"
#undef SL_CMD_EL
	SL_CMD_EL_N
};

/* What a peer did that we put up with; bits of sl_cmd.quirks. */
enum sl_cmd_quirk {
	SL_CMD_QUIRK_GROUP_LENGTH = 1 << 0,  /* (0000,0000) missing or wrong */
	SL_CMD_QUIRK_UNSORTED = 1 << 1,      /* tags do not ascend */
	SL_CMD_QUIRK_DUPLICATE = 1 << 2,     /* an element came twice; the first was kept */
	SL_CMD_QUIRK_ODD_LENGTH = 1 << 3,    /* a value of odd length */
	SL_CMD_QUIRK_FOREIGN_GROUP = 1 << 4, /* an element outside group 0000; passed over */
	SL_CMD_QUIRK_NO_PRIORITY = 1 << 5,   /* C-STORE-RQ without (0000,0700) */
	SL_CMD_QUIRK_N = 6
};

/* One command set as values. Fields without their bit in `has` are zero. */
struct sl_cmd {
	uint32_t has;      /* 1 << enum sl_cmd_el: present and usable */
	uint32_t unusable; /* 1 << enum sl_cmd_el: present, but empty, too short or not allowed */
	uint32_t quirks;   /* enum sl_cmd_quirk bits */
	uint32_t group_length;                            /* as sent */
	uint32_t offending_element, attribute_identifier; /* the first tag of the list */
	uint16_t field; /* enum sl_cmd_field, or any other value of the peer's */
	uint16_t message_id;
	uint16_t responded_to; /* (0000,0120) */
	uint16_t priority;     /* 0 medium, 1 high, 2 low; medium where it is absent */
	uint16_t data_set_type;
	uint16_t status; /* any code of the peer's: see sl_dstat_kind_of() */
	uint16_t error_id;
	uint16_t event_type_id, action_type_id;
	uint16_t remaining, completed, failed, warned; /* sub-operations */
	uint16_t move_originator_message_id;
	struct sl_uid affected_class, affected_instance;
	struct sl_uid requested_class, requested_instance;
	struct sl_ae move_destination, move_originator;
	char comment[SL_CMD_COMMENT_MAX + 1]; /* any bytes but NUL, cut: escape before logging */
};

/* Reads one command set of n bytes (at most SL_CMD_MAX, else SL_E_LIMIT).
 *
 * Returns SL_OK; SL_E_COMMAND when it is cut, or when elements its command requires are missing or
 * unusable: d->text names them by keyword, sl_cmd_offenders() by tag. *cmd holds what was read either
 * way. Pure, bounded by n. */
SL_MUST enum sl_status sl_cmd_decode(
	struct sl_cmd *cmd, const void *bytes, size_t n, struct sl_diag *d);

static inline bool sl_cmd_has(const struct sl_cmd *cmd, enum sl_cmd_el el)
{
	return (cmd->has >> el & 1) != 0;
}

/* True when (0000,0800) announces a data set. */
static inline bool sl_cmd_has_data_set(const struct sl_cmd *cmd)
{
	return sl_cmd_has(cmd, SL_CMD_EL_DATA_SET_TYPE) && cmd->data_set_type != SL_CMD_NO_DATA_SET;
}

/* True for a request that can be given a response: it has a command field (not of a response, not
 * C-CANCEL), a Message ID, and says whether a data set follows. */
bool sl_cmd_is_answerable(const struct sl_cmd *cmd);

/* The status for an answerable request that did not decode: C000 for C-STORE, else 0212. */
enum sl_dstat sl_cmd_fault_status(const struct sl_cmd *cmd);

/* Tags (group << 16 | element) of required elements that are missing or unusable. Returns how many of
 * at most SL_CMD_OFFENDERS_MAX were written. */
size_t sl_cmd_offenders(const struct sl_cmd *cmd, uint32_t tags[SL_CMD_OFFENDERS_MAX]);

/* "C-STORE-RQ"; "unknown" for a command field outside PS3.7 table E.1-1. */
const char *sl_cmd_field_name(uint16_t field);

/* "AffectedSOPClassUID" (PS3.7 E.1). */
const char *sl_cmd_el_name(enum sl_cmd_el el);

/* "wrong group length" and the like; `bit` is 0 .. SL_CMD_QUIRK_N - 1. */
const char *sl_cmd_quirk_name(unsigned bit);

/* A response, as values. */
struct sl_cmd_rsp {
	uint16_t field;        /* of the request; SL_CMD_RSP_BIT is added */
	uint16_t responded_to; /* the request's Message ID */
	uint16_t status;
	bool has_data_set;               /* (0000,0800): an identifier follows (C-FIND) */
	struct sl_uid affected_class;    /* len 0: left out */
	struct sl_uid affected_instance; /* len 0: left out */
	const char
		*comment; /* NULL or "": left out; borrowed; cut at 64, unprintables become '?' */
	size_t offenders_n;
	uint32_t offenders[SL_CMD_OFFENDERS_MAX]; /* tags for (0000,0901) */
};

/* The response to a request: its field, Message ID and affected UIDs echoed (PS3.7 9.3.1.2, 9.3.5.2).
 * comment is borrowed until the response is encoded. */
struct sl_cmd_rsp sl_cmd_rsp_to(const struct sl_cmd *rq, enum sl_dstat status, const char *comment);

/* Appends the command set of a response, group length first; w->bad when it does not fit
 * (SL_CMD_RSP_MAX always does). */
void sl_cmd_encode_rsp(struct sl_wbuf *w, const struct sl_cmd_rsp *rsp);
