# fastText's library, as Debian's libfasttext-dev has it: headers in fasttext/, no CMake package. A site's own is found
# through CMAKE_PREFIX_PATH. Gives the target FastText::fasttext.
find_path(FastText_INCLUDE_DIR fasttext/fasttext.h)
find_library(FastText_LIBRARY fasttext)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(FastText
  REQUIRED_VARS FastText_LIBRARY FastText_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "Install libfasttext-dev, name its prefix in CMAKE_PREFIX_PATH, or set REFRAIN_FASTTEXT to OFF.")

if(FastText_FOUND AND NOT TARGET FastText::fasttext)
  add_library(FastText::fasttext UNKNOWN IMPORTED)
  set_target_properties(FastText::fasttext PROPERTIES
    IMPORTED_LOCATION ${FastText_LIBRARY}
    INTERFACE_INCLUDE_DIRECTORIES ${FastText_INCLUDE_DIR})
endif()
