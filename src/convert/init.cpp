#include "commands.hpp"

#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/log.hpp>
#include <refrain/base/provenance.hpp>
#include <refrain/base/random.hpp>
#include <refrain/checkpoint/model_config.hpp>
#include <refrain/checkpoint/small_files.hpp>

#include <algorithm>
#include <array>

namespace refrain::convert {

namespace {

/// Files that make a tokenizer, and what generation wants to know of its tokens.
bool belongs_to_tokenizer(std::string const& name) {
  static constexpr std::array<char const*, 7> beginnings{
      "tokenizer", "special_tokens", "added_tokens", "chat_template", "vocab", "merges", "generation_config"};
  return std::any_of(beginnings.begin(), beginnings.end(),
                     [&](char const* beginning) { return name.starts_with(beginning); });
}

/// transformers' PreTrainedModel._init_weights: norms are 1, biases 0, linear and embedding weights normal with
/// deviation initializer_range, the embedding of the padding token 0. A value depends on seed, tensor name and its index alone.
class Initialiser {
public:
  Initialiser(checkpoint::ModelConfig const& config, int64_t padding_row, uint64_t seed)
      : config_(config), padding_row_(padding_row), seed_(seed) {}

  checkpoint::SliceToWrite tensor(checkpoint::ParameterInfo const& parameter) const {
    auto const dtype = config_.dtype;
    auto const values = [this, parameter, dtype,
                         random = CounterRandom(seed_, parameter.name)](int64_t first, std::span<std::byte> out) {
      std::vector<float> numbers(out.size() / size_of(dtype));
      for (std::size_t i = 0; i < numbers.size(); ++i)
        numbers[i] = value(parameter, random, first + static_cast<int64_t>(i));
      convert_values(std::as_bytes(std::span(numbers)), DType::fp32, out, dtype);
    };
    return whole_tensor({.name = parameter.name, .dtype = dtype, .shape = parameter.shape}, dtype, values);
  }

private:
  float value(checkpoint::ParameterInfo const& parameter, CounterRandom const& random, int64_t index) const {
    if (parameter.shape.size() == 1) return parameter.name.ends_with(".bias") ? 0 : 1;
    bool const embedding = parameter.name == "model.embed_tokens.weight";
    if (embedding && index / config_.hidden_size == padding_row_) return 0;
    return static_cast<float>(config_.initializer_range * random.normal(static_cast<uint64_t>(index)));
  }

  checkpoint::ModelConfig const& config_;
  int64_t padding_row_;
  uint64_t seed_;
};

/// torch.nn.Embedding's padding_idx, which counts from the end where it is negative; -1 here is none.
int64_t padding_row(Json const& config, std::filesystem::path const& path, int64_t vocab_size) {
  if (!config.contains("pad_token_id") || config.at("pad_token_id").is_null()) return -1;
  auto const id = json_get<int64_t>(config, "pad_token_id", path);
  if (id >= vocab_size || id < -vocab_size)
    throw Error("'pad_token_id' is " + std::to_string(id) + ", the vocabulary has " + std::to_string(vocab_size) +
                    " tokens",
                "correct the file", {.file = path, .object = "pad_token_id"});
  return id < 0 ? id + vocab_size : id;
}

}  // namespace

Exit init_model(Options const& options, comm::Communicator const& world) {
  checkpoint::ModelConfig config;
  checkpoint::CheckpointMeta meta;
  int64_t padding = -1;
  comm::agree(world, [&] {
    checkpoint::require_new_folder(options.out);
    auto const json = read_json(options.model_config);
    config = checkpoint::ModelConfig::from_json(json, options.model_config);
    padding = padding_row(json, options.model_config, config.vocab_size);
    Provenance provenance("refrain-convert init", options.record);
    provenance.add_input(options.model_config);
    meta.small_files["config.json"] = read_file(options.model_config);
    if (!options.tokenizer.empty()) {
      for (auto const& name : checkpoint::small_file_names(options.tokenizer))
        if (belongs_to_tokenizer(name)) meta.small_files[name] = read_file(options.tokenizer / name);
      if (meta.small_files.size() == 1)
        throw Error("the folder has no tokenizer files", "give a folder with tokenizer.json",
                    {.file = options.tokenizer});
      provenance.add_input(options.tokenizer);
    }
    meta.provenance = provenance.json();
  });
  Initialiser const initialiser(config, padding, static_cast<uint64_t>(options.seed));
  std::vector<checkpoint::SliceToWrite> tensors;
  for (auto const& parameter : parameter_list(config)) tensors.push_back(initialiser.tensor(parameter));
  auto const count = tensors.size();
  write_checkpoint_files(world, options.out, plan_files(std::move(tensors), world), meta, checkpoint::ReadBack::yes);
  if (world.rank() == 0) log_line("made " + std::to_string(count) + " tensors in " + options.out.string());
  return Exit::success;
}

}  // namespace refrain::convert
