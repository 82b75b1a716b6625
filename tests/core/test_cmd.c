/* Command sets: what is right is read, what is odd is noted, what is wrong is named, nothing is read
 * twice or past the end; and our responses are the standard's bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cmd.h"
#include "support/cmdset.h"

static uint8_t space[8192];

static struct sl_wbuf empty(void)
{
	return sl_wbuf_of(space, sizeof(space));
}

/* Decodes from a heap copy of exactly n bytes, so that ASan sees a read past the end. */
static enum sl_status decode(struct sl_cmd *cmd, const void *bytes, size_t n, struct sl_diag *d)
{
	uint8_t *copy = malloc(n > 0 ? n : 1);
	assert_non_null(copy);
	memcpy(copy, bytes, n);
	memset(d, 0, sizeof(*d));
	enum sl_status st = sl_cmd_decode(cmd, copy, n, d);
	free(copy);
	assert_int_equal(d->status, st);
	return st;
}

static void D1_c_store_rq_is_read(void **state)
{
	(void)state;
	struct sl_wbuf w = empty();
	struct sl_cmd cmd;
	struct sl_diag d;
	t_begin(&w);
	t_ui(&w, 0x0002, T_CT_CLASS);
	t_us(&w, 0x0100, 0x0001);
	t_us(&w, 0x0110, 7);
	t_us(&w, 0x0700, 2);
	t_us(&w, 0x0800, 0x0001);
	t_ui(&w, 0x1000, "1.2.3.4.5");
	t_el(&w, 0x1030, 16, "MOVER           ", 16);
	t_us(&w, 0x1031, 99);
	t_end(&w);
	assert_int_equal(decode(&cmd, w.base, w.len, &d), SL_OK);
	assert_int_equal(cmd.field, SL_CMD_C_STORE_RQ);
	assert_int_equal(cmd.message_id, 7);
	assert_int_equal(cmd.priority, 2);
	assert_string_equal(cmd.affected_class.s, T_CT_CLASS);
	assert_string_equal(cmd.affected_instance.s, "1.2.3.4.5");
	assert_string_equal(cmd.move_originator.s, "MOVER");
	assert_int_equal(cmd.move_originator_message_id, 99);
	assert_true(sl_cmd_has_data_set(&cmd));
	assert_true(sl_cmd_is_answerable(&cmd));
	assert_int_equal(cmd.quirks, 0);
	assert_int_equal(cmd.unusable, 0);
	assert_string_equal(sl_cmd_field_name(cmd.field), "C-STORE-RQ");
}

static void D1_c_store_rsp_is_byte_exact(void **state)
{
	(void)state;
	static const uint8_t golden[] = {
		0x00, 0x00, 0x00, 0x00, 0x04, 0x00, 0x00, 0x00, 0x70, 0x00, 0x00, 0x00, /* 112 */
		0x00, 0x00, 0x02, 0x00, 0x1A, 0x00, 0x00, 0x00, '1', '.', '2', '.', '8', '4', '0',
		'.', '1', '0', '0', '0', '8', '.', '5', '.', '1', '.', '4', '.', '1', '.', '1', '.',
		'2', 0x00,                                                  /* class, NUL */
		0x00, 0x00, 0x00, 0x01, 0x02, 0x00, 0x00, 0x00, 0x01, 0x80, /* C-STORE-RSP */
		0x00, 0x00, 0x20, 0x01, 0x02, 0x00, 0x00, 0x00, 0x07, 0x00, /* responded to */
		0x00, 0x00, 0x00, 0x08, 0x02, 0x00, 0x00, 0x00, 0x01, 0x01, /* no data set */
		0x00, 0x00, 0x00, 0x09, 0x02, 0x00, 0x00, 0x00, 0x00, 0xA7, /* status */
		0x00, 0x00, 0x02, 0x09, 0x0A, 0x00, 0x00, 0x00, 'd', 'i', 's', 'k', ' ', 'f', 'u',
		'l', 'l', ' ', /* comment, space */
		0x00, 0x00, 0x00, 0x10, 0x0C, 0x00, 0x00, 0x00, '1', '.', '2', '.', '3', '.', '4',
		'.', '5', '.', '6', 0x00, /* instance, NUL */
	};
	struct sl_wbuf w = empty();
	struct sl_cmd cmd;
	struct sl_diag d;
	t_store_rq(&w, 7, "1.2.3.4.5.6", 0);
	assert_int_equal(decode(&cmd, w.base, w.len, &d), SL_OK);
	struct sl_cmd_rsp rsp = sl_cmd_rsp_to(&cmd, SL_DSTAT_OUT_OF_RESOURCES, "disk full");
	w = empty();
	sl_cmd_encode_rsp(&w, &rsp);
	assert_false(w.bad);
	assert_int_equal(w.len, sizeof(golden));
	assert_memory_equal(w.base, golden, sizeof(golden));
}

static void D1_c_echo_rsp_is_byte_exact(void **state)
{
	(void)state;
	static const uint8_t golden[] = {
		0x00, 0x00, 0x00, 0x00, 0x04, 0x00, 0x00, 0x00, 0x42, 0x00, 0x00, 0x00, /* 66 */
		0x00, 0x00, 0x02, 0x00, 0x12, 0x00, 0x00, 0x00, '1', '.', '2', '.', '8', '4', '0',
		'.', '1', '0', '0', '0', '8', '.', '1', '.', '1', 0x00, 0x00, 0x00, 0x00, 0x01,
		0x02, 0x00, 0x00, 0x00, 0x30, 0x80,                         /* C-ECHO-RSP */
		0x00, 0x00, 0x20, 0x01, 0x02, 0x00, 0x00, 0x00, 0xFF, 0xFF, /* responded to */
		0x00, 0x00, 0x00, 0x08, 0x02, 0x00, 0x00, 0x00, 0x01, 0x01, /* no data set */
		0x00, 0x00, 0x00, 0x09, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, /* success */
	};
	struct sl_wbuf w = empty();
	struct sl_cmd cmd;
	struct sl_diag d;
	t_echo_rq(&w, 65535);
	assert_int_equal(decode(&cmd, w.base, w.len, &d), SL_OK);
	struct sl_cmd_rsp rsp = sl_cmd_rsp_to(&cmd, SL_DSTAT_SUCCESS, NULL);
	w = empty();
	sl_cmd_encode_rsp(&w, &rsp);
	assert_int_equal(w.len, sizeof(golden));
	assert_memory_equal(w.base, golden, sizeof(golden));
}

static void D1_cut_at_every_byte_never_reads_past_the_end(void **state)
{
	(void)state;
	struct sl_wbuf w = empty();
	struct sl_cmd cmd;
	struct sl_diag d;
	t_store_rq(&w, 7, "1.2.3.4.5", 0);
	size_t whole = 0;
	for (size_t n = 0; n < w.len; n++) {
		assert_int_equal(decode(&cmd, w.base, n, &d), SL_E_COMMAND);
		assert_true(d.text[0] != 0);
		whole += sl_cmd_is_answerable(&cmd);
	}
	assert_int_equal(whole, 8 + 10); /* cut anywhere in (0000,1000): answerable */
	assert_int_equal(decode(&cmd, w.base, w.len, &d), SL_OK);
}

/* HOSTILE 10: each stated length replaced by each lie. */
static void D1_lengths_that_lie_stay_inside(void **state)
{
	(void)state;
	static const uint32_t lies[] = {
		0, 1, 3, 5, 255, 4096, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFC, 0xFFFFFFFE, 0xFFFFFFFF};
	struct sl_wbuf w = empty();
	struct sl_cmd cmd;
	struct sl_diag d;
	t_store_rq(&w, 7, "1.2.3.4.5", 0);
	for (size_t at = 4; at + 4 <= w.len; at++) {
		for (size_t i = 0; i < SL_ARRAY_N(lies); i++) {
			uint8_t kept[4];
			memcpy(kept, w.base + at, 4);
			sl_wbuf_patch_le32(&w, at, lies[i]);
			enum sl_status st = decode(&cmd, w.base, w.len, &d);
			assert_true(st == SL_OK || st == SL_E_COMMAND);
			memcpy(w.base + at, kept, 4);
		}
	}
	sl_wbuf_patch_le32(&w, 12 + 4, 0xFFFFFFFF);
	assert_int_equal(decode(&cmd, w.base, w.len, &d), SL_E_COMMAND);
	assert_string_equal(d.text, "element (0000,0002) runs past the end of the command set");
	assert_false(sl_cmd_is_answerable(&cmd));
}

static void D1_wrong_group_length_is_tolerated_and_noted(void **state)
{
	(void)state;
	static const uint32_t lies[] = {0, 1, 4096, 0xFFFFFFFF, 0xFFFFFFF4};
	struct sl_wbuf w = empty();
	struct sl_cmd cmd;
	struct sl_diag d;
	t_store_rq(&w, 7, "1.2.3.4.5", 0);
	for (size_t i = 0; i < SL_ARRAY_N(lies); i++) {
		sl_wbuf_patch_le32(&w, 8, lies[i]);
		assert_int_equal(decode(&cmd, w.base, w.len, &d), SL_OK);
		assert_int_equal(cmd.quirks, SL_CMD_QUIRK_GROUP_LENGTH);
	}
	assert_int_equal(decode(&cmd, w.base + 12, w.len - 12, &d), SL_OK); /* none at all */
	assert_int_equal(cmd.quirks, SL_CMD_QUIRK_GROUP_LENGTH);
	assert_string_equal(sl_cmd_quirk_name(0), "wrong group length");
	assert_string_equal(sl_cmd_quirk_name(SL_CMD_QUIRK_N), "?");
}

static void D1_unsorted_and_doubled_elements_keep_the_first(void **state)
{
	(void)state;
	struct sl_wbuf w = empty();
	struct sl_cmd cmd;
	struct sl_diag d;
	t_begin(&w);
	t_us(&w, 0x0800, 0x0101);
	t_us(&w, 0x0110, 5);
	t_us(&w, 0x0110, 6);
	t_ui(&w, 0x0002, "not/a/uid");
	t_ui(&w, 0x0002, T_VERIFY);
	t_us(&w, 0x0100, 0x0030);
	t_end(&w);
	assert_int_equal(decode(&cmd, w.base, w.len, &d), SL_E_COMMAND);
	assert_int_equal(cmd.message_id, 5);
	assert_int_equal(cmd.quirks, SL_CMD_QUIRK_UNSORTED | SL_CMD_QUIRK_DUPLICATE);
	assert_string_equal(d.text, "unusable AffectedSOPClassUID");
	assert_int_equal(cmd.affected_class.len, 0);
}

static void D1_odd_lengths_and_foreign_elements_are_tolerated(void **state)
{
	(void)state;
	static const uint8_t foreign[] = {0x08, 0x00, 0x18, 0x00, 2, 0, 0, 0, '1', 0};
	struct sl_wbuf w = empty();
	struct sl_cmd cmd;
	struct sl_diag d;
	t_begin(&w);
	t_el(&w, 0x0002, 17, T_VERIFY, 17);
	t_us(&w, 0x0100, 0x0030);
	t_us(&w, 0x0110, 0);
	t_el(&w, 0x4321, 3, "abc", 3);
	t_us(&w, 0x0800, 0x0101);
	sl_wbuf_put(&w, foreign, sizeof(foreign));
	t_end(&w);
	assert_int_equal(decode(&cmd, w.base, w.len, &d), SL_OK);
	assert_string_equal(cmd.affected_class.s, T_VERIFY);
	assert_int_equal(cmd.quirks,
		SL_CMD_QUIRK_ODD_LENGTH | SL_CMD_QUIRK_FOREIGN_GROUP | SL_CMD_QUIRK_UNSORTED);
}

/* One required element of a C-STORE-RQ is left out, or empty. */
static void D1_missing_and_empty_elements_are_named(void **state)
{
	(void)state;
	static const struct {
		uint16_t element;
		const char *name;
		bool answerable;
	} rows[] = {{0x0002, "AffectedSOPClassUID", true}, {0x0100, "CommandField", false},
		{0x0110, "MessageID", false}, {0x0800, "CommandDataSetType", false},
		{0x1000, "AffectedSOPInstanceUID", true}};
	struct sl_cmd cmd;
	struct sl_diag d;
	for (size_t i = 0; i < 2 * SL_ARRAY_N(rows); i++) {
		uint16_t out = rows[i / 2].element;
		bool empty_too = i % 2 != 0;
		struct sl_wbuf w = empty();
		char expected[80];
		t_begin(&w);
		for (uint16_t e = 0x0002; e <= 0x1000; e++) {
			if (e == out && empty_too)
				t_el(&w, e, 0, NULL, 0);
			else if (e != out && (e == 0x0002 || e == 0x1000))
				t_ui(&w, e, "1.2.3");
			else if (e != out &&
				 (e == 0x0100 || e == 0x0110 || e == 0x0700 || e == 0x0800))
				t_us(&w, e, 1);
		}
		t_end(&w);
		assert_int_equal(decode(&cmd, w.base, w.len, &d), SL_E_COMMAND);
		snprintf(expected, sizeof(expected), "%s %s", empty_too ? "unusable" : "missing",
			rows[i / 2].name);
		assert_string_equal(d.text, expected);
		assert_int_equal(sl_cmd_is_answerable(&cmd), rows[i / 2].answerable);
		uint32_t tags[SL_CMD_OFFENDERS_MAX];
		assert_int_equal(sl_cmd_offenders(&cmd, tags), 1);
		assert_int_equal(tags[0], out);
	}
}

static void D1_a_faulty_store_is_answered_c000_with_its_tag(void **state)
{
	(void)state;
	static const char *const bad[] = {"../x", "..\\x", "/etc/x", "1.2/3", ".1.2",
		"1234567890123456789012345678901234567890123456789012345678901234.", ""};
	static const uint8_t offender[] = {0x00, 0x00, 0x01, 0x09, 4, 0, 0, 0, 0, 0, 0x00, 0x10};
	struct sl_cmd cmd;
	struct sl_diag d;
	for (size_t i = 0; i < SL_ARRAY_N(bad); i++) {
		struct sl_wbuf w = empty();
		t_store_rq(&w, 3, bad[i], 0);
		assert_int_equal(decode(&cmd, w.base, w.len, &d), SL_E_COMMAND);
		assert_true(sl_cmd_is_answerable(&cmd));
		assert_int_equal(sl_cmd_fault_status(&cmd), 0xC000);
		struct sl_cmd_rsp rsp = sl_cmd_rsp_to(&cmd, sl_cmd_fault_status(&cmd), d.text);
		w = empty();
		sl_cmd_encode_rsp(&w, &rsp);
		assert_non_null(memmem(w.base, w.len, offender, sizeof(offender)));
		assert_non_null(memmem(w.base, w.len, "unusable AffectedSOPInstanceUID", 31));
		assert_int_equal(decode(&cmd, w.base, w.len, &d), SL_OK);
		assert_int_equal(cmd.status, 0xC000);
		assert_int_equal(cmd.offending_element, 0x00001000);
		assert_int_equal(cmd.affected_instance.len, 0);
	}
}

static void D2_any_value_but_0101_announces_a_data_set(void **state)
{
	(void)state;
	static const uint16_t types[] = {0x0000, 0x0001, 0x0101, 0xFFFF};
	static const uint16_t ids[] = {0, 1, 65535};
	struct sl_cmd cmd;
	struct sl_diag d;
	for (size_t i = 0; i < SL_ARRAY_N(types) * SL_ARRAY_N(ids); i++) {
		struct sl_wbuf w = empty();
		t_store_rq(&w, ids[i % 3], "1.2", types[i / 3]);
		assert_int_equal(decode(&cmd, w.base, w.len, &d), SL_OK);
		assert_int_equal(sl_cmd_has_data_set(&cmd), types[i / 3] != 0x0101);
		assert_int_equal(cmd.message_id, ids[i % 3]);
		assert_int_equal(
			sl_cmd_rsp_to(&cmd, SL_DSTAT_SUCCESS, "").responded_to, ids[i % 3]);
	}
}

static void D2_priority_may_be_absent(void **state)
{
	(void)state;
	struct sl_wbuf w = empty();
	struct sl_cmd cmd;
	struct sl_diag d;
	t_begin(&w);
	t_ui(&w, 0x0002, T_CT_CLASS);
	t_us(&w, 0x0100, 0x0001);
	t_us(&w, 0x0110, 7);
	t_us(&w, 0x0800, 0);
	t_ui(&w, 0x1000, "1.2");
	t_end(&w);
	assert_int_equal(decode(&cmd, w.base, w.len, &d), SL_OK);
	assert_int_equal(cmd.quirks, SL_CMD_QUIRK_NO_PRIORITY);
	assert_int_equal(cmd.priority, 0);
}

static void D4_unknown_commands_can_be_answered_0211(void **state)
{
	(void)state;
	struct sl_wbuf w = empty();
	struct sl_cmd cmd;
	struct sl_diag d;
	t_begin(&w);
	t_us(&w, 0x0100, 0x1234);
	t_us(&w, 0x0110, 9);
	t_us(&w, 0x0800, 0x0101);
	t_end(&w);
	assert_int_equal(decode(&cmd, w.base, w.len, &d), SL_OK);
	assert_true(sl_cmd_is_answerable(&cmd));
	assert_string_equal(sl_cmd_field_name(cmd.field), "unknown");
	struct sl_cmd_rsp rsp = sl_cmd_rsp_to(&cmd, SL_DSTAT_UNRECOGNIZED_OPERATION, NULL);
	w = empty();
	sl_cmd_encode_rsp(&w, &rsp);
	assert_int_equal(decode(&cmd, w.base, w.len, &d), SL_OK);
	assert_int_equal(cmd.field, 0x9234);
	assert_int_equal(cmd.responded_to, 9);
	assert_int_equal(cmd.status, 0x0211);
	assert_false(sl_cmd_is_answerable(&cmd));
}

static void D1_cancel_needs_no_message_id_and_gets_no_answer(void **state)
{
	(void)state;
	struct sl_wbuf w = empty();
	struct sl_cmd cmd;
	struct sl_diag d;
	t_begin(&w);
	t_us(&w, 0x0100, 0x0FFF);
	t_us(&w, 0x0110, 5); /* not an element of a C-CANCEL-RQ, and no reason to answer it */
	t_us(&w, 0x0120, 4);
	t_us(&w, 0x0800, 0x0101);
	t_end(&w);
	assert_int_equal(decode(&cmd, w.base, w.len, &d), SL_OK);
	assert_int_equal(cmd.responded_to, 4);
	assert_false(sl_cmd_is_answerable(&cmd));
	assert_string_equal(sl_cmd_field_name(cmd.field), "C-CANCEL-RQ");
	assert_string_equal(sl_cmd_field_name(0x8FFF), "unknown");
	assert_string_equal(sl_cmd_field_name(0x8130), "N-ACTION-RSP");
}

static void D3_comment_is_cut_printable_and_the_longest_response_fits(void **state)
{
	(void)state;
	struct sl_cmd cmd;
	struct sl_diag d;
	char longest[SL_UID_MAX + 1], comment[100];
	memset(longest, '1', SL_UID_MAX);
	longest[SL_UID_MAX] = 0;
	memset(comment, 'c', sizeof(comment) - 1);
	comment[99] = 0;
	comment[0] = '\n';
	comment[1] = '\\';
	comment[2] = (char)0xC3;
	struct sl_cmd_rsp rsp = {.field = 1,
		.responded_to = 1,
		.status = 0xC000,
		.affected_class = sl_uid_of(longest),
		.affected_instance = sl_uid_of(longest),
		.comment = comment,
		.offenders_n = 4,
		.offenders = {0x00080016, 0x00080018, 0x0020000D, 0x7FE00010}};
	struct sl_wbuf w = sl_wbuf_of(space, SL_CMD_RSP_MAX);
	sl_cmd_encode_rsp(&w, &rsp);
	assert_false(w.bad);
	assert_int_equal(decode(&cmd, w.base, w.len, &d), SL_OK);
	assert_int_equal(cmd.quirks, 0);
	assert_int_equal(strlen(cmd.comment), 64);
	assert_memory_equal(cmd.comment, "???ccc", 6);
	assert_int_equal(cmd.offending_element, 0x00080016);
	for (size_t cap = 0; cap < w.len; cap++) {
		struct sl_wbuf small = sl_wbuf_of(space, cap);
		sl_cmd_encode_rsp(&small, &rsp);
		assert_true(small.bad);
	}
}

static void D1_a_command_set_over_the_limit_is_refused(void **state)
{
	(void)state;
	struct sl_cmd cmd;
	struct sl_diag d;
	memset(space, 0, sizeof(space));
	assert_int_equal(decode(&cmd, space, SL_CMD_MAX + 1, &d), SL_E_LIMIT);
	assert_int_equal(decode(&cmd, space, SL_CMD_MAX, &d), SL_E_COMMAND);
	assert_int_equal(decode(&cmd, space, 0, &d), SL_E_COMMAND);
	assert_string_equal(
		d.text, "missing CommandField, missing MessageID, missing CommandDataSetType");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(D1_c_store_rq_is_read),
		cmocka_unit_test(D1_c_store_rsp_is_byte_exact),
		cmocka_unit_test(D1_c_echo_rsp_is_byte_exact),
		cmocka_unit_test(D1_cut_at_every_byte_never_reads_past_the_end),
		cmocka_unit_test(D1_lengths_that_lie_stay_inside),
		cmocka_unit_test(D1_wrong_group_length_is_tolerated_and_noted),
		cmocka_unit_test(D1_unsorted_and_doubled_elements_keep_the_first),
		cmocka_unit_test(D1_odd_lengths_and_foreign_elements_are_tolerated),
		cmocka_unit_test(D1_missing_and_empty_elements_are_named),
		cmocka_unit_test(D1_a_faulty_store_is_answered_c000_with_its_tag),
		cmocka_unit_test(D2_any_value_but_0101_announces_a_data_set),
		cmocka_unit_test(D2_priority_may_be_absent),
		cmocka_unit_test(D4_unknown_commands_can_be_answered_0211),
		cmocka_unit_test(D1_cancel_needs_no_message_id_and_gets_no_answer),
		cmocka_unit_test(D3_comment_is_cut_printable_and_the_longest_response_fits),
		cmocka_unit_test(D1_a_command_set_over_the_limit_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
