#include <refrain/comm/launch.hpp>
#include <refrain/train/job.hpp>

int main(int argc, char** argv) {
  return refrain::comm::launch<refrain::train::Options>(argc, argv, refrain::train::run);
}
