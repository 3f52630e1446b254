#pragma once

#include <string>

namespace refrain::study {

/// Why the ranks of a program ended without being done.
struct Failure {
  /// Whether a node or a rank was lost, through no fault of the work: another start may go through. Anything else would
  /// come again: input, settings, a full disk, too little memory.
  bool lost = false;
  std::string node = {};   ///< where it began; empty if that was not said
  std::string cause = {};  ///< one line that names the node; empty if nobody said why
};

/// What srun says where it could start none or not all of a step's tasks: "task 2 launch failed: Unspecified error";
/// empty if it said nothing of the kind. Its exit code may then be 0. @param said as in explain
std::string failed_launch(std::string const& said);

/// @param code how the launcher ended, as in Captured
/// @param program "refrain-train", with which its own lines begin
/// @param said the end of what program and launcher wrote on stderr
Failure explain(int code, std::string const& program, std::string const& said);

}  // namespace refrain::study
