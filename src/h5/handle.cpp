#include <refrain/h5/handle.hpp>

#include <mutex>
#include <regex>

namespace refrain::h5 {

void initialise() {
  static std::once_flag once;
  std::call_once(once, [] {
    if (H5open() < 0 || H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr) < 0)
      throw Error("the HDF5 library does not start", "check its installation and the free memory");
  });
}

namespace {

herr_t keep_innermost(unsigned, H5E_error2_t const* entry, void* out) {
  if (entry->desc && *entry->desc) *static_cast<std::string*>(out) = entry->desc;
  return 0;
}

/// HDF5's words for people: "unable to open file: name = 'x', errno = 13, error message = 'Permission denied', flags =
/// 13" is "Permission denied", "truncated file: eof = 5000, ..." is "truncated file".
std::string plain(std::string const& text) {
  static std::regex const system_message("error message = '([^']*)'"), numbers(R"(:? *,? *[\w>-]+ = .*)");
  std::smatch found;
  if (std::regex_search(text, found, system_message)) return found[1];
  return std::regex_replace(text, numbers, "");
}

}  // namespace

Error hdf5_error(std::string const& problem, std::string remedy, Place place) {
  std::string reason;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_DOWNWARD, keep_innermost, &reason);
  H5Eclear2(H5E_DEFAULT);
  for (auto& c : reason)
    if (c == '\n') c = ' ';
  reason = plain(reason);
  return Error(reason.empty() ? problem : problem + ": " + reason, std::move(remedy), std::move(place));
}

Handle own(hid_t id, Handle::Closer close, std::string const& problem, Place const& place, std::string const& remedy) {
  if (id < 0) throw hdf5_error(problem, remedy, place);
  return Handle(id, close);
}

void check(herr_t status, std::string const& problem, Place const& place, std::string const& remedy) {
  if (status < 0) throw hdf5_error(problem, remedy, place);
}

}  // namespace refrain::h5
