/* Makes the k-th change below a folder fail, or kills the process there: preloaded into the program that is tested.

   Counted are write, pwrite, writev, ftruncate, fsync, fdatasync, rename, mkdir, unlink, rmdir and every open that
   makes a file, where the path holds FAULT_MARK. Armed by the environment, or by fault_arm from within. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { NOTHING, FULL, BROKEN, KILL, TORN };

static char mark[4096];
static long at = -1;
static int kind = NOTHING;
static long own;
static volatile long *count = &own;

void fault_arm(const char *new_mark, long new_at, int new_kind) {
    snprintf(mark, sizeof mark, "%s", new_mark);
    at = new_at;
    kind = new_kind;
    *count = 0;
}

long fault_count(void) { return *count; }

__attribute__((constructor)) static void begin(void) {
    const char *given = getenv("FAULT_MARK"), *number = getenv("FAULT_AT"), *how = getenv("FAULT_KIND");
    const char *shared = getenv("FAULT_COUNT");
    if (shared) {
        int file = open(shared, O_RDWR | O_CREAT, 0600);
        if (file >= 0 && ftruncate(file, sizeof(long)) == 0) {
            void *page = mmap(NULL, sizeof(long), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
            if (page != MAP_FAILED) count = page;
        }
        if (file >= 0) close(file);
    }
    if (given) fault_arm(given, number ? atol(number) : -1, how ? atoi(how) : NOTHING);
}

/* 0: go on; otherwise the error number */
static int decide(const char *path) {
    if (!mark[0] || !path || !strstr(path, mark)) return 0;
    long now = __sync_fetch_and_add(count, 1);
    if (at < 0 || now < at) return 0;
    if (kind == FULL) return ENOSPC; /* a full disk stays full */
    if (now > at) return 0;
    if (kind == BROKEN) return EIO;
    if (kind == KILL) raise(SIGKILL);
    return kind == TORN ? -1 : 0;
}

static int decide_file(int file) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return decide(path);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define REFUSE(found) do { if ((found) > 0) { errno = (found); return -1; } } while (0)
#define END_HERE(found) do { if ((found) < 0) raise(SIGKILL); } while (0)

ssize_t write(int file, const void *data, size_t size) {
    int found = decide_file(file);
    if (found == ENOSPC && *count - 1 == at && size > 1) return REAL(write)(file, data, size / 2); /* what still fits */
    REFUSE(found);
    ssize_t done = REAL(write)(file, data, found < 0 ? size / 2 : size);
    END_HERE(found);
    return done;
}
ssize_t pwrite(int file, const void *data, size_t size, off_t where) {
    int found = decide_file(file);
    REFUSE(found);
    ssize_t done = REAL(pwrite)(file, data, found < 0 ? size / 2 : size, where);
    END_HERE(found);
    return done;
}
ssize_t pwrite64(int file, const void *data, size_t size, off64_t where) { return pwrite(file, data, size, where); }
ssize_t writev(int file, const struct iovec *parts, int number) {
    int found = decide_file(file);
    REFUSE(found);
    ssize_t done = REAL(writev)(file, parts, number);
    END_HERE(found);
    return done;
}
#define ON_FILE(name, arguments, given)             \
    int name arguments {                            \
        int found = decide_file(file);              \
        REFUSE(found);                              \
        int done = REAL(name) given;                \
        END_HERE(found);                            \
        return done;                                \
    }
ON_FILE(fsync, (int file), (file))
ON_FILE(fdatasync, (int file), (file))
ON_FILE(ftruncate, (int file, off_t size), (file, size))
int ftruncate64(int file, off64_t size) { return ftruncate(file, size); }
/* a full disk lets one remove and rename */
#define ON_PATH(name, arguments, given, path, needs_space)  \
    int name arguments {                                    \
        int found = decide(path);                           \
        if (!(needs_space) && kind == FULL) found = 0;      \
        REFUSE(found);                                      \
        int done = REAL(name) given;                        \
        END_HERE(found);                                    \
        return done;                                        \
    }
ON_PATH(rename, (const char *from, const char *to), (from, to), to, 0)
ON_PATH(mkdir, (const char *path, mode_t mode), (path, mode), path, 1)
ON_PATH(unlink, (const char *path), (path), path, 0)
ON_PATH(rmdir, (const char *path), (path), path, 0)
ON_PATH(renameat, (int a, const char *from, int b, const char *to), (a, from, b, to), to, 0)
ON_PATH(unlinkat, (int folder, const char *path, int flags), (folder, path, flags), path, 0)

#define OPENING(name, first, given)                                                  \
    int name(first const char *path, int flags, ...) {                               \
        mode_t mode = 0;                                                             \
        if (flags & (O_CREAT | __O_TMPFILE)) {                                       \
            va_list more;                                                            \
            va_start(more, flags);                                                   \
            mode = va_arg(more, mode_t);                                             \
            va_end(more);                                                            \
        }                                                                            \
        int found = flags & (O_CREAT | O_TRUNC) ? decide(path) : 0;                  \
        REFUSE(found);                                                               \
        int done = REAL(name) given;                                                 \
        END_HERE(found);                                                             \
        return done;                                                                 \
    }
#define NONE
#define FOLDER int folder,
OPENING(open, NONE, (path, flags, mode))
OPENING(open64, NONE, (path, flags, mode))
OPENING(openat, FOLDER, (folder, path, flags, mode))
OPENING(openat64, FOLDER, (folder, path, flags, mode))
