#include "fasttext_file.hpp"

#include <refrain/base/error.hpp>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <limits>
#include <map>

// The format is that of fastText 0.9.2: FastText::loadModel, Args::load, Dictionary::load, DenseMatrix::load,
// QuantMatrix::load and ProductQuantizer::load, little-endian and without padding.
namespace refrain::judge {
namespace {

namespace fs = std::filesystem;

constexpr char label_prefix[] = "__label__";
constexpr int32_t magic = 793712314, first_version = 11, last_version = 12;
constexpr int32_t supervised = 3, last_loss = 4;
/// More of a word's characters, of words in a row and of a word's bytes than any model has: what lies above is damage,
/// and would take time and memory without end.
constexpr int32_t longest_ngram = 30, longest_word_ngram = 16, longest_word = 10000;
/// Finding the best label of a tree goes as deep as there may be labels.
constexpr int32_t most_labels = 20000;
constexpr int64_t greatest_count = 1000000000000000;  // fastText's mark of a tree's node that is not made yet
constexpr int64_t centroids = 256;
constexpr int32_t any = std::numeric_limits<int32_t>::max();

bool is_small_letter(char c) { return c >= 'a' && c <= 'z'; }

class Checker {
public:
  explicit Checker(fs::path path) : path_(std::move(path)), in_(path_, std::ios::binary) {
    std::error_code problem;
    auto const size = fs::file_size(path_, problem);
    if (!in_ || problem)
      throw Error("the language model cannot be read", "give a file, e.g. fastText's lid.176.ftz", {.file = path_});
    left_ = static_cast<int64_t>(size);
  }

  void run() {
    read_header();
    read_dictionary();
    quantized_ = read_bool("input");
    read_matrix("input", quantized_, least_rows_);
    // Quantized only if the input is, whatever its flag says: fastText reads it so.
    bool const flagged = read_bool("output");
    read_matrix("output", quantized_ && flagged, labels_);
    if (left_ != 0) throw damaged(std::to_string(left_) + " bytes stand behind its end", "end");
  }

private:
  Error wrong(std::string const& problem) const {
    return Error(problem, "give fastText's lid.176.ftz or lid.176.bin (see docs/verdicts.md)", {.file = path_});
  }
  Error damaged(std::string const& problem, std::string const& part) const {
    return Error("the fastText model is damaged: " + problem, "fetch it again", {.file = path_, .object = part});
  }

  /// Counts bytes that follow, and fails before they are read if the file is shorter.
  void take(int64_t bytes, std::string const& part) {
    if (bytes > left_) throw Error("the fastText model is cut off", "fetch it again", {.file = path_, .object = part});
    left_ -= bytes;
  }

  template <class T>
  T read(std::string const& part) {
    T value{};
    take(sizeof value, part);
    if (!in_.read(reinterpret_cast<char*>(&value), sizeof value)) throw damaged("it cannot be read", part);
    return value;
  }

  bool read_bool(std::string const& part) {
    auto const value = read<uint8_t>(part);
    if (value > 1) throw damaged("a flag is " + std::to_string(value), part);
    return value == 1;
  }

  template <class T>
  T read_within(T least, T most, char const* name, std::string const& part) {
    T const value = read<T>(part);
    if (value < least || value > most)
      throw damaged(std::string(name) + " is " + std::to_string(value) + ", outside " + std::to_string(least) + " to " +
                        std::to_string(most),
                    part);
    return value;
  }

  void skip(int64_t bytes, std::string const& part) {
    take(bytes, part);
    in_.seekg(bytes, std::ios::cur);
  }

  /// `count` things of `each` bytes, without the product that might overflow.
  void skip_many(int64_t count, int64_t each, std::string const& part) {
    take(count > left_ / each ? left_ + 1 : count * each, part);
    in_.seekg(count * each, std::ios::cur);
  }

  void read_header() {
    std::string const part = "header";
    if (left_ < 8 || read<int32_t>(part) != magic) throw wrong("the file is no fastText model");
    auto const version = read<int32_t>(part);
    if (version < first_version || version > last_version)
      throw wrong("the fastText model has the format version " + std::to_string(version) + ", and this build reads " +
                  std::to_string(first_version) + " and " + std::to_string(last_version));
    dim_ = read_within<int32_t>(1, 1 << 16, "dim", part);
    skip(4 * 4, part);  // ws, epoch, minCount, neg: of training
    auto const word_ngrams = read_within<int32_t>(0, longest_word_ngram, "wordNgrams", part);
    read_within<int32_t>(1, last_loss, "loss", part);
    auto const kind = read<int32_t>(part);
    if (kind == 1 || kind == 2) throw wrong("the fastText model holds word vectors and has no labels");
    if (kind != supervised) throw damaged("model is " + std::to_string(kind) + ", outside 1 to 3", part);
    bucket_ = read_within<int32_t>(0, any, "bucket", part);
    read_within<int32_t>(0, longest_ngram, "minn", part);
    auto const maxn = read_within<int32_t>(0, longest_ngram, "maxn", part);
    if (bucket_ == 0 && (maxn > 0 || word_ngrams > 1)) throw damaged("bucket is 0 and there are n-grams", part);
    skip(4 + 8, part);  // lrUpdateRate, t
  }

  void read_dictionary() {
    std::string const part = "dictionary";
    auto const size = read_within<int32_t>(0, any, "size", part);
    auto const words = read_within<int32_t>(0, any, "nwords", part);
    labels_ = read_within<int32_t>(0, any, "nlabels", part);
    if (int64_t{words} + labels_ != size) throw damaged("words and labels are not its size", part);
    if (labels_ == 0) throw wrong("the fastText model has no labels");
    if (labels_ > most_labels) throw wrong("the fastText model has " + std::to_string(labels_) + " labels");
    skip(8, part);  // ntokens
    auto const pruned = read_within<int64_t>(-1, any, "pruneidx_size", part);
    constexpr int64_t least_entry = 1 + 8 + 1;
    if (size > left_ / least_entry || pruned > left_ / 8) take(left_ + 1, part);
    for (int32_t i = 0; i < size; ++i) read_entry(i >= words, part);
    int32_t last = -1;
    for (int64_t i = 0; i < pruned; ++i) {
      read<int32_t>(part);
      last = std::max(last, read_within<int32_t>(0, any, "a pruned row", part));
    }
    least_rows_ = words + (pruned < 0 ? int64_t{bucket_} : int64_t{last} + 1);
    if (least_rows_ > any) throw damaged("words and bucket are too many", part);
    pruned_ = pruned >= 0;
  }

  void read_entry(bool should_be_label, std::string const& part) {
    std::string word;
    for (;;) {
      auto const c = read<char>(part);
      if (c == 0) break;
      word += c;
      if (word.size() > longest_word) throw damaged("a word has no end", part);
    }
    auto const count = read<int64_t>(part);
    auto const is_label = read<int8_t>(part);
    if (is_label != (should_be_label ? 1 : 0)) throw damaged("words and labels are mixed", part);
    if (!should_be_label) return;
    if (count < 0 || count >= greatest_count) throw damaged("a label's count is " + std::to_string(count), part);
    if (language_of_label(word).empty())
      throw wrong("the fastText model has the label '" + printable(word) + "', which names no language");
  }

  /// The beginning of damaged or strange text, fit for one line.
  static std::string printable(std::string const& text) {
    std::string line = text.substr(0, 40);
    std::replace_if(line.begin(), line.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
    return line + (text.size() > 40 ? "..." : "");
  }

  void check_shape(int64_t rows, int64_t rows_at_least, int64_t columns, std::string const& part) const {
    if (rows < rows_at_least || columns != dim_)
      throw damaged("a matrix is " + std::to_string(rows) + " x " + std::to_string(columns) + ", and should be " +
                        std::to_string(rows_at_least) + " x " + std::to_string(dim_),
                    part);
  }

  void read_matrix(std::string const& part, bool quantized, int64_t rows_at_least) {
    if (!quantized) {
      if (pruned_ && part == "input") throw damaged("its words are pruned and its input is not quantized", part);
      auto const rows = read<int64_t>(part), columns = read<int64_t>(part);
      check_shape(rows, rows_at_least, columns, part);
      skip_many(rows, columns * static_cast<int64_t>(sizeof(float)), part);
    } else {
      bool const norms = read_bool(part);
      auto const rows = read<int64_t>(part), columns = read<int64_t>(part);
      check_shape(rows, rows_at_least, columns, part);
      auto const codes = read_within<int32_t>(0, any, "codesize", part);
      skip(codes, part);
      auto const codes_a_row = read_quantizer(dim_, part);
      if (rows > codes / codes_a_row || rows * codes_a_row != codes)
        throw damaged("codesize is not that of " + std::to_string(rows) + " rows", part);
      if (norms) {
        skip(rows, part);
        read_quantizer(1, part);
      }
    }
    if (!in_) throw damaged("it cannot be read", part);
  }

  /// @returns codes a row
  int64_t read_quantizer(int32_t dim, std::string const& part) {
    auto const columns = read_within<int32_t>(dim, dim, "a quantizer's dim", part);
    auto const parts = read_within<int32_t>(1, columns, "nsubq", part);
    auto const part_columns = read_within<int32_t>(1, columns, "dsub", part);
    auto const last = read_within<int32_t>(1, part_columns, "lastdsub", part);
    if (int64_t{parts - 1} * part_columns + last != columns) throw damaged("a quantizer's parts are not its dim", part);
    skip_many(columns, centroids * static_cast<int64_t>(sizeof(float)), part);
    return parts;
  }

  fs::path path_;
  std::ifstream in_;
  int64_t left_ = 0;
  int32_t dim_ = 0, bucket_ = 0, labels_ = 0;
  int64_t least_rows_ = 0;
  bool pruned_ = false, quantized_ = false;
};

}  // namespace

std::string language_of_label(std::string const& label) {
  static std::map<std::string, std::string> const ours{
      {"eng", "en"}, {"deu", "de"}, {"fra", "fr"}, {"ita", "it"}, {"spa", "es"}, {"por", "pt"}, {"pol", "pl"},
      {"ces", "cs"}, {"slk", "sk"}, {"slv", "sl"}, {"lit", "lt"}, {"lav", "lv"}, {"lvs", "lv"}};
  if (!label.starts_with(label_prefix)) return {};
  std::string const code = label.substr(std::string_view(label_prefix).size());
  std::string const language = code.substr(0, code.find('_'));
  if (language.size() < 2 || language.size() > 3 || !std::all_of(language.begin(), language.end(), is_small_letter))
    return {};
  if (code.size() > language.size()) {  // a script, as ISO 15924 writes it
    std::string const script = code.substr(language.size() + 1);
    if (script.size() != 4 || script[0] < 'A' || script[0] > 'Z' ||
        !std::all_of(script.begin() + 1, script.end(), is_small_letter))
      return {};
  }
  auto const found = ours.find(language);
  return found == ours.end() ? code : found->second;
}

void check_fasttext_file(fs::path const& path) { Checker(path).run(); }

}  // namespace refrain::judge
