#include <refrain/comm/launch.hpp>
#include <refrain/generate/job.hpp>

int main(int argc, char** argv) {
  return refrain::comm::launch<refrain::generate::Options>(argc, argv, refrain::generate::run);
}
