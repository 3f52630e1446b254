#include <refrain/base/launch.hpp>
#include <refrain/report/job.hpp>

int main(int argc, char** argv) {
  return refrain::launch_serial<refrain::report::Options>(argc, argv, refrain::report::run);
}
