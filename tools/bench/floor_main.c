/* sluice-bench floor: command line, listening, seats.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base.h"
#include "tools/bench/floor.h"

#define BACKLOG 1024

static const char usage[] =
	"usage: sluice-bench floor [--sync none|plain|named] [--port N] FOLDER\n"
	"\n"
	"Receives on 127.0.0.1 (port 11113; 0: any, and it is printed), does nothing but what must "
	"be done, and keeps each "
	"object\n"
	"in FOLDER as the PDUs it came in. Before the answer: none syncs nothing, plain (the "
	"default)\n"
	"does an fdatasync of the file, named also an fsync of the folder, shared by all who "
	"wait.\n";

static const struct option options[] = {
	{"sync", required_argument, NULL, 's'},
	{"port", required_argument, NULL, 'p'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static const char *const syncs[] = {"none", "plain", "named"};

static bool read_sync(const char *text, enum sl_floor_sync *sync)
{
	for (size_t i = 0; i < SL_ARRAY_N(syncs); i++) {
		if (strcmp(text, syncs[i]) == 0) {
			*sync = (enum sl_floor_sync)i;
			return true;
		}
	}
	return false;
}

static bool read_port(const char *text, uint16_t *port)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);
	*port = (uint16_t)n;
	return end != text && *end == '\0' && n <= UINT16_MAX;
}

/* ---- seats ------------------------------------------------------------------------------------- */

static struct sl_floor_seat *take_seat(struct sl_floor *f)
{
	pthread_mutex_lock(&f->lock);
	struct sl_floor_seat *s = f->free;
	if (s != NULL)
		f->free = s->next;
	pthread_mutex_unlock(&f->lock);
	return s != NULL ? s : malloc(sizeof(*s));
}

void sl_floor_leave(struct sl_floor_seat *s)
{
	struct sl_floor *f = s->floor;
	close(s->socket);
	if (s->file >= 0)
		close(s->file);
	pthread_mutex_lock(&f->lock);
	s->next = f->free;
	f->free = s;
	pthread_mutex_unlock(&f->lock);
}

static bool seat(struct sl_floor *f, int fd)
{
	const int on = 1;
	pthread_t thread;
	struct sl_floor_seat *s = take_seat(f);
	if (s == NULL)
		return false;
	s->floor = f;
	s->socket = fd;
	s->file = -1;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (pthread_create(&thread, NULL, sl_floor_serve, s) != 0) {
		sl_floor_leave(s);
		return false;
	}
	pthread_detach(thread);
	return true;
}

/* ---- main -------------------------------------------------------------------------------------- */

/* Says which port it is. -1: errno says why. */
static int listen_at(uint16_t port)
{
	const int on = 1;
	struct sockaddr_in here = {.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	socklen_t len = sizeof(here);
	if (bind(fd, (const struct sockaddr *)&here, len) == 0 && listen(fd, BACKLOG) == 0 &&
		getsockname(fd, (struct sockaddr *)&here, &len) == 0) {
		printf("listening on 127.0.0.1 port %u\n", ntohs(here.sin_port));
		fflush(stdout);
		return fd;
	}
	close(fd);
	return -1;
}

/* Comes back only when accept fails. */
static int receive(struct sl_floor *f, int listener)
{
	for (int fd;
		(fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0 || errno == ECONNABORTED;) {
		if (fd >= 0 && !seat(f, fd)) {
			fprintf(stderr, "sluice-bench: floor: no more threads\n");
			return 1;
		}
	}
	perror("sluice-bench: floor: accept");
	return 1;
}

int sl_floor_main(int argc, char **argv)
{
	struct sl_floor f = {.sync = SL_FLOOR_PLAIN,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.done = PTHREAD_COND_INITIALIZER};
	uint16_t port = 11113;
	for (int option; (option = getopt_long(argc, argv, "s:p:h", options, NULL)) != -1;) {
		if (option == 'h') {
			fputs(usage, stdout);
			return 0;
		}
		if ((option != 's' || !read_sync(optarg, &f.sync)) &&
			(option != 'p' || !read_port(optarg, &port))) {
			fputs(usage, stderr);
			return 2;
		}
	}
	if (argc - optind != 1) {
		fputs(usage, stderr);
		return 2;
	}
	f.folder = open(argv[optind], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int listener = f.folder < 0 ? -1 : listen_at(port);
	if (listener < 0) {
		fprintf(stderr, "sluice-bench: floor: %s: %s\n",
			f.folder < 0 ? argv[optind] : "listen", strerror(errno));
		return 1;
	}
	return receive(&f, listener);
}
