# Libtorch as it comes in the torch wheel or in a libtorch archive, without torch's own TorchConfig.cmake, which stops
# where a full CUDA toolkit is missing. Looks in REFRAIN_LIBTORCH (the folder that holds include/ and lib/).
# Gives the target Libtorch::libtorch, and Libtorch_CUDA (whether it is a CUDA build; then Libtorch::cuda is what only
# the GPU path links).
find_path(Libtorch_INCLUDE_DIR ATen/ATen.h HINTS ${REFRAIN_LIBTORCH}/include NO_DEFAULT_PATH)
find_library(Libtorch_CPU_LIBRARY torch_cpu HINTS ${REFRAIN_LIBTORCH}/lib NO_DEFAULT_PATH)
find_library(Libtorch_C10_LIBRARY c10 HINTS ${REFRAIN_LIBTORCH}/lib NO_DEFAULT_PATH)
find_library(Libtorch_TORCH_LIBRARY torch HINTS ${REFRAIN_LIBTORCH}/lib NO_DEFAULT_PATH)
find_library(Libtorch_CUDA_LIBRARY torch_cuda HINTS ${REFRAIN_LIBTORCH}/lib NO_DEFAULT_PATH)
find_library(Libtorch_C10_CUDA_LIBRARY c10_cuda HINTS ${REFRAIN_LIBTORCH}/lib NO_DEFAULT_PATH)
if(Libtorch_CUDA_LIBRARY AND Libtorch_C10_CUDA_LIBRARY)
  set(Libtorch_CUDA ON)
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Libtorch
  REQUIRED_VARS Libtorch_CPU_LIBRARY Libtorch_C10_LIBRARY Libtorch_TORCH_LIBRARY Libtorch_INCLUDE_DIR
  REASON_FAILURE_MESSAGE
    "Set REFRAIN_LIBTORCH to the torch folder of an installed wheel, or run env/setup.sh, which installs one.")

if(Libtorch_FOUND AND NOT TARGET Libtorch::libtorch)
  # at::parallel_for is a header's: compiled without OpenMP it is a plain loop of one thread. The runtime is the one that
  # libtorch brings, so that there is one pool of threads.
  find_package(OpenMP REQUIRED COMPONENTS CXX)
  file(GLOB Libtorch_OPENMP_LIBRARY ${REFRAIN_LIBTORCH}/lib/libgomp*.so*)
  if(NOT Libtorch_OPENMP_LIBRARY)
    set(Libtorch_OPENMP_LIBRARY ${OpenMP_CXX_LIBRARIES})
  endif()
  add_library(Libtorch::libtorch INTERFACE IMPORTED)
  set_target_properties(Libtorch::libtorch PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${Libtorch_INCLUDE_DIR};${Libtorch_INCLUDE_DIR}/torch/csrc/api/include"
    INTERFACE_LINK_LIBRARIES
      "${Libtorch_TORCH_LIBRARY};${Libtorch_CPU_LIBRARY};${Libtorch_C10_LIBRARY};${Libtorch_OPENMP_LIBRARY}"
    INTERFACE_COMPILE_OPTIONS "$<$<COMPILE_LANGUAGE:CXX>:${OpenMP_CXX_FLAGS}>"
    INTERFACE_COMPILE_DEFINITIONS "_GLIBCXX_USE_CXX11_ABI=1")
  if(Libtorch_CUDA)
    # Nothing names a symbol of torch_cuda: it registers its operators when it is loaded, and must be loaded for that.
    add_library(Libtorch::cuda INTERFACE IMPORTED)
    set_target_properties(Libtorch::cuda PROPERTIES
      INTERFACE_LINK_LIBRARIES
        "-Wl,--push-state,--no-as-needed;${Libtorch_CUDA_LIBRARY};-Wl,--pop-state;${Libtorch_C10_CUDA_LIBRARY}")
  endif()
endif()
