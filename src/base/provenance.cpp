#include <refrain/base/digest.hpp>
#include <refrain/base/provenance.hpp>

#include "build_facts.hpp"  // made by env/cmake/BuildFacts.cmake at every build

#include <unistd.h>

#include <cstdlib>
#include <ctime>

namespace refrain {
namespace {

Json& run_time_libraries() {
  static Json libraries = Json::object();
  return libraries;
}

Json slurm_ids() {
  Json ids = Json::object();
  for (char const* name : {"SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_STEP_ID",
                           "SLURM_RESTART_COUNT", "SLURM_CLUSTER_NAME", "SLURM_JOB_NODELIST"})
    if (char const* value = std::getenv(name)) ids[name] = value;
  return ids;
}

}  // namespace

Provenance::Provenance(std::string program, Json options)
    : json_{{"program", std::move(program)},
            {"version", version()},
            {"git_revision", git_revision()},
            {"libraries", library_versions()},
            {"host", host_name()},
            {"slurm", slurm_ids()},
            {"started", utc_now()},
            {"options", std::move(options)},
            {"inputs", Json::object()}} {}

void Provenance::add_input(std::filesystem::path const& path) {
  auto const add = [&](std::filesystem::path const& file) { json_["inputs"][file.string()] = sha256_file(file); };
  if (!std::filesystem::is_directory(path)) return add(path);
  if (std::filesystem::exists(path / "manifest.json")) return add(path / "manifest.json");
  for (char const* name : {"config.json", "model.safetensors.index.json", "tokenizer.json", "tokenizer_config.json",
                           "adapter_config.json", "adapter_model.safetensors"})
    if (std::filesystem::exists(path / name)) add(path / name);
}

void Provenance::set(std::string const& key, Json value) { json_[key] = std::move(value); }

std::string Provenance::text() const { return dump_text(json_); }

char const* version() { return REFRAIN_VERSION; }
char const* git_revision() { return build_facts::git_revision; }

Json library_versions() {
  Json libraries = Json::object();
  for (auto const& [name, found] : build_facts::libraries)
    if (*found) libraries[name] = found;
  libraries.update(run_time_libraries());
  return libraries;
}

void add_library(std::string const& name, std::string const& version) { run_time_libraries()[name] = version; }

std::string host_name() {
  char name[256] = {};
  ::gethostname(name, sizeof name - 1);
  std::string const text = name;
  return text.substr(0, text.find('.'));
}

std::string utc_now() {
  std::time_t const now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

}  // namespace refrain
