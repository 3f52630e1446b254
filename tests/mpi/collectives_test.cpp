#include <catch2/catch.hpp>

#include <refrain/comm/collectives.hpp>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <vector>

using namespace refrain;
using namespace refrain::comm;

namespace {

/// Numbers of many magnitudes, so that another order of summation shows in the bits.
float value_of(int rank, std::size_t i) {
  auto const x =
      static_cast<double>((i * 2654435761u + static_cast<std::size_t>(rank) * 40503u) % 100003u) / 100003.0 - 0.5;
  return static_cast<float>(x * std::pow(10.0, static_cast<double>(i % 7) - 3));
}

std::vector<float> values(int rank, std::size_t count) {
  std::vector<float> v(count);
  for (std::size_t i = 0; i < count; ++i) v[i] = value_of(rank, i);
  return v;
}

float ordered_sum(int ranks, std::size_t i) {
  float sum = value_of(0, i);
  for (int r = 1; r < ranks; ++r) sum += value_of(r, i);
  return sum;
}

template <class T>
Buffer buffer(std::vector<T>& v, DType type) {
  return {v.data(), v.size(), type};
}

/// Lengths on both sides of every boundary: small exchange, uneven parts, several pieces of scratch memory.
std::vector<std::size_t> const lengths = {1, 3, 1000, 16385, 70'001, 4'194'304 + 4099};

template <class T>
bool same_everywhere(Communicator const& world, std::vector<T> const& v) {
  std::string const mine(reinterpret_cast<char const*>(v.data()), v.size() * sizeof(T));
  return world.min(int64_t{world.broadcast(mine, 0) == mine}) == 1;
}

}  // namespace

TEST_CASE("all_reduce sums in rank order, with the same bits on all ranks") {
  Communicator const world = Communicator::world();
  auto const group = mpi_collectives(world);
  for (std::size_t const n : lengths) {
    auto v = values(world.rank(), n);
    group->wait(group->all_reduce(buffer(v, DType::fp32), ReduceOp::sum, Lane::compute), Lane::compute);
    std::size_t wrong = 0;
    double worst = 0;
    for (std::size_t i = 0; i < n; ++i) {
      wrong += v[i] != ordered_sum(world.size(), i);
      double exact = 0, size = 0;
      for (int r = 0; r < world.size(); ++r) exact += value_of(r, i), size += std::abs(value_of(r, i));
      worst = std::max(worst, std::abs(v[i] - exact) / (size + 1e-30));
    }
    CHECK(wrong == 0);
    CHECK(worst < 1e-6);
    CHECK(same_everywhere(world, v));
  }
}

TEST_CASE("reduce_scatter gives each rank its part of the ordered sum, also into its own input") {
  Communicator const world = Communicator::world();
  auto const group = mpi_collectives(world);
  for (std::size_t const n : {std::size_t{5}, std::size_t{30'001}, std::size_t{2'500'000}}) {
    auto in = values(world.rank(), n * static_cast<std::size_t>(world.size()));
    std::vector<float> out(n);
    std::size_t const begin = n * static_cast<std::size_t>(world.rank());
    group->wait(group->reduce_scatter(buffer(out, DType::fp32), buffer(in, DType::fp32), Lane::reduce), Lane::reduce);
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < n; ++i) wrong += out[i] != ordered_sum(world.size(), begin + i);
    CHECK(wrong == 0);
    group->reduce_scatter({in.data() + begin, n, DType::fp32}, buffer(in, DType::fp32), Lane::reduce);
    CHECK(std::memcmp(in.data() + begin, out.data(), n * sizeof(float)) == 0);
  }
}

TEST_CASE("all_gather joins the parts in rank order, also in place") {
  Communicator const world = Communicator::world();
  auto const group = mpi_collectives(world);
  std::size_t const n = 12'345;
  auto mine = values(world.rank(), n);
  std::vector<float> all(n * static_cast<std::size_t>(world.size()));
  group->wait(group->all_gather(buffer(all, DType::fp32), buffer(mine, DType::fp32), Lane::gather), Lane::gather);
  std::size_t wrong = 0;
  for (int r = 0; r < world.size(); ++r)
    for (std::size_t i = 0; i < n; ++i) wrong += all[static_cast<std::size_t>(r) * n + i] != value_of(r, i);
  CHECK(wrong == 0);

  std::vector<float> again(all.size());
  float* const own = again.data() + n * static_cast<std::size_t>(world.rank());
  std::copy(mine.begin(), mine.end(), own);
  group->all_gather(buffer(again, DType::fp32), {own, n, DType::fp32}, Lane::gather);
  CHECK(again == all);
}

TEST_CASE("half precision is summed in fp32 and rounded once") {
  Communicator const world = Communicator::world();
  auto const group = mpi_collectives(world);
  for (DType const type : {DType::bf16, DType::fp16})
    for (std::size_t const n : {std::size_t{100}, std::size_t{200'001}}) {
      auto const store = [&](float x) { return type == DType::bf16 ? bf16_from_float(x) : fp16_from_float(x); };
      auto const load = [&](uint16_t x) { return type == DType::bf16 ? float_from_bf16(x) : float_from_fp16(x); };
      std::vector<uint16_t> v(n);
      for (std::size_t i = 0; i < n; ++i) v[i] = store(value_of(world.rank(), i));
      group->all_reduce(buffer(v, type), ReduceOp::sum, Lane::compute);
      std::size_t wrong = 0;
      for (std::size_t i = 0; i < n; ++i) {
        float sum = load(store(value_of(0, i)));
        for (int r = 1; r < world.size(); ++r) sum += load(store(value_of(r, i)));
        wrong += v[i] != store(sum);
      }
      CHECK(wrong == 0);
    }
}

TEST_CASE("other types, the maximum, and NaN") {
  Communicator const world = Communicator::world();
  auto const group = mpi_collectives(world);
  int const last = world.size() - 1;
  for (std::size_t const n : {std::size_t{7}, std::size_t{50'000}}) {
    std::vector<double> d(n);
    std::vector<int64_t> l(n);
    auto f = values(world.rank(), n);
    for (std::size_t i = 0; i < n; ++i) d[i] = 1e-20 * world.rank(), l[i] = (int64_t{1} << 40) + world.rank();
    if (world.rank() == last) f[n / 2] = std::numeric_limits<float>::quiet_NaN();
    group->all_reduce(buffer(d, DType::fp64), ReduceOp::sum, Lane::compute);
    group->all_reduce(buffer(l, DType::int64), ReduceOp::max, Lane::compute);
    group->all_reduce(buffer(f, DType::fp32), ReduceOp::max, Lane::compute);
    CHECK(d[n - 1] == Approx(1e-20 * world.size() * last / 2).margin(0));
    CHECK(l[0] == (int64_t{1} << 40) + last);
    CHECK(std::isnan(f[n / 2]));
    float most = value_of(0, 0);
    for (int r = 1; r < world.size(); ++r) most = std::max(most, value_of(r, 0));
    CHECK(f[0] == most);
  }
}

TEST_CASE("a group is made of any part of the world, and empty buffers are fine") {
  Communicator const world = Communicator::world();
  Communicator const half = world.split(world.rank() % 2, world.rank());
  auto const group = mpi_collectives(half);
  std::vector<float> v(20'000, static_cast<float>(world.rank()));
  group->all_reduce(buffer(v, DType::fp32), ReduceOp::sum, Lane::compute);
  float sum = 0;
  for (int r = world.rank() % 2; r < world.size(); r += 2) sum += static_cast<float>(r);
  CHECK(v[19'999] == sum);
  std::vector<float> none;
  group->all_reduce(buffer(none, DType::fp32), ReduceOp::sum, Lane::compute);
  group->all_gather(buffer(none, DType::fp32), buffer(none, DType::fp32), Lane::gather);
  group->reduce_scatter(buffer(none, DType::fp32), buffer(none, DType::fp32), Lane::reduce);
}

TEST_CASE("transfers of more than 2^31 bytes arrive whole") {
  Communicator const world = Communicator::world();
  if (!std::getenv("REFRAIN_TEST_LONG") || world.size() != 2) return;  // 7 GB of memory
  auto const group = mpi_collectives(world);
  std::size_t const n = (std::size_t{1} << 30) + 12'345;
  std::vector<uint8_t> mine(n), all(2 * n);
  auto const byte = [](std::size_t rank, std::size_t i) {
    return static_cast<uint8_t>((i * 2654435761u >> 13) + rank);
  };
  for (std::size_t i = 0; i < n; ++i) mine[i] = byte(static_cast<std::size_t>(world.rank()), i);
  group->all_gather(buffer(all, DType::uint8), buffer(mine, DType::uint8), Lane::gather);
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < 2 * n; ++i) wrong += all[i] != byte(i / n, i % n);
  CHECK(wrong == 0);
}
