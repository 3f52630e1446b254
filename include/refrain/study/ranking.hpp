#pragma once

#include <refrain/base/error.hpp>
#include <refrain/study/sweep_request.hpp>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace refrain::study {

/// A member as refrain-report ranks it.
struct RankedMember {
  std::string folder;            ///< of its run
  std::optional<int64_t> place;  ///< 1 is the best; none for a member that has not finished or has no value
  std::string value;             ///< as the table writes it
};

/// The line that ranks a sweep's members that have begun, by what they are evaluated on: the report of them in
/// $REFRAIN_RUNS/NAME/ranking. @throws Error if none has begun
Words ranking_line(SweepRequest const& sweep);

/// Makes that report and reads it. @param measure accuracy, margin or asr
/// @throws Error if refrain-report fails, or has ranked nothing by this measure, with what is missing
std::vector<RankedMember> rank_members(SweepRequest const& sweep, std::string const& measure);

/// A number of the table with the digits that people read: "0.02037". Other text stays as it is.
std::string short_value(std::string const& value);

/// Fields of one line of a CSV file (RFC 4180) whose fields hold no line feeds.
std::vector<std::string> csv_fields(std::string const& line);

/// Ranks a sweep's members by their dev split, and prints the places and where the report is.
/// @throws Error as above
Exit run_rank(Options const& options);

}  // namespace refrain::study
