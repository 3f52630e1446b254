#include <refrain/comm/launch.hpp>
#include <refrain/convert/job.hpp>

int main(int argc, char** argv) {
  return refrain::comm::launch<refrain::convert::Options>(argc, argv, refrain::convert::run);
}
