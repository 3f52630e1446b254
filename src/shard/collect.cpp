#include <refrain/shard/collect.hpp>

#include <refrain/base/launch.hpp>
#include <refrain/base/log.hpp>
#include <refrain/base/table.hpp>
#include <refrain/shard/row_reader.hpp>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>

namespace refrain::shard {
namespace {

/// Rows that a rank takes in one round: enough to hide the round's messages, few enough to spread small files.
constexpr int64_t rows_a_rank = 32;
constexpr int64_t megabyte = 1000000;

/// The rows of all input files, one after the other.
class InputRows {
public:
  explicit InputRows(Options const& options) : options_(options) {
    for (auto const& file : options.inputs()) total_bytes_ += static_cast<int64_t>(std::filesystem::file_size(file));
  }

  bool next() {
    for (;;) {
      if (!reader_) {
        if (file_ == options_.inputs().size()) return false;
        reader_ = open_rows(options_.inputs()[file_], options_.input_option());
        rows_in_file_ = 0;
      }
      if (reader_->next()) {
        ++number_;
        if (++rows_in_file_ == 1 && options_.for_pairs()) form_ = prompt_form(reader_->row());
        return true;
      }
      if (rows_in_file_ == 0)
        throw Error("the file has no rows", "leave it out of " + std::string(options_.input_option()),
                    {.file = options_.inputs()[file_]});
      finished_bytes_ += static_cast<int64_t>(std::filesystem::file_size(options_.inputs()[file_]));
      reader_.reset();
      ++file_;
    }
  }

  RowReader const& current() const { return *reader_; }
  int64_t number() const noexcept { return number_; }  ///< of the current row, over all files, from 0
  PromptForm form() const noexcept { return form_; }   ///< of the current file
  int64_t total_bytes() const noexcept { return total_bytes_; }
  int64_t bytes_read() const { return finished_bytes_ + (reader_ ? reader_->bytes_read() : 0); }

private:
  Options const& options_;
  std::unique_ptr<RowReader> reader_;
  std::size_t file_ = 0;
  int64_t rows_in_file_ = 0, number_ = -1, total_bytes_ = 0, finished_bytes_ = 0;
  PromptForm form_ = PromptForm::explicit_prompt;
};

class Collector {
public:
  Collector(Options const& options, std::vector<std::string> const& languages, comm::Communicator const& world)
      : options_(options),
        languages_(languages),
        world_(world),
        input_(options),
        tokenizer_(options.tokenizer, options.chat_template, options.template_date, options.tokenization,
                   options.max_length),
        columns_(languages.empty()     ? LabelColumns::optional
                 : options.for_pairs() ? LabelColumns::required
                                       : LabelColumns::language_required) {}

  Collected run() {
    Collected collected;
    Progress progress("reading", input_.total_bytes() / megabyte, "MB");
    for (bool more = true; more;) {
      std::string packed;
      Failure failure;
      try {
        more = read_round(packed);
      } catch (Error const& error) {
        failure = {at_, error};
      } catch (std::exception const& error) {
        failure = {at_, Error(error_text(error))};
      }
      throw_first(failure);
      auto const all_packed = world_.gather(packed, 0);
      comm::agree(world_, [&] {
        for (auto const& bytes : all_packed) unpack_rows(bytes, collected.rows);
      });
      more = world_.max(int64_t{more}) != 0;
      progress.advance(input_.bytes_read() / megabyte,
                       format_count(static_cast<long long>(collected.rows.size())) + " rows");
    }
    collected.template_name = any_of_ranks(tokenizer_.template_name());
    collected.template_date = any_of_ranks(tokenizer_.template_date());
    collected.foreign_marks = any_of_ranks(tokenizer_.foreign_marks());
    return collected;
  }

private:
  struct Failure {
    int64_t row = std::numeric_limits<int64_t>::max();
    std::optional<Error> error;
  };

  /// What the ranks that have a text have; no two have different ones. @collective
  std::string any_of_ranks(std::string const& own) const {
    std::string found;
    for (auto const& text : world_.all_gather(own))
      if (!text.empty()) found = text;
    return found;
  }

  /// Runs over the next `rows_a_rank` rows of every rank and does its own. @returns whether there may be more
  bool read_round(std::string& packed) {
    for (int64_t k = 0; k < rows_a_rank * world_.size(); ++k) {
      at_ = input_.number() + 1;
      if (!input_.next()) return false;
      if (k / rows_a_rank == world_.rank()) pack_row(read_row(), packed);
    }
    return true;
  }

  ShardRow read_row() {
    Place const place = input_.current().place();
    Json const json = input_.current().row();
    ShardRow row;
    row.labels = parse_labels(json, columns_, input_.number(), place);
    row.wanted =
        languages_.empty() || std::find(languages_.begin(), languages_.end(), row.labels.language) != languages_.end();
    if (!row.wanted) return row;
    if (options_.for_pairs()) {
      row.tokens = tokenizer_.pair(parse_pair(json, input_.form(), place), place);
    } else {
      PromptContent const prompt = parse_prompt(json, place);
      row.tokens.ids.prompt = tokenizer_.prompt(prompt, place);
      row.text = prompt.text;
      row.turns = prompt.turns;
    }
    return row;
  }

  /// Whatever the number of ranks, the message is that of the first row that is wrong. @collective
  void throw_first(Failure const& failure) {
    int64_t const first = world_.min(failure.row);
    if (first == std::numeric_limits<int64_t>::max()) return;
    // A broken file is seen by every rank at the same row: the lowest of them speaks.
    auto const speaker = static_cast<int>(world_.min(int64_t{failure.row == first ? world_.rank() : world_.size()}));
    std::string message;
    if (speaker == world_.rank()) {
      Error const& error = *failure.error;
      message = dump_text(Json{error.problem(), error.remedy(), error.place().file.string(), error.place().object});
    }
    Json const parts = Json::parse(world_.broadcast(message, speaker));
    comm::agree(world_, [&] {
      throw Error(parts[0].get<std::string>(), parts[1].get<std::string>(),
                  {.file = parts[2].get<std::string>(), .object = parts[3].get<std::string>()});
    });
  }

  Options const& options_;
  std::vector<std::string> const& languages_;
  comm::Communicator const& world_;
  InputRows input_;
  RowTokenizer tokenizer_;
  LabelColumns columns_;
  int64_t at_ = 0;  ///< number of the row being read
};

}  // namespace

Collected collect_rows(Options const& options, std::vector<std::string> const& languages,
                       comm::Communicator const& world) {
  std::optional<Collector> collector;
  comm::agree(world, [&] { collector.emplace(options, languages, world); });
  return collector->run();
}

}  // namespace refrain::shard
