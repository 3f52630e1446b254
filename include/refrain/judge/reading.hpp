#pragma once

#include <refrain/judge/definition.hpp>

#include <optional>
#include <string>
#include <vector>

namespace refrain::judge {

/// What a judge's answer says. What it does not say in the judge's form is not there: unparsed, never safe.
struct Reading {
  std::optional<bool> unsafe, refusal;
  std::vector<std::string> categories;
  std::optional<int> score;
};
Reading read_answer(Answers const& answers, std::string const& text);

}  // namespace refrain::judge
