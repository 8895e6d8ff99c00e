# Targets of the rooms. A library epvs_<name> has the alias epvs::<name>; a command is one source with
# a main, built as bin/epvs-<name>.
find_program(EPVS_CCACHE ccache)
if(EPVS_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${EPVS_CCACHE}")
endif()

execute_process(COMMAND git -C "${CMAKE_SOURCE_DIR}" describe --always --dirty --abbrev=10
                OUTPUT_VARIABLE EPVS_GIT_COMMIT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT EPVS_GIT_COMMIT)
  set(EPVS_GIT_COMMIT "unknown")
endif()

add_library(epvs_options INTERFACE)
target_include_directories(epvs_options INTERFACE "${CMAKE_SOURCE_DIR}"
                           "${CMAKE_BINARY_DIR}/generated")
target_compile_options(epvs_options INTERFACE -Wall -Wextra -Wshadow -Wconversion)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # GCC 12 takes "literal" + temporary string for an overlapping copy (GCC bug 105329).
  target_compile_options(epvs_options INTERFACE -Wno-restrict)
endif()
if(EPVS_WERROR)
  target_compile_options(epvs_options INTERFACE -Werror)
endif()
if(EPVS_SANITIZE)
  target_compile_options(epvs_options INTERFACE -fsanitize=address,undefined -fno-omit-frame-pointer)
  target_link_options(epvs_options INTERFACE -fsanitize=address,undefined)
endif()

# epvs_room_library(<name> SOURCES ... [LINKS ...] [PRIVATE_LINKS ...])
# EPVS_UNITY (presets release, gpu and ci) compiles its sources eight at a time, which halves the build;
# two sources of a room can then not have a local function of one name.
function(epvs_room_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS;PRIVATE_LINKS" ${ARGN})
  add_library(epvs_${name} STATIC ${ARG_SOURCES})
  add_library(epvs::${name} ALIAS epvs_${name})
  target_link_libraries(epvs_${name} PUBLIC epvs_options ${ARG_LINKS} PRIVATE ${ARG_PRIVATE_LINKS})
  if(EPVS_UNITY)
    set_target_properties(epvs_${name} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 8)
    # A source that another includes is no header: its classes may have members of its own local types.
    target_compile_options(epvs_${name} PRIVATE -Wno-subobject-linkage)
  endif()
endfunction()

# epvs_use_torch_header(<target>): the precompiled header of epvs_models, which all code with Torch
# shares. Executables are compiled as libraries are: the header is bound to -fPIC.
function(epvs_use_torch_header target)
  target_precompile_headers(${target} REUSE_FROM epvs_models)
  target_compile_options(${target} PRIVATE -fPIC)
endfunction()

# epvs_command(<name> SOURCE <file> LINKS ... [BECOMES <command>]): the executable epvs-<name>; BECOMES
# names the command of its own that it goes on as, built whenever it is.
function(epvs_command name)
  cmake_parse_arguments(ARG "" "SOURCE;BECOMES" "LINKS" ${ARGN})
  add_executable(epvs-${name} ${ARG_SOURCE})
  target_link_libraries(epvs-${name} PRIVATE ${ARG_LINKS})
  if(ARG_BECOMES)
    add_dependencies(epvs-${name} epvs-${ARG_BECOMES})
  endif()
  install(TARGETS epvs-${name} DESTINATION libexec/epvs)
endfunction()

# epvs_test(<name> SOURCES ... LINKS ... [LABELS ...] [SLOW filter] [TIMEOUT s]): one GoogleTest
# executable, one ctest entry per test case. Tests that match the GoogleTest filter SLOW get the label
# slow beside LABELS. Tests with the same LOCK never run side by side (those that look for a free port).
function(epvs_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT;SLOW;LOCK" "SOURCES;LINKS;LABELS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LINKS} epvs_test_support GTest::gtest_main)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests")
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  if(EPVS_SANITIZE)
    math(EXPR ARG_TIMEOUT "5 * ${ARG_TIMEOUT}")
  endif()
  set(properties TIMEOUT ${ARG_TIMEOUT})
  if(ARG_LOCK)
    list(APPEND properties RESOURCE_LOCK ${ARG_LOCK})
  endif()
  set(quick "*")
  if(ARG_SLOW)
    set(quick "-${ARG_SLOW}")
    gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
                         TEST_FILTER "${ARG_SLOW}" TEST_LIST ${name}_SLOW_TESTS
                         PROPERTIES ${properties} LABELS "${ARG_LABELS};slow")
  endif()
  if(ARG_LABELS)
    list(APPEND properties LABELS "${ARG_LABELS}")
  endif()
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
                       TEST_FILTER "${quick}" PROPERTIES ${properties})
endfunction()
