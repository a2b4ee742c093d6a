/* Shifts the wall clock of one process, for tests that move a store's clock.
 *
 * Loaded with LD_PRELOAD. The file named by CLOCK_SHIFT_FILE holds eight bytes, a signed count of
 * microseconds in the machine's byte order; whoever writes it moves the clock at once. Steady clocks
 * are left alone. Raw system calls are used so that an allocator which reads the clock while it starts
 * does not end in a recursion. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *shift_us;

__attribute__((constructor)) static void open_shift(void) {
    const char *path = getenv("CLOCK_SHIFT_FILE");
    int file = path ? open(path, O_RDONLY) : -1;
    if (file < 0) return;
    void *map = mmap(0, sizeof *shift_us, PROT_READ, MAP_SHARED, file, 0);
    if (map != MAP_FAILED) shift_us = map;
    close(file);
}

int clock_gettime(clockid_t clock, struct timespec *out) {
    int refused = (int)syscall(SYS_clock_gettime, clock, out);
    if (refused || !shift_us || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)) return refused;
    int64_t ns = (int64_t)out->tv_sec * 1000000000 + out->tv_nsec + *shift_us * 1000;
    out->tv_sec = ns / 1000000000;
    out->tv_nsec = ns % 1000000000;
    return 0;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone) {
    (void)zone;
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out) {
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
