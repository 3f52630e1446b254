/* flock and fcntl locks of a file system that lies: preloaded by a test, they all fail or all succeed at once. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
