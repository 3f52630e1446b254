/* flock of a file system that lies: preloaded by a test, every call fails or every call succeeds at once. LYING_FLOCK says
   which; names of the programs that it was loaded into are appended to the file LYING_FLOCK_SEEN. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((constructor)) static void say(void) {
  char const* file = getenv("LYING_FLOCK_SEEN");
  FILE* out = file ? fopen(file, "a") : NULL;
  if (!out) return;
  fprintf(out, "%s\n", program_invocation_short_name);
  fclose(out);
}

static int answer(void) {
  char const* wanted = getenv("LYING_FLOCK");
  if (wanted && strcmp(wanted, "fails") == 0) {
    errno = ENOSYS;
    return -1;
  }
  return 0;
}

int flock(int file, int operation) {
  (void)file, (void)operation;
  return answer();
}

int lockf(int file, int command, long length) {
  (void)file, (void)command, (void)length;
  return answer();
}
