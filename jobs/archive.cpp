#include <refrain/archive/job.hpp>
#include <refrain/base/launch.hpp>

int main(int argc, char** argv) {
  return refrain::launch_serial<refrain::archive::Options>(argc, argv, refrain::archive::run);
}
