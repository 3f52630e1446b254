#include <refrain/base/parts.hpp>

#include <refrain/base/files.hpp>

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

}  // namespace refrain
