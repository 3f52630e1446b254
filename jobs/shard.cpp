#include <refrain/comm/launch.hpp>
#include <refrain/shard/job.hpp>

int main(int argc, char** argv) {
  return refrain::comm::launch<refrain::shard::Options>(argc, argv, refrain::shard::run);
}
