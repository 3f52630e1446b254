#pragma once

#include <refrain/checkpoint/adapter.hpp>
#include <refrain/checkpoint/model_config.hpp>
#include <refrain/checkpoint/tensor_source.hpp>

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace refrain::model {

/// A parameter's place in `ParameterLayout::specs`, which are in the order of the forward pass.
using ParamId = int;

/// One parameter as a tensor rank holds it.
struct ParamSpec {
  checkpoint::ParameterInfo info;  ///< Hugging Face's name, global shape, split, unit
  Shape local_shape;               ///< padded: the vocabulary is rounded up to a multiple of the tensor degree
  checkpoint::Slice global;        ///< the part of the global tensor here, padding left out (count may be 0); on axis 0
                                   ///< it fills the first count[0] rows of local_shape, the rest is padding and stays 0
  int64_t offset = 0;              ///< of its first element in its unit's flat buffer
  /// Its gradient is a partial sum that must be reduced over the tensor ranks: the norms of blocks, whose rows the
  /// tensor ranks share under sequence parallelism; an adapter's matrix that all tensor ranks hold.
  bool grad_partial_over_tensor = false;

  int64_t local_count() const { return element_count(local_shape); }    ///< elements in the flat buffer, padding too
  int64_t global_count() const { return element_count(global.count); }  ///< the leading ones that are not padding
};

/// Elements [begin, end) of a unit's flat buffer.
struct FlatRange {
  int64_t begin = 0, end = 0;
  int64_t size() const noexcept { return end - begin; }
};

/// @throws Error if heads, KV heads or intermediate size do not divide by `degree`, naming those that work
void check_tensor_degree(checkpoint::ModelConfig const& config, int degree);

/// Whether the tensor ranks share the rows of what lies between their regions (sequence parallelism, arXiv 2205.05198).
enum class SequenceParallel { off, on };

/// What a rank's place decides about memory: degrees and ranks over tensor and data.
struct LayoutPlace {
  int tensor_rank = 0, tensor_size = 1, data_rank = 0, data_size = 1;
  SequenceParallel sequence = SequenceParallel::off;
};

/// Where every parameter lies, without any memory: one flat buffer a unit (embedding | block i | last norm and head),
/// so that sharding, gathering, reducing and the optimizer work on few long vectors. Weights that one product uses
/// (q|k|v, gate|up) lie side by side, so that the fused matrix is a view too. A buffer's length divides by the data
/// ranks, each of which owns one equal part (its shard). Gaps between parameters (alignment, the end) and padded rows
/// are 0.
///
/// With an adapter, what is trained lies apart from what is frozen: behind the model's units comes one for each block
/// with its adapter's matrices, the A's of one product side by side.
class ParameterLayout {
public:
  /// @throws Error if the tensor degree does not divide the model (check_tensor_degree)
  ParameterLayout(checkpoint::ModelConfig const& config, LayoutPlace const& place,
                  std::optional<checkpoint::AdapterConfig> const& adapter = {});

  LayoutPlace const& place() const noexcept { return place_; }
  std::vector<ParamSpec> const& specs() const noexcept { return specs_; }
  ParamId id(std::string const& name) const;  ///< @throws Error if the model has no such parameter
  std::optional<ParamId> find(std::string const& name) const;

  int units() const noexcept { return static_cast<int>(elements_.size()); }  ///< blocks + 2, and blocks of an adapter
  int model_units() const noexcept { return model_units_; }                  ///< blocks + 2
  /// Units from this one on are trained, those before it are frozen: 0 without an adapter.
  int first_trained() const noexcept { return units() == model_units_ ? 0 : model_units_; }
  bool trained(int unit) const noexcept { return unit >= first_trained(); }
  /// The unit of the adapter of a block's unit, or -1 where there is none.
  int adapter_of(int unit) const noexcept {
    bool const is_block = unit > 0 && unit + 1 < model_units_;
    return units() > model_units_ && is_block ? unit + model_units_ - 1 : -1;
  }
  int64_t elements(int unit) const { return elements_[unit]; }
  int64_t total_elements() const;
  int64_t trained_elements() const;
  int64_t largest_elements(int first_unit) const;    ///< of the units from `first_unit` on
  std::span<ParamSpec const> specs(int unit) const;  ///< of one unit
  FlatRange whole(int unit) const { return {0, elements_[unit]}; }
  FlatRange shard(int unit) const { return shard(unit, place_.data_rank); }
  FlatRange shard(int unit, int data_rank) const;

  /// The parts of a unit's parameters that lie in `range`: `first` elements of the parameter come before them, and they
  /// begin at `range.begin + at`. Padding counts as part of its parameter.
  struct Piece {
    ParamSpec const& spec;
    int64_t first, count, at;
  };
  void for_each_piece(int unit, FlatRange range, std::function<void(Piece const&)> const& visit) const;

private:
  void add(checkpoint::ParameterInfo const& info, bool shares_rows);

  LayoutPlace place_;
  int model_units_ = 0;
  std::vector<ParamSpec> specs_;
  std::unordered_map<std::string, ParamId> ids_;
  std::vector<int64_t> elements_;
  std::vector<ParamId> first_spec_;  // of each unit, and behind the last
};

}  // namespace refrain::model
