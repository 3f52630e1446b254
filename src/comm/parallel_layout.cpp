#include <refrain/base/counted.hpp>
#include <refrain/base/error.hpp>
#include <refrain/base/joined.hpp>
#include <refrain/comm/parallel_layout.hpp>

#include <string>

namespace refrain::comm {
void check_grid(int ranks, int tensor, int data) {
  if (data > 0 && tensor * data == ranks) return;
  if (data == 0 && ranks % tensor == 0) return;
  auto const divides = [=](int degree) { return ranks % degree == 0; };
  auto const shown = [=](int degree) { return std::to_string(degree) + " x " + std::to_string(ranks / degree); };
  std::string const degrees =
      joined(std::views::iota(1, ranks + 1) | std::views::filter(divides) | std::views::transform(shown));
  if (data == 0)
    throw UsageError("--tensor-parallel " + std::to_string(tensor) + " does not divide " + counted(ranks, "rank"),
                     "with " + counted(ranks, "rank") + ", tensor x data parallel can be " + degrees);
  throw UsageError("--tensor-parallel " + std::to_string(tensor) + " x --data-parallel " + std::to_string(data) +
                       " needs " + counted(tensor * data, "rank") + ", here run " + std::to_string(ranks),
                   "start " + std::to_string(tensor * data) + " ranks, or with " + counted(ranks, "rank") +
                       " tensor x data parallel can be " + degrees);
}

ParallelLayout::ParallelLayout(Communicator world, int tensor, int data)
    : world_((check_grid(world.size(), tensor, data), world)),
      tensor_(world.split(world.rank() / tensor, world.rank())),
      data_(world.split(world.rank() % tensor, world.rank())) {}

}  // namespace refrain::comm
