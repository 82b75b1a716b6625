/* SipHash-2-4 against the vectors of its paper's reference code (key 00..0f, message 00..n-1).
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include "core/sip.h"

static void the_reference_vectors_come_out(void **state)
{
	(void)state;
	static const uint64_t want[] = {0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a,
		0x85676696d7fb7e2d, 0xcf2794e0277187b7, 0x18765564cd99a68d, 0xcbc9466e58fee3ce,
		0xab0200f58b01d137, 0x93f5f5799a932462, 0x9e0082df0ba9e4b0, 0x7a5dbbc594ddb9f3,
		0xf4b32f46226bada7, 0x751e8fbc860ee5fb, 0x14ea5627c0843d90, 0xf723ca908e7af2ee,
		0xa129ca6149be45e5};
	uint8_t key[SL_SIP_KEY_LEN], message[16];
	for (uint8_t i = 0; i < 16; i++)
		key[i] = message[i] = i;
	for (size_t n = 0; n < SL_ARRAY_N(want); n++)
		assert_true(sl_sip_hash(key, message, n) == want[n]);
}

static void another_key_gives_another_hash(void **state)
{
	(void)state;
	const uint8_t a[SL_SIP_KEY_LEN] = {0}, b[SL_SIP_KEY_LEN] = {[15] = 1};
	assert_true(sl_sip_hash(a, "1.2.3", 5) != sl_sip_hash(b, "1.2.3", 5));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_reference_vectors_come_out),
		cmocka_unit_test(another_key_gives_another_hash),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
