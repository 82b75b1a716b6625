/* The floor: recv, write, sync, a fixed answer; a thread for each association, no parsing but of PDU heads.
 * What goes into a file is what came: an object's PDUs, in one write unless they outgrow the buffer.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/floor.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void need(bool is_good, const char *what)
{
	if (is_good)
		return;
	perror(what);
	exit(1);
}

/* Ends when a sync that began after this call has ended; whoever finds none running does it for all. */
static void sync_folder(struct sl_floor *f)
{
	pthread_mutex_lock(&f->lock);
	for (uint64_t mine = f->begun + 1; f->ended < mine;) {
		if (f->begun > f->ended) {
			pthread_cond_wait(&f->done, &f->lock);
			continue;
		}
		f->begun++;
		pthread_mutex_unlock(&f->lock);
		need(fsync(f->folder) == 0, "fsync");
		pthread_mutex_lock(&f->lock);
		f->ended++;
		pthread_cond_broadcast(&f->done);
	}
	pthread_mutex_unlock(&f->lock);
}

static void keep(struct sl_floor_seat *s, size_t n, bool is_last)
{
	char name[16];
	if (s->file < 0) {
		snprintf(name, sizeof(name), "%u", atomic_fetch_add(&s->floor->files, 1));
		s->file = openat(s->floor->folder, name, O_WRONLY | O_CREAT | O_EXCL, 0440);
	}
	need(s->file >= 0 && write(s->file, s->buffer, n) == (ssize_t)n, "write");
	if (!is_last)
		return;
	need(s->floor->sync == SL_FLOOR_NONE || fdatasync(s->file) == 0, "fdatasync");
	close(s->file);
	s->file = -1;
	if (s->floor->sync == SL_FLOOR_NAMED)
		sync_folder(s->floor);
}

/* A request, an object (all that is in the buffer up to len) or an end is whole. False: hang up. */
static bool answer(struct sl_floor_seat *s, uint8_t *pdu, size_t len)
{
	uint8_t rsp[SL_FLOOR_RSP_LEN];
	switch (pdu[0]) {
	case 1:
		return len <= SL_FLOOR_RQ_MAX &&
		       send(s->socket, pdu, sl_floor_accept(pdu, len), MSG_NOSIGNAL) > 0;
	case 4:
		keep(s, len, true);
		sl_floor_store_rsp(s, rsp);
		return send(s->socket, rsp, sizeof(rsp), MSG_NOSIGNAL) > 0;
	case 5:
		(void)send(s->socket, sl_floor_release_rp, SL_FLOOR_RP_LEN, MSG_NOSIGNAL);
		return false;
	default:
		return false;
	}
}

void *sl_floor_serve(void *seat)
{
	struct sl_floor_seat *s = seat;
	uint8_t *b = s->buffer;
	size_t have = 0, whole = 0; /* bytes in the buffer; of whole PDUs */
	bool is_on = true;
	while (is_on) {
		ssize_t n = recv(s->socket, b + have, sizeof(s->buffer) - have, 0);
		is_on = n > 0;
		have += is_on ? (size_t)n : 0;
		while (is_on && have - whole >= 6 &&
			have - whole - 6 >= sl_floor_be32(b + whole + 2)) {
			uint8_t *pdu = b + whole;
			whole += 6 + sl_floor_be32(pdu + 2);
			if (pdu[0] == 4 && !sl_floor_ends_object(s, pdu + 6, b + whole))
				continue;
			is_on = answer(s, pdu, whole);
			memmove(b, b + whole, have -= whole);
			whole = 0;
		}
		if (is_on && have == sizeof(s->buffer)) {
			is_on = whole > 0;
			keep(s, whole, false);
			memmove(b, b + whole, have -= whole);
			whole = 0;
		}
	}
	sl_floor_leave(s);
	return NULL;
}
