# Arrow C++ with Parquet, as it comes in the pyarrow wheel: headers, libarrow.so.N and libparquet.so.N, no CMake
# package. Looks in REFRAIN_PYARROW (the folder of an installed pyarrow). Gives the target ArrowParquet::parquet.
find_path(ArrowParquet_INCLUDE_DIR parquet/arrow/reader.h HINTS ${REFRAIN_PYARROW}/include NO_DEFAULT_PATH)
file(GLOB ArrowParquet_arrow ${REFRAIN_PYARROW}/libarrow.so.*)
file(GLOB ArrowParquet_parquet ${REFRAIN_PYARROW}/libparquet.so.*)
if(ArrowParquet_INCLUDE_DIR AND EXISTS ${ArrowParquet_INCLUDE_DIR}/arrow/util/config.h)
  file(STRINGS ${ArrowParquet_INCLUDE_DIR}/arrow/util/config.h ArrowParquet_VERSION REGEX "define ARROW_VERSION_STRING")
  string(REGEX REPLACE "^.*\"(.*)\".*$" "\\1" ArrowParquet_VERSION "${ArrowParquet_VERSION}")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(ArrowParquet
  REQUIRED_VARS ArrowParquet_INCLUDE_DIR ArrowParquet_arrow ArrowParquet_parquet
  VERSION_VAR ArrowParquet_VERSION
  REASON_FAILURE_MESSAGE
    "Set REFRAIN_PYARROW to the folder of an installed pyarrow wheel (24 or later), or REFRAIN_PARQUET to OFF.")

if(ArrowParquet_FOUND AND NOT TARGET ArrowParquet::parquet)
  list(GET ArrowParquet_arrow 0 ArrowParquet_arrow)
  list(GET ArrowParquet_parquet 0 ArrowParquet_parquet)
  # Imported by location: CMake takes a bare path that ends in a version for no shared library, and leaves its folder
  # out of the installed programs' RPATH.
  add_library(ArrowParquet::arrow SHARED IMPORTED)
  set_target_properties(ArrowParquet::arrow PROPERTIES IMPORTED_LOCATION ${ArrowParquet_arrow})
  add_library(ArrowParquet::parquet SHARED IMPORTED)
  set_target_properties(ArrowParquet::parquet PROPERTIES
    IMPORTED_LOCATION ${ArrowParquet_parquet}
    INTERFACE_INCLUDE_DIRECTORIES ${ArrowParquet_INCLUDE_DIR}
    INTERFACE_LINK_LIBRARIES ArrowParquet::arrow)
endif()
