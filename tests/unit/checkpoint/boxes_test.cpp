#include "fixtures.hpp"

#include <refrain/checkpoint/boxes.hpp>
#include <refrain/checkpoint/manifest.hpp>

#include <catch2/catch.hpp>

#include <numeric>

using namespace refrain;
using namespace refrain::checkpoint;
using namespace refrain::testing;

namespace {

std::vector<std::byte> numbered(int64_t count) {
  std::vector<uint16_t> values(static_cast<std::size_t>(count));
  std::iota(values.begin(), values.end(), uint16_t{0});
  auto const bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}

}  // namespace

TEST_CASE("consecutive elements are a few boxes, in order") {
  for (Shape const& shape :
       {Shape{}, Shape{7}, Shape{5, 6}, Shape{1, 9}, Shape{9, 1}, Shape{3, 1, 4}, Shape{2, 3, 10}}) {
    int64_t const all = element_count(shape);
    for (int64_t first = 0; first < all; ++first)
      for (int64_t elements = 0; first + elements <= all; ++elements) {
        INFO(to_string(shape) << " from " << first << ", " << elements);
        int64_t next = 0;
        std::size_t boxes = 0;
        for_each_consecutive_box(shape, first, elements, [&](Slice const& box, int64_t at) {
          ++boxes;
          CHECK(at == next);
          next += element_count(box.count);
          // A box whose first and last element are where they should be, and that is as long as it should be.
          int64_t begin = 0, end = 0;
          for (std::size_t axis = 0; axis < shape.size(); ++axis) {
            begin = begin * shape[axis] + box.start[axis];
            end = end * shape[axis] + box.start[axis] + box.count[axis] - 1;
          }
          CHECK(begin == first + at);
          CHECK(end - begin + 1 == element_count(box.count));
        });
        CHECK(next == elements);
        CHECK(boxes <= std::max<std::size_t>(1, 2 * shape.size() - 1));
      }
  }
}

TEST_CASE("pieces follow each other, keep to the grain and come back from their first element") {
  for (auto const& [shape, grain] : std::vector<std::pair<Shape, Shape>>{{{}, {}},
                                                                         {{7}, {1}},
                                                                         {{7}, {3}},
                                                                         {{1, 9}, {1, 4}},
                                                                         {{9, 1}, {2, 1}},
                                                                         {{5, 6}, {2, 6}},
                                                                         {{5, 6}, {1, 4}},
                                                                         {{3, 1, 4}, {1, 1, 4}},
                                                                         {{2, 3, 10}, {1, 1, 4}}})
    for (int64_t most : {2, 10, 16, 1000}) {
      INFO(to_string(shape) << " " << to_string(grain) << " " << most);
      int64_t next = 0;
      for_each_piece(shape, grain, 2, most, [&](Slice const& piece, int64_t first) {
        CHECK(first == next);
        next += element_count(piece.count);
        if (element_count(grain) * 2 <= most)
          for (std::size_t axis = 0; axis < shape.size(); ++axis) CHECK(piece.start[axis] % grain[axis] == 0);
        auto const again = consecutive_box(shape, first, element_count(piece.count));
        CHECK(again.start == piece.start);
        CHECK(again.count == piece.count);
      });
      CHECK(next == element_count(shape));
    }
}

TEST_CASE("a box is copied between two others") {
  // Rows 1..2, columns 2..3 of a 4 x 5 tensor, out of its rows 1..3, into a 3 x 3 box from (0, 1) on.
  Slice const from_box{{1, 0}, {3, 5}}, to_box{{0, 1}, {3, 3}}, what{{1, 2}, {2, 2}};
  auto const from = numbered(15);
  std::vector<uint16_t> to(9, 99);
  copy_box(from, from_box, std::as_writable_bytes(std::span(to)), to_box, what, 2);
  CHECK(to == std::vector<uint16_t>{99, 99, 99, 99, 2, 3, 99, 7, 8});
  CHECK_FALSE(intersection({{0, 0}, {2, 2}}, {{2, 0}, {1, 2}}));
  CHECK(intersection(from_box, to_box)->count == Shape{2, 3});
}

TEST_CASE("slices must cover a tensor exactly once") {
  auto const cover = [](std::vector<Slice> const& slices) {
    return message_of([&] { check_cover("/weights/a", {4, 4}, slices, "m.json"); });
  };
  CHECK(cover({{{0, 0}, {4, 2}}, {{0, 2}, {2, 2}}, {{2, 2}, {2, 2}}}) == "nothing was thrown");
  CHECK(cover({{{0, 0}, {4, 2}}}) == "the slices hold 8 of 16 elements [m.json:/weights/a] (the checkpoint is damaged; "
                                     "use another one, or make it again)");
  CHECK(cover({{{0, 0}, {4, 2}}, {{0, 1}, {4, 2}}}) ==
        "two slices overlap [m.json:/weights/a] (the checkpoint is damaged; use another one, or make it again)");
  CHECK(cover({{{0, 0}, {4, 2}}, {{0, 3}, {4, 2}}}).starts_with("a box of [4, 2] from [0, 3] is asked of [4, 4]"));
}
