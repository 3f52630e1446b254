#pragma once

#include <refrain/base/json_file.hpp>
#include <refrain/h5/responses_file.hpp>
#include <refrain/h5/verdicts_file.hpp>
#include <refrain/judge/definition.hpp>

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace refrain::judge {

/// What a judge said about one answer, as it is kept until all are there.
struct RawVerdict {
  std::string answer;                                       ///< its text; a phrase found; a language's code
  double score = std::numeric_limits<double>::quiet_NaN();  ///< P(unsafe), or the language's probability; else NaN
  std::string failure;                                      ///< why it could not be asked; empty where it could
};

Json record_of(int64_t row, RawVerdict const& said);
/// @throws Error naming `file` if it is no such record
std::pair<int64_t, RawVerdict> read_record(Json const& record, std::filesystem::path const& file);

/// The judge's columns of verdicts.v1 for all rows of `responses`; nothing where it was not asked.
h5::Judgements judgements(Definition const& definition, std::vector<std::optional<RawVerdict>> const& said,
                          h5::Responses const& responses);

}  // namespace refrain::judge
