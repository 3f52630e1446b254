#include <refrain/model/device_errors.hpp>

#include <ATen/ATen.h>

#include <catch2/catch.hpp>

#include <stdexcept>

using namespace refrain;
using model::device_error;

TEST_CASE("a full GPU is one line that says what was asked for") {
  c10::OutOfMemoryError const full(
      {__func__, __FILE__, __LINE__},
      "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.10 "
      "GiB of which 1.12 GiB is free. Including non-PyTorch memory, this process has...\n");
  auto const error = device_error(full);
  REQUIRE(error);
  CHECK(error->problem() ==
        "the GPU's memory is full: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total "
        "capacity of 79.10 GiB of which 1.12 GiB is free");
  CHECK_THAT(error->what(), Catch::Contains("--micro-batch-tokens"));
}

TEST_CASE("a full host is one line") {
  try {
    at::empty({int64_t{1} << 50});
    FAIL("a petabyte was there");
  } catch (std::exception const& thrown) {
    auto const error = device_error(thrown);
    REQUIRE(error);
    CHECK_THAT(error->problem(), Catch::StartsWith("the host's memory is full: "));
    CHECK(std::string(error->what()).find('\n') == std::string::npos);
  }
}

TEST_CASE("other errors of libtorch lose their backtrace, and others stay what they are") {
  try {
    at::mm(at::zeros({2, 3}), at::zeros({2, 3}));
    FAIL("shapes do not matter");
  } catch (std::exception const& thrown) {
    auto const error = device_error(thrown);
    REQUIRE(error);
    CHECK_THAT(error->problem(), Catch::Contains("mat1 and mat2"));
    CHECK(error->problem().find('\n') == std::string::npos);
  }
  CHECK_FALSE(device_error(std::runtime_error("no")));
  CHECK_FALSE(device_error(Error("ours")));
}
