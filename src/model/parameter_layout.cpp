#include <refrain/model/parameter_layout.hpp>

#include <refrain/base/error.hpp>
#include <refrain/base/joined.hpp>

#include <algorithm>
#include <array>
#include <numeric>
#include <string_view>
#include <utility>

namespace refrain::model {
namespace {

// A matrix product's result may depend on its operands' alignment, its speed does: elements of 64 bytes in bf16.
constexpr int64_t alignment = 32;

int64_t round_up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

// Whether `name` continues the fused matrix that the parameter before it, `before`, belongs to.
bool continues_fused_matrix(std::string_view name, std::string_view before) {
  static constexpr std::array<std::array<std::string_view, 3>, 2> fused{
      {{"q_proj", "k_proj", "v_proj"}, {"gate_proj", "up_proj", ""}}};
  // "q_proj" and ".weight" or ".lora_A.weight" behind it; an adapter's B's are not fused.
  auto const parts = [](std::string_view whole) {
    std::size_t const end = whole.find("_proj");
    if (end == std::string_view::npos) return std::pair<std::string_view, std::string_view>{};
    std::size_t const begin = whole.rfind('.', end) + 1;
    return std::pair{whole.substr(begin, end + 5 - begin), whole.substr(end + 5)};
  };
  auto const [module, kind] = parts(name);
  auto const [module_before, kind_before] = parts(before);
  if (kind != kind_before || kind == ".lora_B.weight") return false;
  for (auto const& together : fused) {
    auto const at = [&](std::string_view one) { return std::find(together.begin(), together.end(), one); };
    if (!module.empty() && at(module) != together.end() && at(module_before) < at(module)) return true;
  }
  return false;
}

// What the rank holds. Only a vocabulary need not divide: the last ranks then hold fewer rows, or none.
ParamSpec local_part(checkpoint::ParameterInfo const& info, LayoutPlace const& place) {
  ParamSpec spec{.info = info, .local_shape = info.shape, .global = {Shape(info.shape.size(), 0), info.shape}};
  if (info.split != checkpoint::Split::none) {
    std::size_t const axis = info.split == checkpoint::Split::rows ? 0 : 1;
    int64_t const whole = info.shape[axis], part = (whole + place.tensor_size - 1) / place.tensor_size;
    spec.local_shape[axis] = part;
    spec.global.start[axis] = std::min(whole, place.tensor_rank * part);
    spec.global.count[axis] = std::clamp<int64_t>(whole - place.tensor_rank * part, 0, part);
  }
  return spec;
}

}  // namespace

void check_tensor_degree(checkpoint::ModelConfig const& config, int degree) {
  int64_t const common =
      std::gcd(std::gcd(config.num_attention_heads, config.num_key_value_heads), config.intermediate_size);
  if (common % degree == 0) return;
  std::vector<std::string> working;
  for (int64_t divisor = 1; divisor <= common; ++divisor)
    if (common % divisor == 0) working.push_back(std::to_string(divisor));
  throw Error("tensor-parallel degree " + std::to_string(degree) + " does not divide the model's " +
                  std::to_string(config.num_attention_heads) + " heads, " + std::to_string(config.num_key_value_heads) +
                  " key-value heads and intermediate size " + std::to_string(config.intermediate_size),
              "degrees that work: " + joined(working));
}

ParameterLayout::ParameterLayout(checkpoint::ModelConfig const& config, LayoutPlace const& place,
                                 std::optional<checkpoint::AdapterConfig> const& adapter)
    : place_(place), model_units_(static_cast<int>(config.num_hidden_layers) + 2) {
  check_tensor_degree(config, place.tensor_size);
  bool const shares_rows = place.sequence == SequenceParallel::on && place.tensor_size > 1;
  for (checkpoint::ParameterInfo const& info : checkpoint::parameter_list(config)) add(info, shares_rows);
  if (adapter)
    for (checkpoint::ParameterInfo const& info : checkpoint::adapter_parameters(config, *adapter)) add(info, true);
  first_spec_.push_back(static_cast<ParamId>(specs_.size()));
  for (int64_t& elements : elements_) elements = round_up(elements, alignment * place.data_size);
}

void ParameterLayout::add(checkpoint::ParameterInfo const& info, bool shares_rows) {
  if (static_cast<std::size_t>(info.unit) >= elements_.size()) {
    elements_.push_back(0);
    first_spec_.push_back(static_cast<ParamId>(specs_.size()));
  }
  int64_t& elements = elements_[info.unit];
  if (elements == 0 || !continues_fused_matrix(info.name, specs_.back().info.name))
    elements = round_up(elements, alignment);
  ParamSpec spec = local_part(info, place_);
  spec.offset = elements;
  // The last norm's rows are the scored positions, which every tensor rank has.
  bool const last = info.unit == model_units_ - 1;
  spec.grad_partial_over_tensor =
      shares_rows && place_.tensor_size > 1 && info.split == checkpoint::Split::none && !last;
  elements += spec.local_count();
  ids_.emplace(info.name, static_cast<ParamId>(specs_.size()));
  specs_.push_back(std::move(spec));
}

ParamId ParameterLayout::id(std::string const& name) const {
  auto const found = ids_.find(name);
  if (found == ids_.end())
    throw Error("the model has no such parameter", "use a name of its weight files", {.object = name});
  return found->second;
}

std::optional<ParamId> ParameterLayout::find(std::string const& name) const {
  auto const found = ids_.find(name);
  return found == ids_.end() ? std::nullopt : std::optional(found->second);
}

int64_t ParameterLayout::total_elements() const { return std::accumulate(elements_.begin(), elements_.end(), 0L); }

int64_t ParameterLayout::trained_elements() const {
  return std::accumulate(elements_.begin() + first_trained(), elements_.end(), int64_t{0});
}

std::span<ParamSpec const> ParameterLayout::specs(int unit) const {
  return std::span(specs_).subspan(static_cast<std::size_t>(first_spec_[unit]),
                                   static_cast<std::size_t>(first_spec_[unit + 1] - first_spec_[unit]));
}

int64_t ParameterLayout::largest_elements(int first_unit) const {
  return *std::max_element(elements_.begin() + first_unit, elements_.end());
}

FlatRange ParameterLayout::shard(int unit, int data_rank) const {
  int64_t const size = elements_[unit] / place_.data_size;
  return {data_rank * size, (data_rank + 1) * size};
}

void ParameterLayout::for_each_piece(int unit, FlatRange range, std::function<void(Piece const&)> const& visit) const {
  for (ParamSpec const& spec : specs(unit)) {
    int64_t const begin = std::max(spec.offset, range.begin);
    int64_t const end = std::min(spec.offset + spec.local_count(), range.end);
    if (begin < end) visit({spec, begin - spec.offset, end - begin, begin - range.begin});
  }
}

}  // namespace refrain::model
