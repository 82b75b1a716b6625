/* What else knocks on a DICOM port; see junk.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/junk.h"

#include <string.h>

/* How protocols greet. A row matches when all of its bytes are there. */
struct greeting {
	enum sl_junk kind;
	uint8_t len;
	const char *bytes;
};

#define GREETING(kind, text)                 \
	{                                    \
		kind, sizeof(text) - 1, text \
	}

static const struct greeting greetings[] = {
	GREETING(SL_JUNK_HTTP, "GET "),
	GREETING(SL_JUNK_HTTP, "HEAD "),
	GREETING(SL_JUNK_HTTP, "POST "),
	GREETING(SL_JUNK_HTTP, "PUT "),
	GREETING(SL_JUNK_HTTP, "DELETE "),
	GREETING(SL_JUNK_HTTP, "OPTIONS "),
	GREETING(SL_JUNK_HTTP, "CONNECT "),
	GREETING(SL_JUNK_HTTP, "TRACE "),
	GREETING(SL_JUNK_HTTP, "PATCH "),
	GREETING(SL_JUNK_HTTP, "PRI * HTTP/2"),
	GREETING(SL_JUNK_TLS, "\x16\x03\x00"),
	GREETING(SL_JUNK_TLS, "\x16\x03\x01"),
	GREETING(SL_JUNK_TLS, "\x16\x03\x02"),
	GREETING(SL_JUNK_TLS, "\x16\x03\x03"),
	GREETING(SL_JUNK_SSH, "SSH-"),
	GREETING(SL_JUNK_PROXY, "PROXY "),
	GREETING(SL_JUNK_PROXY, "\r\n\r\n\0\r\nQUIT\n"),
	GREETING(SL_JUNK_SIP, "SIP/"),
	GREETING(SL_JUNK_SIP, "INVITE "),
	GREETING(SL_JUNK_HL7, "\x0bMSH"),
	GREETING(SL_JUNK_HL7, "MSH|"),
};

static bool is_smb(const uint8_t *b, size_t n)
{
	return n >= 8 && b[0] == 0 && (b[4] == 0xff || b[4] == 0xfe) &&
	       memcmp(b + 5, "SMB", 3) == 0;
}

/* TPKT version 3, its length, then an X.224 connection request. */
static bool is_rdp(const uint8_t *b, size_t n)
{
	return n >= 6 && b[0] == 3 && b[1] == 0 && b[5] == 0xe0;
}

/* A PDU type, and a length that the four-byte PDUs must have. */
static bool is_pdu(const uint8_t *b, size_t n)
{
	if (b[0] < 0x01 || b[0] > 0x07)
		return false;
	if (b[0] == 0x01 || b[0] == 0x02 || b[0] == 0x04 || n < 6)
		return true;
	return b[2] == 0 && b[3] == 0 && b[4] == 0 && b[5] == 4;
}

static bool is_printable(const uint8_t *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((b[i] < 0x20 || b[i] > 0x7e) && b[i] != '\r' && b[i] != '\n' && b[i] != '\t')
			return false;
	return true;
}

static bool is_zeros(const uint8_t *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (b[i] != 0)
			return false;
	return true;
}

enum sl_junk sl_junk_classify(const void *bytes, size_t n)
{
	const uint8_t *b = bytes;
	n = sl_min(n, SL_JUNK_LOOK);
	if (n == 0)
		return SL_JUNK_PROBE;
	for (size_t i = 0; i < SL_ARRAY_N(greetings); i++)
		if (n >= greetings[i].len && memcmp(b, greetings[i].bytes, greetings[i].len) == 0)
			return greetings[i].kind;
	if (is_smb(b, n))
		return SL_JUNK_SMB;
	if (is_rdp(b, n))
		return SL_JUNK_RDP;
	if (is_pdu(b, n))
		return SL_JUNK_NONE;
	if (is_zeros(b, n))
		return SL_JUNK_ZEROS;
	return is_printable(b, n) ? SL_JUNK_TEXT : SL_JUNK_OTHER;
}

const char *sl_junk_name(enum sl_junk kind)
{
	static const char *const names[SL_JUNK_N] = {
		[SL_JUNK_NONE] = "none",
		[SL_JUNK_PROBE] = "probe",
		[SL_JUNK_HTTP] = "http",
		[SL_JUNK_TLS] = "tls",
		[SL_JUNK_SSH] = "ssh",
		[SL_JUNK_PROXY] = "proxy",
		[SL_JUNK_SMB] = "smb",
		[SL_JUNK_RDP] = "rdp",
		[SL_JUNK_SIP] = "sip",
		[SL_JUNK_HL7] = "hl7",
		[SL_JUNK_ZEROS] = "zeros",
		[SL_JUNK_TEXT] = "text",
		[SL_JUNK_OTHER] = "other",
	};
	return names[kind];
}
