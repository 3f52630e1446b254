#include <ATen/Parallel.h>

#include <catch2/catch.hpp>

#include <mutex>
#include <set>
#include <thread>

// A header's loop, which is one thread's where this project is compiled without OpenMP.
TEST_CASE("loops run on the threads that libtorch has") {
  int const before = at::get_num_threads();
  at::set_num_threads(2);
  std::mutex mutex;
  std::set<std::thread::id> threads;
  at::parallel_for(0, 2, 1, [&](int64_t, int64_t) {
    std::lock_guard const lock(mutex);
    threads.insert(std::this_thread::get_id());
  });
  at::set_num_threads(before);
  CHECK(threads.size() == 2);
}
