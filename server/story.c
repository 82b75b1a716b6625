/* The story of one association; see story.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/story.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "core/registry.h"

#define ADDRESS_CAP 64

static const char *const end_words[SL_STORY_END_N] = {
	[SL_STORY_GOES_ON] = "none",
	[SL_STORY_RELEASE] = "release",
	[SL_STORY_ABORT_PEER] = "abort-peer",
	[SL_STORY_ABORT_LOCAL] = "abort-local",
	[SL_STORY_TIMEOUT] = "timeout",
	[SL_STORY_RESET] = "reset",
	[SL_STORY_REFUSED] = "refused",
};

void sl_story_init(struct sl_story *s, struct sl_log *log, struct sl_stats *stats)
{
	memset(s, 0, sizeof(*s));
	s->log = log;
	s->stats = stats;
}

void sl_story_begin(struct sl_story *s, uint64_t id, uint64_t now_ms)
{
	s->id = id;
	s->began_ms = now_ms;
}

/* ---- counting -------------------------------------------------------------------------------- */

static void see_study(struct sl_story *s, const struct sl_uid *study)
{
	if (study->len == 0 || s->studies_n > SL_STORY_STUDIES)
		return;
	uint64_t hash =
		0xcbf29ce484222325; /* FNV-1a: told apart for a number in the log, no more */
	for (size_t i = 0; i < study->len; i++)
		hash = (hash ^ (uint8_t)study->s[i]) * 0x100000001b3;
	for (uint32_t i = s->studies_n; i-- > 0;)
		if (s->studies[i] == hash)
			return;
	if (s->studies_n < SL_STORY_STUDIES)
		s->studies[s->studies_n] = hash;
	s->studies_n++;
}

static void count_failure(struct sl_stats *stats, uint16_t dstat)
{
	_Atomic uint64_t *counter = &stats->failed_other;
	if (dstat == SL_DSTAT_OUT_OF_RESOURCES)
		counter = &stats->failed_full;
	else if (dstat == SL_DSTAT_STORAGE_ERROR)
		counter = &stats->failed_io;
	else if (dstat == SL_DSTAT_DUPLICATE_INSTANCE)
		counter = &stats->failed_conflict;
	else if (dstat == SL_DSTAT_CLASS_MISMATCH)
		counter = &stats->failed_mismatch;
	else if (dstat >= 0xC000 && dstat <= 0xCFFF)
		counter = &stats->failed_content;
	sl_stats_add(counter, 1);
}

static void tell_cause(
	const struct sl_story *s, const struct sl_story_cause *cause, const struct sl_diag *diag)
{
	struct sl_log_line l;
	bool is_version = strcmp(cause->event, "store.version") == 0;
	sl_log_begin(&l, s->log, is_version ? SL_LOG_INFO : SL_LOG_WARN, cause->event);
	sl_log_uint(&l, "id", s->id);
	sl_log_hex(&l, "status", cause->dstat, 4);
	sl_log_str(&l, is_version ? "dup" : "why", cause->why);
	if (strcmp(cause->event, "store.unsound") == 0)
		sl_log_flag(&l, "sound", false);
	const struct sl_sop_row *sop = sl_registry_sop_class(&cause->sop_class);
	sl_log_str(&l, "class", sop != NULL ? sop->name : cause->sop_class.s);
	sl_log_uint(&l, "count", cause->n);
	if (diag != NULL && diag->status != SL_OK) {
		sl_log_str(&l, "at", diag->where);
		sl_log_str(&l, "detail", diag->text);
	}
	sl_log_end(&l);
}

static bool is_same(const struct sl_story_cause *a, const struct sl_story_cause *b)
{
	return a->dstat == b->dstat && strcmp(a->event, b->event) == 0 &&
	       strcmp(a->why, b->why) == 0 && sl_uid_equal(&a->sop_class, &b->sop_class);
}

/* Counts a cause, and tells it when it is new. */
static void note_cause(
	struct sl_story *s, const struct sl_story_cause *seen, const struct sl_diag *diag)
{
	for (uint32_t i = 0; i < s->causes_n; i++)
		if (is_same(&s->causes[i], seen)) {
			s->causes[i].n++;
			return;
		}
	if (s->causes_n ==
		SL_STORY_CAUSES) { /* a colourful peer: the last cause stands for the rest */
		s->causes[SL_STORY_CAUSES - 1].why = "various";
		s->causes[SL_STORY_CAUSES - 1].n++;
		return;
	}
	struct sl_story_cause *c = &s->causes[s->causes_n++];
	*c = *seen;
	c->n = 1;
	tell_cause(s, c, diag);
}

static void fail(struct sl_story *s, uint16_t dstat, const char *why,
	const struct sl_uid *sop_class, const struct sl_diag *diag)
{
	const struct sl_story_cause cause = {
		.event = "store.failed", .dstat = dstat, .why = why, .sop_class = *sop_class};
	s->failed++;
	count_failure(s->stats, dstat);
	note_cause(s, &cause, diag);
}

void sl_story_refused_store(
	struct sl_story *s, uint16_t dstat, const char *why, const struct sl_uid *sop_class)
{
	fail(s, dstat, why, sop_class, NULL);
}

/* Other bytes under a known UID were kept beside those that were there. */
static void note_version(
	struct sl_story *s, const struct sl_result *result, const struct sl_uid *sop_class)
{
	const struct sl_story_cause cause = {
		.event = "store.version",
		.dstat = (uint16_t)sl_verdicts[result->verdict].dstat,
		.why = result->dup == SL_DUP_RECODED ? "recoded" : "changed",
		.sop_class = *sop_class,
	};
	sl_stats_add(&s->stats->objects_version, 1);
	note_cause(s, &cause, NULL);
}

static void count_stored(
	struct sl_story *s, const struct sl_result *result, const struct sl_object *o)
{
	const struct sl_uid *sop_class = &o->params.sop_class_uid;
	s->stored++;
	see_study(s, &o->record.study_instance_uid);
	sl_stats_add(&s->stats->objects_stored, 1);
	sl_stats_add(&s->stats->bytes_stored, result->bytes);
	if (result->dup == SL_DUP_IDENTICAL)
		sl_stats_add(&s->stats->objects_dup, 1);
	if (result->dup != SL_DUP_NONE)
		s->dup++;
	if (sl_registry_sop_class(sop_class) == NULL)
		sl_stats_add(&s->stats->objects_unknown_class, 1);
	if (result->dup == SL_DUP_CHANGED || result->dup == SL_DUP_RECODED)
		note_version(s, result, sop_class);
	if (result->is_sound)
		return;
	const struct sl_story_cause cause = {
		.event = "store.unsound",
		.dstat = (uint16_t)sl_verdicts[result->verdict].dstat,
		.why = result->unsound_why,
		.sop_class = *sop_class,
	};
	s->unsound++;
	sl_stats_add(&s->stats->objects_unsound, 1);
	note_cause(s, &cause, NULL);
}

void sl_story_object(struct sl_story *s, const struct sl_object *o)
{
	const struct sl_result *result = &o->result;
	const struct sl_verdict_row *verdict = &sl_verdicts[result->verdict];
	s->bytes += result->bytes;
	sl_stats_add(&s->stats->bytes_in, result->bytes);
	if (result->verdict == SL_VERDICT_CANCELLED) {
		s->cut++;
		sl_stats_add(&s->stats->objects_cut, 1);
		return;
	}
	sl_stats_size(s->stats, result->bytes);
	switch (sl_dstat_kind_of((uint16_t)verdict->dstat)) {
	case SL_DSTAT_KIND_SUCCESS:
	case SL_DSTAT_KIND_WARNING:
		count_stored(s, result, o);
		break;
	case SL_DSTAT_KIND_FAILURE:
	case SL_DSTAT_KIND_CANCEL:
	case SL_DSTAT_KIND_PENDING:
		if (result->is_quarantined)
			sl_stats_add(&s->stats->objects_quarantined, 1);
		fail(s, (uint16_t)verdict->dstat, verdict->why, &o->params.sop_class_uid,
			&result->diag);
		break;
	}
}

/* ---- telling --------------------------------------------------------------------------------- */

void sl_story_address(char *buf, size_t cap, const struct sockaddr_storage *sa)
{
	char text[INET6_ADDRSTRLEN] = "?";
	if (sa->ss_family == AF_INET) {
		const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)sa;
		inet_ntop(AF_INET, &v4->sin_addr, text, sizeof(text));
		snprintf(buf, cap, "%s:%u", text, ntohs(v4->sin_port));
		return;
	}
	if (sa->ss_family != AF_INET6) {
		snprintf(buf, cap, "?");
		return;
	}
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)sa;
	if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
		inet_ntop(AF_INET, v6->sin6_addr.s6_addr + 12, text, sizeof(text));
		snprintf(buf, cap, "%s:%u", text, ntohs(v6->sin6_port));
		return;
	}
	inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof(text));
	snprintf(buf, cap, "[%s]:%u", text, ntohs(v6->sin6_port));
}

static void put_who(struct sl_log_line *l, const struct sl_story *s, const struct sl_story_who *who)
{
	char peer[ADDRESS_CAP];
	sl_story_address(peer, sizeof(peer), who->from);
	sl_log_uint(l, "id", s->id);
	sl_log_ae(l, "calling", who->nego->calling_field, sizeof(who->nego->calling_field));
	sl_log_ae(l, "called", who->nego->called_field, sizeof(who->nego->called_field));
	sl_log_str(l, "peer", peer);
}

static void put_counts(
	struct sl_log_line *l, const struct sl_story *s, const struct sl_story_who *who)
{
	uint64_t until = s->ended_ms != 0 ? s->ended_ms : who->now_ms;
	uint64_t ms = until - s->began_ms;
	sl_log_uint(l, "stored", s->stored);
	sl_log_uint(l, "failed", s->failed);
	sl_log_uint(l, "dup", s->dup);
	sl_log_uint(l, "bytes", s->bytes);
	sl_log_uint(l, "ms", ms);
	sl_log_rate(l, "rate", s->bytes, ms * 1000000);
	sl_log_uint(l, "wait_peer", who->waited_ms[0]);
	sl_log_uint(l, "wait_disk", who->waited_ms[1]);
	sl_log_uint(l, "wait_pool", who->waited_ms[2]);
}

static void put_peer(struct sl_log_line *l, const struct sl_story_who *who)
{
	const struct sl_nego *n = who->nego;
	if (n->impl_version[0] != '\0')
		sl_log_str(l, "impl", n->impl_version);
	else
		sl_log_str(l, "impl", n->impl_class.len > 0 ? n->impl_class.s : "unnamed");
	sl_log_of(l, "ctx", n->accepted_n, n->contexts_n);
	sl_log_of(l, "pdu", who->max_pdu, n->peer_max_len);
}

void sl_story_accepted(struct sl_story *s, const struct sl_story_who *who)
{
	sl_stats_add(&s->stats->assocs_accepted, 1);
	if (who->nego->accepted_n ==
		0) { /* lawful, useless, and a frequent question to an operator */
		struct sl_log_line l;
		sl_log_begin(&l, s->log, SL_LOG_WARN, "assoc.no_context");
		put_who(&l, s, who);
		put_peer(&l, who);
		sl_log_end(&l);
	}
	if (!sl_log_is_on(s->log, SL_LOG_DEBUG))
		return;
	struct sl_log_line l;
	sl_log_begin(&l, s->log, SL_LOG_DEBUG, "assoc.begin");
	put_who(&l, s, who);
	put_peer(&l, who);
	sl_log_end(&l);
}

void sl_story_tick(struct sl_story *s, const struct sl_story_who *who, uint32_t dt_ms)
{
	s->unprogressed_ms += dt_ms;
	if (s->unprogressed_ms < SL_STORY_PROGRESS_MS)
		return;
	s->unprogressed_ms = 0;
	struct sl_log_line l;
	sl_log_begin(&l, s->log, SL_LOG_INFO, "assoc.progress");
	put_who(&l, s, who);
	put_counts(&l, s, who);
	sl_log_end(&l);
}

void sl_story_ends(struct sl_story *s, enum sl_story_end end, const char *why, const char *note,
	uint64_t now_ms)
{
	if (s->end != SL_STORY_GOES_ON)
		return;
	s->end = end;
	s->why = why;
	s->ended_ms = now_ms;
	snprintf(s->note, sizeof(s->note), "%s", note != NULL ? note : "");
}

static void count_end(const struct sl_story *s)
{
	_Atomic uint64_t *counters[SL_STORY_END_N] = {
		[SL_STORY_RELEASE] = &s->stats->assocs_released,
		[SL_STORY_ABORT_PEER] = &s->stats->assocs_aborted_peer,
		[SL_STORY_ABORT_LOCAL] = &s->stats->assocs_aborted_local,
		[SL_STORY_TIMEOUT] = &s->stats->assocs_timeout,
		[SL_STORY_RESET] = &s->stats->assocs_reset,
	};
	if (counters[s->end] != NULL)
		sl_stats_add(counters[s->end], 1);
}

/* Worth a line: all but those that asked for nothing but an echo, and got it. */
static bool is_worth_telling(const struct sl_story *s)
{
	bool is_bare = s->stored + s->failed + s->cut + s->others + s->bytes == 0;
	return s->end != SL_STORY_RELEASE || !is_bare;
}

void sl_story_tell(struct sl_story *s, const struct sl_story_who *who)
{
	if (s->is_told || s->end == SL_STORY_GOES_ON)
		return;
	s->is_told = true;
	count_end(s);
	for (uint32_t i = 0; i < s->causes_n; i++)
		if (s->causes[i].n > 1)
			tell_cause(s, &s->causes[i], NULL);
	if (!is_worth_telling(s))
		return;
	bool is_well = s->end == SL_STORY_RELEASE && s->failed == 0;
	struct sl_log_line l;
	sl_log_begin(&l, s->log, is_well ? SL_LOG_INFO : SL_LOG_WARN, "assoc.end");
	put_who(&l, s, who);
	put_counts(&l, s, who);
	if (s->end == SL_STORY_REFUSED)
		sl_log_fmt(&l, "end", "refused:%s", s->why);
	else
		sl_log_word(&l, "end", end_words[s->end]);
	if (s->end != SL_STORY_REFUSED && s->why != NULL)
		sl_log_word(&l, "why", s->why);
	if (s->note[0] != '\0')
		sl_log_str(&l, "detail", s->note);
	put_peer(&l, who);
	if (s->studies_n > SL_STORY_STUDIES)
		sl_log_word(&l, "studies", "64+");
	else
		sl_log_uint(&l, "studies", s->studies_n);
	if (s->unsound > 0)
		sl_log_uint(&l, "unsound", s->unsound);
	if (s->cut > 0)
		sl_log_uint(&l, "cut", s->cut);
	sl_log_end(&l);
}

void sl_story_junk(
	struct sl_log *log, enum sl_junk kind, uint64_t n, const struct sockaddr_storage *from)
{
	char peer[ADDRESS_CAP];
	sl_story_address(peer, sizeof(peer), from);
	struct sl_log_line l;
	sl_log_begin(&l, log, SL_LOG_INFO, "junk.on_port");
	sl_log_word(&l, "kind", sl_junk_name(kind));
	sl_log_uint(&l, "n", n);
	sl_log_str(&l, "peer", peer);
	sl_log_end(&l);
}
