// refrain-identify MODEL: for the tests; not installed. Reads JSON lines, a text each, and writes for each the guess
// {"language", "probability"}, or null.
#include <refrain/base/error.hpp>
#include <refrain/base/json_file.hpp>
#include <refrain/judge/language_identifier.hpp>

#include <iostream>
#include <string>

using namespace refrain;

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: refrain-identify MODEL < LINES\n";
    return 2;
  }
  try {
    judge::LanguageIdentifier const model(argv[1]);
    for (std::string line; std::getline(std::cin, line);) {
      auto const guess = model.identify(Json::parse(line).get<std::string>());
      Json const out = guess ? Json{{"language", guess->language}, {"probability", guess->probability}} : Json(nullptr);
      std::cout << out.dump() << "\n";
    }
  } catch (Error const& error) {
    std::cerr << "refrain-identify: " << error.what() << "\n";
    return 1;
  }
}
