/* Names for what else knocks on the port.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <string.h>

#include "server/junk.h"

struct row {
	enum sl_junk kind;
	size_t n;
	const char *bytes;
};

#define ROW(kind, text)                      \
	{                                    \
		kind, sizeof(text) - 1, text \
	}

static const struct row rows[] = {
	ROW(SL_JUNK_PROBE, ""),
	ROW(SL_JUNK_HTTP, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
	ROW(SL_JUNK_HTTP, "POST /dicom-web/studies HTTP/1.1\r\n"),
	ROW(SL_JUNK_HTTP, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
	ROW(SL_JUNK_TLS, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
	ROW(SL_JUNK_SSH, "SSH-2.0-OpenSSH_9.2p1\r\n"),
	ROW(SL_JUNK_PROXY, "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"),
	ROW(SL_JUNK_PROXY, "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"),
	ROW(SL_JUNK_SMB, "\0\0\0\x54\xffSMBr\0\0\0"),
	ROW(SL_JUNK_RDP, "\x03\0\0\x2f\x2a\xe0\0\0\0\0\0"),
	ROW(SL_JUNK_SIP, "INVITE sip:a@b SIP/2.0"),
	ROW(SL_JUNK_HL7, "\x0bMSH|^~\\&|"),
	ROW(SL_JUNK_ZEROS, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
	ROW(SL_JUNK_TEXT, "help\r\n"),
	ROW(SL_JUNK_OTHER, "\xff\xfe\xfd"),
	/* PDUs: known types, and lengths that their type allows */
	ROW(SL_JUNK_NONE, "\x01\x00\x00\x00\x00\xd0\x00\x01\x00\x00"),
	ROW(SL_JUNK_NONE, "\x04\x00\xff\xff\xff\xff"),
	ROW(SL_JUNK_NONE, "\x05\x00\x00\x00\x00\x04\x00\x00\x00\x00"),
	ROW(SL_JUNK_NONE, "\x07"),
	ROW(SL_JUNK_OTHER, "\x07\x00\x00\x00\x00\x05"),
	ROW(SL_JUNK_OTHER, "\x08\x00\x00\x00\x00\x04"),
};

static void U3_first_bytes_are_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < SL_ARRAY_N(rows); i++)
		assert_string_equal(sl_junk_name(sl_junk_classify(rows[i].bytes, rows[i].n)),
			sl_junk_name(rows[i].kind));
}

/* Any cut of anything has a name and reads no byte past the cut (ASan watches the exact copy). */
static void any_cut_is_bounded(void **state)
{
	(void)state;
	for (size_t i = 0; i < SL_ARRAY_N(rows); i++)
		for (size_t n = 0; n <= rows[i].n; n++) {
			uint8_t *copy = test_malloc(n + 1);
			memcpy(copy, rows[i].bytes, n);
			assert_non_null(sl_junk_name(sl_junk_classify(copy, n)));
			test_free(copy);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(U3_first_bytes_are_named),
		cmocka_unit_test(any_cut_is_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
