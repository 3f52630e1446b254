#include <refrain/base/run_name.hpp>

#include <utility>

namespace refrain {
namespace {

std::filesystem::path without_slash(std::filesystem::path folder) {
  return folder.has_filename() ? folder : folder.parent_path();
}

}  // namespace

std::string run_name(std::filesystem::path folder) {
  folder = without_slash(std::move(folder));
  auto const own = folder.filename().string(), study = folder.parent_path().filename().string();
  return own.find('=') != std::string::npos && !study.empty() ? study + "/" + own : own;
}

std::string run_of_checkpoint(std::filesystem::path folder) {
  folder = without_slash(std::move(folder));
  auto const leaf = folder.filename().string();
  if (leaf == "final") folder = folder.parent_path();
  if ((leaf == "latest" || leaf.starts_with("step-")) && folder.parent_path().filename() == "checkpoints")
    folder = folder.parent_path().parent_path();
  return run_name(folder);
}

}  // namespace refrain
