/* The plan read, a line at a time.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/power/plan.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_MOST 4096

static void *more(void *list, size_t n, size_t size)
{
	list = realloc(list, (n + 1) * size);
	if (list == NULL)
		abort();
	memset((char *)list + n * size, 0, size);
	return list;
}

static bool read_bytes(const char *path, uint8_t **bytes, size_t *len)
{
	struct stat sb;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool is_good = fd >= 0 && fstat(fd, &sb) == 0;
	if (is_good) {
		*len = (size_t)sb.st_size;
		*bytes = malloc(*len + 1);
		is_good = *bytes != NULL && read(fd, *bytes, *len) == (ssize_t)*len;
	}
	if (fd >= 0)
		close(fd);
	return is_good;
}

static bool read_object(struct plan *p, const char *line)
{
	char uid[80], study[80], path[1024];
	size_t n;
	if (sscanf(line, "%zu %79s %79s %1023s", &n, uid, study, path) != 4 || n != p->sent_n)
		return false;
	p->sent = more(p->sent, p->sent_n, sizeof(*p->sent));
	struct sent *s = &p->sent[p->sent_n++];
	s->uid = sl_uid_of(uid);
	s->study = sl_uid_of(study);
	s->asked = s->told = UINT64_MAX;
	return read_bytes(path, &s->bytes, &s->len);
}

static bool read_ack(struct plan *p, const char *line)
{
	p->promises = more(p->promises, p->promises_n, sizeof(*p->promises));
	struct promise *made = &p->promises[p->promises_n++];
	if (sscanf(line, "%" SCNu64 " %" SCNu64 " %zu", &made->asked, &made->position,
		    &made->object) != 3 ||
		made->object >= p->sent_n)
		return false;
	struct sent *s = &p->sent[made->object];
	s->asked = made->position < s->told ? made->asked : s->asked;
	s->told = sl_min64(s->told, made->position);
	s->last = sl_max64(s->last, made->position);
	return true;
}

/* It was sent once more before this moment, and nobody was told what became of it. */
static bool read_sent(struct plan *p, const char *line)
{
	uint64_t position;
	size_t object;
	if (sscanf(line, "%" SCNu64 " %zu", &position, &object) != 2 || object >= p->sent_n)
		return false;
	p->sent[object].last = sl_max64(p->sent[object].last, position);
	return true;
}

static bool read_gone(struct plan *p, const char *line)
{
	char study[80];
	p->gone = more(p->gone, p->gone_n, sizeof(*p->gone));
	struct gone *g = &p->gone[p->gone_n++];
	if (sscanf(line, "%" SCNu64 " %" SCNu64 " %79s", &g->begun, &g->done, study) != 3)
		return false;
	g->study = sl_uid_of(study);
	return true;
}

static bool read_chain(struct plan *p, const char *line)
{
	int at = 0, n = 0;
	p->chains = more(p->chains, p->chains_n, sizeof(*p->chains));
	struct chain *c = &p->chains[p->chains_n++];
	if (sscanf(line, "%*s %n", &at) != 0)
		return false;
	for (size_t object; sscanf(line + at, "%zu %n", &object, &n) == 1; at += n) {
		if (object >= p->sent_n || c->n == SL_ARRAY_N(c->objects))
			return false;
		c->objects[c->n++] = object;
	}
	return c->n > 0;
}

static bool read_line(struct plan *p, const char *line)
{
	char word[16];
	int at = 0;
	if (sscanf(line, "%15s %n", word, &at) != 1)
		return false;
	line += at;
	if (strcmp(word, "root") == 0)
		return sscanf(line, "%" SCNu64, &p->root) == 1;
	if (strcmp(word, "policy") == 0) {
		p->policy = line[0] == 'l' ? PLAN_LATEST : PLAN_FIRST;
		return true;
	}
	if (strcmp(word, "object") == 0)
		return read_object(p, line);
	if (strcmp(word, "ack") == 0)
		return read_ack(p, line);
	if (strcmp(word, "sent") == 0)
		return read_sent(p, line);
	if (strcmp(word, "gone") == 0)
		return read_gone(p, line);
	return strcmp(word, "chain") == 0 && read_chain(p, line);
}

bool plan_open(struct plan *p, const char *path)
{
	char line[LINE_MOST];
	FILE *f = fopen(path, "re");
	*p = (struct plan){0};
	if (f == NULL) {
		perror(path);
		return false;
	}
	bool is_good = true;
	while (is_good && fgets(line, sizeof(line), f) != NULL)
		is_good = read_line(p, line);
	fclose(f);
	if (is_good && p->root != 0)
		return true;
	fprintf(stderr, "power: cannot read the plan at: %s\n", line);
	plan_close(p);
	return false;
}

void plan_close(struct plan *p)
{
	for (size_t i = 0; i < p->sent_n; i++)
		free(p->sent[i].bytes);
	free(p->sent);
	free(p->promises);
	free(p->gone);
	free(p->chains);
	*p = (struct plan){0};
}
