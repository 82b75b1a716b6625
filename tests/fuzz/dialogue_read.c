/* Reads a peer's bytes without the decoder that is under test: see dialogue.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "core/cmd.h"
#include "core/pdu.h"
#include "tests/fuzz/dialogue.h"

struct reading {
	struct dialogue *d;
	struct dialogue_message *open; /* its data set is coming in; NULL: a command comes next */
	uint8_t command[SL_CMD_MAX];
	size_t command_n;
};

size_t dialogue_pdu(const uint8_t *stream, size_t n, size_t *at)
{
	size_t left = n - *at;
	const uint8_t *p = stream + *at;
	if (left < SL_PDU_HEAD_LEN) {
		*at = n;
		return left;
	}
	size_t len = (size_t)p[2] << 24 | (size_t)p[3] << 16 | (size_t)p[4] << 8 | p[5];
	size_t taken = SL_PDU_HEAD_LEN + sl_min(len, left - SL_PDU_HEAD_LEN);
	*at += taken;
	return taken;
}

/* The command set is whole: a message begins. */
static void begin_message(struct reading *r)
{
	static struct sl_cmd cmd;
	struct dialogue *d = r->d;
	enum sl_status st = sl_cmd_decode(&cmd, r->command, r->command_n, NULL);
	r->command_n = 0;
	if ((st != SL_OK && st != SL_E_COMMAND) || d->messages_n == DIALOGUE_MESSAGES)
		return;
	struct dialogue_message *m = &d->messages[d->messages_n++];
	*m = (struct dialogue_message){.id = cmd.message_id,
		.is_store = cmd.field == SL_CMD_C_STORE_RQ,
		.is_whole = !sl_cmd_has_data_set(&cmd),
		.uid = cmd.affected_instance,
		.at = d->n};
	r->open = m->is_whole ? NULL : m;
}

/* False: the stream cannot be followed any more. */
static bool read_fragment(struct reading *r, uint8_t control, const uint8_t *p, size_t n)
{
	bool is_command = (control & 1) != 0, is_last = (control & 2) != 0;
	if (is_command == (r->open != NULL))
		return false;
	if (is_command) {
		if (n > sizeof(r->command) - r->command_n)
			return false;
		memcpy(r->command + r->command_n, p, n);
		r->command_n += n;
		if (is_last)
			begin_message(r);
		return true;
	}
	memcpy(r->d->bytes + r->d->n, p, n);
	r->d->n += n;
	r->open->n += n;
	r->open->is_whole = is_last;
	if (is_last)
		r->open = NULL;
	return true;
}

static bool read_pdata(struct reading *r, const uint8_t *p, size_t n)
{
	while (n >= SL_PDU_PDV_HEAD_LEN) {
		size_t len = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
		if (len < 2 || len > n - 4)
			return false;
		if (!read_fragment(r, p[5], p + SL_PDU_PDV_HEAD_LEN, len - 2))
			return false;
		p += 4 + len;
		n -= 4 + len;
	}
	return true;
}

void dialogue_read(struct dialogue *d, const uint8_t *stream, size_t n)
{
	struct reading r = {.d = d};
	d->messages_n = 0;
	d->n = 0;
	for (size_t at = 0, from = 0; at < n; from = at) {
		size_t len = dialogue_pdu(stream, n, &at);
		if (len > SL_PDU_HEAD_LEN && stream[from] == SL_PDU_PDATA_TF &&
			!read_pdata(&r, stream + from + SL_PDU_HEAD_LEN, len - SL_PDU_HEAD_LEN))
			return;
	}
}
