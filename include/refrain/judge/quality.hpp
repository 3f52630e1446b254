#pragma once
#include <string>
namespace refrain::judge {
struct Quality {
  bool empty = false, repetition = false;
};
Quality quality_of(std::string const& text);
}  // namespace refrain::judge
