#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/text/tokenizer_file.hpp>

#include <algorithm>

namespace refrain::text {
namespace {

/// Takes nlohmann's events: model.vocab and model.merges go to flat lists, all else to a tree.
class Reader : public nlohmann::json_sax<Json> {
public:
  explicit Reader(TokenizerFile& file) : file_(file) {}

  bool null() override { return scalar(nullptr); }
  bool boolean(bool value) override { return scalar(value); }
  bool number_integer(number_integer_t value) override { return scalar(value); }
  bool number_float(number_float_t value, string_t const&) override { return scalar(value); }
  bool binary(binary_t&) override { return scalar(nullptr); }
  bool number_unsigned(number_unsigned_t value) override {
    if (mode_ != Mode::vocab) return scalar(value);
    if (value > INT32_MAX) wrong("model.vocab", "ids of 32 bits");
    file_.vocab.emplace_back(std::move(key_), static_cast<int32_t>(value));
    return true;
  }
  bool string(string_t& value) override {
    if (mode_ == Mode::merge) {
      parts_.push_back(std::move(value));
      return true;
    }
    if (mode_ != Mode::merges) return scalar(std::move(value));
    // The older form: both parts in one string, a space between them.
    auto const space = value.find(' ');
    if (space == value.npos || value.find(' ', space + 1) != value.npos)
      wrong("model.merges", "two tokens with a space between them");
    file_.merges.emplace_back(value.substr(0, space), value.substr(space + 1));
    return true;
  }
  bool key(string_t& value) override {
    key_ = std::move(value);
    return true;
  }
  bool start_object(std::size_t) override {
    if (mode_ != Mode::tree) wrong_here();
    if (in_model() && key_ == "vocab") {
      mode_ = Mode::vocab;
      return true;
    }
    open(Json::object());
    return true;
  }
  bool end_object() override {
    if (mode_ == Mode::vocab)
      mode_ = Mode::tree;
    else
      close();
    return true;
  }
  bool start_array(std::size_t) override {
    if (mode_ == Mode::merges) {
      mode_ = Mode::merge;
      parts_.clear();
      return true;
    }
    if (mode_ != Mode::tree) wrong_here();
    if (in_model() && key_ == "merges") {
      mode_ = Mode::merges;
      return true;
    }
    open(Json::array());
    return true;
  }
  bool end_array() override {
    if (mode_ == Mode::merge) {
      if (parts_.size() != 2) wrong("model.merges", "lists of two tokens");
      file_.merges.emplace_back(std::move(parts_[0]), std::move(parts_[1]));
      mode_ = Mode::merges;
    } else if (mode_ == Mode::merges) {
      mode_ = Mode::tree;
    } else {
      close();
    }
    return true;
  }
  bool parse_error(std::size_t byte, std::string const&, nlohmann::detail::exception const& error) override {
    throw broken_json(text_, error, byte, file_.path);
  }

  std::string_view text_;

private:
  enum class Mode { tree, vocab, merges, merge };

  [[noreturn]] void wrong(std::string const& what, std::string const& wanted) const {
    throw Error("'" + what + "' should hold " + wanted, "correct the file", {.file = file_.path, .object = what});
  }
  [[noreturn]] void wrong_here() const {
    if (mode_ == Mode::vocab) wrong("model.vocab", "a token id for each token");
    wrong("model.merges", "pairs of tokens");
  }

  bool in_model() const { return mode_ == Mode::tree && open_.size() == 2 && model_open_; }

  Json& add(Json value) {
    if (open_.empty()) return file_.rest = std::move(value);
    Json& parent = *open_.back();
    if (!parent.is_array()) return parent[key_] = std::move(value);
    parent.push_back(std::move(value));
    return parent.back();
  }
  bool scalar(Json value) {
    if (mode_ != Mode::tree) wrong_here();
    add(std::move(value));
    return true;
  }
  void open(Json value) {
    if (open_.size() == 1) model_open_ = key_ == "model";
    open_.push_back(&add(std::move(value)));
  }
  void close() { open_.pop_back(); }

  TokenizerFile& file_;
  Mode mode_ = Mode::tree;
  std::vector<Json*> open_;
  bool model_open_ = false;
  std::string key_;
  std::vector<std::string> parts_;
};

}  // namespace

TokenizerFile TokenizerFile::read(std::filesystem::path const& path) {
  TokenizerFile file;
  file.path = path;
  std::string const text = read_file(path);
  Reader reader(file);
  reader.text_ = text;
  Json::sax_parse(text.begin(), text.end(), &reader);
  if (!file.rest.is_object() || !file.rest.contains("model") || !file.rest["model"].is_object() || file.vocab.empty())
    throw Error("there is no model with a vocabulary in it", "give the tokenizer.json that belongs to the model",
                {.file = path});
  return file;
}

void refuse_component(std::filesystem::path const& path, std::string const& component, std::string const& what) {
  throw Error(component + " " + what + " is not understood",
              "tokenise elsewhere and give ready token ids (prompt_ids, chosen_ids, rejected_ids)", {.file = path});
}

}  // namespace refrain::text
