#pragma once

#include "answer_journal.hpp"
#include "asked.hpp"

#include <refrain/base/parts.hpp>
#include <refrain/base/provenance.hpp>
#include <refrain/comm/communicator.hpp>
#include <refrain/generate/options.hpp>
#include <refrain/h5/responses_file.hpp>

#include <cstdint>
#include <optional>
#include <vector>

namespace refrain::generate {

/// What the finished answers are wanted for.
enum class Purpose {
  go_on,  ///< others are to be made
  look    ///< to know what is missing: nothing is written
};

/// Which of the answers that are asked for are finished, and the file that they become. Finished are those of the file,
/// where it is there already, and those in the journals of OUT.parts. One that failed is not finished: each start asks
/// for it again.
class Answers {
public:
  /// `settings`: what answers depend on beside their prompts. @throws Error as Asked
  Answers(Options const& options, PromptForm form, Json const& settings);

  Asked const& asked() const noexcept { return asked_; }
  Json const& settings() const noexcept { return settings_; }
  Parts const& parts() const noexcept { return parts_; }

  /// Takes the folder of finished answers, makes it if need be, and reads what is there. @throws the same Error on
  /// every rank: somebody else has it, it was made with other settings, or it holds answers that are not asked for.
  /// @collective
  void open(comm::Communicator const& world, Purpose purpose);
  /// Whether the file has every answer, none failed, in the order of the prompts and with their labels.
  bool complete() const noexcept { return complete_; }
  /// Whether any answer was finished when this was opened.
  bool any_finished() const;
  /// The same, with those that have come since. @throws Error. @pre this rank opened the folder: rank 0
  bool any_kept() const;
  /// Numbers of the answers to be made, in order.
  std::vector<int64_t> missing() const;
  /// Those of them that rank `rank` of `size` makes.
  std::vector<int64_t> share(int rank, int size) const;

  /// Writes the file from what was there and all journals, in order, in the place of the one before, and removes the
  /// journals. @throws Error if an answer is missing, or if all have failed
  void write(Provenance provenance, h5::TokenIds tokens) const;

private:
  using Kept = std::vector<std::optional<Finished>>;

  void open_folder(Purpose purpose);
  /// What the file and the journals hold, by the numbers of the answers.
  Kept read_kept() const;
  void read_file(Kept& kept, h5::Responses const& rows) const;
  bool is_as_asked(h5::Responses const& rows) const;
  void require_settings(Json const& found, std::filesystem::path const& where) const;

  Options const& options_;
  Json settings_;
  Asked asked_;
  Parts parts_;  // taken by rank 0
  bool complete_ = false;
  int64_t failed_ = 0;  // before this start
  std::vector<bool> finished_;
};

}  // namespace refrain::generate
