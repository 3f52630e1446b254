#include "verdict_files.hpp"

#include <refrain/h5/reader.hpp>

namespace refrain::judge {

namespace fs = std::filesystem;

VerdictsOf read_file(fs::path const& path) {
  Json const provenance = h5::Reader(path, "verdicts.v1").provenance();
  return {.path = path, .responses = provenance.value("responses_sha256", ""), .rows = h5::read_verdicts(path)};
}

void write_verdicts(fs::path const& out, h5::Verdicts const& verdicts, Json const& provenance) {
  h5::VerdictsWriter file(out, provenance);
  file.append(verdicts);
  file.finish();
}

void inherit(Provenance& provenance, std::vector<fs::path> const& files) {
  Json judges = provenance.json().value("judges", Json::object());
  for (auto const& file : files) {
    Json const theirs = h5::Reader(file, "verdicts.v1").provenance();
    judges.update(theirs.value("judges", Json::object()));
    for (char const* key : {"responses", "responses_sha256"})
      if (!provenance.json().contains(key) && theirs.contains(key)) provenance.set(key, theirs.at(key));
  }
  provenance.set("judges", judges);
}

}  // namespace refrain::judge
