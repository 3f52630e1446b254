#include <refrain/base/error.hpp>

#include <cerrno>
#include <system_error>

namespace refrain {
namespace {

std::string place_text(Place const& place) {
  std::string const file = place.file.string();
  if (file.empty()) return place.object;
  return place.object.empty() ? file : file + ":" + place.object;
}

std::string one_line(std::string const& problem, std::string const& remedy, Place const& place) {
  std::string line;
  if (place.rank >= 0) line += "rank " + std::to_string(place.rank) + ": ";
  line += problem;
  if (std::string const where = place_text(place); !where.empty()) line += " [" + where + "]";
  if (!remedy.empty()) line += " (" + remedy + ")";
  // File names and library messages may hold line breaks; a user greps for one line.
  for (char& c : line)
    if (c == '\n' || c == '\r') c = ' ';
  return line;
}

/// What a user can do about the failures of the system that happen in practice.
std::string usual_remedy(int code) {
  switch (code) {
    case ENOSPC: return "free some space or write elsewhere";
    case EDQUOT: return "the quota is used up: delete files or write elsewhere";
    case EACCES:
    case EPERM: return "check who owns it and its permissions";
    case EROFS: return "the file system is read-only: write elsewhere";
    case ENOENT: return "check the path";
    case EMFILE:
    case ENFILE: return "raise the limit of open files: ulimit -n";
    default: return {};
  }
}

}  // namespace

Error::Error(std::string problem, std::string remedy, Place place)
    : std::runtime_error(one_line(problem, remedy, place)),
      problem_(std::move(problem)),
      remedy_(std::move(remedy)),
      place_(std::move(place)) {}

Error system_error(std::string const& doing, std::string remedy, Place place) {
  int const code = errno;
  if (remedy.empty()) remedy = usual_remedy(code);
  return Error("cannot " + doing + ": " + std::generic_category().message(code), std::move(remedy), std::move(place));
}

}  // namespace refrain
