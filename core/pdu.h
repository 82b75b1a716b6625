/* Protocol data units of the upper layer (PS3.8 section 9.3): the wire, read and written.
 *
 * Reading is *pull*: sl_pdu_next() gives one event or says that it needs bytes. It takes any split of
 * the stream, consumes everything it is given, never rewinds, never copies payload, never calls
 * back. Each PDU is a sentence of events:
 *
 *	P-DATA-TF        BEGIN  PDV*  END
 *	A-ASSOCIATE-RQ   BEGIN  AE_TITLES  { APPLICATION_CONTEXT | context | user item }*  END
 *	A-ASSOCIATE-AC   likewise; a context is PCTX_BEGIN { ABSTRACT_SYNTAX | TRANSFER_SYNTAX }* PCTX_END
 *	all others       BEGIN  END (with their fields)
 *
 * An association request may have 64 KiB where the receive area has 8, so its items are events too.
 * They come in the peer's order, which the standard fixes but not every peer keeps.
 *
 * What a peer may do wrong, and what follows:
 *   - an inner length that reaches beyond the outer one, an item too short for its fields, a length
 *     over a limit below, an unknown PDU type: SL_E_PDU;
 *   - an item longer than its fields: the rest is passed over;
 *   - an unknown item, or a second one where there is one only: passed over, counted (D.2: "ignored");
 *   - reserved bytes of any value, the syntaxes of a refused context: not looked at (9.3.1, 9.3.3.2).
 * Writing goes into a struct sl_wbuf of the caller's.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/cursor.h"
#include "core/status.h"
#include "core/uid.h"
#include "core/ul.h"
#include "core/wbuf.h"

#define SL_PDU_HEAD_LEN	       6     /* type, reserved, length: 9.3.1 */
#define SL_PDU_PDV_HEAD_LEN    6     /* length, context ID, message control header: 9.3.5.1, E.2 */
#define SL_PDU_MAX_ASSOC_LEN   65536 /* largest A-ASSOCIATE-RQ or -AC, without its header [bytes] */
#define SL_PDU_FIELD_MAX       80    /* longest value kept of an association item [bytes] */
#define SL_PDU_EXT_INFO_MAX    16    /* service-class-application-information we answer [bytes] */
#define SL_PDU_ASSUMED_MAX_LEN 16384 /* of a peer that sent no Maximum Length sub-item [bytes] */

#define SL_MAX_CONTEXTS		 128 /* presentation contexts: odd IDs 1-255, 9.3.2.2 */
#define SL_MAX_TRANSFER_SYNTAXES 128 /* in one context; PS3.6 knows about 70 */
/* User information sub-items in one PDU. A C-GET client may send role selection, extended and common
 * extended negotiation for each of 128 classes, so 256 would refuse healthy peers. */
#define SL_MAX_SUB_ITEMS 512

enum sl_pdu_type {
	SL_PDU_ASSOCIATE_RQ = 0x01,
	SL_PDU_ASSOCIATE_AC = 0x02,
	SL_PDU_ASSOCIATE_RJ = 0x03,
	SL_PDU_PDATA_TF = 0x04,
	SL_PDU_RELEASE_RQ = 0x05,
	SL_PDU_RELEASE_RP = 0x06,
	SL_PDU_ABORT = 0x07,
};

/* ---- Reading --------------------------------------------------------------------------------- */

enum sl_pdu_ev_type {
	SL_PDU_EV_BEGIN, /* a header: ev->pdu, ev->pdu_len. Time to ask the state machine */
	SL_PDU_EV_PDV,	 /* ev->pdv: bytes of a presentation data value */
	/* of A-ASSOCIATE-RQ and -AC */
	SL_PDU_EV_AE_TITLES,	       /* ev->ae: version and titles */
	SL_PDU_EV_APPLICATION_CONTEXT, /* ev->value: 10H, at most one */
	SL_PDU_EV_PCTX_BEGIN,	       /* ev->pctx: 20H or 21H */
	SL_PDU_EV_ABSTRACT_SYNTAX,     /* ev->pctx, ev->value: 30H */
	SL_PDU_EV_TRANSFER_SYNTAX,     /* ev->pctx, ev->value: 40H */
	SL_PDU_EV_PCTX_END,	       /* ev->pctx */
	/* user information sub-items (50H) */
	SL_PDU_EV_MAX_LEN,    /* ev->max_len: 51H, at most one */
	SL_PDU_EV_IMPL_CLASS, /* ev->value: 52H, at most one */
	SL_PDU_EV_ASYNC,      /* ev->async: 53H, at most one */
	SL_PDU_EV_ROLE,	      /* ev->role: 54H */
	SL_PDU_EV_IMPL_VERSION, /* ev->value: 55H, at most one; 1-16 characters if the peer is right */
	SL_PDU_EV_EXTENDED,	/* ev->extended: 56H */
	SL_PDU_EV_COMMON_CLASS,	  /* ev->value: 57H, the SOP class; the next two speak of it */
	SL_PDU_EV_COMMON_SERVICE, /* ev->value: 57H, its service class */
	SL_PDU_EV_COMMON_RELATED, /* ev->value: 57H, a related general SOP class; any number */
	SL_PDU_EV_IDENTITY,	  /* ev->identity: 58H, at most one; no secret in it */
	SL_PDU_EV_IDENTITY_REPLY, /* ev->reply_len: 59H, at most one */
	SL_PDU_EV_END, /* the PDU is complete: ev->assoc, ev->reject or ev->reason, by ev->pdu */
};

/* Bytes of one presentation data value, as far as they have come. A slice has at least one byte,
 * except the only slice of an empty fragment. */
struct sl_pdu_pdv {
	const uint8_t *p;    /* into in's bytes: valid as long as the caller holds them */
	uint32_t len;	     /* bytes at p */
	uint32_t left;	     /* bytes of this fragment still to come */
	uint8_t pcid;	     /* presentation context ID */
	bool is_command;     /* message control header bit 0: command, else data set */
	bool is_last;	     /* bit 1: the last fragment of that command or data set */
	bool fragment_begin; /* the slice begins the fragment */
	bool fragment_end;   /* the slice ends it (left is 0) */
};

/* A variable field of an association item: raw bytes, not trimmed, not checked. */
struct sl_pdu_value {
	const uint8_t *p; /* into in's or the decoder's bytes: valid until the next sl_pdu_next() */
	uint16_t len;	  /* bytes at p */
	uint16_t
		stated_len; /* bytes on the wire; over SL_PDU_FIELD_MAX none is kept (p NULL, len 0) */
};

/* What an A-ASSOCIATE PDU has held, told at its end. */
enum sl_pdu_seen {
	SL_PDU_SEEN_APPLICATION_CONTEXT = 1 << 0,
	SL_PDU_SEEN_USER_INFORMATION = 1 << 1,
	SL_PDU_SEEN_MAX_LEN = 1 << 2, /* clear: a fault (D.1), go on with SL_PDU_ASSUMED_MAX_LEN */
	SL_PDU_SEEN_IMPL_CLASS = 1 << 3,
	SL_PDU_SEEN_ASYNC = 1 << 4,
	SL_PDU_SEEN_IMPL_VERSION = 1 << 5,
	SL_PDU_SEEN_IDENTITY = 1 << 6,
	SL_PDU_SEEN_IDENTITY_REPLY = 1 << 7,
};

struct sl_pdu_ev {
	enum sl_pdu_ev_type type;
	enum sl_pdu_type pdu; /* the PDU this belongs to */
	uint32_t pdu_len;     /* its length field [bytes] */
	union {
		struct sl_pdu_pdv pdv;
		struct {
			uint16_t protocol_version; /* bit 0 alone means something (9.3.2) */
			const uint8_t *called;	   /* 16 raw bytes; valid like a value's */
			const uint8_t *calling;	   /* 16 raw bytes; valid like a value's */
		} ae;
		struct {
			struct sl_pdu_value value;
			struct {
				uint8_t id;	/* raw: may be even, may have come before */
				uint8_t result; /* of an -AC: 0-4 (table 9-18); 0 in an -RQ */
			} pctx;
		};
		uint32_t max_len; /* largest P-DATA-TF the peer takes; 0 = any (D.1) */
		struct {
			uint16_t invoked, performed; /* by the requestor; 0 = any (PS3.7 D.3.3.3) */
		} async;
		struct {
			struct sl_pdu_value sop_class;
			uint8_t scu, scp; /* 0 or 1 (PS3.7 D.3.3.4); raw */
		} role;
		struct {
			struct sl_pdu_value sop_class;
			struct sl_pdu_value info; /* service-class-application-information */
		} extended;
		struct {
			uint8_t type; /* 1 name, 2 and passcode, 3 Kerberos, 4 SAML, 5 JWT */
			uint8_t response_wanted; /* 1: answer with 59H if accepted */
			uint16_t primary_len;	 /* the fields themselves are passed over unread */
			uint16_t secondary_len;
		} identity;
		uint16_t reply_len; /* bytes of the server's response, passed over */
		struct {
			uint16_t seen;	    /* bits of enum sl_pdu_seen */
			uint16_t pctx_n;    /* presentation contexts */
			uint16_t ignored_n; /* items passed over: unknown, or one too many */
		} assoc;
		struct sl_ul_reject reject; /* of A-ASSOCIATE-RJ */
		struct sl_ul_reason reason; /* of A-ABORT */
	};
};

/* The decoder of one connection. Plain memory, no pointers: zeroed by sl_pdu_init(), nothing to free.
 * The first two fields are for the caller to read, the others are the decoder's own. */
struct sl_pdu_dec {
	struct sl_ul_reason reason; /* on SL_E_PDU: the A-ABORT to send */
	uint32_t odd_fragments_n;   /* fragments of odd length so far; tolerated (E.2 wants even) */
	uint32_t max_len;	    /* largest P-DATA-TF taken [bytes] */
	uint32_t pdu_len;	    /* length field of the current PDU */
	uint32_t left[4]; /* by level (pdu_dec.h): bytes not yet given to a field or inner level */
	uint32_t skip;	  /* bytes to pass over before the next field */
	uint16_t want;	  /* bytes of the next field; at most SL_PDU_FIELD_MAX */
	uint16_t have;	  /* of these, bytes already in field[] */
	uint16_t stated_len; /* the field's length on the wire; want, or more than is kept */
	uint16_t first_len;  /* of two lengths in one item, the first */
	uint8_t level;	     /* innermost level open: index into left[] */
	uint8_t state;	     /* enum sl_pdu_state: the next field */
	uint8_t type;	     /* enum sl_pdu_type of the current PDU */
	uint8_t kept[2];  /* of the open PDV: context ID, control header; of the open context: ID,
				result; of 58H: type, response wanted */
	bool in_fragment; /* a slice of the open PDV has been given */
	uint16_t seen;	  /* enum sl_pdu_seen and the open context's; of this A-ASSOCIATE PDU */
	uint16_t pctx_n, syntax_n, sub_n, ignored_n; /* likewise: what the limits above count */
	uint8_t field[SL_PDU_FIELD_MAX];	     /* a field cut by the end of the bytes */
};

/* max_len: the Maximum Length we declare (D.1) [bytes]; 0 = no limit. */
void sl_pdu_init(struct sl_pdu_dec *dec, uint32_t max_len);

/* Takes the next event out of the received bytes. Pure; accepts any split of the stream.
 *
 * in    advanced past what was consumed; on SL_AGAIN it is empty
 * ev    filled on SL_OK
 *
 * Returns SL_OK (one event), SL_AGAIN (needs bytes), SL_E_PDU (dec->reason says which A-ABORT to send;
 * dec is then dead: it swallows all bytes and says SL_E_PDU again). A PDU over a limit is refused at
 * its header, before its body is read. PS3.8 9.3, annexes D and E. */
SL_MUST enum sl_status sl_pdu_next(struct sl_pdu_dec *dec, struct sl_cur *in, struct sl_pdu_ev *ev);

/* The event of table 9-10 that a received PDU is. */
enum sl_ul_event sl_pdu_ul_event(enum sl_pdu_type type);

/* ---- Writing --------------------------------------------------------------------------------- */

/* Results of a presentation context, table 9-18. */
enum sl_pdu_pctx_code {
	SL_PDU_PCTX_ACCEPTED = 0,
	SL_PDU_PCTX_USER_REJECTION = 1,
	SL_PDU_PCTX_NO_REASON = 2,
	SL_PDU_PCTX_ABSTRACT_SYNTAX = 3, /* abstract syntax not supported */
	SL_PDU_PCTX_TRANSFER_SYNTAX = 4, /* no transfer syntax supported */
};

/* One answered context of an A-ASSOCIATE-AC. */
struct sl_pdu_pctx_result {
	uint8_t id;
	uint8_t result;		       /* enum sl_pdu_pctx_code */
	struct sl_uid transfer_syntax; /* not significant unless accepted; may then be empty */
};

/* One proposed context of an A-ASSOCIATE-RQ. */
struct sl_pdu_pctx_proposal {
	uint8_t id;
	struct sl_uid abstract_syntax;
	const struct sl_uid *transfer_syntaxes; /* borrowed */
	size_t transfer_syntaxes_n;
};

/* 54H, PS3.7 D.3.3.4. */
struct sl_pdu_role {
	struct sl_uid sop_class;
	uint8_t scu, scp;
};

/* 56H, PS3.7 D.3.3.5. */
struct sl_pdu_extended {
	struct sl_uid sop_class;
	uint8_t info_len; /* bytes of info[] */
	uint8_t info[SL_PDU_EXT_INFO_MAX];
};

/* The user information item, 50H. Zero or NULL leaves an optional sub-item out. */
struct sl_pdu_user {
	uint32_t max_len; /* 51H: the largest P-DATA-TF we take; 0 = any */
	struct sl_uid impl_class_uid;
	const char *impl_version_name; /* 1-16 characters, or NULL; borrowed */
	bool has_async;		       /* 53H is sent: in an -AC only when it was asked for */
	uint16_t async_invoked, async_performed;
	const struct sl_pdu_role *roles; /* borrowed */
	size_t roles_n;
	const struct sl_pdu_extended *extended; /* borrowed */
	size_t extended_n;
	bool has_identity_reply; /* 59H is sent: in an -AC only when a response was asked for */
	const uint8_t *identity_reply; /* borrowed; empty for name and passcode (PS3.7 D.3.3.7.2) */
	uint16_t identity_reply_len;
};

struct sl_pdu_associate_ac {
	uint8_t called_ae[16], calling_ae[16]; /* the request's bytes back (9.3.3) */
	const struct sl_pdu_pctx_result *pctx; /* borrowed; in the request's order */
	size_t pctx_n;			       /* at most SL_MAX_CONTEXTS */
	struct sl_pdu_user user;
};

struct sl_pdu_associate_rq {
	uint8_t called_ae[16], calling_ae[16];	 /* padded with spaces */
	const struct sl_pdu_pctx_proposal *pctx; /* borrowed */
	size_t pctx_n;
	struct sl_pdu_user user;
};

/* The largest A-ASSOCIATE-AC that sl_pdu_encode_ac() writes, with `roles` and `ext` sub-items and no
 * identity reply [bytes]. */
#define SL_PDU_AC_MAX(roles, ext)                                                               \
	(SL_PDU_HEAD_LEN + 68 + (4 + SL_UID_MAX) + SL_MAX_CONTEXTS * (8 + 4 + SL_UID_MAX) + 4 + \
		8 + (4 + SL_UID_MAX) + 8 + (4 + 16) + (roles) * (6 + SL_UID_MAX + 2) +          \
		(ext) * (6 + SL_UID_MAX + SL_PDU_EXT_INFO_MAX) + 6)

/* Each appends one PDU to w; one that does not fit leaves w->bad set. */
void sl_pdu_encode_ac(struct sl_wbuf *w, const struct sl_pdu_associate_ac *ac);
void sl_pdu_encode_rq(struct sl_wbuf *w, const struct sl_pdu_associate_rq *rq);
void sl_pdu_encode_rj(struct sl_wbuf *w, struct sl_ul_reject reject);
void sl_pdu_encode_release_rq(struct sl_wbuf *w);
void sl_pdu_encode_release_rp(struct sl_wbuf *w);
void sl_pdu_encode_abort(struct sl_wbuf *w, struct sl_ul_reason reason);

/* The most value bytes of one PDV that fit a P-DATA-TF of the peer's Maximum Length (0 = any, then
 * cap decides): even (E.2), except 1 where the peer takes 7. 0: the peer takes less than 7, nothing
 * can be sent to it.  cap: our own bound [bytes], at least 2. */
uint32_t sl_pdu_fragment_max(uint32_t peer_max_len, uint32_t cap);

/* Appends the 12 bytes before a PDV's value: one P-DATA-TF that holds this PDV alone. */
void sl_pdu_encode_pdv_head(
	struct sl_wbuf *w, uint8_t pcid, bool is_command, bool is_last, uint32_t value_len);

/* Appends a whole command set (or a short data set) as P-DATA-TF PDUs that obey the peer's Maximum
 * Length, with a copy of its bytes. SL_E_LIMIT, and nothing written, when the peer takes less than 7. */
SL_MUST enum sl_status sl_pdu_encode_message(struct sl_wbuf *w, uint32_t peer_max_len, uint8_t pcid,
	bool is_command, struct sl_cur value);
