# NCCL and the CUDA runtime, from where libtorch's CUDA wheel has them (nvidia/ beside torch/), or from a toolkit and an
# NCCL of the site (REFRAIN_NCCL, CUDAToolkit_ROOT, CUDA_HOME, /usr/local/cuda). The wheel's come first: the program must
# run with the runtime that libtorch was linked with.
# Gives the targets NCCL::nccl and NCCL::cudart, NCCL_VERSION and NCCL_CUDART_VERSION ("13.0").
set(NCCL_wheels ${REFRAIN_LIBTORCH}/../nvidia)
set(NCCL_toolkits ${CUDAToolkit_ROOT} $ENV{CUDAToolkit_ROOT} $ENV{CUDA_HOME} /usr/local/cuda)
find_path(NCCL_INCLUDE_DIR nccl.h HINTS ${REFRAIN_NCCL}/include ${NCCL_wheels}/nccl/include PATHS ${NCCL_toolkits}
  PATH_SUFFIXES include)
find_library(NCCL_LIBRARY NAMES nccl libnccl.so.2 HINTS ${REFRAIN_NCCL}/lib ${NCCL_wheels}/nccl/lib
  PATHS ${NCCL_toolkits} PATH_SUFFIXES lib64 lib)
# cuda_runtime_api.h includes this one, which the runtime's wheel leaves to the compiler's.
find_path(NCCL_CUDART_INCLUDE_DIR crt/host_defines.h
  HINTS ${NCCL_wheels}/cu13/include ${NCCL_wheels}/cuda_runtime/include PATHS ${NCCL_toolkits} PATH_SUFFIXES include)
find_library(NCCL_CUDART_LIBRARY NAMES libcudart.so.13 libcudart.so.12 cudart
  HINTS ${NCCL_wheels}/cu13/lib ${NCCL_wheels}/cuda_runtime/lib PATHS ${NCCL_toolkits} PATH_SUFFIXES lib64 lib)

if(NCCL_INCLUDE_DIR)
  file(STRINGS ${NCCL_INCLUDE_DIR}/nccl.h NCCL_VERSION REGEX "^#define NCCL_(MAJOR|MINOR|PATCH) ")
  list(TRANSFORM NCCL_VERSION REPLACE "^.* ([0-9]+).*$" "\\1")
  list(JOIN NCCL_VERSION "." NCCL_VERSION)
endif()
if(NCCL_CUDART_INCLUDE_DIR)
  file(STRINGS ${NCCL_CUDART_INCLUDE_DIR}/cuda_runtime_api.h NCCL_CUDART_VERSION REGEX "^#define CUDART_VERSION ")
  string(REGEX REPLACE "^.* ([0-9]+)([0-9][0-9])([0-9]).*$" "\\1.\\2" NCCL_CUDART_VERSION "${NCCL_CUDART_VERSION}")
  string(REGEX REPLACE "\\.0" "." NCCL_CUDART_VERSION "${NCCL_CUDART_VERSION}")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(NCCL
  REQUIRED_VARS NCCL_LIBRARY NCCL_INCLUDE_DIR NCCL_CUDART_LIBRARY NCCL_CUDART_INCLUDE_DIR
  VERSION_VAR NCCL_VERSION
  REASON_FAILURE_MESSAGE
    "env/setup.sh --cuda installs both. Or set REFRAIN_NCCL to a folder with include/nccl.h and lib/, and CUDA_HOME.")

if(NCCL_FOUND AND NOT TARGET NCCL::nccl)
  add_library(NCCL::cudart SHARED IMPORTED)
  set_target_properties(NCCL::cudart PROPERTIES
    IMPORTED_LOCATION ${NCCL_CUDART_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${NCCL_CUDART_INCLUDE_DIR})
  add_library(NCCL::nccl SHARED IMPORTED)
  set_target_properties(NCCL::nccl PROPERTIES
    IMPORTED_LOCATION ${NCCL_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${NCCL_INCLUDE_DIR}
    INTERFACE_LINK_LIBRARIES NCCL::cudart)
endif()
