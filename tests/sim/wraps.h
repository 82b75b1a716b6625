/* Every call of the daemon that the simulator answers in its place. CMake reads the names here and
 * gives them to the linker (--wrap): a call of NAME lands in __wrap_NAME, and __real_NAME is the real
 * one.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>

#include "storage/ingest_int.h"

struct iovec;
struct stat;
struct statvfs;
struct sl_diag;
struct sl_env;
struct sl_index;
struct sl_index_tombstone;
struct sl_index_lmdb_options;
struct sl_ops;
struct sl_rebuild_conf;
struct sl_rebuild_report;

/* pthread.c */
int __wrap_pthread_mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *attr);
int __wrap_pthread_mutex_destroy(pthread_mutex_t *m);
int __wrap_pthread_mutex_lock(pthread_mutex_t *m);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *m);
int __wrap_pthread_cond_init(pthread_cond_t *c, const pthread_condattr_t *attr);
int __wrap_pthread_cond_destroy(pthread_cond_t *c);
int __wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m);
int __wrap_pthread_cond_timedwait(
	pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *until);
int __wrap_pthread_cond_signal(pthread_cond_t *c);
int __wrap_pthread_cond_broadcast(pthread_cond_t *c);
int __wrap_pthread_create(
	pthread_t *id, const pthread_attr_t *attr, void *(*main)(void *arg), void *arg);
int __wrap_pthread_join(pthread_t id, void **result);
pthread_t __wrap_pthread_self(void);
int __wrap_pthread_setname_np(pthread_t id, const char *name);
int __wrap_pthread_sigmask(int how, const sigset_t *set, sigset_t *before);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ts);
_Noreturn void __wrap_abort(void);

/* memory.c */
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_aligned_alloc(size_t align, size_t n);
void __wrap_free(void *p);
void *__wrap_mmap(void *at, size_t n, int prot, int flags, int fd, long off);
int __wrap_munmap(void *at, size_t n);
int __wrap_madvise(void *at, size_t n, int advice);
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_aligned_alloc(size_t align, size_t n);
void __real_free(void *p);
void *__real_mmap(void *at, size_t n, int prot, int flags, int fd, long off);
int __real_madvise(void *at, size_t n, int advice);
int __real_munmap(void *at, size_t n);

/* files.c */
int __wrap_open(const char *path, int flags, ...);
int __wrap_openat(int dirfd, const char *path, int flags, ...);
long __wrap_syscall(long number, ...);
DIR *__wrap_fdopendir(int fd);
ssize_t __wrap_getdents64(int fd, void *out, size_t cap);
void __wrap_rewinddir(DIR *dir);
struct dirent *__wrap_readdir(DIR *dir);
int __wrap_dirfd(DIR *dir);
int __wrap_closedir(DIR *dir);
int __wrap_mkdirat(int dirfd, const char *path, unsigned mode);
int __wrap_mkdir(const char *path, unsigned mode);
int __wrap_linkat(int fromfd, const char *from, int tofd, const char *to, int flags);
int __wrap_unlinkat(int dirfd, const char *path, int flags);
int __wrap_renameat(int fromfd, const char *from, int tofd, const char *to);
ssize_t __wrap_pwritev(int fd, const struct iovec *iov, int iov_n, off_t off);
ssize_t __wrap_pwrite(int fd, const void *bytes, size_t n, off_t off);
ssize_t __wrap_pread(int fd, void *bytes, size_t n, off_t off);
ssize_t __wrap___pread_chk(int fd, void *bytes, size_t n, off_t off, size_t room);
int __wrap_ftruncate(int fd, off_t n);
int __wrap_fallocate(int fd, int mode, off_t off, off_t n);
int __wrap_fsync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_syncfs(int fd);
int __wrap_close(int fd);
int __wrap_fstat(int fd, struct stat *sb);
int __wrap_fstatat(int dirfd, const char *path, struct stat *sb, int flags);
int __wrap_faccessat(int dirfd, const char *path, int mode, int flags);
int __wrap_fstatvfs(int fd, struct statvfs *sv);
int __wrap_fchmod(int fd, unsigned mode);
int __wrap_flock(int fd, int operation);
pid_t __wrap_getpid(void);
int __real_open(const char *path, int flags, ...);
int __real_close(int fd);

/* net.c */
int __wrap_socket(int family, int type, int protocol);
int __wrap_bind(int fd, const struct sockaddr *sa, socklen_t len);
int __wrap_listen(int fd, int backlog);
int __wrap_getsockname(int fd, struct sockaddr *sa, socklen_t *len);
int __wrap_accept4(int fd, struct sockaddr *sa, socklen_t *len, int flags);
int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t len);
int __wrap_poll(struct pollfd *fds, unsigned long n, int timeout_ms);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_fcntl(int fd, int command, ...);

/* The daemon's own: index.c, node.c, oracle.c, studies.c, operator.c, seen.c */
enum sl_status __wrap_sl_index_lmdb_open(
	const struct sl_index_lmdb_options *options, struct sl_index **out, struct sl_diag *d);
enum sl_status __wrap_sl_index_lmdb_finish(struct sl_index *ix, struct sl_diag *d);
enum sl_status __wrap_sl_rebuild(
	const struct sl_rebuild_conf *conf, struct sl_rebuild_report *out, struct sl_diag *d);
enum sl_status __real_sl_rebuild(
	const struct sl_rebuild_conf *conf, struct sl_rebuild_report *out, struct sl_diag *d);
enum sl_status __wrap_sl_pending_open(
	struct sl_pending **out, uint32_t entries, const struct sl_env *e, struct sl_diag *d);
enum sl_status __real_sl_pending_open(
	struct sl_pending **out, uint32_t entries, const struct sl_env *e, struct sl_diag *d);
void __wrap_sl_ingest_finish(struct sl_object *o, struct sl_part *last, uint64_t extra_bytes);
void __real_sl_ingest_finish(struct sl_object *o, struct sl_part *last, uint64_t extra_bytes);
void __wrap_sl_pending_release(struct sl_pending *p, struct sl_turn *t, bool won);
void __real_sl_pending_release(struct sl_pending *p, struct sl_turn *t, bool won);
void __wrap_sl_pending_leave_study(struct sl_pending *p, struct sl_turn *t);
void __real_sl_pending_leave_study(struct sl_pending *p, struct sl_turn *t);
enum sl_status __wrap_sl_pending_enter_study(
	struct sl_pending *p, struct sl_turn *t, const struct sl_uid *study);
enum sl_status __real_sl_pending_enter_study(
	struct sl_pending *p, struct sl_turn *t, const struct sl_uid *study);
void __wrap_sl_pending_settled(struct sl_pending *p, struct sl_pending_entry *e);
void __real_sl_pending_settled(struct sl_pending *p, struct sl_pending_entry *e);
bool __wrap_sl_pending_close_study(struct sl_pending *p, const struct sl_uid *study);
bool __real_sl_pending_close_study(struct sl_pending *p, const struct sl_uid *study);
enum sl_decision __wrap_sl_ingest_decide(
	struct sl_object *o, struct sl_ingest_thread *t, uint8_t *scratch);
enum sl_decision __real_sl_ingest_decide(
	struct sl_object *o, struct sl_ingest_thread *t, uint8_t *scratch);
enum sl_status __wrap_sl_ops_pin(
	struct sl_ops *ops, const struct sl_uid *study, bool is_pinned, struct sl_diag *d);
enum sl_status __real_sl_ops_pin(
	struct sl_ops *ops, const struct sl_uid *study, bool is_pinned, struct sl_diag *d);
enum sl_status __wrap_sl_ops_gone(
	struct sl_ops *ops, const struct sl_index_tombstone *tombs, size_t n, struct sl_diag *d);
enum sl_status __real_sl_ops_gone(
	struct sl_ops *ops, const struct sl_index_tombstone *tombs, size_t n, struct sl_diag *d);
bool __wrap_sl_water_may_begin(struct sl_water *w);
bool __real_sl_water_may_begin(struct sl_water *w);
enum sl_status __wrap_sl_water_reserve(struct sl_water *w, uint64_t bytes, struct sl_diag *d);
enum sl_status __real_sl_water_reserve(struct sl_water *w, uint64_t bytes, struct sl_diag *d);
enum sl_status __wrap_sl_water_reserve_first(struct sl_water *w, uint64_t bytes, struct sl_diag *d);
enum sl_status __real_sl_water_reserve_first(struct sl_water *w, uint64_t bytes, struct sl_diag *d);
bool __wrap_sl_ack_answer(struct sl_object *o, enum sl_verdict v);
bool __real_sl_ack_answer(struct sl_object *o, enum sl_verdict v);
