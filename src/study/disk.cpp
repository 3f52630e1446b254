#include <refrain/base/counted.hpp>
#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/json_file.hpp>
#include <refrain/study/disk.hpp>
#include <refrain/study/process.hpp>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <set>

namespace refrain::study {

namespace {

namespace fs = std::filesystem;

double elements(Json const& tensor, fs::path const& path) {
  double product = 1;
  for (auto const length : json_get<std::vector<int64_t>>(tensor, "shape", path))
    product *= static_cast<double>(length);
  return product;
}

/// Of a checkpoint: its weights, or, where it is resumable, their master values.
double count_in_manifest(fs::path const& path) {
  double weights = 0, masters = 0;
  auto const tensors = json_get<Json>(read_json(path), "tensors", path);
  for (auto const& [object, tensor] : tensors.items()) {
    if (object.starts_with("/weights/")) weights += elements(tensor, path);
    if (object.starts_with("/optimizer/master/")) masters += elements(tensor, path);
  }
  return std::max(weights, masters);
}

/// The header of a safetensors file: its length in 8 bytes, little-endian, and JSON.
double count_in_safetensors(fs::path const& path) {
  constexpr uint64_t most_header_bytes = 100'000'000;  // safetensors' own limit
  std::ifstream in(path, std::ios::binary);
  if (!in) throw system_error("open the file", {}, {.file = path});
  std::array<unsigned char, 8> prefix{};
  in.read(reinterpret_cast<char*>(prefix.data()), prefix.size());
  uint64_t length = 0;
  for (std::size_t i = prefix.size(); i-- > 0;) length = length << 8 | prefix[i];
  std::string header(in && length <= most_header_bytes ? length : 0, '\0');
  in.read(header.data(), static_cast<std::streamsize>(header.size()));
  if (!in || header.empty())
    throw Error("not a safetensors file, or one that is cut off", "download the model again", {.file = path});
  double sum = 0;
  auto const tensors = parse_json(header, path);
  for (auto const& [name, tensor] : tensors.items())
    if (name != "__metadata__") sum += elements(tensor, path);
  return sum;
}

/// The weights files of a Hugging Face folder.
std::set<fs::path> weights_files(fs::path const& model) {
  auto const index = model / "model.safetensors.index.json";
  if (!fs::exists(index)) return {model / "model.safetensors"};
  std::set<fs::path> files;
  auto const map = json_get<Json>(read_json(index), "weight_map", index);
  for (auto const& [tensor, file] : map.items()) files.insert(model / json_get<std::string>(map, tensor, index));
  return files;
}

}  // namespace

double count_parameters(fs::path const& model) {
  double count = 0;
  if (auto const manifest = model / "manifest.json"; fs::exists(manifest))
    count = count_in_manifest(manifest);
  else
    for (auto const& file : weights_files(model)) count += count_in_safetensors(file);
  if (count == 0) throw Error("the model has no parameters", "give another model", {.file = model});
  return count;
}

double peak_disk_bytes(fs::path const& model) {
  constexpr double resumable = 3 * 4, model_alone = 4;
  return count_parameters(model) * (2 * resumable + model_alone);
}

std::optional<int64_t> members_at_once(Settings const& settings) {
  if (!settings.disk_tb) return {};
  double const each = peak_disk_bytes(settings.model), allowed = *settings.disk_tb * 1e12;
  if (each > allowed)
    throw Error("1 member at once may write " + format_bytes(each) + ", more than REFRAIN_DISK_TB allows (" +
                    format_bytes(allowed) + ")",
                "raise REFRAIN_DISK_TB: one member needs " + format_bytes(each));
  return static_cast<int64_t>(allowed / each);
}

int array_throttle(std::string const& records) {
  std::string const key = "ArrayTaskThrottle=";
  auto const at = records.find(key);
  return at == std::string::npos ? 0 : std::atoi(records.c_str() + at + key.size());
}

void check_disk(Settings const& settings, std::optional<Allocation> const& allocation, Environment const& environment,
                std::string const& script) {
  auto const fitting = members_at_once(settings);
  if (!fitting) return;
  int at_once = 1;
  std::string range = "0";
  if (allocation && allocation->array_index) {
    at_once = std::max(std::atoi(value_of(environment, "SLURM_ARRAY_TASK_COUNT").c_str()), 1);
    range = value_of(environment, "SLURM_ARRAY_TASK_MIN") + "-" + value_of(environment, "SLURM_ARRAY_TASK_MAX");
    if (at_once > 1)
      if (int const throttle =
              array_throttle(run_captured({"scontrol", "show", "job", allocation->array_job}, Stderr::capture).text))
        at_once = std::min(at_once, throttle);
  }
  if (at_once <= *fitting) return;
  throw Error(counted(at_once, "member") + " at once may write " +
                  format_bytes(at_once * peak_disk_bytes(settings.model)) + ", more than REFRAIN_DISK_TB allows (" +
                  format_bytes(*settings.disk_tb * 1e12) + ")",
              "sbatch --array=" + range + "%" + std::to_string(*fitting) + " " + script);
}

}  // namespace refrain::study
