/* What some file systems do, for a program that is started with LD_PRELOAD and BAD_FILES set to one of
 * rename: none is allowed; stale: renaming changes nothing and says it did; exclusive: files that are there are created
 * once more; links: there are no hard links; sync: fsync fails; ahead: the file system's clock is a minute fast. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int is(char const* fault) {
  char const* set = getenv("BAD_FILES");
  return set && strcmp(set, fault) == 0;
}

static int fail(int code) {
  errno = code;
  return -1;
}

int rename(char const* from, char const* to) {
  int (*real)(char const*, char const*) = (int (*)(char const*, char const*))dlsym(RTLD_NEXT, "rename");
  if (is("rename")) return fail(EPERM);
  if (is("stale")) return 0;
  return real(from, to);
}

int link(char const* from, char const* to) {
  int (*real)(char const*, char const*) = (int (*)(char const*, char const*))dlsym(RTLD_NEXT, "link");
  return is("links") ? fail(EPERM) : real(from, to);
}

int fsync(int file) {
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
  return is("sync") ? fail(EIO) : real(file);
}

int utimensat(int folder, char const* path, struct timespec const times[2], int flags) {
  int (*real)(int, char const*, struct timespec const*, int) =
      (int (*)(int, char const*, struct timespec const*, int))dlsym(RTLD_NEXT, "utimensat");
  struct timespec fast[2];
  if (!is("ahead") || times) return real(folder, path, times, flags);
  clock_gettime(CLOCK_REALTIME, &fast[0]);
  fast[0].tv_sec += 60;
  fast[1] = fast[0];
  return real(folder, path, fast, flags);
}

int open(char const* path, int flags, ...) {
  int (*real)(char const*, int, ...) = (int (*)(char const*, int, ...))dlsym(RTLD_NEXT, "open");
  va_list rest;
  va_start(rest, flags);
  mode_t const mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return real(path, is("exclusive") ? flags & ~O_EXCL : flags, mode);
}

/* The same where offsets have 64 bits anyway. */
int open64(char const* path, int flags, ...) __attribute__((alias("open")));
