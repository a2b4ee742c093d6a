/* Lets the disk of one process fail, for tests of a store in a file.
 *
 * Loaded with LD_PRELOAD. The file named by DISK_FAULT_FILE holds one byte; whoever writes it changes
 * the disk at once: 'f' is full, 'e' fails all writes and syncs, 's' fails syncs alone, 'r' may be opened
 * for reading only. Any other byte is a sound disk. Pipes and terminals are left alone. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static const volatile char *fault;

__attribute__((constructor)) static void open_fault(void) {
    int (*plain)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
    const char *path = getenv("DISK_FAULT_FILE");
    int file = path ? plain(path, O_RDONLY) : -1;
    if (file < 0) return;
    void *map = mmap(0, 1, PROT_READ, MAP_SHARED, file, 0);
    if (map != MAP_FAILED) fault = map;
    close(file);
}

static int is_on_disk(int file) {
    struct stat found;
    return fstat(file, &found) == 0 && S_ISREG(found.st_mode);
}

static int refuses_write(int file) {
    char now = fault ? *fault : 0;
    if ((now != 'f' && now != 'e') || !is_on_disk(file)) return 0;
    errno = now == 'f' ? ENOSPC : EIO;
    return 1;
}

static int refuses_sync(void) {
    if (!fault || (*fault != 'e' && *fault != 's')) return 0;
    errno = EIO;
    return 1;
}

static int refuses_open(int flags) {
    if (!fault || *fault != 'r' || (flags & O_ACCMODE) == O_RDONLY) return 0;
    errno = EACCES;
    return 1;
}

ssize_t write(int file, const void *bytes, size_t count) {
    static ssize_t (*real)(int, const void *, size_t);
    if (!real) real = dlsym(RTLD_NEXT, "write");
    return refuses_write(file) ? -1 : real(file, bytes, count);
}

ssize_t pwrite(int file, const void *bytes, size_t count, off_t at) {
    static ssize_t (*real)(int, const void *, size_t, off_t);
    if (!real) real = dlsym(RTLD_NEXT, "pwrite");
    return refuses_write(file) ? -1 : real(file, bytes, count, at);
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t at) {
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    if (!real) real = dlsym(RTLD_NEXT, "pwrite64");
    return refuses_write(file) ? -1 : real(file, bytes, count, at);
}

int fsync(int file) {
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "fsync");
    return refuses_sync() ? -1 : real(file);
}

int fdatasync(int file) {
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "fdatasync");
    return refuses_sync() ? -1 : real(file);
}

static mode_t mode_of(int flags, va_list rest) {
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
}

int open(const char *path, int flags, ...) {
    static int (*real)(const char *, int, ...);
    if (!real) real = dlsym(RTLD_NEXT, "open");
    va_list rest;
    va_start(rest, flags);
    mode_t mode = mode_of(flags, rest);
    va_end(rest);
    return refuses_open(flags) ? -1 : real(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    static int (*real)(const char *, int, ...);
    if (!real) real = dlsym(RTLD_NEXT, "open64");
    va_list rest;
    va_start(rest, flags);
    mode_t mode = mode_of(flags, rest);
    va_end(rest);
    return refuses_open(flags) ? -1 : real(path, flags, mode);
}
