#include <refrain/base/parts.hpp>

#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>

#include <chrono>
#include <thread>

namespace refrain {

constexpr char const* settings_name = "settings.json";

void Parts::take() {
  make_folders(folder_);
  lock_ = FolderLock::acquire(folder_ / "lock");
}

Json Parts::settings() const {
  return std::filesystem::exists(folder_ / settings_name) ? read_json(folder_ / settings_name) : Json();
}

void Parts::write_settings(Json const& settings) const { write_json(folder_ / settings_name, settings); }

void Parts::read(std::function<void(Json const&)> const& visit) const {
  if (exists()) read_journal(folder_, visit);
}

void Parts::remove() const {
  std::error_code failed;
  for (int tries = 0; tries < 100; ++tries) {
    std::filesystem::remove_all(folder_, failed);
    if (!failed) return;
    if (failed != std::errc::no_such_file_or_directory && failed != std::errc::directory_not_empty) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  throw Error("cannot remove the folder: " + failed.message(), "remove it by hand: its output is whole",
              {.file = folder_});
}

}  // namespace refrain
