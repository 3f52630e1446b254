// NCCL's collectives against MPI's, a GPU a rank.
#include <refrain/base/error.hpp>
#include <refrain/model/backend.hpp>

#include <ATen/ATen.h>

#include <catch2/catch.hpp>

using namespace refrain;
using comm::Lane;
using comm::ReduceOp;

namespace {

struct Ranks {
  comm::Communicator world = comm::Communicator::world();
  comm::ParallelLayout layout{world, 1};
  std::unique_ptr<model::Backend> gpu = model::cuda_backend(layout, 120);
  std::unique_ptr<comm::Collectives> host = comm::mpi_collectives(world);
};

/// One set of communicators for all cases.
Ranks& ranks() {
  static Ranks all;
  return all;
}

at::Tensor values(int64_t count, at::ScalarType type) {
  at::manual_seed(100 + static_cast<uint64_t>(ranks().world.rank()));
  at::Tensor const x = at::randn({count}) * 10;
  return x.to(type);
}

double tolerance(at::ScalarType type) {
  return type == at::kBFloat16 ? 8e-3 * ranks().world.size() : type == at::kFloat ? 1e-6 : 1e-14;
}

bool near(at::Tensor const& ours, at::Tensor const& theirs) {
  at::Tensor const wanted = theirs.to(at::kDouble);
  return ((ours.to(at::kCPU, at::kDouble) - wanted).abs().max() / (wanted.abs().max() + 1e-30)).item<double>() <=
         tolerance(theirs.scalar_type());
}

}  // namespace

TEST_CASE("sums, maxima, parts and joined parts are MPI's, on every lane") {
  auto& [world, layout, gpu, host] = ranks();
  auto& nccl = gpu->data();
  int64_t const n = world.size();
  for (auto const type : {at::kFloat, at::kBFloat16, at::kDouble})
    for (int64_t const count : {int64_t{1}, int64_t{1000}, int64_t{3'000'001}})
      for (Lane const lane : {Lane::compute, Lane::gather, Lane::reduce}) {
        CAPTURE(type, count, static_cast<int>(lane));
        for (ReduceOp const op : {ReduceOp::sum, ReduceOp::max}) {
          at::Tensor const theirs = values(count, type), ours = theirs.to(gpu->device());
          host->wait(host->all_reduce(model::buffer_of(theirs), op, lane), lane);
          nccl.wait(nccl.all_reduce(model::buffer_of(ours), op, lane), lane);
          CHECK(near(ours, theirs));
        }
        at::Tensor const in = values(count * n, type), our_in = in.to(gpu->device());
        at::Tensor const out = at::empty({count}, in.options()), our_out = at::empty({count}, our_in.options());
        host->wait(host->reduce_scatter(model::buffer_of(out), model::buffer_of(in), lane), lane);
        nccl.wait(nccl.reduce_scatter(model::buffer_of(our_out), model::buffer_of(our_in), lane), lane);
        CHECK(near(our_out, out));
        at::Tensor const all = at::empty({count * n}, in.options()), our_all = at::empty({count * n}, our_in.options());
        host->wait(host->all_gather(model::buffer_of(all), model::buffer_of(out), lane), lane);
        nccl.wait(nccl.all_gather(model::buffer_of(our_all), model::buffer_of(our_out), lane), lane);
        CHECK(near(our_all, all));
      }
}

TEST_CASE("a transfer beside the computation begins when its input is there, and what waits sees its result") {
  auto& [world, layout, gpu, host] = ranks();
  auto& nccl = gpu->data();
  int64_t const edge = 4096;
  at::Tensor const a = at::full({edge, edge}, 1. / edge, at::TensorOptions(gpu->device()).dtype(at::kFloat));
  for (int turn = 0; turn < 20; ++turn) {
    at::Tensor x = at::full({edge, edge}, static_cast<double>(world.rank() + 1), a.options());
    for (int i = 0; i < 8; ++i) x = x.mm(a);  // takes a while: a transfer that does not wait would see other values
    auto const ticket = nccl.all_reduce(model::buffer_of(x), ReduceOp::sum, Lane::reduce);
    at::Tensor const beside = a.mm(a);
    nccl.wait(ticket, Lane::reduce);
    double const sum = world.size() * (world.size() + 1) / 2.;
    CHECK((x - sum).abs().max().item<double>() < 1e-3 * sum);
    CHECK(beside.defined());
  }
}

TEST_CASE("memory of the host goes through MPI") {
  auto& [world, layout, gpu, host] = ranks();
  double value = world.rank() + 1;
  auto& nccl = gpu->data();
  nccl.wait(nccl.all_reduce({&value, 1, DType::fp64}, ReduceOp::sum, Lane::compute), Lane::compute);
  CHECK(value == world.size() * (world.size() + 1) / 2.);
}
