/* A disk behind a network, for a process that loads this first: it knows no locks, is slow, and loses files it has open for a moment.
 *
 * LINKS: "no" where it knows no hard links, either;
 * SLOW: part of the paths that it is slow with; SLOW_MS: by how much at most; STALE: part of the path that fails once with ESTALE.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int flock(int descriptor, int how) {
    (void)descriptor, (void)how;
    errno = ENOLCK;
    return -1;
}

int link(const char *from, const char *to) {
    static int (*real)(const char *, const char *) = NULL;
    const char *links = getenv("LINKS");
    if (!real) real = dlsym(RTLD_NEXT, "link");
    if (!links || strcmp(links, "no")) return real(from, to);
    errno = EPERM;
    return -1;
}

static int refused(const char *path) {
    static int once = 0;
    const char *slow = getenv("SLOW"), *stale = getenv("STALE");
    if (slow && strstr(path, slow)) usleep(1000 * atoi(getenv("SLOW_MS")));
    if (stale && strstr(path, stale) && !__sync_fetch_and_add(&once, 1)) {
        errno = ESTALE;
        return 1;
    }
    return 0;
}

int rename(const char *from, const char *to) {
    static int (*real)(const char *, const char *) = NULL;
    const char *slow = getenv("SLOW");
    if (!real) real = dlsym(RTLD_NEXT, "rename");
    if (slow && strstr(from, slow)) usleep((useconds_t)(1000 * atoi(getenv("SLOW_MS")) * drand48()));
    return real(from, to);
}

int open64(const char *path, int flags, ...) {
    static int (*real)(const char *, int, ...) = NULL;
    va_list more;
    va_start(more, flags);
    mode_t mode = va_arg(more, mode_t);
    va_end(more);
    if (!real) real = dlsym(RTLD_NEXT, "open64");
    return refused(path) ? -1 : real(path, flags, mode);
}

int open(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = va_arg(more, mode_t);
    va_end(more);
    return open64(path, flags, mode);
}
