/* What no key can say alone.
 *
 * Each check names the key the user would change, where it stands, and what to write.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "conf/unit.h"
#include "conf/value.h"

struct check {
	const struct sl_conf *conf;
	const char *name;
	struct sl_conf_errors *errors;
};

#define AT(c, key)     (&(c)->conf->at[SL_CONF_##key])
#define IS_BAD(c, key) (AT(c, key)->is_bad)

/* True when a leaves more room than b: a lower share, or more bytes free. Marks of different kinds
 * cannot be compared before the disk is known; the start does that. */
static bool is_below(const struct sl_conf_mark *a, const struct sl_conf_mark *b)
{
	if (a->is_free_bytes != b->is_free_bytes)
		return true;
	return a->is_free_bytes ? a->free_bytes > b->free_bytes : a->hundredths < b->hundredths;
}

static void check_marks(const struct check *c)
{
	const struct sl_conf_storage *s = &c->conf->storage;
	char low[SL_UNIT_TEXT_MAX], high[SL_UNIT_TEXT_MAX], full[SL_UNIT_TEXT_MAX];
	sl_unit_mark_text(&s->low_watermark, low);
	sl_unit_mark_text(&s->high_watermark, high);
	sl_unit_mark_text(&s->full_watermark, full);
	bool is_any_bad = IS_BAD(c, storage_low_watermark) || IS_BAD(c, storage_high_watermark) ||
			  IS_BAD(c, storage_full_watermark);
	if (is_any_bad)
		return;
	if (!is_below(&s->low_watermark, &s->high_watermark))
		sl_conf_complain(c->errors, c->name, AT(c, storage_low_watermark),
			"storage.low_watermark: \"%s\" is not below high_watermark \"%s\"", low,
			high);
	if (!is_below(&s->high_watermark, &s->full_watermark))
		sl_conf_complain(c->errors, c->name, AT(c, storage_high_watermark),
			"storage.high_watermark: \"%s\" is not below full_watermark \"%s\"", high,
			full);
}

static void check_bind(const struct check *c)
{
	const struct sl_conf_dicom *d = &c->conf->dicom;
	if (IS_BAD(c, dicom_bind) || IS_BAD(c, dicom_accept_unknown_peers))
		return;
	if (d->bind_n == 0)
		sl_conf_complain(c->errors, c->name, AT(c, dicom_bind),
			"dicom.bind: is empty; write [\"127.0.0.1\"] or the address of a network "
			"card");
	for (size_t i = 0; i < d->bind_n; i++) {
		bool is_loopback = false;
		for (size_t j = 0; j < i; j++)
			if (strcmp(d->bind[i], d->bind[j]) == 0)
				sl_conf_complain(c->errors, c->name, AT(c, dicom_bind),
					"dicom.bind: \"%s\" is listed twice", d->bind[i]);
		if (c->conf->peer_n > 0 || d->accept_unknown_peers ||
			!sl_unit_addr(d->bind[i], &is_loopback) || is_loopback)
			continue;
		sl_conf_complain(c->errors, c->name, AT(c, dicom_bind),
			"dicom.bind: \"%s\" can be reached from other hosts, and nobody is listed "
			"who may "
			"come; add a [[peer]] for each, or write under [dicom]: "
			"accept_unknown_peers = true",
			d->bind[i]);
		break;
	}
}

static void check_pages(const struct check *c, enum sl_conf_key_id id, uint64_t bytes)
{
	const struct sl_conf_key *key = &sl_conf_keys[id];
	char text[SL_UNIT_TEXT_MAX];
	sl_unit_size_text(bytes, text);
	if (bytes % (4 * SL_KIB) != 0 && !c->conf->at[id].is_bad)
		sl_conf_complain(c->errors, c->name, &c->conf->at[id],
			"%s.%s: %s is no multiple of 4KiB, the size of a page", key->group,
			key->name, text);
}

static void check_sizes(const struct check *c)
{
	const struct sl_conf *conf = c->conf;
	check_pages(c, SL_CONF_dicom_recv_area, conf->dicom.recv_area);
	check_pages(c, SL_CONF_pool_buffer_size, conf->pool.buffer_size);
	check_pages(c, SL_CONF_index_map_size, conf->index.map_size);
	if (conf->dicom.max_pdu % 2 != 0 && !IS_BAD(c, dicom_max_pdu))
		sl_conf_complain(c->errors, c->name, AT(c, dicom_max_pdu),
			"dicom.max_pdu: must be even, as the fragments in it are (PS3.8 annex E)");
	if (conf->storage.root[0] == '\0' && !IS_BAD(c, storage_root))
		sl_conf_complain(c->errors, c->name, AT(c, storage_root),
			"storage.root: is empty; write the folder that shall hold the objects");
	if (conf->http.port != 0 && !IS_BAD(c, http_port))
		sl_conf_complain(c->errors, c->name, AT(c, http_port),
			"http.port: the HTTP service is not built yet; write 0");
}

static void check_peer(const struct check *c, size_t i)
{
	const struct sl_conf_peer *p = &c->conf->peer[i];
	const struct sl_conf_pos *pos = &c->conf->peer_at[i];
	if (pos->is_bad)
		return;
	if (p->ae_title[0] == '\0')
		sl_conf_complain(c->errors, c->name, pos, "[[peer]] has no ae_title");
	if (p->host[0] == '\0' && p->port != 0)
		sl_conf_complain(
			c->errors, c->name, pos, "[[peer]] %s has a port but no host", p->ae_title);
	if (p->host[0] != '\0' && p->port == 0)
		sl_conf_complain(
			c->errors, c->name, pos, "[[peer]] %s has a host but no port", p->ae_title);
	for (size_t j = 0; j < i; j++)
		if (p->ae_title[0] != '\0' && strcmp(p->ae_title, c->conf->peer[j].ae_title) == 0)
			sl_conf_complain(c->errors, c->name, pos,
				"[[peer]] %s is listed in line %u already; give that one all "
				"addresses in its from",
				p->ae_title, c->conf->peer_at[j].line);
}

enum sl_status sl_conf_check(
	const struct sl_conf *conf, const char *name, struct sl_conf_errors *errors)
{
	const struct check c = {conf, name, errors};
	size_t before = errors->n + errors->more_n;
	check_bind(&c);
	check_marks(&c);
	check_sizes(&c);
	for (size_t i = 0; i < conf->peer_n; i++)
		check_peer(&c, i);
	return errors->n + errors->more_n == before ? SL_OK : SL_E_CONFIG;
}
