/* UIDs, AE titles, and what a log line shows of any bytes. First byte: room for the escaped text; then the
 * bytes. What parses parses again as itself, and strange bytes come out as plain ones.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "core/ae.h"
#include "core/esc.h"
#include "core/sip.h"
#include "core/uid.h"
#include "storage/charset.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void uid(const uint8_t *bytes, size_t n)
{
	struct sl_uid once, twice;
	if (sl_uid_parse(&once, bytes, n) != SL_OK) {
		sl_assert(once.len == 0);
		return;
	}
	sl_assert(sl_uid_parse(&twice, once.s, once.len) == SL_OK && sl_uid_equal(&once, &twice));
	sl_assert(memcmp(&once, &twice, sizeof(once)) == 0);
	sl_assert(once.s[0] != '.' && strlen(once.s) == once.len && strchr(once.s, '/') == NULL);
	if (sl_uid_is_strict(&once))
		sl_assert(
			strspn(once.s, "0123456789.") == once.len && strstr(once.s, "..") == NULL);
}

static void title(const uint8_t *bytes, size_t n)
{
	struct sl_ae once, twice;
	uint8_t field[SL_AE_MAX];
	if (sl_ae_parse(&once, bytes, n) != SL_OK) {
		sl_assert(once.len == 0);
		return;
	}
	const struct sl_charset_rule rule = {once, "ISO_IR 100"};
	const struct sl_charsets rules = {&rule, 1, ""};
	sl_assert(strcmp(sl_charsets_of(&rules, &once), "ISO_IR 100") == 0);
	sl_ae_encode(&once, field);
	sl_assert(sl_ae_parse(&twice, field, sizeof(field)) == SL_OK && sl_ae_equal(&once, &twice));
}

/* What the escaped text says is how the bytes begin. */
static void escaped(const uint8_t *bytes, size_t n, size_t cap)
{
	char out[300];
	size_t len = sl_esc_put(out, cap, bytes, n, n), at = 0;
	bool is_cut = len >= 2 && memcmp(out + len - 2, "..", 2) == 0;
	sl_assert(len < cap && out[len] == '\0');
	for (size_t i = 0; i < (is_cut ? len - 2 : len); at++) {
		unsigned value = (uint8_t)out[i];
		sl_assert(value >= 0x20 && value < 0x7F && value != '"');
		if (value == '\\') {
			sl_assert(sscanf(out + i, "\\x%2X", &value) == 1);
			i += 3;
		}
		i++;
		sl_assert(at < n && value == bytes[at]);
	}
	sl_assert(is_cut || at == n);
}

/* The same wherever the bytes lie. */
static void hashed(const uint8_t *bytes, size_t n)
{
	static const uint8_t key[SL_SIP_KEY_LEN] = {1, 2, 3};
	uint8_t copy[257];
	memcpy(copy + 1, bytes, n);
	sl_assert(sl_sip_hash(key, bytes, n) == sl_sip_hash(key, copy + 1, n));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	if (n < 1 || n > 256)
		return 0;
	uid(bytes + 1, n - 1);
	title(bytes + 1, n - 1);
	escaped(bytes + 1, n - 1, 3 + bytes[0]);
	hashed(bytes + 1, n - 1);
	return 0;
}
