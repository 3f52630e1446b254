#include <refrain/shard/row_reader.hpp>

#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>

namespace refrain::shard {
namespace {

constexpr std::size_t read_size = std::size_t{1} << 20;

/// Lines of a file, decompressed where it is gzip's (zlib passes other bytes through).
class JsonLines final : public RowReader {
public:
  explicit JsonLines(std::filesystem::path path) : path_(std::move(path)), file_(gzopen(path_.c_str(), "rb")) {
    if (file_ == nullptr) throw system_error("open the file", {}, {.file = path_});
    gzbuffer(file_, 1 << 18);
  }
  JsonLines(JsonLines const&) = delete;
  JsonLines& operator=(JsonLines const&) = delete;
  ~JsonLines() override { gzclose(file_); }

  bool next() override {
    while (next_line()) {
      ++line_number_;
      if (line_number_ == 1 && line_.starts_with("\xEF\xBB\xBF")) line_.remove_prefix(3);
      if (line_.find_first_not_of(" \t\r") == std::string_view::npos) continue;
      if (line_number_ == 1) refuse_other_kinds();
      return true;
    }
    return false;
  }

  Json row() const override {
    Json json;
    try {
      json = Json::parse(line_);
    } catch (Json::parse_error const& error) {
      bool const utf8 = std::strstr(error.what(), "UTF-8") != nullptr;
      throw Error((utf8 ? "invalid UTF-8 at byte " : "broken JSON at byte ") + std::to_string(error.byte),
                  utf8 ? "write the file in UTF-8" : "each line must be one whole JSON object", place());
    }
    if (!json.is_object())
      throw Error(std::string("the line is of type ") + json.type_name() + ", not an object",
                  "each line must be one JSON object of columns", place());
    return json;
  }

  Place place() const override { return {.file = path_, .object = "line " + std::to_string(line_number_)}; }

  int64_t bytes_read() const override { return gzoffset(file_); }

private:
  /// @post `line_` is the next line without its end
  bool next_line() {
    for (;;) {
      std::size_t const end = buffer_.find('\n', searched_);
      if (end != std::string::npos) {
        line_ = std::string_view(buffer_).substr(begin_, end - begin_);
        begin_ = searched_ = end + 1;
        return true;
      }
      searched_ = buffer_.size();
      if (ended_) {
        if (begin_ == buffer_.size()) return false;
        line_ = std::string_view(buffer_).substr(begin_);
        begin_ = buffer_.size();
        return true;
      }
      fill();
    }
  }

  void fill() {
    buffer_.erase(0, begin_);
    searched_ -= begin_;
    begin_ = 0;
    std::size_t const kept = buffer_.size();
    buffer_.resize(kept + read_size);
    int const count = gzread(file_, buffer_.data() + kept, static_cast<unsigned>(read_size));
    buffer_.resize(kept + static_cast<std::size_t>(std::max(count, 0)));
    int status = Z_OK;
    std::string const message = gzerror(file_, &status);  // "PATH: unexpected end of file"
    if (status == Z_ERRNO) throw system_error("read the file", {}, {.file = path_});
    // Z_BUF_ERROR is zlib's word for a stream that ends too early.
    if (count < 0 || status == Z_BUF_ERROR)
      throw Error("the gzip data is cut off or damaged: " + message.substr(message.rfind(": ") + 2),
                  "compress or copy the file again", {.file = path_});
    ended_ = count == 0;
  }

  void refuse_other_kinds() const {
    if (line_.find_first_not_of(" \t") == line_.find('['))
      throw Error("the file is one JSON array, not JSON lines", "write one object a line, as `jq -c '.[]'` does",
                  place());
    if (line_.find('\0') != std::string_view::npos)
      throw Error("the file is neither JSON lines nor Parquet", "give JSON lines (.gz too) or Parquet",
                  {.file = path_});
  }

  std::filesystem::path path_;
  gzFile file_;
  std::string buffer_;
  std::string_view line_;  ///< into buffer_
  std::size_t begin_ = 0, searched_ = 0;
  int64_t line_number_ = 0;
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<RowReader> open_json_lines(std::filesystem::path const& path) {
  return std::make_unique<JsonLines>(path);
}

}  // namespace refrain::shard
