#include <refrain/train/adapter_choice.hpp>

#include "formatted.hpp"

#include <refrain/base/joined.hpp>

#include <sstream>

namespace refrain::train {
namespace {

/// --lora-targets in a block's order, or none where it is not given; commas divide as blanks do.
std::vector<std::string> targets_of(Options const& options) {
  std::vector<std::string> names;
  for (std::string const& given : options.lora_targets) {
    std::istringstream words(given);
    for (std::string name; std::getline(words, name, ',');)
      if (!name.empty()) names.push_back(name);
  }
  if (options.lora_targets.empty()) return {};
  try {
    return checkpoint::parse_targets(names, {.object = "--lora-targets"});
  } catch (Error const& error) {
    throw UsageError(error.problem(), error.remedy(), error.place());
  }
}

}  // namespace

std::optional<checkpoint::AdapterConfig> adapter_to_train(Options const& options,
                                                          checkpoint::ModelConfig const& model) {
  if (!options.trains_adapter()) return std::nullopt;
  std::vector<std::string> const targets = targets_of(options);
  if (options.init_adapter.empty()) {
    auto const rank = static_cast<double>(*options.lora_rank);
    return checkpoint::AdapterConfig{.rank = *options.lora_rank,
                                     .alpha = options.lora_alpha.value_or(2 * rank),
                                     .targets = targets.empty() ? checkpoint::adapter_targets() : targets,
                                     .rslora = options.lora_rslora == Switch::on};
  }
  checkpoint::Adapter const opened = checkpoint::open_adapter(options.init_adapter);
  checkpoint::require_fit(opened, model);
  checkpoint::AdapterConfig const& adapter = opened.config;
  auto const refuse_unless = [&](bool same, char const* option, std::string const& there) {
    if (!same)
      throw UsageError(std::string(option) + " contradicts the adapter of --init-adapter, where it is " + there,
                       "leave it out", {.file = options.init_adapter});
  };
  refuse_unless(!options.lora_rank || *options.lora_rank == adapter.rank, "--lora-rank", std::to_string(adapter.rank));
  refuse_unless(!options.lora_alpha || *options.lora_alpha == adapter.alpha, "--lora-alpha",
                formatted("%g", adapter.alpha));
  refuse_unless(targets.empty() || targets == adapter.targets, "--lora-targets", joined(adapter.targets, " "));
  refuse_unless(options.lora_rslora == Switch::automatic || (options.lora_rslora == Switch::on) == adapter.rslora,
                "--lora-rslora", adapter.rslora ? "on" : "off");
  return adapter;
}

std::map<std::string, std::string> adapter_files(std::optional<checkpoint::AdapterConfig> const& adapter,
                                                 std::filesystem::path const& model) {
  if (!adapter) return {};
  std::string const base = std::filesystem::absolute(model).lexically_normal().string();
  return {{checkpoint::adapter_config_name, dump_text(adapter->to_json(base), 2) + "\n"}};
}

}  // namespace refrain::train
