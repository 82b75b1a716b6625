/* The ring and the writer thread.
 *
 * Happy path: sl_log_push() copies a text into the ring under the lock and wakes the writer when it
 * sleeps. The writer takes what is there into its batch (which frees the ring), puts time and level
 * before each line, and writes the batch.
 *
 * Failures: ring full: the line is counted as dropped; the writer names the number once it has caught
 * up. Write failed (disk full, reader gone): the lines of the batch are counted as dropped, the next
 * batch is tried anew; after a torn line it begins with a newline. A reader that stands still: the
 * writer waits in poll(), the ring fills, callers drop and go on.
 *
 * Stop: the writer empties the ring and leaves; stuck, it leaves after SL_LOG_FLUSH_MS.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/log_ring.h"

#define PIPE_CHUNK 4096 /* PIPE_BUF: what a writable pipe takes without blocking */
#define POLL_MS    100  /* how often a stuck writer looks whether it shall leave */

static const char *const level_names[] = {"DEBUG", "INFO", "WARN", "ERROR"};

static void ring_put(struct sl_log *log, const void *bytes, size_t n)
{
	size_t at = (size_t)(log->head & (log->size - 1));
	size_t first = sl_min(n, log->size - at);
	memcpy(log->ring + at, bytes, first);
	memcpy(log->ring, (const uint8_t *)bytes + first, n - first);
	log->head += n;
}

/* Writer thread; up to the head it has seen nobody else touches the bytes. */
static void ring_take(struct sl_log *log, void *bytes, size_t n)
{
	size_t at = (size_t)(log->taken & (log->size - 1));
	size_t first = sl_min(n, log->size - at);
	memcpy(bytes, log->ring + at, first);
	memcpy((uint8_t *)bytes + first, log->ring, n - first);
	log->taken += n;
}

bool sl_log_push(struct sl_log *log, enum sl_log_level level, const char *text, size_t len)
{
	const struct sl_log_record record = {.wall_ms = sl_env_wall_ms(log->conf.env),
		.len = (uint16_t)len,
		.level = (uint8_t)level};
	pthread_mutex_lock(&log->lock);
	bool is_room = log->size - (size_t)(log->head - log->tail) >= sizeof(record) + len;
	if (is_room) {
		ring_put(log, &record, sizeof(record));
		ring_put(log, text, len);
	} else {
		log->dropped++;
	}
	bool wakes = log->is_waiting;
	log->is_waiting = false; /* one signal is enough */
	pthread_mutex_unlock(&log->lock);
	if (wakes)
		pthread_cond_signal(&log->work);
	return is_room;
}

/* ---- writer thread ---- */

static int64_t mono_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* RFC 3339 up to the second and the zone; both change once a second at most. */
static void refresh_time(struct sl_log *log, int64_t s)
{
	time_t t = (time_t)s;
	struct tm tm;
	if (s == log->time_s)
		return;
	log->time_s = s;
	if (log->conf.is_utc) {
		gmtime_r(&t, &tm);
		snprintf(log->zone_text, sizeof(log->zone_text), "Z");
	} else {
		localtime_r(&t, &tm);
		long minutes = labs(tm.tm_gmtoff) / 60 % 1440;
		snprintf(log->zone_text, sizeof(log->zone_text), "%c%02ld:%02ld",
			tm.tm_gmtoff < 0 ? '-' : '+', minutes / 60, minutes % 60);
	}
	strftime(log->time_text, sizeof(log->time_text), "%Y-%m-%dT%H:%M:%S", &tm);
}

/* One record of the ring as a line of the batch, which has room for it. */
static void format_record(struct sl_log *log)
{
	struct sl_log_record record;
	ring_take(log, &record, sizeof(record));
	int64_t ms = record.wall_ms % 1000, s = record.wall_ms / 1000;
	if (ms < 0) {
		ms += 1000;
		s--;
	}
	refresh_time(log, s);
	char *out = log->batch + log->batch_len;
	size_t cap = sizeof(log->batch) - log->batch_len;
	const char *level = level_names[record.level & 3];
	int n = log->conf.is_json ? snprintf(out, cap, "{\"time\":\"%s.%03d%s\",\"level\":\"%s\",",
					    log->time_text, (int)ms, log->zone_text, level)
				  : snprintf(out, cap, "%s.%03d%s %s ", log->time_text, (int)ms,
					    log->zone_text, level);
	log->batch_len += (size_t)n;
	ring_take(log, log->batch + log->batch_len, record.len);
	log->batch_len += record.len;
	if (log->conf.is_json)
		log->batch[log->batch_len++] = '}';
	log->batch[log->batch_len++] = '\n';
	log->batch_n++;
}

static int open_fd(const struct sl_log_conf *conf)
{
	if (conf->path == NULL || conf->path[0] == '\0')
		return STDERR_FILENO;
	return open(conf->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
}

static void adopt_fd(struct sl_log *log, int fd)
{
	struct stat st;
	log->fd = fd;
	log->is_file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

static void reopen(struct sl_log *log)
{
	int fd = open_fd(&log->conf);
	int errnum = errno;
	struct sl_log_line l;
	if (fd == STDERR_FILENO)
		return;
	if (fd >= 0) {
		close(log->fd);
		adopt_fd(log, fd);
		log->is_torn = false;
	}
	sl_log_begin_always(&l, log, fd < 0 ? SL_LOG_ERROR : SL_LOG_INFO, "log.reopen");
	sl_log_str(&l, "file", log->conf.path);
	if (fd < 0)
		sl_log_str(&l, "why", strerrordesc_np(errnum));
	sl_log_end(&l);
}

/* Waits until the descriptor takes something; false when the stop does not wait any longer. */
static bool wait_writable(struct sl_log *log, int64_t *deadline_ms)
{
	for (;;) {
		struct pollfd p = {.fd = log->fd, .events = POLLOUT};
		if (poll(&p, 1, POLL_MS) > 0)
			return true;
		pthread_mutex_lock(&log->lock);
		bool is_stopping = log->is_stopping;
		pthread_mutex_unlock(&log->lock);
		if (is_stopping && *deadline_ms == 0)
			*deadline_ms = mono_ms() + SL_LOG_FLUSH_MS;
		if (is_stopping && mono_ms() >= *deadline_ms)
			return false;
	}
}

/* Writes the batch; false when some of it was not written (log->batch_n lines are then lost). */
static bool write_batch(struct sl_log *log, int64_t *deadline_ms)
{
	static const char newline = '\n';
	size_t at = 0;
	if (log->is_torn && (!wait_writable(log, deadline_ms) || write(log->fd, &newline, 1) != 1))
		return false;
	log->is_torn = false;
	while (at < log->batch_len) {
		size_t n = log->batch_len - at;
		if (!wait_writable(log, deadline_ms))
			return false;
		ssize_t put =
			write(log->fd, log->batch + at, log->is_file ? n : sl_min(n, PIPE_CHUNK));
		if (put < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (put <= 0)
			return false;
		for (ssize_t i = 0; i < put; i++)
			log->batch_n -= log->batch[at + (size_t)i] == '\n';
		at += (size_t)put;
		log->is_torn = log->batch[at - 1] != '\n';
	}
	return true;
}

/* Names lines that were dropped, as a line of its own in the ring. Lock not held. */
static void report_dropped(struct sl_log *log)
{
	struct sl_log_line l;
	pthread_mutex_lock(&log->lock);
	uint64_t n = log->dropped - log->reported;
	pthread_mutex_unlock(&log->lock);
	sl_log_begin_always(&l, log, SL_LOG_WARN, "log.dropped");
	sl_log_uint(&l, "n", n);
	bool is_in = sl_log_push(log, l.level, l.text, l.len);
	pthread_mutex_lock(&log->lock);
	if (is_in)
		log->reported += n;
	else
		log->dropped--; /* the report itself is not a lost line */
	pthread_mutex_unlock(&log->lock);
}

/* Sleeps until there is work, takes a batch of it. False: stop, and nothing is left. */
static bool take_batch(struct sl_log *log, bool *reopens, bool *reports)
{
	const size_t room = SL_LOG_LINE_MAX + 128; /* a line with its time */
	pthread_mutex_lock(&log->lock);
	while (log->head == log->tail && !log->is_stopping && !log->is_reopening &&
		(log->dropped == log->reported || log->is_failed)) {
		log->is_waiting = true;
		pthread_cond_wait(&log->work, &log->lock);
	}
	*reopens = log->is_reopening;
	log->is_reopening = false;
	bool is_over = log->is_stopping && log->head == log->tail;
	uint64_t head = log->head;
	pthread_mutex_unlock(&log->lock);

	log->batch_len = log->batch_n = 0;
	while (log->taken != head && sizeof(log->batch) - log->batch_len >= room)
		format_record(log);

	pthread_mutex_lock(&log->lock);
	log->tail = log->taken; /* room for callers before the slow part, the write */
	*reports = log->dropped > log->reported;
	pthread_mutex_unlock(&log->lock);
	return !is_over || *reopens;
}

static void *writer_main(void *arg)
{
	struct sl_log *log = arg;
	int64_t deadline_ms = 0;
	bool reopens = false, reports = false;
	while (take_batch(log, &reopens, &reports)) {
		if (reopens)
			reopen(log);
		bool is_written = log->batch_len == 0 || write_batch(log, &deadline_ms);
		pthread_mutex_lock(&log->lock);
		log->is_failed = !is_written;
		log->dropped += is_written ? 0 : log->batch_n;
		log->done = log->tail;
		pthread_cond_broadcast(&log->idle);
		pthread_mutex_unlock(&log->lock);
		if (is_written && reports)
			report_dropped(log);
	}
	return NULL;
}

/* ---- life ---- */

static enum sl_status start_writer(struct sl_log *log, struct sl_diag *d)
{
	sigset_t all, old;
	sigfillset(&all); /* signals belong to the main loop; SIGPIPE becomes EPIPE */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int rc = pthread_create(&log->writer, NULL, writer_main, log);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0)
		return sl_fail(d, SL_E_NOMEM, rc, "log/thread", "cannot start the log's thread");
	(void)pthread_setname_np(log->writer, "sl-log");
	return SL_OK;
}

static void free_log(struct sl_log *log)
{
	if (log->fd >= 0 && log->fd != STDERR_FILENO)
		close(log->fd);
	pthread_cond_destroy(&log->work);
	pthread_cond_destroy(&log->idle);
	pthread_mutex_destroy(&log->lock);
	free(log->ring);
	free(log);
}

enum sl_status sl_log_open(struct sl_log **out, const struct sl_log_conf *conf, struct sl_diag *d)
{
	pthread_condattr_t monotonic;
	struct sl_log *log = calloc(1, sizeof(*log));
	*out = NULL;
	if (log == NULL)
		return sl_fail(d, SL_E_NOMEM, ENOMEM, "log/open", "no memory for the log");
	log->conf = *conf;
	log->size = conf->ring_size > 0 ? conf->ring_size : SL_LOG_RING;
	sl_assert((log->size & (log->size - 1)) == 0);
	log->ring = calloc(1, log->size);
	log->time_s = -1;
	atomic_init(&log->level, (int)conf->level);
	conf->env->random(conf->env->arg, log->key, sizeof(log->key));
	tzset();
	pthread_mutex_init(&log->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&log->work, &monotonic);
	pthread_cond_init(&log->idle, &monotonic);
	pthread_condattr_destroy(&monotonic);
	log->fd = open_fd(conf);
	enum sl_status st = SL_OK;
	if (log->ring == NULL)
		st = sl_fail(d, SL_E_NOMEM, ENOMEM, "log/open", "no memory for the log");
	else if (log->fd < 0)
		st = sl_fail(d, SL_E_IO, errno, "log/open", "cannot open the log file %.80s: %s",
			conf->path, strerrordesc_np(errno));
	else
		adopt_fd(log, log->fd);
	if (st == SL_OK)
		st = start_writer(log, d);
	if (st != SL_OK)
		free_log(log);
	else
		*out = log;
	return st;
}

void sl_log_close(struct sl_log *log)
{
	if (log == NULL)
		return;
	pthread_mutex_lock(&log->lock);
	log->is_stopping = true;
	pthread_mutex_unlock(&log->lock);
	pthread_cond_signal(&log->work);
	pthread_join(log->writer, NULL);
	free_log(log);
}

void sl_log_flush(struct sl_log *log)
{
	struct timespec until;
	if (log == NULL)
		return;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += SL_LOG_FLUSH_MS / 1000;
	pthread_mutex_lock(&log->lock);
	uint64_t head = log->head;
	while (log->done < head &&
		pthread_cond_timedwait(&log->idle, &log->lock, &until) != ETIMEDOUT)
		;
	pthread_mutex_unlock(&log->lock);
}

void sl_log_reopen(struct sl_log *log)
{
	pthread_mutex_lock(&log->lock);
	log->is_reopening = true;
	pthread_mutex_unlock(&log->lock);
	pthread_cond_signal(&log->work);
}

void sl_log_set_level(struct sl_log *log, enum sl_log_level level)
{
	atomic_store_explicit(&log->level, (int)level, memory_order_relaxed);
}

bool sl_log_is_on(const struct sl_log *log, enum sl_log_level level)
{
	return log != NULL && (int)level >= atomic_load_explicit(&log->level, memory_order_relaxed);
}

uint64_t sl_log_dropped(struct sl_log *log)
{
	pthread_mutex_lock(&log->lock);
	uint64_t n = log->dropped;
	pthread_mutex_unlock(&log->lock);
	return n;
}
