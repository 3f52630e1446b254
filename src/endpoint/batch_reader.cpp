#include <refrain/base/error.hpp>
#include <refrain/base/joined.hpp>
#include <refrain/base/json_file.hpp>
#include <refrain/base/log.hpp>
#include <refrain/endpoint/batch.hpp>

#include <algorithm>
#include <fstream>
#include <map>
#include <optional>

namespace refrain::endpoint {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t most_named = 5;  // custom_ids in one line of the log

/// One line of a result file.
struct Row {
  Json json;
  Place place;
};

/// The lines of a file of results; blank ones are passed over.
class ResultFile {
public:
  explicit ResultFile(fs::path path) : path_(std::move(path)), file_(path_, std::ios::binary) {
    if (!file_) throw system_error("open the file", {}, {.file = path_});
  }

  std::optional<Row> next() {
    std::string line;
    while (std::getline(file_, line)) {
      ++number_;
      if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
      return Row{parse(line), place()};
    }
    if (file_.bad()) throw system_error("read the file", {}, {.file = path_});
    if (number_ == 0) throw Error("the file is empty", "download the results again", {.file = path_});
    return std::nullopt;
  }

private:
  Json parse(std::string const& line) const {
    try {
      return Json::parse(line);
    } catch (Json::parse_error const& error) {
      throw Error("broken JSON at byte " + std::to_string(error.byte), "each line must be one whole JSON object",
                  place());
    }
  }

  Place place() const { return {.file = path_, .object = "line " + std::to_string(number_)}; }

  fs::path path_;
  std::ifstream file_;
  int64_t number_ = 0;
};

std::string custom_id_of(Row const& row) {
  if (!row.json.is_object())
    throw Error(std::string("the line is of type ") + row.json.type_name() + ", not an object",
                "give the result files of a batch", row.place);
  if (row.json.contains("method") && row.json.contains("body"))
    throw Error("this is a request, not a result", "give the files that came back, not those of --batch-out",
                row.place);
  auto const id = row.json.find("custom_id");
  if (id == row.json.end() || !id->is_string())
    throw Error("the result has no custom_id", "give the result files of a batch", row.place);
  return id->get<std::string>();
}

/// What the row says of its request: an answer, or why there is none.
Answer read_result(Row const& row, Request const& request) {
  auto const failure = [&](std::string reason) {
    return Answer{.custom_id = request.custom_id, .error = short_line(reason)};
  };
  Json const response = row.json.value("response", Json());
  Json const error = row.json.value("error", Json());
  if (!response.is_object() && error.is_null())
    throw Error("the result has neither a response nor an error", "download the results again", row.place);
  Json const status = response.is_object() ? response.value("status_code", Json()) : Json();
  if (response.is_object() && !status.is_number_integer())
    throw Error("the response has no status_code", "download the results again", row.place);
  Json const body = response.is_object() ? response.value("body", Json()) : Json();
  if (error.is_null() && status == 200) {
    try {
      return read_completion(body, request.custom_id, request.sampling.n);
    } catch (Error const& other_form) {
      return failure(other_form.problem());
    }
  }
  std::string said = error_message(error);
  if (said.empty()) said = error_message(body);
  std::string const reason = status.is_null() ? "the batch has an error" : "HTTP " + dump_text(status);
  return failure(said.empty() ? reason : reason + ": " + said);
}

std::string names_of(std::vector<std::string> const& ids) {
  std::string names = joined(ids | std::views::take(most_named));
  if (ids.size() > most_named) names += " and " + std::to_string(ids.size() - most_named) + " more";
  return short_line(names);
}

/// Collects the results of all files.
class Results {
public:
  Results(std::span<Request const> requests, std::function<void(Answer)> const& on_answer)
      : requests_(requests), on_answer_(on_answer), index_(requests), answered_at_(requests.size()) {}

  void take(Row const& row) {
    std::string const id = custom_id_of(row);
    auto const place = index_.find(id);
    if (!place) return tally_.foreign.push_back(id);
    Answer answer = read_result(row, requests_[*place]);
    std::string const here = row.place.file.string() + ":" + row.place.object;
    // A request that failed in one batch may have been sent again in another.
    if (!answer.error.empty()) {
      errors_.emplace(*place, std::move(answer));
      return;
    }
    if (!answered_at_[*place].empty())
      throw Error("custom_id " + id + " has a second answer; the first is in " + answered_at_[*place],
                  "give each result file once, and those of one batch", row.place);
    answered_at_[*place] = here;
    ++tally_.answered;
    on_answer_(std::move(answer));
  }

  BatchTally finish() {
    for (std::size_t i = 0; i < requests_.size(); ++i) {
      if (!answered_at_[i].empty()) continue;
      if (auto const error = errors_.find(i); error != errors_.end()) {
        ++tally_.failed;
        on_answer_(std::move(error->second));
      } else {
        tally_.missing.push_back(requests_[i].custom_id);
      }
    }
    if (!tally_.missing.empty())
      log_warning("no result for " + std::to_string(tally_.missing.size()) + " of " + std::to_string(requests_.size()) +
                  " requests: " + names_of(tally_.missing));
    if (!tally_.foreign.empty())
      log_warning(std::to_string(tally_.foreign.size()) + " results belong to no request: " + names_of(tally_.foreign));
    return std::move(tally_);
  }

private:
  std::span<Request const> requests_;
  std::function<void(Answer)> const& on_answer_;
  RequestIndex index_;
  std::vector<std::string> answered_at_;  ///< "FILE:line N" of each request's answer
  std::map<std::size_t, Answer> errors_;  ///< of requests, by their place; the first where there are several
  BatchTally tally_;
};

}  // namespace

BatchTally read_batch(std::span<fs::path const> paths, std::span<Request const> requests,
                      std::function<void(Answer)> const& on_answer) {
  Results results(requests, on_answer);
  for (fs::path const& path : paths) {
    ResultFile file(path);
    while (auto const row = file.next()) results.take(*row);
  }
  return results.finish();
}

}  // namespace refrain::endpoint
