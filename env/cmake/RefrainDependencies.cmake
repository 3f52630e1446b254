# Every library that the project stands on, as imported targets. What a site has as modules is found through
# CMAKE_PREFIX_PATH, MPI_HOME, HDF5_ROOT and the like.
find_package(Threads REQUIRED)
set(MPI_CXX_SKIP_MPICXX ON)  # MPI's old C++ interface is not used
find_package(MPI 3.1 REQUIRED COMPONENTS CXX)
find_package(HDF5 1.10 REQUIRED COMPONENTS C)
find_package(Boost 1.66 REQUIRED COMPONENTS program_options)
find_package(spdlog REQUIRED)
find_package(nlohmann_json 3.10 REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_package(ZLIB REQUIRED)
if("${HDF5_C_LIBRARIES}" MATCHES "libhdf5[^/]*\\.a(;|$)")  # a static one does not say what it needs
  target_link_libraries(hdf5::hdf5 INTERFACE ZLIB::ZLIB ${CMAKE_DL_LIBS} m)
endif()
find_package(CURL 7.66 REQUIRED)
find_package(ICU 60 REQUIRED COMPONENTS uc)
find_package(PkgConfig REQUIRED)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
if(REFRAIN_TORCH)
  find_package(Libtorch REQUIRED)
endif()
if(REFRAIN_TESTS)
  find_package(Catch2 REQUIRED)
endif()
# Parquet is optional: AUTO takes it where REFRAIN_PYARROW names a pyarrow.
if(REFRAIN_PARQUET STREQUAL ON)
  find_package(ArrowParquet 24 REQUIRED)
elseif(REFRAIN_PARQUET STREQUAL AUTO)
  find_package(ArrowParquet 24 QUIET)
endif()
# So is fastText: AUTO takes it where it is installed.
if(REFRAIN_FASTTEXT STREQUAL ON)
  find_package(FastText REQUIRED)
elseif(REFRAIN_FASTTEXT STREQUAL AUTO)
  find_package(FastText QUIET)
endif()

# Folders of the libraries that wheels carry, for the RPATH of installed programs.
set(REFRAIN_WHEEL_FOLDERS)
foreach(library ${Libtorch_CPU_LIBRARY} ${ArrowParquet_parquet})
  get_filename_component(folder ${library} DIRECTORY)
  list(APPEND REFRAIN_WHEEL_FOLDERS ${folder})
endforeach()
