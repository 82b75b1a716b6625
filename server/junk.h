/* What else knocks on a DICOM port: names for the first bytes of connections that do not speak DICOM.
 *
 * Pure. A port in a hospital is met by browsers, TLS clients, scanners of ports and probes of load
 * balancers; none of them is worth a log line each, together they are worth one a minute.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/base.h"

#define SL_JUNK_LOOK 16 /* first bytes of a connection that are kept for this [bytes] */

enum sl_junk {
	SL_JUNK_NONE,  /* looks like a DICOM PDU */
	SL_JUNK_PROBE, /* connected and closed without a byte */
	SL_JUNK_HTTP,
	SL_JUNK_TLS, /* a client hello: the peer has TLS switched on, this port has not */
	SL_JUNK_SSH,
	SL_JUNK_PROXY, /* PROXY protocol, version 1 or 2 */
	SL_JUNK_SMB,
	SL_JUNK_RDP,
	SL_JUNK_SIP,
	SL_JUNK_HL7, /* MLLP: an HL7 interface that was given the wrong port */
	SL_JUNK_ZEROS,
	SL_JUNK_TEXT, /* printable, none of the above */
	SL_JUNK_OTHER,
	SL_JUNK_N
};

/* bytes: the first n bytes of the connection, at most SL_JUNK_LOOK of them are looked at. */
enum sl_junk sl_junk_classify(const void *bytes, size_t n);

/* "http", "tls", ... for the log. */
const char *sl_junk_name(enum sl_junk kind);
