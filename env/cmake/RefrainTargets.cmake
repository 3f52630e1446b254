# Warnings, for what is compiled here; what links this target gives them to nobody else.
option(REFRAIN_WERROR "Take warnings for errors, as continuous integration does" OFF)
add_library(refrain_warnings INTERFACE)
target_compile_options(refrain_warnings INTERFACE
  $<$<COMPILE_LANGUAGE:C,CXX>:-Wall> $<$<COMPILE_LANGUAGE:C,CXX>:-Wextra>
  $<$<COMPILE_LANGUAGE:C,CXX>:-Wno-missing-field-initializers>
  $<$<AND:$<BOOL:${REFRAIN_WERROR}>,$<COMPILE_LANGUAGE:C,CXX>>:-Werror>)

# refrain_module(NAME [LINK targets...])
# One library a module from src/NAME/*.cpp; its data files (json) are installed to share/refrain/NAME.
function(refrain_module name)
  cmake_parse_arguments(arg "" "" "LINK" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*.cpp)
  list(FILTER sources EXCLUDE REGEX "/(cuda|nccl)_[^/]*$")  # refrain_device_sources adds these
  add_library(refrain_${name} STATIC ${sources})
  add_library(refrain::${name} ALIAS refrain_${name})
  target_include_directories(refrain_${name} PUBLIC ${PROJECT_SOURCE_DIR}/include)
  target_link_libraries(refrain_${name} PUBLIC ${arg_LINK} PRIVATE refrain_warnings)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/src/${name}/ DESTINATION ${CMAKE_INSTALL_DATADIR}/refrain/${name}
    FILES_MATCHING PATTERN *.json)
endfunction()

# All jobs, without tests.
add_custom_target(programs)

# refrain_job(NAME LINK targets...): build/bin/refrain-NAME from jobs/NAME.cpp. The installed program finds the
# libraries that it was linked with. Those of the wheels are named: CMake leaves folders inside the source tree, where
# env/setup.sh puts them, out of an installed RPATH.
function(refrain_job name)
  cmake_parse_arguments(arg "" "" "LINK" ${ARGN})
  add_executable(refrain-${name} ${PROJECT_SOURCE_DIR}/jobs/${name}.cpp)
  target_link_libraries(refrain-${name} PRIVATE ${arg_LINK} refrain_warnings)
  set_target_properties(refrain-${name} PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON
    INSTALL_RPATH "${REFRAIN_WHEEL_FOLDERS}")
  add_dependencies(programs refrain-${name})
  install(TARGETS refrain-${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endfunction()

# refrain_build_facts(TARGET): gives TARGET build_facts.hpp, with the git revision (asked at every build) and the
# versions of the libraries found.
function(refrain_build_facts target)
  if(REFRAIN_TORCH AND EXISTS ${REFRAIN_LIBTORCH}/version.py)
    file(STRINGS ${REFRAIN_LIBTORCH}/version.py torch REGEX "^__version__")
  elseif(REFRAIN_TORCH AND EXISTS ${REFRAIN_LIBTORCH}/build-version)
    file(STRINGS ${REFRAIN_LIBTORCH}/build-version torch)
  endif()
  string(REGEX REPLACE "^.*= *'|'.*$" "" torch "${torch}")
  set(libraries "libtorch=${torch}" "HDF5=${HDF5_VERSION}" "Boost=${Boost_VERSION_STRING}" "OpenSSL=${OPENSSL_VERSION}"
    "xxHash=${XXHASH_VERSION}" "libcurl=${CURL_VERSION_STRING}" "PCRE2=${PCRE2_VERSION}" "ICU=${ICU_VERSION}" "nlohmann_json=${nlohmann_json_VERSION}"
    "spdlog=${spdlog_VERSION}" "compiler=${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}")
  if(REFRAIN_HAVE_CUDA)
    list(APPEND libraries "CUDA=${NCCL_CUDART_VERSION}" "NCCL=${NCCL_VERSION}")
  endif()
  list(JOIN libraries "|" libraries)
  set(header ${PROJECT_BINARY_DIR}/generated/build_facts.hpp)
  add_custom_target(refrain_build_facts BYPRODUCTS ${header} COMMENT "" VERBATIM
    COMMAND ${CMAKE_COMMAND} -DSOURCE=${PROJECT_SOURCE_DIR} -DOUT=${header} "-DLIBRARIES=${libraries}"
      -P ${PROJECT_SOURCE_DIR}/env/cmake/BuildFacts.cmake)
  add_dependencies(${target} refrain_build_facts)
  target_include_directories(${target} PRIVATE ${PROJECT_BINARY_DIR}/generated)
endfunction()
