#pragma once

#include <refrain/inference/asking_options.hpp>

#include <filesystem>
#include <string>
#include <vector>

namespace refrain::judge {

struct Definition;

/// Options of refrain-judge. Constant once validated, and written into what it makes.
struct Options : inference::AskingOptions {
  std::string judge;
  std::vector<std::filesystem::path> responses, verdicts, out;
  std::vector<std::string> guards;
  std::string adjudicator = "adjudicator";
  std::filesystem::path language_model;
  std::string chat_template = "auto";
  bool show_prompt = true;

  static OptionTable table(Options& options);
  /// @throws UsageError for options that contradict each other or name what is not there
  void validate() const;

  bool merges() const noexcept { return judge == "merge"; }        ///< verdict files, and no judge is asked
  bool adjudicates() const noexcept { return !verdicts.empty(); }  ///< only where others differ. @pre not merges()

private:
  void validate_merge() const;
  void validate_source(Definition const& definition) const;
  void validate_server(Definition const& definition) const;  ///< @pre it asks a model
};

}  // namespace refrain::judge
