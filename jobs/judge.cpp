#include <refrain/comm/launch.hpp>
#include <refrain/judge/job.hpp>

int main(int argc, char** argv) {
  return refrain::comm::launch<refrain::judge::Options>(argc, argv, refrain::judge::run);
}
