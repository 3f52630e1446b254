#pragma once

#include <refrain/base/error.hpp>
#include <refrain/checkpoint/tensor_source.hpp>

#include <functional>
#include <optional>
#include <span>

namespace refrain::checkpoint {

/// All of a tensor.
Slice whole(Shape const& shape);

/// The part that both have, in the tensor's coordinates; none if it is empty. @pre equal ranks
std::optional<Slice> intersection(Slice const& a, Slice const& b);

/// @throws Error unless `slice` lies inside `shape` and has `bytes` bytes
void check_request(Slice const& slice, Shape const& shape, std::size_t element_size, std::size_t bytes, Place place);

/// Cuts a box of `count` elements into pieces whose bytes follow each other in row-major order: each at most about
/// `most_bytes`, its edges on multiples of `grain` (the chunks of a dataset; all ones: anywhere) where a grain fits.
/// `piece` is relative to the box; `first` its first element's index in the box.
void for_each_piece(Shape const& count, Shape const& grain, std::size_t element_size, int64_t most_bytes,
                    std::function<void(Slice const& piece, int64_t first)> const& visit);

/// The box of `shape` that `elements` consecutive elements from `first` on are, where they are one (as pieces of
/// for_each_piece).
Slice consecutive_box(Shape const& shape, int64_t first, int64_t elements);

/// The boxes of `shape` that `elements` consecutive elements from `first` on consist of, in order: of a matrix at most
/// three (the end of a row, whole rows, the beginning of one). `at` elements come before the box, counted from `first`.
void for_each_consecutive_box(Shape const& shape, int64_t first, int64_t elements,
                              std::function<void(Slice const& box, int64_t at)> const& visit);

/// Copies `what` (in the tensor's coordinates, inside both boxes) from the row-major bytes of one box to those of
/// another.
void copy_box(std::span<std::byte const> from, Slice const& from_box, std::span<std::byte> to, Slice const& to_box,
              Slice const& what, std::size_t element_size);

/// Pieces that are read and written at once.
constexpr int64_t piece_bytes = int64_t{16} << 20;

}  // namespace refrain::checkpoint
