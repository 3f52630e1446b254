#include <refrain/report/results.hpp>

#include <refrain/base/digest.hpp>
#include <refrain/base/joined.hpp>
#include <refrain/base/run_name.hpp>
#include <refrain/h5/reader.hpp>
#include <refrain/h5/verdicts_file.hpp>
#include <refrain/h5/responses_file.hpp>
#include <refrain/report/bootstrap.hpp>
#include <refrain/report/languages.hpp>
#include <refrain/report/near_duplicates.hpp>

#include <algorithm>
#include <numeric>
#include <set>
#include <tuple>
#include <unordered_map>

namespace refrain::report {
namespace {

namespace fs = std::filesystem;

/// Words as numbers, in the order in which they first come.
class Words {
public:
  std::size_t index(std::string const& word) {
    auto const [entry, added] = indices_.try_emplace(word, words_.size());
    if (added) words_.push_back(word);
    return entry->second;
  }
  std::vector<std::string> const& all() const noexcept { return words_; }

private:
  std::unordered_map<std::string, std::size_t> indices_;
  std::vector<std::string> words_;
};

/// "S2" before "S10", and what has no word last.
bool category_before(std::string const& a, std::string const& b) {
  auto const key = [](std::string const& word) {
    auto const digits = word.find_first_of("0123456789");
    auto const number = digits == std::string::npos ? std::string{} : word.substr(digits);
    return std::tuple(word.empty(), word.substr(0, digits), number.size(), number);
  };
  return key(a) < key(b);
}

/// Without a guard, merging makes none either.
Error no_final_labels(h5::Verdicts const& rows, fs::path const& path) {
  bool const has_guard =
      std::ranges::any_of(rows.judges, [](auto const& judge) { return judge.second.kind == "safety"; });
  return has_guard
             ? Error("the file has no final labels",
                     "give the file that refrain-judge --judge adjudicator or --judge merge made", {.file = path})
             : Error("the file has no final labels, and no guard (a judge of kind safety) that could decide",
                     "judge the answers with a guard, and join its file to this one by refrain-judge --judge merge",
                     {.file = path});
}

class Collector {
public:
  /// @param option the one that gives the files
  explicit Collector(std::string option) : option_(std::move(option)) {}

  Results run(std::vector<NamedFile> const& files) {
    for (auto const& file : files) add(file);
    sort_words();
    return std::move(results_);
  }

private:
  void add(NamedFile const& file) {
    auto const rows = h5::read_verdicts(file.path);
    if (rows.size() == 0) throw Error("the file has no verdicts", "leave it out of " + option_, {.file = file.path});
    if (rows.final_label.empty()) throw no_final_labels(rows, file.path);
    Source source{
        .path = file.path, .sha256 = sha256_file(file.path), .provenance = h5::Reader(file.path).provenance()};
    auto& checkpoint = named(checkpoint_name(file, generation_of(source.provenance)));
    checkpoint.sources.push_back(std::move(source));
    append(checkpoint, rows, file.path);
  }

  Checkpoint& named(std::string const& name) {
    for (auto& checkpoint : results_.checkpoints)
      if (checkpoint.name == name) return checkpoint;
    results_.checkpoints.push_back({.name = name});
    return results_.checkpoints.back();
  }

  void append(Checkpoint& checkpoint, h5::Verdicts const& rows, fs::path const& path) {
    auto& seen = seen_[checkpoint.name];
    std::size_t const before = checkpoint.size();
    for (std::size_t row = 0; row < rows.row_id.size(); ++row) {
      auto const prompt = prompt_of(rows, row);
      if (!seen.insert({prompt, rows.sample[row]}).second)
        throw Error("row " + std::to_string(row) + " is a second verdict of " + checkpoint.name + " on sample " +
                        std::to_string(rows.sample[row]) + " of row_id " + std::to_string(rows.row_id[row]) +
                        (rows.language[row].empty() ? "" : ", language " + rows.language[row]),
                    "give each checkpoint a name of its own (NAME=FILE.h5), and each of its rows once",
                    {.file = path, .object = "/verdict/row_id"});
      checkpoint.prompt.push_back(prompt);
    }
    checkpoint.sample.insert(checkpoint.sample.end(), rows.sample.begin(), rows.sample.end());
    checkpoint.final_label.insert(checkpoint.final_label.end(), rows.final_label.begin(), rows.final_label.end());
    append_guarded(checkpoint, rows);
    for (auto const& [name, judge] : rows.judges) {
      auto& labels = checkpoint.judges[name];
      labels.kind = judge.kind;
      for (auto const& [column, values] : judge.labels) {
        auto& all = labels.columns[column];
        all.resize(before, h5::not_asked);  // files before this one, which this judge has not seen
        all.insert(all.end(), values.begin(), values.end());
      }
    }
    for (auto& [name, judge] : checkpoint.judges)
      for (auto& [column, values] : judge.columns) values.resize(checkpoint.size(), h5::not_asked);
  }

  static void append_guarded(Checkpoint& checkpoint, h5::Verdicts const& rows) {
    for (std::size_t row = 0; row < rows.category.size(); ++row) {
      bool guarded = names_guarded(rows.category[row]);
      for (auto const& [name, judge] : rows.judges)
        if (auto const found = judge.texts.find("categories"); found != judge.texts.end())
          guarded |= names_guarded(found->second[row]);
      checkpoint.guarded.push_back(guarded);
    }
  }

  std::size_t prompt_of(h5::Verdicts const& rows, std::size_t row) {
    auto const [entry, added] = results_.prompt_index.try_emplace(
        prompt_key(rows.language[row], rows.row_id[row], rows.id[row]), results_.prompts.size());
    if (added)
      results_.prompts.push_back({languages_.index(rows.language[row]), categories_.index(rows.category[row]),
                                  styles_.index(rows.style[row])});
    return entry->second;
  }

  /// Puts `words` in the order of tables, and the prompts' numbers with them.
  template <class Before>
  void sort_into(std::vector<std::string>& sorted, Words const& words, std::size_t Prompt::* member,
                 Before const& before) {
    std::vector<std::size_t> order(words.all().size()), place(order.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return before(words.all()[a], words.all()[b]); });
    for (std::size_t i = 0; i < order.size(); ++i) {
      place[order[i]] = i;
      sorted.push_back(words.all()[order[i]]);
    }
    for (auto& prompt : results_.prompts) prompt.*member = place[prompt.*member];
  }

  void sort_words() {
    auto const languages = Languages::load();
    sort_into(results_.languages, languages_, &Prompt::language,
              [&](auto const& a, auto const& b) { return languages.before(a, b); });
    sort_into(results_.categories, categories_, &Prompt::category, category_before);
    sort_into(results_.styles, styles_, &Prompt::style, category_before);
  }

  std::string option_;
  Results results_;
  Words languages_, categories_, styles_;
  std::map<std::string, std::set<std::pair<std::size_t, int32_t>>> seen_;
};

/// Which prompts are nearly the same; those whose text no file has stand alone.
void find_duplicates(Results& results, Options const& options) {
  if (options.responses.empty() || choose_clusters(results) != ClusterBy::none) return;
  std::vector<std::string> texts(results.prompts.size());
  std::size_t unknown = texts.size();
  for (auto const& file : options.responses) {
    if (unknown == 0) break;
    auto const rows = h5::read_responses(file.path);
    for (std::size_t row = 0; row < rows.prompt.size(); ++row) {
      auto const found = results.prompt_index.find(prompt_key(rows.language[row], rows.row_id[row], rows.id[row]));
      if (found == results.prompt_index.end() || !texts[found->second].empty()) continue;
      texts[found->second] = rows.prompt[row];
      unknown -= !rows.prompt[row].empty();
    }
  }
  results.alike = near_duplicates(texts);
  for (std::size_t i = 0; i < texts.size(); ++i)
    if (texts[i].empty()) results.alike[i] = i;
}

void choose_baseline(Results& results, std::string const& baseline) {
  if (baseline.empty()) return;
  auto const names = results.checkpoints | std::views::transform(&Checkpoint::name);
  auto const found = std::ranges::find(names, baseline);
  if (found == names.end())
    throw UsageError("--baseline: there is no checkpoint " + baseline, "the verdicts are of " + joined(names));
  results.baseline = static_cast<std::size_t>(found - names.begin());
}

}  // namespace

std::string prompt_key(std::string const& language, int64_t row_id, std::string const& id) {
  std::string key = language;
  key += '\0';
  key += std::to_string(row_id);
  key += '\0';
  key += id;
  return key;
}

std::string checkpoint_name(NamedFile const& file, Json const& generation) {
  if (!file.name.empty()) return file.name;
  auto const options = generation.is_object() ? generation.value("options", Json()) : Json();
  for (char const* key : {"adapter", "checkpoint", "model"})
    if (auto const name = options.is_object() ? options.value(key, Json()) : Json(); name.is_string() && name != "")
      return run_of_checkpoint(name.get<std::string>());
  return file.path.stem().string();
}

Results read_results(Options const& options) {
  auto results = read_results(options.verdicts, "--verdicts");
  find_duplicates(results, options);
  choose_baseline(results, options.baseline);
  return results;
}

Results read_results(std::vector<NamedFile> const& files, std::string const& option) {
  return Collector(option).run(files);
}

Json generation_of(Json const& provenance) {
  auto const found = provenance.is_object() ? provenance.find("responses") : provenance.end();
  return found != provenance.end() && found->is_object() ? *found : Json(nullptr);
}

}  // namespace refrain::report
