#pragma once

#include <refrain/base/dtype.hpp>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace refrain::study {

/// A tensor of a model, as the headers of its files tell it.
struct ModelTensor {
  std::string name;  ///< Hugging Face's
  Shape shape;
  int64_t bytes = 0;
};

/// The weights of the model in a folder: Hugging Face's, PEFT's adapter, or a checkpoint, of a resumable one the fp32
/// master values. @throws Error if there are none, or the files cannot be read
std::vector<ModelTensor> model_tensors(std::filesystem::path const& model);

/// What is to be done about a folder that lacks one.
inline constexpr char const* download_whole = "download the whole model, or name another folder";

/// The first file that a model's folder, or a checkpoint, cannot do without and lacks: config.json or tokenizer.json;
/// empty if it has them.
std::string lacking_file(std::filesystem::path const& model);

/// Parameters of all of them.
int64_t count_parameters(std::vector<ModelTensor> const& tensors);
int64_t count_parameters(std::filesystem::path const& model);

}  // namespace refrain::study
