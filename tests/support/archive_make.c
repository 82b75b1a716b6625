/* archive_make ROOT FILES [PER_STUDY]: a stopped node's folder with so many small files in archive/, each
 * study with PER_STUDY of them (1), as the node would have written them, but for the waiting: nothing is
 * synced. No index: for rebuilds to make and to be measured (tools/rebuild_speed).
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/p10.h"
#include "storage/digest.h"
#include "storage/path.h"
#include "support/records.h"

enum { PER_SERIES = 150, SERIES = 4, PIXELS = 64, FILE_MAX = 8192 };

static void element(struct sl_wbuf *w, uint32_t tag, const char *vr, const void *value, size_t n)
{
	sl_wbuf_le16(w, (uint16_t)(tag >> 16));
	sl_wbuf_le16(w, (uint16_t)tag);
	sl_wbuf_put(w, vr, 2);
	if (strcmp(vr, "OW") == 0)
		sl_wbuf_le16(w, 0);
	if (strcmp(vr, "OW") == 0)
		sl_wbuf_le32(w, (uint32_t)n);
	else
		sl_wbuf_le16(w, (uint16_t)(n + n % 2));
	sl_wbuf_put(w, value, n);
	if (n % 2 != 0)
		sl_wbuf_u8(w, strcmp(vr, "UI") == 0 ? 0 : ' ');
}

static void uid(struct sl_wbuf *w, uint32_t tag, const struct sl_uid *u)
{
	element(w, tag, "UI", u->s, u->len);
}

/* Explicit VR little endian, in ascending order of tags as far as the record has them. */
static void data_set(struct sl_wbuf *w, const struct sl_record *r)
{
	static const uint8_t pixels[PIXELS];
	uint32_t done = 0;
	for (enum sl_attr a = 0; a < SL_ATTR_N; a++) {
		size_t n;
		const char *value = sl_record_get(r, a, &n);
		uint32_t tag = sl_attrs[a].tag;
		if (done < 0x00080016 && tag > 0x00080016) {
			uid(w, 0x00080016, &r->sop_class_uid);
			uid(w, 0x00080018, &r->sop_instance_uid);
		}
		if (done < 0x0020000D && tag > 0x0020000D) {
			uid(w, 0x0020000D, &r->study_instance_uid);
			uid(w, 0x0020000E, &r->series_instance_uid);
		}
		if (n > 0)
			element(w, tag, "LO", value, n);
		done = tag;
	}
	element(w, 0x7FE00010, "OW", pixels, sizeof(pixels));
}

/* Makes the folders of a path. */
static int make_folders(int archive_fd, char *path)
{
	for (char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		int rc = mkdirat(archive_fd, path, 0750);
		*slash = '/';
		if (rc != 0 && errno != EEXIST)
			return -1;
	}
	return 0;
}

static int make_file(int archive_fd, struct sl_record *r)
{
	uint8_t header[SL_P10_HEADER_MAX], body[FILE_MAX];
	struct sl_wbuf h = sl_wbuf_of(header, sizeof(header)), b = sl_wbuf_of(body, sizeof(body));
	struct sl_digest digest;
	struct sl_path path;
	rec_uid(&r->transfer_syntax_uid, "1.2.840.10008.1.2.1");
	data_set(&b, r);
	struct sl_p10 p10 = {
		.sop_class_uid = r->sop_class_uid,
		.sop_instance_uid = r->sop_instance_uid,
		.transfer_syntax_uid = r->transfer_syntax_uid,
		.proof = {.flags = SL_PROOF_PLAIN_NAME,
			.seq = r->seq,
			.arrived_ms = r->arrived_ms,
			.dataset_len = b.len},
	};
	sl_digest_init(&digest);
	sl_digest_feed(&digest, body, b.len);
	sl_digest_end(&digest, p10.proof.digest);
	sl_p10_encode(&h, &p10);
	sl_assert(!h.bad && !b.bad);
	sl_path_instance(
		&path, &r->study_instance_uid, &r->series_instance_uid, &r->sop_instance_uid, 0);
	int fd = openat(archive_fd, path.s, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0440);
	if (fd < 0 && errno == ENOENT && make_folders(archive_fd, path.s) == 0)
		fd = openat(archive_fd, path.s, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0440);
	bool is_good = fd >= 0 && write(fd, header, h.len) == (ssize_t)h.len &&
		       write(fd, body, b.len) == (ssize_t)b.len;
	if (fd >= 0)
		close(fd);
	return is_good ? 0 : -1;
}

static int make_all(int archive_fd, uint64_t files, uint64_t per_study)
{
	for (uint64_t i = 0; i < files; i++) {
		struct sl_record r;
		uint64_t study = i / per_study, in_study = i % per_study;
		rec_make(&r, study * SERIES * PER_SERIES + in_study, PER_SERIES);
		r.seq = i + 1;
		if (make_file(archive_fd, &r) != 0)
			return -1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	char archive[4096];
	uint64_t files = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
	uint64_t per_study = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
	if (argc < 3 || argc > 4 || files == 0 || per_study == 0 ||
		per_study > SERIES * PER_SERIES) {
		fprintf(stderr, "usage: archive_make ROOT FILES [PER_STUDY, at most %d]\n",
			SERIES * PER_SERIES);
		return 2;
	}
	snprintf(archive, sizeof(archive), "%s/%s", argv[1], SL_PATH_ARCHIVE);
	if ((mkdir(argv[1], 0750) != 0 && errno != EEXIST) ||
		(mkdir(archive, 0750) != 0 && errno != EEXIST)) {
		perror(archive);
		return 1;
	}
	int fd = open(archive, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = fd < 0 ? -1 : make_all(fd, files, per_study);
	if (rc != 0)
		perror("archive_make");
	if (fd >= 0)
		close(fd);
	return rc == 0 ? 0 : 1;
}
