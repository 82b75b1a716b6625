/* Put into the real sluiced by LD_PRELOAD: a peer in the same process, which sends what it finds on standard
 * input over a TCP connection, for AFL++ (tools/fuzz afl).
 *
 * It begins when the node listens. Under AFL++ (a node built by afl-clang-fast, which then holds
 * __afl_persistent_loop) one process takes many inputs; otherwise it takes standard input once, or the files
 * that SLUICE_FEED names (one a line), and then asks the node to stop as SIGTERM does. The first
 * DIALOGUE_HEAD bytes of a file are those of tests/fuzz/dialogue.h and are passed over.
 *
 * A node that does not let go of a connection whose peer has closed is aborted: a finding.
 * SPDX-License-Identifier: Apache-2.0 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/fuzz/dialogue.h"

#define ROUNDS     2000  /* inputs of one process under AFL++ */
#define SILENCE_MS 3     /* the node has nothing more to say */
#define HANG_MS    30000 /* then it is not going to let go */

int __afl_persistent_loop(unsigned rounds) __attribute__((weak));
int listen(int fd, int backlog);

static struct sockaddr_in node;

static int64_t now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void give_up(const char *why)
{
	fprintf(stderr, "stdin_preload: %s: %s\n", why, strerror(errno));
	abort();
}

static int open_connection(void)
{
	const struct linger at_once = {
		1, 0}; /* nothing is left behind, a thousand times a second */
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&node, sizeof(node)) != 0 ||
		fcntl(fd, F_SETFL, O_NONBLOCK) != 0 ||
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)) != 0)
		give_up("connection");
	return fd;
}

/* The node's last word has come: A-ASSOCIATE-RJ, A-RELEASE-RP or A-ABORT, 10 bytes each. */
static bool is_last_word(const uint8_t *said, size_t n)
{
	static const uint8_t len[] = {0, 0, 0, 4};
	const uint8_t *p = said + n - 10;
	return n >= 10 && (p[0] == 3 || p[0] == 6 || p[0] == 7) && memcmp(p + 2, len, 4) == 0;
}

/* Sends all of it, reads what comes; closes when the node has said its last word or says nothing. */
static void talk(const uint8_t *bytes, size_t n)
{
	int fd = open_connection();
	int64_t until = now_ms() + HANG_MS;
	bool is_shut = false;
	for (;;) {
		struct pollfd p = {fd, (short)(n > 0 ? POLLIN | POLLOUT : POLLIN), 0};
		int ready = poll(&p, 1, n > 0 || is_shut ? 1000 : SILENCE_MS);
		if (now_ms() >= until)
			give_up("the node does not let go of a connection");
		if (ready == 0 && n == 0 && !is_shut) {
			(void)shutdown(fd, SHUT_WR);
			is_shut = true;
		}
		if ((p.revents & POLLOUT) != 0 && n > 0) {
			ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);
			if (sent < 0 && errno != EAGAIN)
				break;
			bytes += sent > 0 ? sent : 0;
			n -= sent > 0 ? (size_t)sent : 0;
		}
		if ((p.revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
			uint8_t said[4096];
			ssize_t got = recv(fd, said, sizeof(said), 0);
			if (got == 0 || (got < 0 && errno != EAGAIN) ||
				(got > 0 && n == 0 && is_last_word(said, (size_t)got)))
				break;
		}
	}
	close(fd);
}

static size_t read_input(int fd, uint8_t *bytes)
{
	size_t n = 0;
	ssize_t got;
	while (n < DIALOGUE_INPUT && (got = read(fd, bytes + n, DIALOGUE_INPUT - n)) > 0)
		n += (size_t)got;
	return n;
}

static void feed(int fd, size_t skip)
{
	static uint8_t bytes[DIALOGUE_INPUT];
	size_t n = read_input(fd, bytes);
	if (n > skip)
		talk(bytes + skip, n - skip);
}

static void feed_files(char *names)
{
	unsigned fed = 0;
	for (char *at = names, *name; (name = strsep(&at, "\n")) != NULL;) {
		int fd = open(name, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		feed(fd, DIALOGUE_HEAD);
		close(fd);
		fed++;
	}
	fprintf(stderr, "stdin_preload: %u files fed\n", fed);
}

static void *peer_main(void *arg)
{
	char *names = getenv("SLUICE_FEED");
	(void)arg;
	if (names != NULL) {
		feed_files(names);
	} else if (__afl_persistent_loop != NULL && getenv("__AFL_PERSISTENT") != NULL) {
		while (__afl_persistent_loop(ROUNDS))
			feed(STDIN_FILENO, 0);
		_exit(0);
	} else {
		feed(STDIN_FILENO, 0);
	}
	kill(getpid(), SIGTERM);
	return NULL;
}

/* The node's call; the first socket that listens is the one the peer calls. */
int listen(int fd, int backlog)
{
	int (*real)(int, int) = (int (*)(int, int))(uintptr_t)dlsym(RTLD_NEXT, "listen");
	socklen_t len = sizeof(node);
	sigset_t all, before;
	pthread_t id;
	if (real(fd, backlog) != 0)
		return -1;
	if (node.sin_port != 0)
		return 0;
	if (getsockname(fd, (struct sockaddr *)&node, &len) != 0 || node.sin_family != AF_INET)
		give_up("getsockname");
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	if (pthread_create(&id, NULL, peer_main, NULL) != 0)
		give_up("pthread_create");
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return 0;
}
