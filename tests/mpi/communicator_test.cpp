#include <catch2/catch.hpp>

#include <refrain/comm/communicator.hpp>
#include <refrain/comm/parallel_layout.hpp>

using namespace refrain;
using namespace refrain::comm;

TEST_CASE("values and texts reach everyone") {
  Communicator const world = Communicator::world();
  int64_t const n = world.size(), me = world.rank();
  CHECK(world.sum(me) == n * (n - 1) / 2);
  CHECK(world.max(me) == n - 1);
  CHECK(world.min(me + 5) == 5);
  CHECK(world.max(0.5 * static_cast<double>(me)) == 0.5 * static_cast<double>(n - 1));
  CHECK(world.broadcast(std::string("of rank ") + std::to_string(me), static_cast<int>(n - 1)) ==
        "of rank " + std::to_string(n - 1));
  std::string const text(static_cast<std::size_t>(me) * 1000, 'x');  // rank 0's is empty
  auto const all = world.all_gather(text);
  auto const gathered = world.gather(text, 0);
  REQUIRE(static_cast<int64_t>(all.size()) == n);
  CHECK(static_cast<int64_t>(gathered.size()) == (me == 0 ? n : (n == 1 ? 1 : 0)));
  for (std::size_t r = 0; r < all.size(); ++r) CHECK(all[r].size() == r * 1000);
  if (me == 0) CHECK(gathered == all);
  CHECK(world.all_gather(me * me).back() == (n - 1) * (n - 1));
}

TEST_CASE("parts keep their order, and a node holds all ranks here") {
  Communicator const world = Communicator::world();
  Communicator const reversed = world.split(0, -world.rank());
  CHECK(reversed.rank() == world.size() - 1 - world.rank());
  CHECK(world.split_by_node().size() == world.size());
  CHECK(Communicator::single().size() == 1);
}

TEST_CASE("a failure on any rank is everyone's, and is the lowest rank's") {
  Communicator const world = Communicator::world();
  agree(world, [] {});
  int const last = world.size() - 1;
  try {
    agree(world, [&] {
      if (world.rank() == last) throw UsageError("no such model", "check it", {.file = "a/b", .object = "x"});
    });
    FAIL("nothing was thrown on rank " << world.rank());
  } catch (Error const& error) {
    CHECK(error.what() ==
          std::string(last > 0 ? "rank " + std::to_string(last) + ": " : "") + "no such model [a/b:x] (check it)");
    CHECK(error.exit_code() == Exit::usage);
  }
  try {
    agree(world, [&] { throw std::runtime_error("on rank " + std::to_string(world.rank()) + "\nwith a stack trace"); });
    FAIL("nothing was thrown on rank " << world.rank());
  } catch (std::exception const& error) {
    std::string const text = error.what();
    CHECK(text.substr(0, 9) == "on rank 0");
  }
}

TEST_CASE("the layout puts tensor ranks next to each other") {
  Communicator const world = Communicator::world();
  int const tensor = world.size() % 2 == 0 ? 2 : 1;
  ParallelLayout const layout(world, tensor);
  CHECK(layout.tensor().size() == tensor);
  CHECK(layout.data().size() == world.size() / tensor);
  CHECK(layout.tensor().rank() == world.rank() % tensor);
  CHECK(layout.data().rank() == world.rank() / tensor);
  CHECK(layout.tensor().min(int64_t{world.rank()}) == world.rank() / tensor * tensor);
}

TEST_CASE("a layout that does not fit names those that do") {
  Communicator const world = Communicator::world();
  int const n = world.size();
  std::string const ranks = n == 1 ? "1 rank" : std::to_string(n) + " ranks";
  std::string const fitting = n == 1 ? "1 x 1" : n == 2 ? "1 x 2, 2 x 1" : "1 x 4, 2 x 2, 4 x 1";
  REQUIRE_THROWS_WITH(ParallelLayout(world, 3), "--tensor-parallel 3 does not divide " + ranks + " (with " + ranks +
                                                    ", tensor x data parallel can be " + fitting + ")");
  REQUIRE_THROWS_WITH(ParallelLayout(world, 3, 2), "--tensor-parallel 3 x --data-parallel 2 needs 6 ranks, here run " +
                                                       std::to_string(n) + " (start 6 ranks, or with " + ranks +
                                                       " tensor x data parallel can be " + fitting + ")");
}
