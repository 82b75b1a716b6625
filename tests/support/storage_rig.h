/* A whole storage on a fresh folder, and objects sent into it from the calling thread: for tests.
 *
 * The rig stands where a connection stands: it makes data sets, cuts them into parts, and waits for
 * on_done. Its folder is removed at the end.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/wbuf.h"
#include "storage/storage.h"

#define RIG_SLABS 16
#define RIG_SLAB  (64 * SL_KIB)

struct rig {
	char folder[64];
	struct sl_storage storage;
	struct sl_storage_conf conf;
	struct sl_slab_pool pool;
	struct sl_slab slots[RIG_SLABS];
	uint8_t *mem;
	struct iovec iov[RIG_SLABS][SL_PART_IOV];
	struct sl_part parts[RIG_SLABS];
	pthread_mutex_t lock;
	pthread_cond_t news;
	enum sl_duplicates duplicates; /* policy for what is begun from now on */
};

/* One object on its way. */
struct rig_object {
	struct sl_object o;
	struct rig *rig;
	bool is_done;
	unsigned in_flight;
};

static inline uint64_t rig_now(void *arg)
{
	struct timespec ts;
	(void)arg;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static atomic_llong rig_wall_ms = 1700000000000; /* what the wall clock says [Unix ms] */

static inline int64_t rig_wall(void *arg)
{
	(void)arg;
	return atomic_load(&rig_wall_ms);
}

static inline void rig_random(void *arg, void *bytes, size_t n)
{
	(void)arg;
	memset(bytes, 0x5a, n);
}

static const struct sl_env rig_env = {rig_now, rig_wall, rig_random, NULL};

static inline void rig_open_storage(struct rig *r)
{
	const struct sl_storage_news news = {0};
	struct sl_diag d = {0};
	r->conf.root = r->folder;
	if (sl_storage_open(&r->storage, &r->conf, &news, &rig_env, &d) != SL_OK) {
		fprintf(stderr, "rig: %s: %s\n", d.where, d.text);
		abort();
	}
}

static inline void rig_open(struct rig *r)
{
	const char *tmp = getenv("TMPDIR");
	memset(r, 0, sizeof(*r));
	snprintf(r->folder, sizeof(r->folder), "%.40s/sluice-test-XXXXXX",
		tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(r->folder) == NULL)
		abort();
	r->conf = (struct sl_storage_conf){
		.index_path = "",
		.group = "",
		.is_durable = true,
		.threads = 4,
		.map_size = SL_GIB,
		.water = {.low = {.share = 75},
			.high = {.share = 99},
			.full = {.share = 99.9},
			.reserve_step = SL_MIB,
			.reserve_max = 20 * SL_GIB},
		.ingest = {.is_durable = true,
			.max_object = SL_GIB,
			.inflate_max = SL_MIB,
			.elem = SL_ELEM_LIMITS_DEFAULT},
		.indexer = {.batch = 64, .max_delay_ms = 5},
	};
	r->mem = aligned_alloc(4096, RIG_SLABS * RIG_SLAB);
	sl_slab_pool_init(&r->pool, r->slots, r->mem, RIG_SLAB, RIG_SLABS);
	for (size_t i = 0; i < RIG_SLABS; i++)
		sl_part_init(&r->parts[i], r->iov[i], SL_PART_IOV);
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->news, NULL);
	rig_open_storage(r);
}

static inline void rig_close(struct rig *r)
{
	char command[128];
	sl_storage_close(&r->storage);
	free(r->mem);
	snprintf(command, sizeof(command), "rm -rf %s", r->folder);
	if (system(command) != 0)
		abort();
}

static inline void rig_on_part(struct sl_object *o, struct sl_part *p)
{
	struct rig_object *x = o->owner;
	(void)p;
	pthread_mutex_lock(&x->rig->lock);
	x->in_flight--;
	pthread_cond_broadcast(&x->rig->news);
	pthread_mutex_unlock(&x->rig->lock);
}

static inline void rig_on_done(struct sl_object *o)
{
	struct rig_object *x = o->owner;
	pthread_mutex_lock(&x->rig->lock);
	x->is_done = true;
	pthread_cond_broadcast(&x->rig->news);
	pthread_mutex_unlock(&x->rig->lock);
}

/* A part with a copy of n bytes; waits for a buffer. */
static inline struct sl_part *rig_part(struct rig *r, const void *bytes, size_t n)
{
	struct sl_slab *s;
	while ((s = sl_slab_get(&r->pool)) == NULL)
		usleep(100);
	struct sl_part *p = &r->parts[s->index];
	memcpy(s->base, bytes, n);
	if (sl_part_hold(p, s) != SL_OK || sl_part_add(p, s->base, n) != SL_OK)
		abort();
	sl_slab_put(s);
	return p;
}

static inline void rig_begin(struct rig *r, struct rig_object *x, const char *class_uid,
	const char *instance, const char *ts)
{
	const struct sl_ingest_params params = {
		.sop_class_uid = sl_uid_of(class_uid),
		.sop_instance_uid = sl_uid_of(instance),
		.transfer_syntax_uid = sl_uid_of(ts),
		.calling = sl_ae_of("RIG"),
		.called = sl_ae_of("SLUICE"),
		.duplicates = r->duplicates,
	};
	/* As a connection's object looks: of its last life, whatever that was. */
	memset(&x->o, 0xA5, sizeof(x->o));
	x->is_done = false;
	x->in_flight = 0;
	x->rig = r;
	x->o.owner = x;
	x->o.on_part = rig_on_part;
	x->o.on_done = rig_on_done;
	(void)!sl_ingest_begin(r->storage.ingest, &x->o, &params);
}

/* All bytes in parts of `piece`, the last one with finish. Does not wait for the end. */
static inline void rig_send(
	struct rig *r, struct rig_object *x, const void *bytes, size_t n, size_t piece)
{
	const uint8_t *b = bytes;
	while (n > piece) {
		struct sl_part *p = rig_part(r, b, piece);
		pthread_mutex_lock(&r->lock);
		while (x->in_flight >= SL_INGEST_WINDOW)
			pthread_cond_wait(&r->news, &r->lock);
		x->in_flight++;
		pthread_mutex_unlock(&r->lock);
		sl_ingest_append(&x->o, p);
		b += piece;
		n -= piece;
	}
	struct sl_part *last = n > 0 ? rig_part(r, b, n) : NULL;
	pthread_mutex_lock(&r->lock);
	x->in_flight += last != NULL;
	pthread_mutex_unlock(&r->lock);
	sl_ingest_finish(&x->o, last, 0);
}

static inline void rig_wait(struct rig *r, struct rig_object *x)
{
	pthread_mutex_lock(&r->lock);
	while (!x->is_done)
		pthread_cond_wait(&r->news, &r->lock);
	pthread_mutex_unlock(&r->lock);
}

/* ---- data sets, explicit VR little endian ---- */

static inline void rig_elem(struct sl_wbuf *w, uint32_t tag, const char *vr, const char *value)
{
	size_t n = strlen(value);
	sl_wbuf_le16(w, (uint16_t)(tag >> 16));
	sl_wbuf_le16(w, (uint16_t)tag);
	sl_wbuf_put(w, vr, 2);
	sl_wbuf_le16(w, (uint16_t)(n + n % 2));
	sl_wbuf_put(w, value, n);
	if (n % 2 != 0)
		sl_wbuf_u8(w, strcmp(vr, "UI") == 0 ? 0 : ' ');
}

#define RIG_CT  "1.2.840.10008.5.1.4.1.1.2"
#define RIG_ELE "1.2.840.10008.1.2.1"

/* A CT-like object with `pixels` bytes of (7FE0,0010), each `fill`. Returns its length. */
static inline size_t rig_dataset(uint8_t *out, size_t cap, const char *class_uid,
	const char *instance, size_t pixels, uint8_t fill)
{
	struct sl_wbuf w = sl_wbuf_of(out, cap);
	rig_elem(&w, 0x00080016, "UI", class_uid);
	rig_elem(&w, 0x00080018, "UI", instance);
	rig_elem(&w, 0x00080060, "CS", "CT");
	rig_elem(&w, 0x00100010, "PN", "Doe^Jane");
	rig_elem(&w, 0x00100020, "LO", "P1");
	rig_elem(&w, 0x0020000D, "UI", "1.2.3.4");
	rig_elem(&w, 0x0020000E, "UI", "1.2.3.4.5");
	sl_wbuf_le16(&w, 0x7FE0);
	sl_wbuf_le16(&w, 0x0010);
	sl_wbuf_put(&w, "OW\0", 4);
	sl_wbuf_le32(&w, (uint32_t)pixels);
	sl_wbuf_fill(&w, fill, pixels);
	if (w.bad)
		abort();
	return w.len;
}
