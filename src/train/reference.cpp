#include <refrain/train/reference.hpp>

#include <refrain/h5/reader.hpp>
#include <refrain/h5/writer.hpp>

namespace refrain::train {
namespace {

constexpr char const* chosen_name = "/reference/chosen_logp";
constexpr char const* rejected_name = "/reference/rejected_logp";
constexpr char const* eval_chosen_name = "/eval_reference/chosen_logp";
constexpr char const* eval_rejected_name = "/eval_reference/rejected_logp";

}  // namespace

void write_reference(std::filesystem::path const& path, Reference const& reference, Json const& key, Json provenance) {
  provenance["reference_key"] = key;
  h5::Writer file(path, "reference.v1", provenance);
  file.write(chosen_name, reference.train.chosen);
  file.write(rejected_name, reference.train.rejected);
  if (!reference.eval.chosen.empty()) {
    file.write(eval_chosen_name, reference.eval.chosen);
    file.write(eval_rejected_name, reference.eval.rejected);
  }
  file.finish();
}

std::optional<Reference> read_reference(std::filesystem::path const& path, Json const& key) {
  if (!std::filesystem::exists(path)) return std::nullopt;
  h5::Reader const file(path, "reference.v1");
  if (!file.provenance().contains("reference_key") || file.provenance().at("reference_key") != key) return std::nullopt;
  Reference result;
  result.train = {file.read<double>(chosen_name), file.read<double>(rejected_name)};
  if (file.contains(eval_chosen_name))
    result.eval = {file.read<double>(eval_chosen_name), file.read<double>(eval_rejected_name)};
  return result;
}

}  // namespace refrain::train
