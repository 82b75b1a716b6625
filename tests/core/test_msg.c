/* Messages come out the same however they are cut into fragments and slices, and a stream that breaks
 * the rules of annex E ends with the right abort.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <string.h>

#include "core/msg.h"
#include "support/cmdset.h"

#define PCID 3

/* What came out of the assembler. */
struct heard {
	enum sl_status st; /* of the slice that ended it; SL_AGAIN while all is well */
	int commands, ends;
	bool has_data_set;
	enum sl_status cmd_status;
	uint16_t field, message_id;
	uint8_t data[256];
	size_t data_len;
};

static struct sl_msg msg; /* larger than 4 KiB: not on the stack */
static struct heard heard;

static void start(void)
{
	sl_msg_init(&msg);
	sl_msg_accept(&msg, PCID);
	sl_msg_accept(&msg, 5);
	memset(&heard, 0, sizeof(heard));
	heard.st = SL_AGAIN;
}

static void hear(const struct sl_msg_ev *ev, const struct sl_pdu_pdv *slice)
{
	if (ev->type == SL_MSG_EV_COMMAND) {
		heard.commands++;
		heard.field = ev->cmd->field;
		heard.message_id = ev->cmd->message_id;
		heard.cmd_status = ev->cmd_status;
		heard.has_data_set = ev->has_data_set;
		return;
	}
	if (ev->len > 0)
		assert_ptr_equal(ev->p, slice->p); /* borrowed, not copied */
	assert_true(heard.data_len + ev->len <= sizeof(heard.data));
	memcpy(heard.data + heard.data_len, ev->p, ev->len);
	heard.data_len += ev->len;
	heard.ends += ev->is_end;
}

/* One fragment, given in slices of at most `step` bytes as the decoder would. */
static void fragment(
	uint8_t pcid, bool is_command, bool is_last, const void *bytes, size_t n, size_t step)
{
	size_t at = 0;
	do {
		size_t len = sl_min(step, n - at);
		struct sl_pdu_pdv slice = {
			.p = (const uint8_t *)bytes + at,
			.len = (uint32_t)len,
			.left = (uint32_t)(n - at - len),
			.pcid = pcid,
			.is_command = is_command,
			.is_last = is_last,
			.fragment_begin = at == 0,
			.fragment_end = at + len == n,
		};
		struct sl_msg_ev ev = {0};
		enum sl_status st = sl_msg_next(&msg, &slice, &ev);
		if (st == SL_OK)
			hear(&ev, &slice);
		else if (st != SL_AGAIN)
			heard.st = st;
		at += len;
	} while (at < n);
}

static uint8_t space[8192];

static struct sl_wbuf store_rq(uint16_t message_id, uint16_t data_set_type)
{
	struct sl_wbuf w = sl_wbuf_of(space, sizeof(space));
	t_store_rq(&w, message_id, "1.2.3", data_set_type);
	return w;
}

static void expect_abort(uint8_t source, uint8_t reason, const char *why)
{
	uint8_t other[256];
	struct sl_wbuf w = sl_wbuf_of(other, sizeof(other));
	assert_int_equal(heard.st, SL_E_PDU);
	assert_int_equal(msg.reason.source, source);
	assert_int_equal(msg.reason.reason, reason);
	assert_string_equal(msg.diag.text, why);
	assert_false(sl_msg_is_open(&msg));
	int commands = heard.commands;
	t_store_rq(&w, 9, "1.2.3", 0x0101);
	heard.st = SL_AGAIN;
	fragment(PCID, true, true, w.base, w.len, w.len);
	assert_int_equal(heard.st, SL_E_PDU); /* dead stays dead */
	assert_int_equal(heard.commands, commands);
}

/* Command and data each in two fragments, cut at every byte, in slices of every small size. */
static void U11_any_cut_gives_the_same_message(void **state)
{
	(void)state;
	static const char data[] = "0123456789abcdefghij";
	struct sl_wbuf w = store_rq(7, 0);
	for (size_t step = 1; step <= w.len; step += 1 + step / 4) {
		for (size_t cut = 0; cut <= w.len; cut++) {
			size_t data_cut = cut % 21;
			start();
			fragment(PCID, true, false, w.base, cut, step);
			fragment(PCID, true, true, w.base + cut, w.len - cut, step);
			assert_int_equal(heard.commands, 1);
			assert_true(sl_msg_is_open(&msg));
			fragment(PCID, false, false, data, data_cut, step);
			assert_int_equal(heard.ends, 0);
			fragment(PCID, false, true, data + data_cut, 20 - data_cut, step);
			assert_int_equal(heard.st, SL_AGAIN);
			assert_int_equal(heard.message_id, 7);
			assert_int_equal(heard.ends, 1);
			assert_int_equal(heard.data_len, 20);
			assert_memory_equal(heard.data, data, 20);
			assert_int_equal(msg.data_set_len, 20);
			assert_false(sl_msg_is_open(&msg));
		}
	}
}

/* With the real decoder before it: the stream cut at every byte, fragments of every small size. */
static void U11_the_decoders_slices_make_the_same_message(void **state)
{
	(void)state;
	static const char data[] = "0123456789abcdefghij";
	uint8_t stream[4096];
	for (uint32_t max_len = 8; max_len < 200; max_len += max_len / 3) {
		struct sl_wbuf cmd = store_rq(7, 0), w = sl_wbuf_of(stream, sizeof(stream));
		assert_int_equal(sl_pdu_encode_message(
					 &w, max_len, PCID, true, sl_cur_of(cmd.base, cmd.len)),
			SL_OK);
		assert_int_equal(
			sl_pdu_encode_message(&w, max_len, PCID, false, sl_cur_of(data, 20)),
			SL_OK);
		assert_false(w.bad);
		for (size_t cut = 0; cut <= w.len; cut++) {
			struct sl_pdu_dec dec;
			sl_pdu_init(&dec, max_len);
			start();
			for (int half = 0; half < 2; half++) {
				struct sl_cur in = half == 0 ? sl_cur_of(stream, cut)
							     : sl_cur_of(stream + cut, w.len - cut);
				struct sl_pdu_ev pdu;
				while (sl_pdu_next(&dec, &in, &pdu) == SL_OK) {
					struct sl_msg_ev ev;
					if (pdu.type != SL_PDU_EV_PDV)
						continue;
					enum sl_status st = sl_msg_next(&msg, &pdu.pdv, &ev);
					if (st == SL_OK)
						hear(&ev, &pdu.pdv);
					assert_true(st == SL_OK || st == SL_AGAIN);
				}
			}
			assert_int_equal(heard.commands, 1);
			assert_int_equal(heard.ends, 1);
			assert_int_equal(heard.data_len, 20);
			assert_memory_equal(heard.data, data, 20);
		}
	}
}

static void U11_empty_fragments_mean_nothing(void **state)
{
	(void)state;
	struct sl_wbuf w = store_rq(7, 0);
	start();
	fragment(PCID, true, false, "", 0, 1);
	fragment(PCID, true, false, w.base, w.len, w.len);
	assert_int_equal(heard.commands, 0);
	fragment(PCID, true, true, "", 0, 1);
	assert_int_equal(heard.commands, 1);
	fragment(PCID, false, false, "", 0, 1);
	fragment(PCID, false, false, "ab", 2, 2);
	fragment(PCID, false, true, "", 0, 1);
	assert_int_equal(heard.st, SL_AGAIN);
	assert_int_equal(heard.ends, 1);
	assert_int_equal(heard.data_len, 2);
}

static void D2_0101_means_no_data_set_and_the_next_message_follows(void **state)
{
	(void)state;
	static const uint16_t types[] = {0x0000, 0x0001, 0x0101, 0xFFFF};
	for (size_t i = 0; i < SL_ARRAY_N(types); i++) {
		struct sl_wbuf w = store_rq((uint16_t)(i * 21845), types[i]); /* 0 .. 65535 */
		start();
		fragment(PCID, true, true, w.base, w.len, w.len);
		assert_int_equal(heard.message_id, i * 21845);
		assert_int_equal(heard.has_data_set, types[i] != 0x0101);
		if (heard.has_data_set)
			fragment(PCID, false, true, "zz", 2, 2);
		assert_int_equal(heard.ends, types[i] != 0x0101);
		fragment(5, true, true, w.base, w.len, w.len); /* another context is fine now */
		assert_int_equal(heard.commands, 2);
		assert_int_equal(heard.st, SL_AGAIN);
	}
	assert_int_equal(msg.messages_n, 2);
}

static void U11_a_context_that_was_not_accepted_aborts(void **state)
{
	(void)state;
	struct sl_wbuf w = store_rq(1, 0);
	start();
	fragment(7, true, true, w.base, w.len, w.len);
	expect_abort(2, 6, "a presentation context that was not accepted");
	start();
	fragment(0, true, false, "", 0, 1);
	expect_abort(2, 6, "a presentation context that was not accepted");
	start();
	fragment(255, true, true, w.base, w.len, w.len);
	expect_abort(2, 6, "a presentation context that was not accepted");
}

static void U11_a_change_of_context_within_a_message_aborts(void **state)
{
	(void)state;
	struct sl_wbuf w = store_rq(1, 0);
	start();
	fragment(PCID, true, false, w.base, 20, 20);
	fragment(5, true, true, w.base + 20, w.len - 20, w.len);
	expect_abort(2, 6, "the presentation context changed within a message");
	assert_int_equal(heard.commands, 0);
	start();
	fragment(PCID, true, true, w.base, w.len, w.len);
	fragment(5, false, true, "ab", 2, 2);
	expect_abort(2, 6, "the presentation context changed within a message");
	assert_int_equal(heard.ends, 0);
	start();
	fragment(PCID, true, true, w.base, w.len, w.len);
	fragment(PCID, false, false, "ab", 2, 2);
	fragment(5, false, true, "ab", 2, 2);
	expect_abort(2, 6, "the presentation context changed within a message");
}

static void U11_data_before_a_command_aborts(void **state)
{
	(void)state;
	struct sl_wbuf w = store_rq(1, 0x0101);
	start();
	fragment(PCID, false, true, "ab", 2, 2);
	expect_abort(2, 6, "a data set without a command");
	start();
	fragment(PCID, true, false, w.base, w.len, w.len);
	fragment(PCID, false, true, "ab", 2, 2);
	expect_abort(2, 6, "data before the end of the command");
	start(); /* data that the command did not announce */
	fragment(PCID, true, true, w.base, w.len, w.len);
	fragment(PCID, false, true, "ab", 2, 2);
	expect_abort(2, 6, "a data set without a command");
}

static void U11_a_command_before_the_end_of_the_data_aborts(void **state)
{
	(void)state;
	struct sl_wbuf w = store_rq(1, 0);
	start();
	fragment(PCID, true, true, w.base, w.len, w.len);
	fragment(PCID, true, true, w.base, w.len, w.len);
	expect_abort(2, 6, "a command before the end of the data");
	start();
	fragment(PCID, true, true, w.base, w.len, w.len);
	fragment(PCID, false, false, "ab", 2, 2);
	fragment(PCID, true, true, w.base, w.len, w.len);
	expect_abort(2, 6, "a command before the end of the data");
	assert_int_equal(heard.commands, 1);
}

static void D1_a_command_set_over_the_limit_aborts(void **state)
{
	(void)state;
	memset(space, 0, sizeof(space));
	start();
	fragment(PCID, true, false, space, SL_CMD_MAX, 1000);
	assert_int_equal(heard.st, SL_AGAIN);
	fragment(PCID, true, false, space, 1, 1);
	expect_abort(2, 6, "a command set over the limit");
	memset(space, 0, sizeof(space));
	start();
	fragment(PCID, true, false, space, sizeof(space), sizeof(space));
	expect_abort(2, 6, "a command set over the limit");
}

static void D1_a_fault_that_can_be_answered_is_told_and_its_data_taken(void **state)
{
	(void)state;
	struct sl_wbuf w = sl_wbuf_of(space, sizeof(space));
	t_store_rq(&w, 11, NULL, 0);
	start();
	fragment(PCID, true, true, w.base, w.len, w.len);
	assert_int_equal(heard.commands, 1);
	assert_int_equal(heard.cmd_status, SL_E_COMMAND);
	assert_string_equal(msg.diag.text, "missing AffectedSOPInstanceUID");
	fragment(PCID, false, true, "abcd", 4, 1);
	assert_int_equal(heard.ends, 1);
	assert_string_equal(msg.diag.text, "missing AffectedSOPInstanceUID");
	w = store_rq(12, 0x0101);
	fragment(PCID, true, true, w.base, w.len, w.len);
	assert_int_equal(heard.cmd_status, SL_OK);
	assert_int_equal(msg.diag.status, SL_OK);
}

static void D1_a_fault_that_cannot_be_answered_aborts_as_the_user(void **state)
{
	(void)state;
	struct sl_wbuf w = store_rq(1, 0x0101);
	start();
	fragment(PCID, true, true, w.base, 30, 30);
	expect_abort(0, 0, "element (0000,0002) runs past the end of the command set");
	assert_int_equal(heard.commands, 0);
	start();
	fragment(PCID, true, true, "", 0, 1);
	expect_abort(0, 0, "missing CommandField, missing MessageID, missing CommandDataSetType");
}

static void D1_a_cancel_between_messages_is_told(void **state)
{
	(void)state;
	struct sl_wbuf w = sl_wbuf_of(space, sizeof(space));
	t_begin(&w);
	t_us(&w, 0x0100, 0x0FFF);
	t_us(&w, 0x0120, 4);
	t_us(&w, 0x0800, 0x0101);
	t_end(&w);
	start();
	fragment(PCID, true, true, w.base, w.len, w.len);
	assert_int_equal(heard.st, SL_AGAIN);
	assert_int_equal(heard.field, SL_CMD_C_CANCEL_RQ);
	assert_false(heard.has_data_set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(U11_any_cut_gives_the_same_message),
		cmocka_unit_test(U11_the_decoders_slices_make_the_same_message),
		cmocka_unit_test(U11_empty_fragments_mean_nothing),
		cmocka_unit_test(D2_0101_means_no_data_set_and_the_next_message_follows),
		cmocka_unit_test(U11_a_context_that_was_not_accepted_aborts),
		cmocka_unit_test(U11_a_change_of_context_within_a_message_aborts),
		cmocka_unit_test(U11_data_before_a_command_aborts),
		cmocka_unit_test(U11_a_command_before_the_end_of_the_data_aborts),
		cmocka_unit_test(D1_a_command_set_over_the_limit_aborts),
		cmocka_unit_test(D1_a_fault_that_can_be_answered_is_told_and_its_data_taken),
		cmocka_unit_test(D1_a_fault_that_cannot_be_answered_aborts_as_the_user),
		cmocka_unit_test(D1_a_cancel_between_messages_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
