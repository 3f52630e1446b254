// refrain-tokenize FOLDER [--template NAME] [--date DAY] [--special] [--skip-special] [--repeat N]: for the tests; not
// installed.
//
// Reads JSON lines and writes one JSON line for each: of a string its ids (with --special those of add_special_tokens),
// of {"turns": [{role, content}...], "generation": bool} {"text", "ids"} as the chat template gives them, of {"prompt",
// "response" or null} the ids that a guard reads, of a list of ids its text; or {"error"}. With --repeat the lines are
// strings, encoded N times over by one thread, and the seconds that each time took are written instead.
#include <refrain/base/error.hpp>
#include <refrain/base/json_file.hpp>
#include <refrain/text/chat_template.hpp>
#include <refrain/text/guard.hpp>
#include <refrain/text/tokenizer.hpp>

#include <chrono>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

using namespace refrain;

namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

struct Options {
  std::optional<std::string> template_name;
  std::string date;
  bool special = false, skip_special = false;
  int repeat = 0;
};

Json answer(text::Tokenizer const& tokenizer, std::optional<text::ChatTemplate> const& chat, Json const& line,
            Options const& options) {
  if (line.is_string()) {
    auto const text = line.get<std::string>();
    return options.special ? tokenizer.encode_with_special(text) : tokenizer.encode(text);
  }
  if (line.is_array()) return tokenizer.decode(line.get<std::vector<int32_t>>(), options.skip_special);
  if (line.contains("response")) {
    std::optional<std::string> response;
    if (!line["response"].is_null()) response = line["response"].get<std::string>();
    return text::guard_ids(chat.value(), tokenizer, line.at("prompt").get<std::string>(), response);
  }
  std::vector<text::Turn> turns;
  for (Json const& turn : line.at("turns")) turns.push_back({turn.at("role"), turn.at("content")});
  std::string const rendered =
      chat.value().render(turns, line.at("generation"), tokenizer.bos_token(), tokenizer.eos_token());
  return {{"text", rendered}, {"ids", tokenizer.encode(rendered)}};
}

int run(int argc, char** argv) {
  Options options;
  for (int i = 2; i < argc; ++i) {
    std::string const option = argv[i];
    if (option == "--template")
      options.template_name = argv[++i];
    else if (option == "--date")
      options.date = argv[++i];
    else if (option == "--special")
      options.special = true;
    else if (option == "--skip-special")
      options.skip_special = true;
    else if (option == "--repeat")
      options.repeat = std::stoi(argv[++i]);
    else
      throw UsageError("unknown option " + option);
  }
  auto const start = std::chrono::steady_clock::now();
  text::Tokenizer const tokenizer = text::Tokenizer::load(argv[1]);
  double const load_seconds = seconds_since(start);
  std::optional<text::ChatTemplate> chat;
  if (options.template_name) chat = text::ChatTemplate::load(*options.template_name, argv[1], options.date);

  std::vector<std::string> texts;
  for (std::string line; std::getline(std::cin, line);) {
    Json const value = Json::parse(line);
    if (options.repeat > 0) {
      texts.push_back(value.get<std::string>());
      continue;
    }
    Json out;
    try {
      out = answer(tokenizer, chat, value, options);
    } catch (Error const& error) {
      out = {{"error", error.what()}};
    }
    std::cout << out.dump(-1, ' ', true) << "\n";
  }
  if (options.repeat > 0) {
    std::size_t ids = 0;
    std::vector<double> seconds;
    for (int i = 0; i < options.repeat; ++i) {
      auto const begin = std::chrono::steady_clock::now();
      for (std::string const& text : texts) ids += tokenizer.encode(text).size();
      seconds.push_back(seconds_since(begin));
    }
    Json const times = {{"load_seconds", load_seconds}, {"seconds", seconds}, {"ids", ids / options.repeat}};
    std::cout << times.dump() << "\n";
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: refrain-tokenize FOLDER [--template NAME] [--date DAY] [--special] [--skip-special] [--repeat "
                 "N] < LINES\n";
    return 2;
  }
  try {
    return run(argc, argv);
  } catch (std::exception const& error) {
    std::cerr << "refrain-tokenize: " << error.what() << "\n";
    return 1;
  }
}
