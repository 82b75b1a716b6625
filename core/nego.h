/* Association negotiation: what we answer to an A-ASSOCIATE-RQ. PS3.8 9.3.2-9.3.4, PS3.7 annex D.
 *
 * Fed with the decoder's events in whatever order the peer sends its items; nothing is kept of the
 * request but what the answer and the log need. Of each presentation context's transfer syntaxes
 * only the best so far stays, so that 128 contexts of any length fit one fixed structure.
 *
 *	sl_nego_init(); sl_nego_feed() for each event up to END; sl_nego_decide();
 *	then sl_nego_answer() fills what sl_pdu_encode_ac() writes, and
 *	sl_nego_context() finds the context of each PDV.
 *
 * Where the standard leaves it to us, or peers do not keep to it:
 *   - a context ID that is even, zero or comes twice aborts (invalid parameter value): the answer and
 *     every later PDV would be ambiguous. A 129th context is one of these, for only 128 IDs are odd.
 *   - a request without any context is rejected (no reason given): nothing could be done with it.
 *     One whose contexts are all refused is accepted, as the standard has it; the log says so.
 *   - a context without a usable abstract syntax is answered 3, one without a transfer syntax we know
 *     is answered 4; the association lives.
 *   - unknown transfer syntaxes are not accepted: we could not prove the structure of what comes.
 *   - unknown abstract syntaxes are taken for storage (a switch); known classes of services we do not
 *     offer are answered 3.
 *   - without Maximum Length sub-item the peer is taken for one of SL_PDU_ASSUMED_MAX_LEN; a length of
 *     1 to 6, to which nothing can be sent, is rejected.
 *   - user identity is believed without proof, its secrets are not even read (pdu.h). A response is
 *     sent when asked for, for types 1 and 2: the others would need a ticket or token of our own.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/ae.h"
#include "core/pdu.h"
#include "core/registry.h"

#define SL_APPLICATION_CONTEXT_UID "1.2.840.10008.3.1.1.1" /* PS3.7 A.2.1 */

/* Largest A-ASSOCIATE-AC that follows from sl_nego_answer() [bytes]. */
#define SL_NEGO_AC_MAX SL_PDU_AC_MAX(SL_MAX_CONTEXTS, SL_MAX_CONTEXTS)

/* ---- Policy: what we are willing to do, from the configuration ------------------------------- */

/* Immutable once made; shared by any number of associations. A peer with its own `prefer` or
 * `services` has its own. */
struct sl_nego_policy {
	unsigned served;             /* bits 1 << enum sl_sop_kind: services accepted */
	bool accept_unknown_classes; /* take SOP classes the registry does not know for storage */
	uint16_t async_max;          /* operations a requestor may have open; at least 1 */
	uint8_t order
		[SL_REGISTRY_TS_MAX]; /* by registry number: lower is better, NEVER is not taken */
};

#define SL_NEGO_NEVER 0xFF

/* The node's default: verification and storage, unknown classes too, one operation at a time,
 * transfer syntaxes by enum sl_ts_rank. */
void sl_nego_policy_init(struct sl_nego_policy *policy);

/* Puts these transfer syntaxes first, in this order; the others follow by rank.
 * SL_E_NOTFOUND when prefer[*bad] is not one that we could accept, SL_E_EXISTS when it came before;
 * the policy is then as it was. */
SL_MUST enum sl_status sl_nego_policy_prefer(
	struct sl_nego_policy *policy, const struct sl_uid *prefer, size_t n, size_t *bad);

/* True when a SOP class (NULL: one that the registry does not know) is accepted. */
bool sl_nego_accepts_class(const struct sl_nego_policy *policy, const struct sl_sop_row *sop);

/* ---- The association ------------------------------------------------------------------------- */

/* Bits of what was asked for in a context, or for its SOP class. */
enum sl_nego_asked {
	SL_NEGO_ASKED_CONTEXT = 1 << 0,  /* the context was proposed */
	SL_NEGO_ASKED_ROLE = 1 << 1,     /* 54H came for its class */
	SL_NEGO_ASKED_SCU = 1 << 2,      /* ... with SCU role 1 */
	SL_NEGO_ASKED_SCP = 1 << 3,      /* ... with SCP role 1 */
	SL_NEGO_ASKED_EXTENDED = 1 << 4, /* 56H came for its class */
};

struct sl_nego_context {
	struct sl_uid abstract_syntax; /* len 0: none, or not a UID */
	uint16_t sop;                  /* registry number; SL_REGISTRY_NONE: not in the registry */
	uint16_t ts;    /* registry number of the chosen transfer syntax; NONE unless accepted */
	uint8_t result; /* enum sl_pdu_pctx_code */
	uint8_t asked;  /* bits of enum sl_nego_asked */
};

/* One association's negotiation. Plain memory of fixed size; the loop's alone. */
struct sl_nego {
	struct sl_ae called, calling;                /* len 0: none that could be used */
	uint8_t called_field[16], calling_field[16]; /* as they came: the answer returns them */
	uint32_t peer_max_len;    /* largest P-DATA-TF the peer takes [bytes]; 0 = any */
	struct sl_uid impl_class; /* the peer's; len 0: it sent none (D9: tolerated, logged) */
	char impl_version[17];    /* the peer's; terminated, not checked: log through the escaper */
	bool has_async;           /* 53H came */
	bool identity_reply_wanted;
	bool bad_version, bad_application_context, bad_context_id;
	uint8_t identity_type; /* 0: none; 1 name, 2 and passcode, 3 Kerberos, 4 SAML, 5 JWT */
	uint16_t async_invoked, async_performed; /* asked; after sl_nego_decide() granted */
	uint16_t contexts_n, accepted_n;
	/* the context being read */
	uint8_t open_id;     /* 0: none */
	uint16_t best;       /* registry number by the policy's order; NONE: none so far */
	uint16_t best_plain; /* likewise by rank alone, for services without pixels */
	uint8_t order[SL_MAX_CONTEXTS];                   /* IDs as they came */
	struct sl_nego_context contexts[SL_MAX_CONTEXTS]; /* that of ID i is at i / 2 */
};
_Static_assert(sizeof(struct sl_nego) <= 12 * 1024, "counted in the memory of an association");

void sl_nego_init(struct sl_nego *n);

/* Takes one event of an A-ASSOCIATE-RQ; others are passed over. policy may change after AE_TITLES
 * (a peer's own), not later. */
void sl_nego_feed(
	struct sl_nego *n, const struct sl_nego_policy *policy, const struct sl_pdu_ev *ev);

/* What only the node knows. */
struct sl_nego_node {
	bool calling_permitted; /* the peer list lets this calling AE in, from this address */
	bool called_recognized; /* the called AE is ours, an alias, or not checked */
	bool limit_reached;     /* no association is left, of the node or of this peer */
	bool congested;         /* the pool is too short for one more association */
	uint16_t async_max;     /* operations it can have at a time now; 0: any the policy allows */
};

/* How each goes through table 9-10, from Sta2 at the request's END:
 *   ACCEPT  Evt6 (AE-6: go), Evt7 (AE-7)
 *   REJECT  Evt6 (AE-6: go), Evt8 (AE-8); for sources 2 and 3 Evt6 (AE-6: other). Same bytes.
 *   ABORT   Evt6 (AE-6: go), Evt19 in Sta3 (AA-8): a provider's abort that carries the reason, where
 *           Evt19 in Sta2 (AA-1) would send a user's abort, which has none. */
enum sl_nego_verdict { SL_NEGO_ACCEPT, SL_NEGO_REJECT, SL_NEGO_ABORT };

struct sl_nego_decision {
	enum sl_nego_verdict verdict;
	struct sl_ul_reject reject; /* on SL_NEGO_REJECT */
	struct sl_ul_reason abort;  /* on SL_NEGO_ABORT */
	const char *why;  /* static: "accepted", or the word after `end=refused:` in the log */
	const char *when; /* static: completes "... when", for the conformance statement */
};

/* Every outcome there is, in the order in which they are looked for: of several faults the first
 * counts, so that a stranger learns nothing more. */
const struct sl_nego_decision *sl_nego_outcomes(size_t *n);

/* After the request's END: the verdict on the association, one of sl_nego_outcomes(). */
struct sl_nego_decision sl_nego_decide(
	struct sl_nego *n, const struct sl_nego_policy *policy, const struct sl_nego_node *node);

/* The context of a presentation context ID; NULL unless it was accepted. O(1). */
const struct sl_nego_context *sl_nego_context(const struct sl_nego *n, uint8_t id);

/* Memory for an answer, the caller's; one per loop will do. */
struct sl_nego_answer {
	struct sl_pdu_associate_ac ac; /* points into the arrays below */
	struct sl_pdu_pctx_result pctx[SL_MAX_CONTEXTS];
	struct sl_pdu_role roles[SL_MAX_CONTEXTS];
	struct sl_pdu_extended extended[SL_MAX_CONTEXTS];
};

/* Fills *answer for an accepted association; valid as long as *answer stays where it is.
 * max_len: the Maximum Length we declare [bytes]; 0 = any. */
void sl_nego_answer(const struct sl_nego *n, uint32_t max_len, struct sl_nego_answer *answer);
