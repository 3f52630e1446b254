#include <refrain/checkpoint/boxes.hpp>

#include <algorithm>
#include <cstring>

namespace refrain::checkpoint {

Slice whole(Shape const& shape) { return {.start = Shape(shape.size(), 0), .count = shape}; }

std::optional<Slice> intersection(Slice const& a, Slice const& b) {
  Slice both{a.start, a.count};
  for (std::size_t axis = 0; axis < a.start.size(); ++axis) {
    both.start[axis] = std::max(a.start[axis], b.start[axis]);
    both.count[axis] = std::min(a.start[axis] + a.count[axis], b.start[axis] + b.count[axis]) - both.start[axis];
    if (both.count[axis] <= 0) return std::nullopt;
  }
  return both;
}

void check_request(Slice const& slice, Shape const& shape, std::size_t element_size, std::size_t bytes, Place place) {
  bool inside = slice.start.size() == shape.size() && slice.count.size() == shape.size();
  for (std::size_t axis = 0; inside && axis < shape.size(); ++axis)
    inside = slice.start[axis] >= 0 && slice.count[axis] >= 0 && slice.start[axis] <= shape[axis] - slice.count[axis];
  if (!inside || static_cast<std::size_t>(element_count(slice.count)) * element_size != bytes)
    throw Error("a box of " + to_string(slice.count) + " from " + to_string(slice.start) + " is asked of " +
                    to_string(shape),
                "check that config.json belongs to these weights", std::move(place));
}

void for_each_piece(Shape const& count, Shape const& grain, std::size_t element_size, int64_t most_bytes,
                    std::function<void(Slice const& piece, int64_t first)> const& visit) {
  if (element_count(count) == 0) return;
  if (count.empty()) return visit(Slice{}, 0);
  // The axis that is cut: the first whose inner part fits. Axes before it are walked one by one.
  std::size_t axis = 0;
  int64_t inner = static_cast<int64_t>(element_size);
  for (auto length : count) inner *= length;
  for (; axis + 1 < count.size(); ++axis) {
    inner /= count[axis];
    if (inner * grain[axis] <= most_bytes) break;
  }
  if (axis + 1 == count.size()) inner = static_cast<int64_t>(element_size);
  int64_t const step = std::max<int64_t>(most_bytes / (inner * grain[axis]), 1) * grain[axis];

  Slice piece{.start = Shape(count.size(), 0), .count = count};
  std::fill_n(piece.count.begin(), axis, 1);
  int64_t first = 0;
  while (true) {
    for (piece.start[axis] = 0; piece.start[axis] < count[axis]; piece.start[axis] += step) {
      piece.count[axis] = std::min(step, count[axis] - piece.start[axis]);
      visit(piece, first);
      first += element_count(piece.count);
    }
    std::size_t outer = axis;
    while (outer > 0 && ++piece.start[outer - 1] == count[outer - 1]) piece.start[--outer] = 0;
    if (outer == 0) return;
  }
}

Slice consecutive_box(Shape const& shape, int64_t first, int64_t elements) {
  Slice box{.start = Shape(shape.size(), 0), .count = Shape(shape.size(), 1)};
  int64_t inner = element_count(shape);
  bool cut = false;
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    inner /= shape[axis];
    box.start[axis] = first / inner;
    first %= inner;
    if (cut) {
      box.count[axis] = shape[axis];
    } else if (inner <= elements) {
      box.count[axis] = elements / inner;
      cut = true;
    }
  }
  return box;
}

void for_each_consecutive_box(Shape const& shape, int64_t first, int64_t elements,
                              std::function<void(Slice const& box, int64_t at)> const& visit) {
  for (int64_t at = 0; at < elements;) {
    // The outermost axis along which whole steps fit, and how many of them before the next axis turns over.
    int64_t const place = first + at, left = elements - at;
    int64_t step = 1, taken = 0;
    for (std::size_t axis = shape.size(); axis-- > 0 && place % step == 0 && step <= left; step *= shape[axis])
      taken = std::min(left / step, shape[axis] - place / step % shape[axis]) * step;
    if (shape.empty()) taken = 1;
    visit(consecutive_box(shape, place, taken), at);
    at += taken;
  }
}

void copy_box(std::span<std::byte const> from, Slice const& from_box, std::span<std::byte> to, Slice const& to_box,
              Slice const& what, std::size_t element_size) {
  auto const rank = what.count.size();
  auto const offset = [&](Slice const& box, Shape const& at) {
    int64_t index = 0;
    for (std::size_t axis = 0; axis < rank; ++axis) index = index * box.count[axis] + at[axis] - box.start[axis];
    return static_cast<std::size_t>(index) * element_size;
  };
  // Trailing axes that are whole in both boxes are one run with the axis before them.
  std::size_t run_axis = rank == 0 ? 0 : rank - 1;
  while (run_axis > 0 && what.count[run_axis] == from_box.count[run_axis] &&
         what.count[run_axis] == to_box.count[run_axis])
    --run_axis;
  std::size_t run = element_size;
  for (std::size_t axis = run_axis; axis < rank; ++axis) run *= static_cast<std::size_t>(what.count[axis]);

  Shape at = what.start;
  while (true) {
    std::memcpy(to.data() + offset(to_box, at), from.data() + offset(from_box, at), run);
    std::size_t axis = run_axis;
    while (axis > 0 && ++at[axis - 1] == what.start[axis - 1] + what.count[axis - 1]) {
      at[axis - 1] = what.start[axis - 1];
      --axis;
    }
    if (axis == 0) return;
  }
}

}  // namespace refrain::checkpoint
