// refrain-quality: for the tests; not installed. Reads JSON lines, a text each, and writes {"empty", "repetition"} for
// each.
#include <refrain/base/json_file.hpp>
#include <refrain/judge/quality.hpp>

#include <iostream>
#include <string>

using namespace refrain;

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    auto const quality = judge::quality_of(Json::parse(line).get<std::string>());
    std::cout << Json{{"empty", quality.empty}, {"repetition", quality.repetition}}.dump() << "\n";
  }
}
