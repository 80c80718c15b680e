/* A library that is loaded before the C library into the program under test, and that strikes one
 * of its calls to the system: the program is killed before it or after it, or is told that it
 * failed. All threads count together, so that the n-th call is the n-th of the program.
 *
 *   STRIKE_PROGRAM  the program's name; every other one is left alone
 *   STRIKE_CALL     name (a file gets its name), write, sync (to a file), send (on a socket)
 *   STRIKE_PATH     what the file's path contains; not looked at for sockets
 *   STRIKE_AT       the first call that is struck, from 1; 0 strikes none
 *   STRIKE_FOR      how many are struck from there on; 0 is all
 *   STRIKE_WITH     before or after (it is killed), or the number of an error
 *   STRIKE_TALLY    a file that gets a '.' for each such call, and an 'X' for each that is struck
 *   STRIKE_CLOCK    a file whose eight bytes are the seconds that the clock is off
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static const char *call, *path;
static long at, for_calls;
static int kills_before, kills_after, error_number;
static int tally = -1;
static const int64_t *clock_off;
static atomic_long calls;

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static const char *setting(const char *name) {
  const char *value = getenv(name);
  return value ? value : "";
}

__attribute__((constructor)) static void begin(void) {
  int ours = strcmp(program_invocation_short_name, setting("STRIKE_PROGRAM")) == 0;
  if (ours && *setting("STRIKE_CALL")) {
    const char *with = setting("STRIKE_WITH");
    path = strdup(setting("STRIKE_PATH"));
    at = atol(setting("STRIKE_AT"));
    for_calls = atol(setting("STRIKE_FOR"));
    kills_before = strcmp(with, "before") == 0;
    kills_after = strcmp(with, "after") == 0;
    error_number = atoi(with);
    tally = open(setting("STRIKE_TALLY"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    call = strdup(setting("STRIKE_CALL"));
  }
  if (ours && *setting("STRIKE_CLOCK")) {
    int file = open(setting("STRIKE_CLOCK"), O_RDONLY | O_CLOEXEC);
    void *mapped = mmap(NULL, 8, PROT_READ, MAP_SHARED, file, 0);
    if (mapped != MAP_FAILED)
      clock_off = mapped;
    close(file);
  }
  /* What it starts is left alone. */
  unsetenv("LD_PRELOAD");
}

static void mark(char what) {
  ssize_t (*real)(int, const void *, size_t) = NEXT(write);
  if (tally >= 0)
    real(tally, &what, 1);
}

/* Counts a call of this kind; true if it is struck. */
static int struck(const char *kind) {
  if (!call || strcmp(call, kind) != 0)
    return 0;
  long n = atomic_fetch_add(&calls, 1) + 1;
  int now = at > 0 && n >= at && (for_calls == 0 || n < at + for_calls);
  mark(now ? 'X' : '.');
  if (now && kills_before)
    kill(getpid(), SIGKILL);
  return now;
}

static void done(int now) {
  if (now && kills_after)
    kill(getpid(), SIGKILL);
}

static int on_path(const char *name) { return call && strstr(name, path) != NULL; }

static int of_path(int file) {
  char link[64], name[4096];
  if (!call || file == tally)
    return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, name, sizeof name - 1);
  if (length < 0)
    return 0;
  name[length] = 0;
  return name[0] == '/' && on_path(name);
}

static int is_socket(int file) {
  struct stat about;
  return call && strcmp(call, "send") == 0 && fstat(file, &about) == 0 && S_ISSOCK(about.st_mode);
}

#define STRIKE(now, type, act)                                                                     \
  do {                                                                                             \
    int hit = (now);                                                                               \
    if (hit && error_number) {                                                                     \
      errno = error_number;                                                                        \
      return -1;                                                                                   \
    }                                                                                              \
    type result = (act);                                                                           \
    int kept = errno;                                                                              \
    done(hit);                                                                                     \
    errno = kept;                                                                                  \
    return result;                                                                                 \
  } while (0)

int linkat(int from, const char *old, int to, const char *new, int flags) {
  STRIKE(on_path(new) && struck("name"), int, NEXT(linkat)(from, old, to, new, flags));
}

int link(const char *old, const char *new) {
  STRIKE(on_path(new) && struck("name"), int, NEXT(link)(old, new));
}

int rename(const char *old, const char *new) {
  STRIKE(on_path(new) && struck("name"), int, NEXT(rename)(old, new));
}

static int written(int file) {
  if (is_socket(file))
    return struck("send");
  return of_path(file) && struck("write");
}

ssize_t write(int file, const void *bytes, size_t length) {
  STRIKE(written(file), ssize_t, NEXT(write)(file, bytes, length));
}

ssize_t writev(int file, const struct iovec *pieces, int count) {
  STRIKE(written(file), ssize_t, NEXT(writev)(file, pieces, count));
}

ssize_t send(int file, const void *bytes, size_t length, int flags) {
  STRIKE(is_socket(file) && struck("send"), ssize_t, NEXT(send)(file, bytes, length, flags));
}

ssize_t sendto(int file, const void *bytes, size_t length, int flags, const struct sockaddr *to,
               socklen_t size) {
  STRIKE(is_socket(file) && struck("send"), ssize_t,
         NEXT(sendto)(file, bytes, length, flags, to, size));
}

ssize_t sendmsg(int file, const struct msghdr *message, int flags) {
  STRIKE(is_socket(file) && struck("send"), ssize_t, NEXT(sendmsg)(file, message, flags));
}

int fsync(int file) { STRIKE(of_path(file) && struck("sync"), int, NEXT(fsync)(file)); }

int fdatasync(int file) { STRIKE(of_path(file) && struck("sync"), int, NEXT(fdatasync)(file)); }

int clock_gettime(clockid_t which, struct timespec *now) {
  int result = NEXT(clock_gettime)(which, now);
  if (result == 0 && which == CLOCK_REALTIME && clock_off)
    now->tv_sec += *(volatile const int64_t *)clock_off;
  return result;
}
