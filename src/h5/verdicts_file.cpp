#include <refrain/h5/verdicts_file.hpp>

#include "columns.hpp"

#include <algorithm>
#include <cctype>

namespace refrain::h5 {
namespace {

constexpr char const* schema = "verdicts.v1";
constexpr char const* judges_group = "/judges/";
constexpr char const* final_label = "/final/label";
constexpr char const* decided_by = "/final/decided_by";
constexpr char const* remedy = "the file is damaged or not ours: make it again with refrain-judge";

constexpr auto columns = [](auto& verdicts, auto const& each) {
  each("/verdict/row_id", verdicts.row_id);
  each("/verdict/sample", verdicts.sample);
  each("/verdict/id", verdicts.id);
  each("/verdict/language", verdicts.language);
  each("/verdict/category", verdicts.category);
  each("/verdict/style", verdicts.style);
};

/// The greatest label of a known kind's columns; the least is `not_asked`.
std::map<std::string, int8_t> const greatest_labels{
    {"safety", 1}, {"refusal", 1}, {"language", 1}, {"rubric", 5}, {"quality", 1}};

void check_labels(std::vector<int8_t> const& labels, int8_t least, int8_t most, std::string const& name,
                  std::filesystem::path const& path) {
  auto const wrong =
      std::find_if(labels.begin(), labels.end(), [&](int8_t label) { return label < least || label > most; });
  if (wrong == labels.end()) return;
  throw Error("row " + std::to_string(wrong - labels.begin()) + " has the label " + std::to_string(*wrong) +
                  ", outside " + std::to_string(least) + " to " + std::to_string(most),
              remedy, {.file = path, .object = name});
}

/// The columns right below the judge's group.
Judgements read_judge(Reader const& file, std::string const& group) {
  Judgements judge{.kind = file.kinds().at(group)};
  std::string const prefix = group + "/";
  for (auto entry = file.datasets().lower_bound(prefix);
       entry != file.datasets().end() && entry->first.starts_with(prefix); ++entry) {
    auto const& name = entry->first;
    auto const column = name.substr(prefix.size(), name.find('/', prefix.size()) - prefix.size());
    if (file.contains_text(prefix + column)) {
      if (!judge.texts.contains(column)) judge.texts[column] = file.read_text(prefix + column);
    } else if (entry->second.dtype == DType::int8) {
      auto const& labels = judge.labels[column] = file.read<int8_t>(name);
      if (auto const most = greatest_labels.find(judge.kind); most != greatest_labels.end())
        check_labels(labels, not_asked, most->second, name, file.path());
    } else if (entry->second.dtype == DType::fp32) {
      judge.scores[column] = file.read<float>(name);
    }
  }
  return judge;
}

bool is_name(std::string const& name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '.' || c == '-' || c == '_';
  });
}

}  // namespace

Verdicts read_verdicts(std::filesystem::path const& path) {
  Reader const file(path, schema);
  auto verdicts = read_columns<Verdicts>(file, columns);
  for (auto const& [group, kind] : file.kinds())
    if (group.starts_with(judges_group))
      verdicts.judges[group.substr(std::string(judges_group).size())] = read_judge(file, group);
  if (file.contains(final_label)) {
    verdicts.final_label = file.read<int8_t>(final_label);
    check_labels(verdicts.final_label, undecided, 1, final_label, path);
    verdicts.decided_by = file.contains_text(decided_by) ? file.read_text(decided_by)
                                                         : std::vector<std::string>(verdicts.final_label.size());
  }
  return verdicts;
}

VerdictsWriter::VerdictsWriter(std::filesystem::path path, Json const& provenance)
    : file_(std::move(path), schema, provenance) {
  append_columns(file_, Verdicts{}, columns);
}

void VerdictsWriter::append(Verdicts const& rows) {
  append_columns(file_, rows, columns);
  for (auto const& [name, judge] : rows.judges) {
    if (!is_name(name))
      throw Error("'" + name + "' cannot be a judge's name", "name it with letters, digits, '.', '-' and '_'");
    if (judge.labels.empty() && judge.scores.empty() && judge.texts.empty())
      throw Error("judge " + name + " has no columns", "give it those of its kind (h5schemas/verdicts.v1.json)");
    kinds_[name] = judge.kind;
    std::string const group = judges_group + name + "/";
    for (auto const& [column, labels] : judge.labels) file_.append(group + column, labels);
    for (auto const& [column, scores] : judge.scores) file_.append(group + column, scores);
    for (auto const& [column, texts] : judge.texts) file_.append_text(group + column, texts);
  }
  if (rows.final_label.empty()) return;
  file_.append(final_label, rows.final_label);
  file_.append_text(decided_by, rows.decided_by);
}

void VerdictsWriter::finish() {
  auto& file = file_.complete();
  for (auto const& [name, kind] : kinds_) file.attribute(judges_group + name, "kind", kind);
  file.finish();
}

}  // namespace refrain::h5
