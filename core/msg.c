/* The rules of annex E, one function per state.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/msg.h"

void sl_msg_init(struct sl_msg *m)
{
	memset(m, 0, sizeof(*m));
}

void sl_msg_accept(struct sl_msg *m, uint8_t pcid)
{
	m->accepted[pcid / 8] |= (uint8_t)(1u << (pcid % 8));
}

bool sl_msg_is_open(const struct sl_msg *m)
{
	return m->state == SL_MSG_COMMAND || m->state == SL_MSG_DATA;
}

static bool is_accepted(const struct sl_msg *m, uint8_t pcid)
{
	return (m->accepted[pcid / 8] >> (pcid % 8) & 1) != 0;
}

/* A fragment where the rules allow none: invalid PDU parameter value (PS3.8 table 9-26). */
static enum sl_status die_invalid(struct sl_msg *m, const char *why)
{
	m->state = SL_MSG_DEAD;
	m->reason.source = SL_UL_SOURCE_PROVIDER;
	m->reason.reason = SL_UL_ABORT_INVALID_PARAMETER;
	memset(&m->diag, 0, sizeof(m->diag)); /* outranks what was wrong with the open message */
	return sl_fail(&m->diag, SL_E_PDU, 0, "msg/next", "%s", why);
}

/* A command set that cannot be answered is the service user's matter: source 0. Its diagnosis is the
 * decoder's. */
static enum sl_status die_unanswerable(struct sl_msg *m)
{
	m->state = SL_MSG_DEAD;
	m->reason.source = SL_UL_SOURCE_USER;
	m->reason.reason = SL_UL_ABORT_UNSPECIFIED;
	return SL_E_PDU;
}

/* The command set is complete: decodes it and opens or closes the message. */
static enum sl_status end_command(struct sl_msg *m, struct sl_msg_ev *ev)
{
	enum sl_status st = sl_cmd_decode(&m->cmd, m->command, m->command_len, &m->diag);
	if (st != SL_OK && !sl_cmd_is_answerable(&m->cmd))
		return die_unanswerable(m);
	bool has_data_set = sl_cmd_has_data_set(&m->cmd);
	m->state = has_data_set ? SL_MSG_DATA : SL_MSG_IDLE;
	m->data_set_len = 0;
	m->messages_n++;
	*ev = (struct sl_msg_ev){
		.type = SL_MSG_EV_COMMAND,
		.pcid = m->pcid,
		.cmd = &m->cmd,
		.cmd_status = st,
		.has_data_set = has_data_set,
	};
	return SL_OK;
}

static enum sl_status take_command(
	struct sl_msg *m, const struct sl_pdu_pdv *slice, struct sl_msg_ev *ev)
{
	if (slice->len > sizeof(m->command) - m->command_len)
		return die_invalid(m, "a command set over the limit");
	if (slice->len > 0)
		memcpy(m->command + m->command_len, slice->p, slice->len);
	m->command_len = (uint16_t)(m->command_len + slice->len);
	if (!slice->is_last || !slice->fragment_end)
		return SL_AGAIN;
	return end_command(m, ev);
}

static enum sl_status take_data(
	struct sl_msg *m, const struct sl_pdu_pdv *slice, struct sl_msg_ev *ev)
{
	bool is_end = slice->is_last && slice->fragment_end;
	m->data_set_len += slice->len;
	if (is_end)
		m->state = SL_MSG_IDLE;
	else if (slice->len == 0)
		return SL_AGAIN;
	*ev = (struct sl_msg_ev){
		.type = SL_MSG_EV_DATA,
		.pcid = m->pcid,
		.p = slice->p,
		.len = slice->len,
		.is_end = is_end,
	};
	return SL_OK;
}

enum sl_status sl_msg_next(struct sl_msg *m, const struct sl_pdu_pdv *slice, struct sl_msg_ev *ev)
{
	if (m->state == SL_MSG_DEAD)
		return SL_E_PDU;
	if (m->state == SL_MSG_IDLE) {
		memset(&m->diag, 0, sizeof(m->diag));
		if (!is_accepted(m, slice->pcid))
			return die_invalid(m, "a presentation context that was not accepted");
		if (!slice->is_command)
			return die_invalid(m, "a data set without a command");
		m->state = SL_MSG_COMMAND;
		m->pcid = slice->pcid;
		m->command_len = 0;
	}
	if (slice->pcid != m->pcid)
		return die_invalid(m, "the presentation context changed within a message");
	if (m->state == SL_MSG_COMMAND)
		return slice->is_command ? take_command(m, slice, ev)
					 : die_invalid(m, "data before the end of the command");
	return slice->is_command ? die_invalid(m, "a command before the end of the data")
				 : take_data(m, slice, ev);
}
