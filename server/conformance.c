/* The conformance statement: one function for each section of PS3.2 annex N that says something.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/conformance.h"

#include <inttypes.h>
#include <string.h>

#include "core/dstat.h"
#include "core/impl.h"

/* ---- N.1 Overview ---------------------------------------------------------------------------- */

static void print_overview(FILE *f, const struct sl_conformance_opts *o)
{
	fprintf(f, "# DICOM Conformance Statement: Sluice %s\n\n", o->version);
	fputs("Structured after DICOM PS3.2 annex N. Printed by the program itself from the tables "
	      "it works with, for the configuration it was given.\n\n"
	      "## N.1 Overview\n\n"
	      "Sluice is a Storage SCP: it receives SOP instances over the network and keeps them, "
	      "bit for bit and in the transfer syntax they came in, as ordinary DICOM files "
	      "(PS3.10) "
	      "with an index. It answers a C-STORE with success only when the instance and its "
	      "name "
	      "are on stable storage",
		f);
	fputs(o->durable ? ".\n\n"
			 : "; **this configuration has `storage.durability = \"none\"`, which "
			   "leaves that promise out**.\n\n",
		f);
}

static const char *retired(bool is_retired)
{
	return is_retired ? " (Retired)" : "";
}

static void print_classes(FILE *f, const struct sl_nego_policy *policy, enum sl_sop_kind kind)
{
	size_t n;
	const struct sl_sop_row *rows = sl_registry_sop_classes(&n);
	for (size_t i = 0; i < n; i++)
		if (rows[i].kind == kind && sl_nego_accepts_class(policy, &rows[i]))
			fprintf(f, "| %s%s | %s | No | Yes |\n", rows[i].name,
				retired(rows[i].retired), rows[i].uid);
}

static void print_content_and_transfer(FILE *f, const struct sl_conformance_opts *o)
{
	fputs("### N.1.1 Content and Transfer\n\n"
	      "| SOP Class | SOP Class UID | SCU | SCP |\n"
	      "|---|---|---|---|\n",
		f);
	print_classes(f, o->policy, SL_SOP_VERIFICATION);
	print_classes(f, o->policy, SL_SOP_STORAGE);
	fprintf(f,
		"\nSOP classes that are not in the registry, private ones among them, are %s.\n\n",
		sl_nego_accepts_class(o->policy, NULL)
			? "accepted as storage SOP classes"
			: "not accepted (`dicom.accept_unknown_sop_classes = false`)");
	fputs("### N.1.2 Query and Retrieve\n\nNot supported.\n\n"
	      "### N.1.3 Workflow Management\n\nNot supported.\n\n"
	      "### N.1.4 Print Management\n\nNot supported.\n\n"
	      "### N.1.5 Media Services\n\nNone: no media application profile is claimed. The "
	      "files "
	      "in the archive are PS3.10 files; no DICOMDIR is made.\n\n"
	      "### N.1.6 Transfer Syntaxes\n\n"
	      "In the order in which one is chosen where a presentation context offers several; of "
	      "equal rank, the one that the requestor names first. Instances are never "
	      "converted.\n\n"
	      "| Rank | Transfer Syntax | UID | Class |\n"
	      "|---|---|---|---|\n",
		f);
}

/* Rows by the policy's order: the order is small numbers, so each is asked for in turn. */
static void print_transfer_syntaxes(FILE *f, const struct sl_nego_policy *policy)
{
	size_t n;
	unsigned rank = 0;
	const struct sl_ts_row *rows = sl_registry_transfer_syntaxes(&n);
	for (unsigned order = 0; order < SL_NEGO_NEVER; order++) {
		bool any = false;
		for (size_t i = 0; i < n; i++) {
			if (policy->order[i] != order)
				continue;
			rank += any ? 0 : 1;
			any = true;
			fprintf(f, "| %u | %s%s | %s | %s |\n", rank, rows[i].name,
				retired(rows[i].retired), rows[i].uid,
				sl_registry_ts_rank_name(rows[i].rank));
		}
	}
	fputs("\nNot accepted, as any transfer syntax that is not in the registry:\n\n", f);
	for (size_t i = 0; i < n; i++)
		if (policy->order[i] == SL_NEGO_NEVER)
			fprintf(f, "- %s%s, %s\n", rows[i].name, retired(rows[i].retired),
				rows[i].uid);
	fputs("\n### N.1.7 Specific Character Sets\n\n"
	      "Every Specific Character Set (0008,0005) is accepted and kept as it came; no text "
	      "of an object is changed. The index reads ISO_IR 6, 13, 100, 101, 109, 110, 126, "
	      "127, 138, 144, 148, 166, 192 and 203, GB18030 and GBK, and by code extensions "
	      "ISO 2022 IR 58, 87, 149, 159 and the above of single bytes; what a character set "
	      "does not have is U+FFFD there.\n\n",
		f);
}

/* ---- N.2 to N.4 ------------------------------------------------------------------------------ */

static void print_introduction(FILE *f, const struct sl_conformance_opts *o)
{
	fputs("## N.2 Implementation Model\n\n"
	      "One application entity. Remote modalities, archives and routers open associations "
	      "to "
	      "it; it opens none itself.\n\n"
	      "```\n"
	      "  Verification SCU --- C-ECHO ---->  +--------+\n"
	      "                                     | Sluice | ---> spool/ ---> archive/ + index\n"
	      "  Storage SCU -------- C-STORE --->  +--------+\n"
	      "```\n\n"
	      "## N.3 Remarks and Abbreviations\n\n"
	      "AE: application entity. SCP, SCU: service class provider, user. PDU: protocol data "
	      "unit "
	      "(PS3.8). UID: unique identifier.\n\n"
	      "## N.4 Networking\n\n"
	      "TCP/IP over IPv4 and IPv6 (PS3.8), clear text. DICOM Web services and real-time "
	      "video "
	      "are not supported.\n\n",
		f);
	fprintf(f,
		"| Application Entity | AE Title | TCP port | Association initiator | Association "
		"acceptor |\n"
		"|---|---|---|---|---|\n"
		"| Storage SCP | %s (configurable) | %u (configurable) | No | Yes |\n\n",
		o->ae_title, o->port);
}

/* ---- N.5 Services ---------------------------------------------------------------------------- */

static void print_services(FILE *f, const struct sl_conformance_opts *o)
{
	fputs("## N.5 Service and Interoperability Description\n\n"
	      "### N.5.1 General\n\n"
	      "Every SOP class of N.1.1 is offered with every transfer syntax of N.1.6.\n\n"
	      "### N.5.2 DIMSE Services\n\n"
	      "#### N.5.2.1 Verification Service\n\nSCP: answers C-ECHO with 0000 in every state "
	      "but "
	      "stopped, also while the disk is full.\n\n"
	      "#### N.5.2.5 Storage Service\n\n"
	      "##### N.5.2.5.1 SCU of the Storage SOP Classes\n\nNot supported.\n\n"
	      "##### N.5.2.5.2 SCP of the Storage SOP Classes\n\n"
	      "| Conformance | Value |\n"
	      "|---|---|\n"
	      "| Level of Conformance | 2 (Full) |\n"
	      "| Level of Digital Signature Support | 3 (bit-preserving) |\n"
	      "| Attribute coercion | none |\n"
	      "| Stored as | the data set's bytes as received, behind a PS3.10 header |\n"
	      "| Elements of group 0002 in the data set | kept as received |\n",
		f);
	fprintf(f, "| The same bytes again under a SOP Instance UID | 0000, no second copy |\n");
	fprintf(f,
		"| Other bytes under a stored SOP Instance UID | `storage.duplicates = \"%s\"`: %s "
		"|\n",
		o->duplicates,
		strcmp(o->duplicates, "refuse") == 0 ? "0111"
		: strcmp(o->duplicates, "first") == 0
			? "0000, kept as a version of its own; the first stays current"
			: "0000, kept as a version of its own; the newest is current");
	fprintf(f, "| Broken structure, UIDs readable | `storage.unsound = \"%s\"` |\n",
		o->unsound);
	fprintf(f, "| Largest data set | %" PRIu64 " bytes |\n", o->max_object);
	fprintf(f, "| Nested sequences | %" PRIu32 " |\n", o->limits.depth);
	fprintf(f, "| Elements and items of a data set | %" PRIu32 " |\n", o->limits.elements);
	fprintf(f, "| Longest value other than bulk data | %" PRIu64 " bytes |\n",
		o->limits.value_len);
	fputs("\nNo attribute is coerced: B000 is never sent, and there is no Original Attributes "
	      "Sequence (0400,0561) of ours. A UID is 1 to 64 characters, digits, letters, dots "
	      "and "
	      "hyphens, not beginning with a dot. No meaning is seen in associations, their order "
	      "or "
	      "their end.\n\n"
	      "#### N.5.2.6 Storage Commitment Service\n\nNot supported.\n\n"
	      "### N.5.3 Web Services\n\nNot supported.\n\n"
	      "### N.5.7 Specific Character Sets\n\nSee N.1.7.\n\n"
	      "## N.6 Configuration\n\n"
	      "A TOML file; `sluiced --print-config` prints every key with type, range, default "
	      "and "
	      "meaning. AE titles, aliases, port, peers, limits, time-outs and the order of "
	      "transfer "
	      "syntaxes are configurable; SIGHUP reloads what does not need a restart.\n\n",
		f);
}

/* ---- N.7 Details: the association ------------------------------------------------------------ */

static void print_seconds(FILE *f, const char *name, uint64_t ms)
{
	fprintf(f, "| %s | %" PRIu64 ".%03" PRIu64 " s |\n", name, ms / 1000, ms % 1000);
}

static void print_association(FILE *f, const struct sl_conformance_opts *o)
{
	fputs("## N.7 Network and Media Communication Details\n\n"
	      "### N.7.2 Specifications\n\n"
	      "#### N.7.2.1 Storage SCP Application Entity\n\n"
	      "##### N.7.2.1.2 Association Parameters\n\n"
	      "| Name | Value |\n"
	      "|---|---|\n"
	      "| Application Context Name | " SL_APPLICATION_CONTEXT_UID " |\n"
	      "| Implementation Class UID | " SL_IMPL_CLASS_UID " |\n"
	      "| Implementation Version Name | " SL_IMPL_VERSION_NAME " |\n",
		f);
	fprintf(f, "| Maximum PDU Length received | %" PRIu32 " bytes |\n", o->max_pdu);
	fputs("| Maximum PDU Length sent | the peer's, any from 7 |\n", f);
	fprintf(f, "| Longest A-ASSOCIATE PDU | %d bytes |\n", SL_PDU_MAX_ASSOC_LEN);
	print_seconds(f, "ARTIM time-out", o->artim_ms);
	print_seconds(f, "Idle time-out between messages", o->idle_ms);
	fprintf(f, "| Slowest message | %" PRIu64 " bytes/s over %" PRIu64 " s |\n", o->min_rate,
		o->min_rate_window_ms / 1000);
	fprintf(f, "| Simultaneous associations | %" PRIu32 " |\n", o->max_associations);
	fprintf(f, "| Presentation contexts | %d |\n", SL_MAX_CONTEXTS);
	fprintf(f, "| Transfer syntaxes in one context | %d |\n", SL_MAX_TRANSFER_SYNTAXES);
	fprintf(f, "| Asynchronous operations window, where asked for | %u,%u |\n",
		o->policy->async_max, o->policy->async_max);
	fprintf(f, "| Called AE Title | %s |\n",
		o->check_called_ae ? "checked: ours or an alias" : "not checked");
	fprintf(f, "| Calling AE Title | %s |\n\n",
		o->accept_unknown_peers ? "any; listed peers from their addresses"
					: "listed peers only, from their addresses");
	fputs("Trailing and leading spaces and NULs of an AE title mean nothing. A title of spaces "
	      "only is refused.\n\n",
		f);
}

static void print_negotiation(FILE *f)
{
	fputs("##### N.7.2.1.3 Association Negotiation\n\n"
	      "| Item | Answer |\n"
	      "|---|---|\n"
	      "| Presentation context | each is answered on its own: 0 accepted, 3 abstract syntax "
	      "not "
	      "supported, 4 transfer syntaxes not supported; an association may end up without any "
	      "|\n"
	      "| SCP/SCU Role Selection (54H) | SCU role as asked; SCP role only for storage SOP "
	      "classes "
	      "on an association that also negotiates a C-GET model |\n"
	      "| Asynchronous Operations Window (53H) | the smaller of what is asked and our "
	      "bound, less while buffers are short; requests beyond it wait; not asked: "
	      "synchronous |\n"
	      "| SOP Class Extended Negotiation (56H) | storage: level 2, signature level 3, no "
	      "coercion; "
	      "others: no answer |\n"
	      "| SOP Class Common Extended Negotiation (57H) | no answer is defined; not used |\n"
	      "| User Identity (58H) | accepted without proof, not logged; answered, where asked, "
	      "for "
	      "types 1 and 2 |\n"
	      "| Unknown items and sub-items | passed over |\n\n",
		f);
}

static void print_outcomes(FILE *f)
{
	size_t n;
	const struct sl_nego_decision *rows = sl_nego_outcomes(&n);
	fputs("An association is refused as follows; of several causes the first counts.\n\n"
	      "| Answer | Result, source, reason | Condition |\n"
	      "|---|---|---|\n",
		f);
	for (size_t i = 0; i < n; i++) {
		const struct sl_nego_decision *d = &rows[i];
		if (d->verdict == SL_NEGO_REJECT)
			fprintf(f, "| A-ASSOCIATE-RJ | %u, %u, %u | %s |\n", d->reject.result,
				d->reject.source, d->reject.reason, d->when);
		if (d->verdict == SL_NEGO_ABORT)
			fprintf(f, "| A-ABORT | -, %u, %u | %s |\n", d->abort.source,
				d->abort.reason, d->when);
	}
	fputs("\n", f);
}

static void print_refused_classes(FILE *f, const struct sl_nego_policy *policy)
{
	size_t n;
	const struct sl_sop_row *rows = sl_registry_sop_classes(&n);
	fputs("SOP classes that are known and answered 3 (abstract syntax not supported):\n\n"
	      "| SOP Class | SOP Class UID |\n"
	      "|---|---|\n",
		f);
	for (size_t i = 0; i < n; i++)
		if (!sl_nego_accepts_class(policy, &rows[i]))
			fprintf(f, "| %s%s | %s |\n", rows[i].name, retired(rows[i].retired),
				rows[i].uid);
	fputs("\n", f);
}

/* ---- N.7.3 Status codes ---------------------------------------------------------------------- */

static void print_failures(FILE *f)
{
	fputs("### N.7.3 Status Codes\n\n"
	      "#### N.7.3.1 General AE Communication and Failure Behavior\n\n"
	      "##### N.7.3.1.1 Communication Failure Behavior as Association Initiator\n\nDoes not "
	      "apply.\n\n"
	      "##### N.7.3.1.2 Communication Failure Handling as Association Acceptor\n\n"
	      "| Failure | Handling |\n"
	      "|---|---|\n"
	      "| Time-out | no association request, or no close after the end, within the ARTIM "
	      "time: the "
	      "connection is closed; silence or a message too slow: A-ABORT. Only time in which we "
	      "were "
	      "willing to read counts |\n"
	      "| Association aborted | an instance not received completely is discarded; one "
	      "received "
	      "completely is stored |\n"
	      "| Network disconnect | as association aborted; sending an instance again is safe: "
	      "the same "
	      "bytes are answered 0000 |\n"
	      "| Protocol error | A-ABORT as PS3.8 table 9-10 has it: by the service provider with "
	      "the reason of "
	      "9.3.8; before the association request by the service user |\n"
	      "| Storage failed (a failed fsync) | nothing is acknowledged, associations are "
	      "aborted and "
	      "the program ends |\n\n"
	      "Each is one line in the log with its cause.\n\n",
		f);
}

static void print_statuses(FILE *f, const char *heading, enum sl_dstat_service service)
{
	size_t n;
	const struct sl_dstat_row *rows = sl_dstat_rows(&n);
	fprintf(f,
		"%s\n\n"
		"| Service Status | Further Meaning | Status Code | Related Fields | Condition |\n"
		"|---|---|---|---|---|\n",
		heading);
	for (size_t i = 0; i < n; i++) {
		const struct sl_dstat_row *s = &rows[i];
		if ((s->services & (unsigned)service) == 0 || s->sent_when[0] == '\0')
			continue;
		fprintf(f, "| %s | %s | %04X | %s | %s |\n", sl_dstat_kind_name(s->kind),
			s->meaning, (unsigned)s->code,
			s->kind == SL_DSTAT_KIND_SUCCESS ? "N/A" : "(0000,0902)", s->sent_when);
	}
	fputs("\n", f);
}

/* ---- N.8 to N.11 ----------------------------------------------------------------------------- */

static void print_closing(FILE *f, const struct sl_conformance_opts *o)
{
	fputs("## N.8 Information Object Definitions\n\n"
	      "No instance is created or changed. Every element of a received instance is kept: "
	      "standard, "
	      "standard extended and private.\n\n"
	      "## N.9 Attributes of the Files\n\n"
	      "The File Meta Information of a stored file names the SOP class and instance and the "
	      "transfer syntax as negotiated, this implementation, the AE titles of the "
	      "association "
	      "(0002,0016) to (0002,0018), and private information (0002,0100), (0002,0102) whose "
	      "creator "
	      "is " SL_PRIVATE_CREATOR_UID ".\n\n"
	      "## N.10 Standard Extended, Specialized and Private SOP Classes\n\n"
	      "None of our own. Private ones of others are treated as N.1.1 says.\n\n"
	      "## N.11 Security\n\n"
	      "### N.11.1 Security Profiles\n\n"
	      "None is claimed. TLS: not supported. Access is by calling AE title and source "
	      "address",
		f);
	fputs(o->accept_unknown_peers ? "; this configuration lets unknown peers in.\n\n" : ".\n\n",
		f);
	fputs("### N.11.2 Audit Trail\n\nNot supported (no PS3.15 audit messages). The log has one "
	      "line "
	      "for each association, without patient data.\n",
		f);
}

void sl_conformance_print(FILE *f, const struct sl_conformance_opts *opts)
{
	print_overview(f, opts);
	print_content_and_transfer(f, opts);
	print_transfer_syntaxes(f, opts->policy);
	print_introduction(f, opts);
	print_services(f, opts);
	print_association(f, opts);
	print_negotiation(f);
	print_outcomes(f);
	print_refused_classes(f, opts->policy);
	print_failures(f);
	fputs("#### N.7.3.2 DIMSE Services\n\n", f);
	print_statuses(f, "##### N.7.3.2.1 Verification Service, SCP: C-ECHO", SL_DSTAT_FOR_ECHO);
	print_statuses(f, "##### N.7.3.2.5 Storage Service, SCP: C-STORE", SL_DSTAT_FOR_STORE);
	print_closing(f, opts);
}
