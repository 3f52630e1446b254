#pragma once

#include "stop_texts.hpp"

#include <refrain/base/parts.hpp>
#include <refrain/checkpoint/model_config.hpp>
#include <refrain/generate/options.hpp>
#include <refrain/h5/prompts_file.hpp>
#include <refrain/inference/engine.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace refrain::generate {

/// The answers that are asked for, which of them are finished, and the file that they become. An answer's id is
/// prompt x samples + sample, prompts counted as the file has them.
class Answers {
public:
  /// `identity`: what answers depend on beside their prompts. @throws Error if a prompt does not suit the model
  Answers(Options const& options, checkpoint::ModelConfig const& config, Json identity);

  /// Takes the folder of finished answers, makes it if need be, and reads what is in it. @throws the same Error on every
  /// rank: somebody else has it, or it belongs to other settings. @collective
  void open(comm::Communicator const& world);
  /// Whether the file of all answers is there, from these prompts and settings.
  bool complete() const noexcept { return complete_; }

  int64_t longest_prompt() const noexcept { return longest_; }  ///< in tokens
  /// Ids of the unfinished answers that data rank `rank` of `size` makes.
  std::vector<int64_t> share(int rank, int size) const;
  inference::Request request(int64_t id) const;
  Parts const& parts() const noexcept { return parts_; }
  Json record(inference::Answer const& answer) const;  ///< for the journal

  /// Writes the file from the journals of all ranks, in order, then removes them. @throws Error if one is missing
  void merge(text::Tokenizer const& tokenizer, StopTexts const& stops, Json provenance);

private:
  int64_t count() const noexcept { return static_cast<int64_t>(chosen_.size()) * options_.samples; }
  std::size_t prompt_of(int64_t id) const { return static_cast<std::size_t>(chosen_[static_cast<std::size_t>(id / options_.samples)]); }
  std::string name_of(int64_t id) const;
  void open_folder();

  Options const& options_;
  Json identity_;
  h5::Prompts prompts_;
  std::vector<int64_t> chosen_;  // prompts that are answered
  int64_t longest_ = 0;
  Parts parts_;  // taken by rank 0
  bool complete_ = false;
  std::vector<bool> finished_;
};

}  // namespace refrain::generate
