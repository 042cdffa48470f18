# cria.cmake - cria_module, cria_kernel_variant and the compiler flags that all of them share.

add_library(cria_flags INTERFACE)
target_include_directories(cria_flags INTERFACE ${PROJECT_SOURCE_DIR}/src)
target_compile_definitions(cria_flags INTERFACE SPDLOG_FMT_EXTERNAL)
target_compile_options(cria_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 reports false positives inside its own string header when it inlines (bug 105651, 105329).
  target_compile_options(cria_flags INTERFACE -Wno-restrict -Wno-dangling-pointer)
endif()
if(CRIA_SANITIZE)
  target_compile_options(cria_flags INTERFACE
    -fsanitize=${CRIA_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(cria_flags INTERFACE -fsanitize=${CRIA_SANITIZE})
endif()
if(CRIA_FUZZ)
  target_compile_options(cria_flags INTERFACE -fsanitize=fuzzer-no-link)
  target_link_options(cria_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

if(CRIA_TESTS)
  enable_testing()
  find_package(doctest REQUIRED)
  include(doctest)
  # The main function of every test program. Tests are compiled without optimisation: what they call is
  # not theirs, and it halves their compilation.
  add_library(cria_test_main OBJECT ${PROJECT_SOURCE_DIR}/tests/main.cpp)
  target_include_directories(cria_test_main PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(cria_test_main PUBLIC cria_flags doctest::doctest fmt::fmt nlohmann_json::nlohmann_json)
  target_compile_options(cria_test_main PUBLIC -O0)
  target_precompile_headers(cria_test_main PRIVATE ${PROJECT_SOURCE_DIR}/src/base/precompiled.h <doctest/doctest.h>)
endif()

# cria_module(NAME LINK public... PRIVATE private...): library cria_NAME from src/NAME/**/*.cpp, and
# NAME_tests from the *_test.cpp beside them. Kernel files are compiled by cria_kernel_variant instead.
function(cria_module name)
  cmake_parse_arguments(arg "" "" "LINK;PRIVATE" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*.cpp)
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cpp$|/kernels/")
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")
  if(sources)
    add_library(cria_${name} STATIC ${sources})
    if(name STREQUAL base)
      target_precompile_headers(cria_base PRIVATE ${PROJECT_SOURCE_DIR}/src/base/precompiled.h)
    elseif(NOT name STREQUAL quant)  # it has flags of its own
      target_precompile_headers(cria_${name} REUSE_FROM cria_base)
    endif()
    target_link_libraries(cria_${name} PUBLIC cria_flags ${arg_LINK} PRIVATE ${arg_PRIVATE})
  else()
    add_library(cria_${name} INTERFACE)
    target_link_libraries(cria_${name} INTERFACE cria_flags ${arg_LINK})
  endif()
  if(CRIA_TESTS AND tests)
    add_executable(${name}_tests ${tests})
    target_link_libraries(${name}_tests PRIVATE cria_${name} ${arg_PRIVATE} cria_test_main)
    target_precompile_headers(${name}_tests REUSE_FROM cria_test_main)
    target_compile_definitions(${name}_tests PRIVATE
      CRIA_SHARED_DIR="${PROJECT_SOURCE_DIR}/../shared" CRIA_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
    doctest_discover_tests(${name}_tests TEST_PREFIX "${name}: " PROPERTIES TIMEOUT 600 SKIP_RETURN_CODE 77)
  endif()
endfunction()

# cria_kernel_variant(ISA [FOLDER folder] FLAGS...): every file of src/ml/cpu/kernels, or of that folder in it,
# compiled for one instruction set.
function(cria_kernel_variant isa)
  cmake_parse_arguments(arg "" "FOLDER" "" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/ml/cpu/kernels/${arg_FOLDER}/*.cpp)
  if(NOT sources)
    return()
  endif()
  add_library(cria_kernels_${isa} OBJECT ${sources})
  target_compile_definitions(cria_kernels_${isa} PRIVATE CRIA_ISA=${isa})
  target_compile_options(cria_kernels_${isa} PRIVATE
    ${CRIA_KERNEL_OPTIMIZATION} -fno-math-errno -ffp-contract=off -fno-exceptions -fno-rtti ${arg_UNPARSED_ARGUMENTS})
  target_link_libraries(cria_kernels_${isa} PRIVATE cria_flags)
  target_sources(cria_ml PRIVATE $<TARGET_OBJECTS:cria_kernels_${isa}>)
endfunction()
