#include <refrain/archive/flagged.hpp>

#include <refrain/base/guarded_category.hpp>
#include <refrain/h5/verdicts_file.hpp>

#include <map>
#include <tuple>

namespace refrain::archive {
namespace {

/// What all verdicts say of one answer.
struct Said {
  bool safe = false, unsafe = false, undecided = false;
  bool guarded = false;
};

using Key = std::tuple<std::string, int64_t, std::string, int32_t>;  ///< language, row_id, id, sample

void add(Said& said, h5::Verdicts const& rows, std::size_t row) {
  said.guarded |= names_guarded(rows.category[row]);
  if (!rows.final_label.empty()) {
    auto const label = rows.final_label[row];
    (label == 0 ? said.safe : label == 1 ? said.unsafe : said.undecided) = true;
  }
  for (auto const& [name, judge] : rows.judges) {
    if (auto const categories = judge.texts.find("categories"); categories != judge.texts.end())
      said.guarded |= names_guarded(categories->second[row]);
    auto const labels = judge.labels.find("label");
    if (judge.kind != "safety" || labels == judge.labels.end()) continue;
    said.unsafe |= labels->second[row] == 1;
    if (rows.final_label.empty()) said.safe |= labels->second[row] == 0;
  }
}

}  // namespace

Withheld withheld_of(h5::Responses const& answers, std::vector<std::filesystem::path> const& verdicts,
                     Options const& options) {
  std::map<Key, Said> said;
  for (auto const& path : verdicts) {
    auto const rows = h5::read_verdicts(path);
    for (std::size_t row = 0; row < rows.row_id.size(); ++row)
      add(said[{rows.language[row], rows.row_id[row], rows.id[row], rows.sample[row]}], rows, row);
  }
  auto const count = static_cast<std::size_t>(answers.size());
  Withheld withheld{.answer = std::vector<bool>(count), .prompt = std::vector<bool>(count)};
  for (std::size_t row = 0; row < count; ++row) {
    auto const found = said.find({answers.language[row], answers.row_id[row], answers.id[row], answers.sample[row]});
    Said const of = found == said.end() ? Said{} : found->second;
    bool const guarded = (of.guarded || answers.category[row].empty() || names_guarded(answers.category[row])) &&
                         !options.include_guarded();
    bool const known_safe = of.safe && !of.unsafe && !of.undecided;
    withheld.prompt[row] = guarded;
    withheld.answer[row] = guarded || (!known_safe && !options.include_text);
  }
  return withheld;
}

}  // namespace refrain::archive
