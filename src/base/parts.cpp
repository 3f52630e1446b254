#include <refrain/base/parts.hpp>

#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>

namespace refrain {

namespace fs = std::filesystem;

void Parts::open(Json const& identity, std::string const& what) {
  fs::path const settings = folder_ / "settings.json";
  make_folders(folder_);
  lock_ = FolderLock::acquire(folder_ / "lock");
  if (!fs::exists(settings)) return write_json(settings, identity);
  if (read_json(settings) != identity)
    throw UsageError("the " + what + " kept here were made from other input or with other settings",
                     "give the same ones to go on, or remove the folder", {.file = folder_});
}

void Parts::remove() { fs::remove_all(folder_); }

}  // namespace refrain
