#include "commands.hpp"

#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/sealed_json.hpp>
#include <refrain/base/table.hpp>
#include <refrain/checkpoint/adapter.hpp>
#include <refrain/checkpoint/checkpoint.hpp>
#include <refrain/checkpoint/model_config.hpp>
#include <refrain/checkpoint/step_folders.hpp>
#include <refrain/h5/reader.hpp>

#include <algorithm>
#include <iostream>

namespace refrain::convert {

namespace {

namespace fs = std::filesystem;

using Rows = std::vector<std::vector<std::string>>;

int64_t bytes_of(DType dtype, Shape const& shape) {
  return element_count(shape) * static_cast<int64_t>(size_of(dtype));
}

std::string size_text(int64_t bytes) { return format_bytes(static_cast<double>(bytes)); }

/// "key: value" lines of an object, nested ones indented; long lists shortened.
void print_object(std::ostream& out, Json const& object, std::string const& indent) {
  for (auto const& [key, value] : object.items()) {
    if (value.is_null() || (value.is_structured() && value.empty())) continue;
    if (value.is_object()) {
      out << indent << key << ":\n";
      print_object(out, value, indent + "  ");
      continue;
    }
    auto text = value.is_string() ? value.get<std::string>() : dump_text(value);
    if (text.size() > 100) text = text.substr(0, 97) + "...";
    out << indent << key << ": " << text << "\n";
  }
}

void print_section(std::ostream& out, std::string const& title, Json const& object) {
  if (!object.is_object() || object.empty()) return;
  out << "\n" << title << "\n";
  print_object(out, object, "  ");
}

void print_model(std::ostream& out, fs::path const& folder) {
  if (!fs::exists(folder / "config.json")) return;
  auto const config = checkpoint::ModelConfig::load(folder);
  int64_t parameters = 0;
  for (auto const& parameter : parameter_list(config)) parameters += element_count(parameter.shape);
  out << "  " << config.model_type << ", " << format_count(parameters) << " parameters: " << config.num_hidden_layers << " layers, hidden "
      << config.hidden_size << ", intermediate " << config.intermediate_size << ", " << config.num_attention_heads
      << " heads of " << config.head_dim << ", " << config.num_key_value_heads << " key-value heads, vocabulary "
      << config.vocab_size << (config.tie_word_embeddings ? ", tied embeddings" : "") << "\n";
}

void print_adapter(std::ostream& out, fs::path const& folder) {
  if (!checkpoint::is_adapter(folder)) return;
  auto const adapter = checkpoint::AdapterConfig::load(folder);
  out << "  LoRA adapter of rank " << adapter.rank << ", alpha " << adapter.alpha << (adapter.rslora ? " (rsLoRA)" : "")
      << ", on";
  for (auto const& target : adapter.targets) out << " " << target;
  out << "\n";
}

void print_tensors(std::ostream& out, Rows rows, int64_t bytes) {
  auto const count = rows.size() - 1;
  out << "\n"
      << format_table(rows) << "\n"
      << format_count(static_cast<long long>(count)) << " tensors, " << size_text(bytes) << "\n";
}

void inspect_checkpoint(std::ostream& out, fs::path const& folder) {
  checkpoint::Checkpoint const opened(folder);
  auto const& manifest = opened.manifest();
  out << folder.string() << ": " << (manifest.resumable() ? "resumable checkpoint" : "checkpoint")
      << ", format version " << manifest.version << ", " << manifest.files.size() << " HDF5 files\n";
  print_model(out, folder);
  print_adapter(out, folder);
  Rows rows{{"tensor", "dtype", "shape", "bytes", "slices"}};
  int64_t bytes = 0;
  for (auto const& object : manifest.order) {
    auto const& tensor = manifest.tensors.at(object);
    bytes += bytes_of(tensor.dtype, tensor.shape);
    rows.push_back({object, to_string(tensor.dtype), to_string(tensor.shape),
                    format_count(bytes_of(tensor.dtype, tensor.shape)), std::to_string(tensor.slices.size())});
  }
  print_tensors(out, std::move(rows), bytes);
  Rows files{{"small file", "bytes"}};
  for (auto const& [name, file] : manifest.small_files) files.push_back({name, format_count(file.size)});
  out << "\n" << format_table(files);
  print_section(out, "training state", manifest.training_state);
  print_section(out, "provenance", manifest.provenance);
}

void inspect_hugging_face(std::ostream& out, fs::path const& folder) {
  bool const adapter = checkpoint::is_adapter(folder);
  auto const source = adapter ? std::move(checkpoint::open_adapter(folder).tensors) : checkpoint::open_model(folder);
  out << folder.string() << (adapter ? ": adapter in PEFT's form\n" : ": Hugging Face folder\n");
  print_model(out, folder);
  print_adapter(out, folder);
  Rows rows{{"tensor", "dtype", "shape", "bytes"}};
  int64_t bytes = 0;
  for (auto const& info : source->tensors()) {
    bytes += bytes_of(info.dtype, info.shape);
    rows.push_back(
        {info.name, to_string(info.dtype), to_string(info.shape), format_count(bytes_of(info.dtype, info.shape))});
  }
  print_tensors(out, std::move(rows), bytes);
}

void inspect_hdf5(std::ostream& out, fs::path const& path) {
  h5::Reader const file(path);
  out << path.string() << ": " << file.schema() << "\n";
  Rows rows{{"object", "type", "shape", "bytes"}};
  for (auto const& [name, info] : file.datasets()) {
    auto const slash = name.rfind('/');
    auto const column = name.substr(0, slash), part = name.substr(slash + 1);
    bool const text = file.contains_text(column);
    if (text && part == "offsets") continue;
    auto const shape = text ? Shape{file.info(column + "/offsets").shape.at(0) - 1} : info.shape;
    rows.push_back({text ? column : name, text ? "text" : to_string(info.dtype), to_string(shape),
                    format_count(bytes_of(info.dtype, info.shape))});
  }
  out << "\n" << format_table(rows);
  print_section(out, "provenance", file.provenance());
}

void inspect_run(std::ostream& out, fs::path const& run) {
  out << run.string() << ": run folder\n";
  for (auto const* name : {"status.json", "run.json"})
    if (fs::exists(run / name)) print_section(out, name, read_sealed_json(run / name));
  checkpoint::StepFolders const folders(run);
  out << "\ncheckpoints\n";
  for (auto const step : folders.steps()) out << "  " << folders.folder(step).string() << "\n";
  if (fs::exists(folders.final_folder())) out << "  " << folders.final_folder().string() << "\n";
}

void inspect_reference_caches(std::ostream& out, std::vector<fs::path> const& caches) {
  for (auto const& cache : caches) {
    Rows rows{{"segment", "entries"}};
    int64_t entries = 0;
    for (auto const& entry : fs::directory_iterator(cache)) {
      if (entry.path().extension() != ".h5") continue;
      h5::Reader const file(entry.path(), "reference-cache.v1");
      auto const count = file.info("/entry/key_high").shape.at(0);
      rows.push_back({entry.path().filename().string(), format_count(count)});
      entries += count;
    }
    std::sort(rows.begin() + 1, rows.end());
    out << cache.string() << ": reference cache, " << format_count(entries) << " pairs\n\n" << format_table(rows);
    print_section(out, "settings.json", read_sealed_json(cache / "settings.json"));
  }
}

}  // namespace

Exit inspect_path(Options const& options, comm::Communicator const& world) {
  comm::agree(world, [&] {
    if (world.rank() != 0) return;
    fs::path const path = options.paths.front();
    if (!fs::exists(path)) throw UsageError("the path does not exist", "check the path", {.file = path});
    if (!fs::is_directory(path)) return inspect_hdf5(std::cout, path);
    if (fs::exists(path / "manifest.json")) return inspect_checkpoint(std::cout, path);
    if (fs::exists(path / "run.json")) return inspect_run(std::cout, path);
    if (auto const caches = reference_caches(path); !caches.empty()) return inspect_reference_caches(std::cout, caches);
    inspect_hugging_face(std::cout, path);
  });
  return Exit::success;
}

}  // namespace refrain::convert
