// Tensors that are computed when they are read: an adapter's first values, and a model with an adapter merged in.
#include <refrain/checkpoint/adapter.hpp>

#include <refrain/base/random.hpp>
#include <refrain/checkpoint/boxes.hpp>

#include <algorithm>
#include <cmath>
#include <set>

namespace refrain::checkpoint {

namespace {

/// One tensor's row-major fp32 values of a box.
std::vector<float> values_of(TensorSource const& source, std::string const& name, Slice const& slice) {
  std::vector<float> values(static_cast<std::size_t>(element_count(slice.count)));
  source.read_as(name, slice, DType::fp32, std::as_writable_bytes(std::span(values)));
  return values;
}

class InitialAdapter : public TensorSource {
public:
  InitialAdapter(ModelConfig const& model, AdapterConfig const& adapter, uint64_t seed) : seed_(seed) {
    for (auto const& parameter : adapter_parameters(model, adapter))
      tensors_.push_back({.name = parameter.name, .dtype = DType::fp32, .shape = parameter.shape});
  }

  std::vector<TensorInfo> const& tensors() const override { return tensors_; }

  void read(std::string const& name, Slice const& slice, std::span<std::byte> out) const override {
    auto const& known = info(name);
    check_request(slice, known.shape, sizeof(float), out.size(), {.object = name});
    bool const is_b = name.ends_with(".lora_B.weight");
    CounterRandom const random(seed_, name);
    int64_t const width = known.shape[1];
    double const bound = 1 / std::sqrt(static_cast<double>(width));
    std::vector<float> row(static_cast<std::size_t>(slice.count[1]), 0.0F);
    auto const bytes = std::as_bytes(std::span(row));
    for (int64_t i = 0; i < slice.count[0]; ++i) {
      auto const first = static_cast<uint64_t>((slice.start[0] + i) * width + slice.start[1]);
      for (std::size_t j = 0; j < row.size() && !is_b; ++j)
        row[j] = static_cast<float>(bound * (2 * random.uniform(first + j) - 1));
      std::copy(bytes.begin(), bytes.end(), out.begin() + i * static_cast<int64_t>(bytes.size()));
    }
  }

private:
  uint64_t seed_;
  std::vector<TensorInfo> tensors_;
};

class MergedModel : public TensorSource {
public:
  MergedModel(TensorSource const& base, Adapter const& adapter) : base_(base), adapter_(adapter) {
    folder_ = base.folder();
    require_fit(adapter, ModelConfig::load(base.folder()));
    for (auto const& info : adapter.tensors->tensors()) names_.insert(info.name);
  }

  std::vector<TensorInfo> const& tensors() const override { return base_.tensors(); }

  void read(std::string const& name, Slice const& slice, std::span<std::byte> out) const override {
    std::string const a_name = lora_a_name(name), b_name = lora_b_name(name);
    if (!names_.contains(a_name)) return base_.read(name, slice, out);
    auto const& known = base_.info(name);
    check_request(slice, known.shape, size_of(known.dtype), out.size(), {.file = folder_, .object = name});
    int64_t const rank = adapter_.config.rank, rows = slice.count[0], columns = slice.count[1];
    auto w = values_of(base_, name, slice);
    auto const a = values_of(*adapter_.tensors, a_name, {{0, slice.start[1]}, {rank, columns}});
    auto const b = values_of(*adapter_.tensors, b_name, {{slice.start[0], 0}, {rows, rank}});
    auto const scale = static_cast<float>(adapter_.config.scale());
    std::vector<float> product(static_cast<std::size_t>(columns));
    for (int64_t i = 0; i < rows; ++i) {
      std::fill(product.begin(), product.end(), 0.0F);
      for (int64_t k = 0; k < rank; ++k) {
        float const factor = b[static_cast<std::size_t>(i * rank + k)];
        float const* const row = a.data() + k * columns;
        for (std::size_t j = 0; j < product.size(); ++j) product[j] += factor * row[j];
      }
      float* const row = w.data() + i * columns;
      for (std::size_t j = 0; j < product.size(); ++j) row[j] += scale * product[j];
    }
    convert_values(std::as_bytes(std::span(w)), DType::fp32, out, known.dtype);
  }

private:
  TensorSource const& base_;
  Adapter const& adapter_;
  std::set<std::string> names_;
};

}  // namespace

std::unique_ptr<TensorSource> initial_adapter(ModelConfig const& model, AdapterConfig const& adapter, uint64_t seed) {
  return std::make_unique<InitialAdapter>(model, adapter, seed);
}

std::unique_ptr<TensorSource> merged_model(TensorSource const& base, Adapter const& adapter) {
  return std::make_unique<MergedModel>(base, adapter);
}

}  // namespace refrain::checkpoint
