# Third-party libraries, found once. The summary is computed from the variables that the build uses.
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_package(Boost REQUIRED)
find_package(Eigen3 REQUIRED NO_MODULE)
find_package(ZLIB REQUIRED)
find_package(PNG REQUIRED)
find_path(EPVS_TOMLPP_DIR toml++/toml.h REQUIRED)
find_path(EPVS_CLI11_DIR CLI/CLI.hpp REQUIRED)

# HDF5: the serial C library, wherever Debian or upstream put it.
set(HDF5_PREFER_PARALLEL OFF)
find_package(HDF5 REQUIRED COMPONENTS C)
add_library(epvs_hdf5 INTERFACE)
target_include_directories(epvs_hdf5 SYSTEM INTERFACE ${HDF5_C_INCLUDE_DIRS})
target_link_libraries(epvs_hdf5 INTERFACE ${HDF5_C_LIBRARIES})

# nifti_clib: Debian ships libniftiio (NIfTI-2 API) with headers below nifti/.
find_path(EPVS_NIFTI_DIR nifti2_io.h PATH_SUFFIXES nifti REQUIRED)
find_library(EPVS_NIFTI2_LIB nifti2 REQUIRED)
find_library(EPVS_ZNZ_LIB znz REQUIRED)
add_library(epvs_niftilib INTERFACE)
target_include_directories(epvs_niftilib SYSTEM INTERFACE "${EPVS_NIFTI_DIR}")
target_compile_definitions(epvs_niftilib INTERFACE HAVE_ZLIB)
target_link_libraries(epvs_niftilib INTERFACE "${EPVS_NIFTI2_LIB}" "${EPVS_ZNZ_LIB}" ZLIB::ZLIB m)

# EPVS_HAS_ITK, EPVS_HAS_TORCH: decided once, used everywhere.
set(EPVS_HAS_ITK OFF)
if(NOT EPVS_WITH_ITK STREQUAL "OFF")
  # Debian's ITK configuration talks at length.
  set(CMAKE_MESSAGE_LOG_LEVEL WARNING)
  find_package(ITK 5.2 QUIET CONFIG COMPONENTS
               ITKCommon ITKImageGrid ITKThresholding ITKBiasCorrection ITKImageFeature)
  unset(CMAKE_MESSAGE_LOG_LEVEL)
  set(EPVS_HAS_ITK ${ITK_FOUND})
  if(EPVS_WITH_ITK STREQUAL "ON" AND NOT ITK_FOUND)
    message(FATAL_ERROR "EPVS_WITH_ITK=ON, but ITK 5.2 was not found: install libinsighttoolkit5-dev "
                        "or configure with -DEPVS_WITH_ITK=OFF")
  endif()
endif()
if(EPVS_HAS_ITK)
  add_library(epvs_itk INTERFACE)
  target_include_directories(epvs_itk SYSTEM INTERFACE ${ITK_INCLUDE_DIRS})
  target_link_directories(epvs_itk INTERFACE ${ITK_LIBRARY_DIRS})
  target_link_libraries(epvs_itk INTERFACE ${ITK_LIBRARIES})
endif()

# EPVS_HAS_OPENCV: the method sift of epvs baseline. Two modules; OpenCV's own configuration wants all.
set(EPVS_HAS_OPENCV OFF)
find_path(EPVS_OPENCV_DIR opencv2/features2d.hpp PATH_SUFFIXES opencv4)
find_library(EPVS_OPENCV_CORE_LIB opencv_core)
find_library(EPVS_OPENCV_FEATURES_LIB opencv_features2d)
find_library(EPVS_OPENCV_ML_LIB opencv_ml)
if(EPVS_OPENCV_DIR AND EPVS_OPENCV_CORE_LIB AND EPVS_OPENCV_FEATURES_LIB AND EPVS_OPENCV_ML_LIB)
  set(EPVS_HAS_OPENCV ON)
  add_library(epvs_opencv INTERFACE)
  target_include_directories(epvs_opencv SYSTEM INTERFACE "${EPVS_OPENCV_DIR}")
  target_link_libraries(epvs_opencv INTERFACE "${EPVS_OPENCV_CORE_LIB}" "${EPVS_OPENCV_FEATURES_LIB}"
                        "${EPVS_OPENCV_ML_LIB}")
endif()

set(EPVS_HAS_TORCH OFF)
if(NOT EPVS_WITH_TORCH STREQUAL "OFF")
  # A LibTorch with CUDA warns of its own settings.
  set(CMAKE_MESSAGE_LOG_LEVEL ERROR)
  # Before LibTorch, which else makes a stand-in of the same name that a check cannot link; and not in its
  # folder, where only headers are.
  foreach(prefix IN LISTS CMAKE_PREFIX_PATH)
    if(EXISTS "${prefix}/share/cmake/Torch")
      list(APPEND CMAKE_IGNORE_PREFIX_PATH "${prefix}")
    endif()
  endforeach()
  find_package(Protobuf REQUIRED)
  unset(CMAKE_IGNORE_PREFIX_PATH)
  # No kernel of CUDA is compiled here: naming an architecture spares LibTorch's search for a GPU.
  set(TORCH_CUDA_ARCH_LIST 9.0)
  find_package(Torch QUIET)
  unset(CMAKE_MESSAGE_LOG_LEVEL)
  set(EPVS_HAS_TORCH ${Torch_FOUND})
  if(EPVS_WITH_TORCH STREQUAL "ON" AND NOT Torch_FOUND)
    message(FATAL_ERROR "EPVS_WITH_TORCH=ON, but LibTorch was not found: install libtorch-dev or give "
                        "-DCMAKE_PREFIX_PATH=<libtorch>")
  endif()
endif()
if(EPVS_HAS_TORCH)
  get_target_property(torch_includes torch INTERFACE_INCLUDE_DIRECTORIES)
  add_library(epvs_torch INTERFACE)
  # PyPI's LibTorch carries headers of other versions of fmt and protobuf than those we link, and parts of
  # another libstdc++ (its std::filesystem::remove_all jumps to address 0 here): ours come first.
  get_target_property(fmt_dir fmt::fmt INTERFACE_INCLUDE_DIRECTORIES)
  list(GET Protobuf_INCLUDE_DIRS 0 protobuf_dir)
  if(NOT fmt_dir IN_LIST TORCH_INCLUDE_DIRS)
    set(first "${CMAKE_BINARY_DIR}/before_torch")
    file(MAKE_DIRECTORY "${first}")
    file(CREATE_LINK "${fmt_dir}/fmt" "${first}/fmt" SYMBOLIC)
    file(CREATE_LINK "${protobuf_dir}/google" "${first}/google" SYMBOLIC)
    target_include_directories(epvs_torch SYSTEM INTERFACE "${first}")
    target_link_libraries(epvs_torch INTERFACE stdc++)
  endif()
  target_link_libraries(epvs_torch INTERFACE "${TORCH_LIBRARIES}")
  target_include_directories(epvs_torch SYSTEM INTERFACE ${TORCH_INCLUDE_DIRS})
  separate_arguments(torch_flags NATIVE_COMMAND "${TORCH_CXX_FLAGS}")
  target_compile_options(epvs_torch INTERFACE ${torch_flags})
endif()

# Protocol buffers: the classes of ONNX, and the compiler for the events of TensorBoard.
if(EPVS_HAS_TORCH)
  find_path(EPVS_ONNX_DIR onnx/onnx_pb.h REQUIRED)
  find_library(EPVS_ONNX_PROTO_LIB onnx_proto REQUIRED)
  add_library(epvs_onnx INTERFACE)
  target_include_directories(epvs_onnx SYSTEM INTERFACE "${EPVS_ONNX_DIR}")
  target_link_libraries(epvs_onnx INTERFACE "${EPVS_ONNX_PROTO_LIB}" protobuf::libprotobuf)
endif()

# EPVS_HAS_GLOO, EPVS_HAS_NCCL: training with several processes. LibTorch's headers speak of both only
# when they are told that the library was built with them, so a small program is built to find out.
set(EPVS_HAS_GLOO OFF)
set(EPVS_HAS_NCCL OFF)
if(EPVS_HAS_TORCH AND NOT EPVS_WITH_C10D STREQUAL "OFF")
  include(CheckCXXSourceCompiles)
  include(CMakePushCheckState)
  cmake_push_check_state(RESET)
  set(CMAKE_REQUIRED_LIBRARIES ${TORCH_LIBRARIES})
  set(CMAKE_REQUIRED_INCLUDES ${TORCH_INCLUDE_DIRS})
  set(CMAKE_REQUIRED_FLAGS "${TORCH_CXX_FLAGS}")
  set(CMAKE_REQUIRED_DEFINITIONS -DUSE_C10D_GLOO)
  check_cxx_source_compiles("#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
    int main() { return c10d::ProcessGroupGloo::createDefaultDevice() == nullptr; }"
                            EPVS_GLOO_LINKS)
  # LibTorch brings NCCL's library; its header lies beside it in PyPI's packages, or is installed.
  find_path(EPVS_NCCL_DIR nccl.h HINTS "${TORCH_INSTALL_PREFIX}/../nvidia/nccl/include")
  if(EPVS_NCCL_DIR)
    list(APPEND CMAKE_REQUIRED_INCLUDES "${EPVS_NCCL_DIR}")
  endif()
  set(CMAKE_REQUIRED_DEFINITIONS -DUSE_C10D_NCCL)
  check_cxx_source_compiles("#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
    int main() { return c10d::ProcessGroupNCCL::Options::create() == nullptr; }"
                            EPVS_NCCL_LINKS)
  cmake_pop_check_state()
  if(EPVS_GLOO_LINKS)
    set(EPVS_HAS_GLOO ON)
    if(EPVS_NCCL_LINKS)
      set(EPVS_HAS_NCCL ON)
      target_include_directories(epvs_torch SYSTEM INTERFACE "${EPVS_NCCL_DIR}")
    endif()
  elseif(EPVS_WITH_C10D STREQUAL "ON")
    message(FATAL_ERROR "EPVS_WITH_C10D=ON, but LibTorch's c10d with Gloo cannot be used: install "
                        "libtorch-dev and libgloo-dev or configure with -DEPVS_WITH_C10D=OFF")
  endif()
endif()

if(EPVS_BUILD_TESTS)
  find_package(GTest REQUIRED)
  include(GoogleTest)
endif()

function(epvs_print_summary)
  message(STATUS "epvs ${PROJECT_VERSION} (${EPVS_GIT_COMMIT}), ${CMAKE_BUILD_TYPE}")
  message(STATUS "  ITK (N4, vesselness):            ${EPVS_HAS_ITK} ${ITK_VERSION}")
  message(STATUS "  OpenCV (baseline sift):          ${EPVS_HAS_OPENCV}")
  message(STATUS "  LibTorch (models, infer, train): ${EPVS_HAS_TORCH} ${Torch_VERSION}, CUDA ${CUDA_VERSION}")
  message(STATUS "  several processes (c10d): Gloo ${EPVS_HAS_GLOO}, NCCL ${EPVS_HAS_NCCL}")
  message(STATUS "  tests: ${EPVS_BUILD_TESTS}, "
                 "warnings are errors: ${EPVS_WERROR}, sanitizers: ${EPVS_SANITIZE}")
endfunction()
