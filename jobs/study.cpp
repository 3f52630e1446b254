#include <refrain/base/launch.hpp>
#include <refrain/study/job.hpp>

int main(int argc, char** argv) {
  return refrain::launch_serial<refrain::study::Options>(argc, argv, refrain::study::run);
}
