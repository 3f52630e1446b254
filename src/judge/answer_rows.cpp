#include "answer_rows.hpp"

#include <refrain/judge/quality.hpp>

namespace refrain::judge {
namespace {

h5::Judgements quality_judgements(h5::Responses const& responses) {
  h5::Judgements columns{.kind = "quality"};
  for (std::size_t row = 0; row < responses.text.size(); ++row) {
    Quality const quality = quality_of(responses.text[row]);
    columns.labels["empty"].push_back(static_cast<int8_t>(quality.empty));
    columns.labels["repetition"].push_back(static_cast<int8_t>(quality.repetition));
    columns.labels["truncated"].push_back(
        static_cast<int8_t>(responses.finish[row] == static_cast<int8_t>(h5::Finish::length)));
  }
  return columns;
}

}  // namespace

h5::Verdicts rows_of(h5::Responses const& responses) {
  h5::Verdicts verdicts{.row_id = responses.row_id,
                        .sample = responses.sample,
                        .id = responses.id,
                        .language = responses.language,
                        .category = responses.category,
                        .style = responses.style,
                        .judges = {},
                        .final_label = {},
                        .decided_by = {}};
  verdicts.judges["quality"] = quality_judgements(responses);
  return verdicts;
}

}  // namespace refrain::judge
