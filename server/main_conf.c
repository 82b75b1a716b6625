/* Key by key; what the file calls milliseconds, bytes and words is the same here.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/main_conf.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static struct sl_ae ae_of(const char *title)
{
	struct sl_ae ae = {0};
	(void)!sl_ae_parse(&ae, title, strlen(title)); /* conf/ has checked it */
	return ae;
}

static size_t uids_of(
	struct sl_uid *out, size_t cap, const sl_conf_syntax_t *syntaxes, size_t syntaxes_n)
{
	size_t n = 0;
	for (size_t i = 0; i < syntaxes_n && n < cap; i++)
		if (sl_uid_parse(&out[n], syntaxes[i], strlen(syntaxes[i])) == SL_OK)
			n++;
	return n;
}

static enum sl_duplicates duplicates_of(
	enum sl_conf_peer_duplicates peer, enum sl_conf_duplicates node)
{
	switch (peer) {
	case SL_CONF_PEER_DUPLICATES_REFUSE:
		return SL_DUP_REFUSE;
	case SL_CONF_PEER_DUPLICATES_LATEST:
		return SL_DUP_LATEST;
	case SL_CONF_PEER_DUPLICATES_FIRST:
		return SL_DUP_FIRST;
	case SL_CONF_PEER_DUPLICATES_INHERIT:
		break;
	}
	switch (node) {
	case SL_CONF_DUPLICATES_LATEST:
		return SL_DUP_LATEST;
	case SL_CONF_DUPLICATES_FIRST:
		return SL_DUP_FIRST;
	case SL_CONF_DUPLICATES_REFUSE:
		break;
	}
	return SL_DUP_REFUSE;
}

/* What is accepted of a peer, and which transfer syntaxes first. A UID that cannot be preferred was
 * named by sl_main_conf_check(). */
static void fill_policy(struct sl_nego_policy *policy, const struct sl_conf *conf,
	uint32_t services, const sl_conf_syntax_t *prefer, size_t prefer_n)
{
	struct sl_uid uids[SL_REGISTRY_TS_MAX];
	size_t bad;
	sl_nego_policy_init(policy);
	policy->accept_unknown_classes = conf->dicom.accept_unknown_sop_classes;
	policy->async_max = (uint16_t)conf->dicom.async_window;
	if ((services & 1U << SL_CONF_SERVICE_ECHO) == 0)
		policy->served &= ~(1U << SL_SOP_VERIFICATION);
	if ((services & 1U << SL_CONF_SERVICE_STORE) == 0)
		policy->served &= ~(1U << SL_SOP_STORAGE);
	(void)!sl_nego_policy_prefer(
		policy, uids, uids_of(uids, SL_ARRAY_N(uids), prefer, prefer_n), &bad);
}

static void fill_peer(
	struct sl_peer *out, const struct sl_conf_peer *peer, const struct sl_conf *conf)
{
	const sl_conf_syntax_t *prefer = peer->prefer_n > 0 ? peer->prefer : conf->dicom.prefer;
	size_t prefer_n = peer->prefer_n > 0 ? peer->prefer_n : conf->dicom.prefer_n;
	out->ae_title = ae_of(peer->ae_title);
	for (size_t i = 0; i < peer->from_n && i < SL_PEER_NETS_MAX; i++)
		out->from[out->from_n++] = sl_net_of(
			peer->from[i].is_v6, peer->from[i].addr, peer->from[i].prefix_len);
	out->max_associations = (uint32_t)peer->max_associations;
	out->duplicates = duplicates_of(peer->duplicates, conf->storage.duplicates);
	fill_policy(&out->nego, conf, peer->services, prefer, prefer_n);
}

static void fill_charsets(struct sl_main_conf *out, const struct sl_conf *conf)
{
	struct sl_charsets *charsets = &out->storage.charsets;
	snprintf(charsets->other, sizeof(charsets->other), "%s", conf->dicom.charset);
	charsets->rules = out->charset;
	charsets->n = out->peers.peer_n;
	for (size_t i = 0; i < charsets->n; i++) {
		struct sl_charset_rule *rule = &out->charset[i];
		const char *own = conf->peer[i].charset;
		rule->calling = out->peer[i].ae_title;
		snprintf(rule->term, sizeof(rule->term), "%s",
			own[0] != '\0' ? own : charsets->other);
		memcpy(out->peer[i].charset, rule->term, sizeof(rule->term));
	}
	memcpy(out->peers.unlisted.charset, charsets->other, sizeof(charsets->other));
}

static void fill_peers(struct sl_main_conf *out, const struct sl_conf *conf)
{
	struct sl_peers_conf *peers = &out->peers;
	peers->accepts_unknown = conf->dicom.accept_unknown_peers;
	peers->unlisted.duplicates =
		duplicates_of(SL_CONF_PEER_DUPLICATES_INHERIT, conf->storage.duplicates);
	fill_policy(
		&peers->unlisted.nego, conf, UINT32_MAX, conf->dicom.prefer, conf->dicom.prefer_n);
	peers->peer_n = sl_min(conf->peer_n, SL_PEERS_MAX);
	peers->peer = out->peer;
	for (size_t i = 0; i < peers->peer_n; i++)
		fill_peer(&out->peer[i], &conf->peer[i], conf);
}

static void fill_server(struct sl_server_conf *out, const struct sl_conf *conf)
{
	const struct sl_conf_dicom *dicom = &conf->dicom;
	out->ae_title = ae_of(dicom->ae_title);
	for (size_t i = 0; i < dicom->bind_n && i < SL_LISTEN_MAX; i++)
		snprintf(out->listen.addr[out->listen.addr_n++], SL_LISTEN_ADDR, "%s",
			dicom->bind[i]);
	out->listen.port = (uint16_t)dicom->port;
	out->loops = (unsigned)dicom->loops;
	out->max_associations = (uint32_t)dicom->max_associations;
	out->async_window = (uint16_t)dicom->async_window;
	out->max_pdu = (uint32_t)dicom->max_pdu;
	out->recv_area = dicom->recv_area;
	out->buffer_size = conf->pool.buffer_size;
	out->buffers = (uint32_t)conf->pool.buffers;
	struct sl_assoc_conf *assoc = &out->assoc;
	for (size_t i = 0; i < dicom->ae_aliases_n && i < SL_ASSOC_ALIASES; i++)
		assoc->ae_aliases[assoc->ae_aliases_n++] = ae_of(dicom->ae_aliases[i]);
	assoc->checks_called_ae = dicom->check_called_ae;
	assoc->artim_ms = (uint32_t)dicom->artim_timeout;
	assoc->idle_ms = (uint32_t)dicom->idle_timeout;
	assoc->min_rate = (uint32_t)dicom->min_rate;
	assoc->min_rate_window_ms = (uint32_t)dicom->min_rate_window;
}

static struct sl_water_mark mark_of(const struct sl_conf_mark *mark)
{
	return (struct sl_water_mark){
		.is_free_bytes = mark->is_free_bytes,
		.share = mark->hundredths / 100.0,
		.free_bytes = mark->free_bytes,
	};
}

static void fill_storage(struct sl_storage_conf *out, const struct sl_conf *conf)
{
	const struct sl_conf_storage *storage = &conf->storage;
	out->root = storage->root;
	out->index_path = conf->index.path;
	out->group = storage->group;
	out->is_durable = storage->durability == SL_CONF_DURABILITY_FSYNC;
	out->threads = (unsigned)storage->threads;
	out->names_ahead = (unsigned)storage->names_ahead;
	out->map_size = conf->index.map_size;
	out->keep_ms = conf->index.checkpoint;
	out->water = (struct sl_water_conf){
		.low = mark_of(&storage->low_watermark),
		.high = mark_of(&storage->high_watermark),
		.full = mark_of(&storage->full_watermark),
		.quota = storage->quota,
		.reserve_step = sl_max64(storage->reserve_step, conf->pool.buffer_size),
		.reserve_max = storage->reserve_max,
	};
	out->ingest = (struct sl_ingest_conf){
		.is_durable = out->is_durable,
		.keeps_quarantine = storage->quarantine,
		.unsound = storage->unsound == SL_CONF_UNSOUND_KEEP   ? SL_UNSOUND_KEEP
			   : storage->unsound == SL_CONF_UNSOUND_WARN ? SL_UNSOUND_WARN
								      : SL_UNSOUND_REFUSE,
		.max_object = storage->max_object,
		.inflate_max = conf->dicom.inflate_max,
		.elem = {.depth = (uint32_t)conf->dicom.max_depth,
			.elements = (uint32_t)conf->dicom.max_elements,
			.value_len = conf->dicom.max_value},
	};
	out->evict = (struct sl_evict_conf){
		.is_on = storage->policy == SL_CONF_POLICY_EVICT,
		.min_age_ms = storage->evict_min_age,
		.keep_percent = (uint32_t)storage->evict_keep,
	};
	out->indexer = (struct sl_indexer_conf){
		.batch = (uint32_t)conf->index.batch,
		.max_delay_ms = (uint32_t)conf->index.max_delay,
	};
}

static void fill_log(struct sl_log_conf *out, const struct sl_conf *conf, const struct sl_env *env)
{
	static const enum sl_log_level levels[] = {
		[SL_CONF_LEVEL_DEBUG] = SL_LOG_DEBUG,
		[SL_CONF_LEVEL_INFO] = SL_LOG_INFO,
		[SL_CONF_LEVEL_WARN] = SL_LOG_WARN,
		[SL_CONF_LEVEL_ERROR] = SL_LOG_ERROR,
	};
	static const enum sl_log_identifiers identifiers[] = {
		[SL_CONF_IDENTIFIERS_NONE] = SL_LOG_ID_NONE,
		[SL_CONF_IDENTIFIERS_HASH] = SL_LOG_ID_HASH,
		[SL_CONF_IDENTIFIERS_UID] = SL_LOG_ID_UID,
	};
	out->level = levels[conf->log.level];
	out->identifiers = identifiers[conf->log.identifiers];
	out->is_json = conf->log.format == SL_CONF_FORMAT_JSON;
	out->is_utc = conf->log.time == SL_CONF_TIME_UTC;
	out->path = conf->log.file;
	out->env = env;
}

void sl_main_conf_fill(
	struct sl_main_conf *out, const struct sl_conf *conf, const struct sl_env *env)
{
	memset(out, 0, sizeof(*out));
	fill_log(&out->log, conf, env);
	fill_storage(&out->storage, conf);
	fill_server(&out->server, conf);
	fill_peers(out, conf);
	fill_charsets(out, conf);
	/* One for each connection, two for an object in work and its rival, the names made ahead, and
	 * what is always open. */
	out->descriptors = out->server.max_associations + SL_SERVER_SPARE +
			   2ull * out->storage.threads + out->server.max_associations +
			   out->storage.names_ahead + 64;
	out->server.highest_fd = (int)out->descriptors;
	struct sl_server_sizes sizes = sl_server_sizes(&out->server);
	sl_limits_sum(&out->memory, sizes.pool, out->server.max_associations);
	out->memory.associations = sizes.total - sizes.pool;
	out->memory.tables = sl_storage_memory(&out->storage) + SL_LOG_RING;
}

void sl_main_conf_mark(const struct sl_conf_mark *mark, char *buf, size_t cap)
{
	if (mark->is_free_bytes)
		snprintf(buf, cap, "free %" PRIu64 "MiB", mark->free_bytes / SL_MIB);
	else
		snprintf(buf, cap, "%u.%02u%%", mark->hundredths / 100, mark->hundredths % 100);
}

/* One list of preferred transfer syntaxes. */
static bool check_prefer(
	const char *whose, const sl_conf_syntax_t *prefer, size_t prefer_n, FILE *err)
{
	struct sl_uid uids[SL_REGISTRY_TS_MAX];
	struct sl_nego_policy policy;
	size_t bad;
	sl_nego_policy_init(&policy);
	size_t n = uids_of(uids, SL_ARRAY_N(uids), prefer, prefer_n);
	enum sl_status st = sl_nego_policy_prefer(&policy, uids, n, &bad);
	if (st == SL_OK)
		return true;
	fprintf(err, "%s: prefer: %s %s\n", whose, uids[bad].s,
		st == SL_E_EXISTS ? "comes twice" : "is not a transfer syntax we could accept");
	return false;
}

static bool check_charset(const char *whose, const char *term, FILE *err)
{
	if (term[0] == '\0' || sl_charset_is_term(term))
		return true;
	fprintf(err,
		"%s: charset: \"%s\" is no defined term of PS3.3 C.12.1.1.2 for bytes outside "
		"ASCII, "
		"as \"ISO_IR 100\" is\n",
		whose, term);
	return false;
}

bool sl_main_conf_check(const struct sl_conf *conf, FILE *err)
{
	bool good = check_prefer("dicom", conf->dicom.prefer, conf->dicom.prefer_n, err);
	good &= check_charset("dicom", conf->dicom.charset, err);
	for (size_t i = 0; i < conf->peer_n; i++) {
		const struct sl_conf_peer *peer = &conf->peer[i];
		good &= check_prefer(peer->ae_title, peer->prefer, peer->prefer_n, err);
		good &= check_charset(peer->ae_title, peer->charset, err);
	}
	return good;
}
