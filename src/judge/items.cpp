#include "items.hpp"

#include <refrain/base/digest.hpp>
#include <refrain/base/error.hpp>

namespace refrain::judge {
namespace {

void require_same_prompts(h5::Responses const& first, h5::Responses const& other, std::filesystem::path const& path,
                          std::filesystem::path const& first_path) {
  std::string const remedy = "judge answers to other prompts in a call of their own";
  if (other.size() != first.size())
    throw UsageError("the number of answers is " + std::to_string(other.size()) + ", and " +
                         std::to_string(first.size()) + " in " + first_path.string(),
                     remedy, {.file = path});
  for (std::size_t row = 0; row < first.row_id.size(); ++row) {
    bool const same = other.row_id[row] == first.row_id[row] && other.sample[row] == first.sample[row] &&
                      other.language[row] == first.language[row] && other.id[row] == first.id[row] &&
                      other.prompt[row] == first.prompt[row];
    if (!same)
      throw UsageError("row " + std::to_string(row) + " answers another prompt than in " + first_path.string(), remedy,
                       {.file = path});
  }
}

}  // namespace

Items::Items(std::vector<std::filesystem::path> const& files) {
  for (auto const& path : files) {
    files_.push_back(h5::read_responses(path));
    digests_.push_back(sha256_file(path));
    h5::Responses& rows = files_.back();
    rows.tokens = {};
    if (rows.size() == 0) throw Error("the file has no answers", "leave it out", {.file = path});
    require_same_prompts(files_.front(), rows, path, files.front());
  }
}

}  // namespace refrain::judge
