#include "fixtures.hpp"

#include <refrain/judge/language_identifier.hpp>

#include "fasttext_file.hpp"

#include <catch2/catch.hpp>

#include <cmath>
#include <functional>
#include <limits>
#include <vector>

using namespace refrain;
using namespace refrain::judge;
using namespace refrain::testing;

namespace {

/// A fastText model, as bytes: features are whole words, "cat" and "hund", of labels one each.
struct SmallModel {
  int32_t magic = 793712314, version = 12;
  int32_t dim = 2, word_ngrams = 1, loss = 3, model = 3, bucket = 0, minn = 0, maxn = 0;
  std::vector<std::string> words{"cat", "hund"};
  std::vector<std::string> labels{"__label__en", "__label__de"};
  int32_t size = 4, nwords = 2, nlabels = 2;
  int64_t label_count = 5, pruned = -1;
  int8_t label_type = 1;
  int64_t rows = 2, columns = 2, output_rows = 2;
  std::vector<float> input{4, 0, 0, 4}, output{1, 0, 0, 1};
  std::string behind;

  std::string bytes() const {
    std::string out;
    auto const put = [&](auto value) { out.append(reinterpret_cast<char const*>(&value), sizeof value); };
    auto const put_all = [&](std::vector<float> const& values) {
      for (float const value : values) put(value);
    };
    for (int32_t const value : {magic, version, dim, 5, 5, 1, 5, word_ngrams, loss, model, bucket, minn, maxn, 100})
      put(value);
    put(1e-4);
    for (int32_t const value : {size, nwords, nlabels}) put(value);
    put(int64_t{20});
    put(pruned);
    auto const entry = [&](std::string const& word, int64_t count, int8_t type) {
      out += word;
      put('\0');
      put(count);
      put(type);
    };
    for (auto const& word : words) entry(word, 5, 0);
    for (auto const& label : labels) entry(label, label_count, label_type);
    put('\0');  // not quantized
    put(rows);
    put(columns);
    put_all(input);
    put('\0');
    put(output_rows);
    put(columns);
    put_all(output);
    return out + behind;
  }
};

using Change = std::function<void(SmallModel&)>;

/// What is said of the model in "FOLDER/lid.bin", without the folder.
std::string said(std::string const& bytes) {
  TemporaryFolder const folder;
  auto const path = folder.write("lid.bin", bytes);
  auto line = message_of([&] { check_fasttext_file(path); });
  if (auto const at = line.find(folder.path.string()); at != std::string::npos)
    line.erase(at, folder.path.string().size() + 1);
  return line;
}

std::string said_of(Change const& change) {
  SmallModel model;
  change(model);
  return said(model.bytes());
}

std::string none(std::string const& problem) {
  return problem + " [lid.bin] (give fastText's lid.176.ftz or lid.176.bin (see docs/verdicts.md))";
}
std::string damaged(std::string const& problem, std::string const& part) {
  return "the fastText model is damaged: " + problem + " [lid.bin:" + part + "] (fetch it again)";
}

}  // namespace

TEST_CASE("a language is what a label names, ours by two letters") {
  CHECK(language_of_label("__label__en") == "en");
  CHECK(language_of_label("__label__slv") == "sl");
  CHECK(language_of_label("__label__lvs_Latn") == "lv");
  CHECK(language_of_label("__label__ceb") == "ceb");
  CHECK(language_of_label("__label__srp_Cyrl") == "srp_Cyrl");
  for (char const* label : {"en", "__label__", "__label__e", "__label__engl", "__label__EN", "__label__en_",
                            "__label__e1", "__label__en_latn", "__label__en_Latin", "__label__positive", ""})
    CHECK(language_of_label(label).empty());
}

TEST_CASE("a file that is no model of languages is refused in one line") {
  CHECK(said_of([](SmallModel&) {}) == "nothing was thrown");
  CHECK(said("") == none("the file is no fastText model"));
  CHECK(said("{\"name\": \"language\"}") == none("the file is no fastText model"));
  CHECK(said_of([](auto& model) { model.version = 13; }) ==
        none("the fastText model has the format version 13, and this build reads 11 and 12"));
  CHECK(said_of([](auto& model) { model.model = 2; }) ==
        none("the fastText model holds word vectors and has no labels"));
  CHECK(said_of([](auto& model) { model.labels.clear(), model.size = 2, model.nlabels = 0; }) ==
        none("the fastText model has no labels"));
  CHECK(said_of([](auto& model) { model.nlabels = 20001, model.size = 20003; }) ==
        none("the fastText model has 20001 labels"));
  CHECK(said_of([](auto& model) { model.labels[1] = "__label__positive"; }) ==
        none("the fastText model has the label '__label__positive', which names no language"));
  CHECK(said_of([](auto& model) { model.labels[0] = "\n\x01" + std::string(50, 'x'); }) ==
        none("the fastText model has the label '??" + std::string(38, 'x') + "...', which names no language"));
  TemporaryFolder const folder;
  CHECK(message_of([&] { check_fasttext_file(folder.path / "none.ftz"); }) ==
        "the language model cannot be read [" + (folder.path / "none.ftz").string() +
            "] (give a file, e.g. fastText's lid.176.ftz)");
  CHECK(message_of([&] { check_fasttext_file(folder.path); }).starts_with("the language model cannot be read"));
}

TEST_CASE("sizes that are not the file's own are damage") {
  constexpr int32_t most = std::numeric_limits<int32_t>::max();
  CHECK(said_of([](auto& model) { model.dim = 0; }) == damaged("dim is 0, outside 1 to 65536", "header"));
  CHECK(said_of([](auto& model) { model.word_ngrams = 1 << 20; }) ==
        damaged("wordNgrams is 1048576, outside 0 to 16", "header"));
  CHECK(said_of([](auto& model) { model.loss = 7; }) == damaged("loss is 7, outside 1 to 4", "header"));
  CHECK(said_of([](auto& model) { model.model = 259; }) == damaged("model is 259, outside 1 to 3", "header"));
  CHECK(said_of([](auto& model) { model.maxn = -1; }) == damaged("maxn is -1, outside 0 to 30", "header"));
  CHECK(said_of([](auto& model) { model.maxn = 3; }) == damaged("bucket is 0 and there are n-grams", "header"));
  CHECK(said_of([](auto& model) { model.nwords = 1; }) == damaged("words and labels are not its size", "dictionary"));
  CHECK(said_of([](auto& model) { model.label_type = 0; }) == damaged("words and labels are mixed", "dictionary"));
  CHECK(said_of([](auto& model) { model.label_count = -5; }) == damaged("a label's count is -5", "dictionary"));
  CHECK(said_of([](auto& model) { model.words[0] = std::string(10001, 'x'); }) ==
        damaged("a word has no end", "dictionary"));
  CHECK(said_of([](auto& model) { model.bucket = most; }) == damaged("words and bucket are too many", "dictionary"));
  CHECK(said_of([](auto& model) { model.bucket = 8; }) == damaged("a matrix is 2 x 2, and should be 10 x 2", "input"));
  CHECK(said_of([](auto& model) { model.columns = 3; }) == damaged("a matrix is 2 x 3, and should be 2 x 2", "input"));
  CHECK(said_of([](auto& model) { model.output_rows = 1; }) ==
        damaged("a matrix is 1 x 2, and should be 2 x 2", "output"));
  CHECK(said_of([](auto& model) { model.pruned = 0; }) ==
        damaged("its words are pruned and its input is not quantized", "input"));
  CHECK(said_of([](auto& model) { model.behind = "more"; }) == damaged("4 bytes stand behind its end", "end"));
  std::string const cut = "the fastText model is cut off [lid.bin:";
  CHECK(said_of([](auto& model) { model.nwords = most - 2, model.size = most; }) ==
        cut + "dictionary] (fetch it again)");
  CHECK(said_of([](auto& model) { model.pruned = most; }) == cut + "dictionary] (fetch it again)");
  CHECK(said_of([](auto& model) { model.rows = std::numeric_limits<int64_t>::max(); }) ==
        cut + "input] (fetch it again)");
}

TEST_CASE("a model that was cut anywhere is refused") {
  std::string const whole = SmallModel{}.bytes();
  for (std::size_t length = 0; length < whole.size(); ++length) {
    CAPTURE(length);
    CHECK(said(whole.substr(0, length)).starts_with(length < 8 ? "the file is no" : "the fastText model is cut off"));
  }
}

#ifdef REFRAIN_HAVE_FASTTEXT
namespace {

std::optional<LanguageIdentifier::Guess> identify(SmallModel const& small, std::string const& text) {
  TemporaryFolder const folder;
  return LanguageIdentifier(folder.write("lid.bin", small.bytes())).identify(text);
}

}  // namespace

TEST_CASE("the language is that of the label that scores best, with its probability") {
  // Of "cat" the hidden vector is (4, 0), the scores are 4 and 0; of two cats and a Hund (8, 4) / 3.
  auto const english = identify({}, "cat");
  REQUIRE(english);
  CHECK(english->language == "en");
  CHECK(english->probability == Approx(1 / (1 + std::exp(-4.0))).margin(2e-5));
  auto const mixed = identify({}, "cat\nhund\r\ncat");
  REQUIRE(mixed);
  CHECK(mixed->language == "en");
  CHECK(mixed->probability == Approx(1 / (1 + std::exp(-4.0 / 3))).margin(2e-5));
  SmallModel by_script;
  by_script.labels = {"__label__eng_Latn", "__label__deu_Latn"};
  CHECK(identify(by_script, "hund")->language == "de");
}

TEST_CASE("fastText's word for a line's end ends nothing") {
  auto const guess = identify({}, "cat </s> hund hund </s>");
  REQUIRE(guess);
  CHECK(guess->language == "de");
  CHECK(guess->probability == Approx(1 / (1 + std::exp(-4.0 / 3))).margin(2e-5));
}

TEST_CASE("a text without letters, or without features, is of no language") {
  for (char const* text : {"", "  \n", "12 345 %!", "\U0001F600\U0001F680", "\xff\xfe", "</s>"}) {
    CAPTURE(text);
    CHECK_FALSE(identify({}, text));
  }
  CHECK_FALSE(identify({}, "bird"));
}

TEST_CASE("a model with numbers that are none says so when it is asked") {
  SmallModel model;
  model.output[0] = std::numeric_limits<float>::quiet_NaN();
  CHECK(message_of([&] { identify(model, "cat"); }).starts_with("the language model cannot be used: Encountered NaN."));
}

TEST_CASE("no flipped bit of a model takes it down") {
  std::string const whole = SmallModel{}.bytes();
  TemporaryFolder const folder;
  int refused = 0, read = 0;
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    CAPTURE(bit);
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ 1 << bit % 8);
    auto const path = folder.write("lid.bin", flipped);
    auto const error = thrown_by([&] {
      auto const guess = LanguageIdentifier(path).identify("cat hund");
      CHECK((!guess || (guess->probability >= 0 && guess->probability <= 1)));
    });
    (error ? refused : read) += 1;
  }
  CHECK(refused > 500);
  CHECK(read > 500);
}
#else
TEST_CASE("a build without fastText says so") {
  CHECK(message_of([] { LanguageIdentifier("lid.176.ftz"); }) ==
        "this build cannot identify languages [lid.176.ftz] (install libfasttext-dev and configure with "
        "-DREFRAIN_FASTTEXT=ON)");
}
#endif
