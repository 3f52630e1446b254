# Run at every build (cmake -P): writes OUT, a header with the git revision of SOURCE and the library versions in
# LIBRARIES ("name=version|name=version"). An unchanged header is left alone, so that nothing is compiled again.
set(revision "unknown")
find_package(Git QUIET)
if(GIT_FOUND)
  execute_process(COMMAND ${GIT_EXECUTABLE} -C ${SOURCE} rev-parse HEAD
    OUTPUT_VARIABLE head OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
  if(NOT failed)
    set(revision ${head})
    execute_process(COMMAND ${GIT_EXECUTABLE} -C ${SOURCE} diff --quiet HEAD RESULT_VARIABLE changed ERROR_QUIET)
    if(changed)
      string(APPEND revision "+changes")
    endif()
  endif()
endif()

string(REPLACE "|" ";" libraries "${LIBRARIES}")
set(rows "")
foreach(library ${libraries})
  string(REGEX REPLACE "^([^=]*)=(.*)$" "    {\"\\1\", \"\\2\"},\n" row "${library}")
  string(APPEND rows "${row}")
endforeach()
set(text "#pragma once

namespace refrain::build_facts {

inline constexpr char git_revision[] = \"${revision}\";

struct Library {
  char const* name;
  char const* version;
};
inline constexpr Library libraries[] = {
${rows}};

}  // namespace refrain::build_facts
")
if(EXISTS ${OUT})
  file(READ ${OUT} old)
endif()
if(NOT "${old}" STREQUAL "${text}")
  file(WRITE ${OUT} "${text}")
endif()
