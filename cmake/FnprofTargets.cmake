# One target a folder, registries from lists, tests by path.

# fnp_library(NAME SOURCES ... [LINK ...]): the folder's static library, target fnprof_NAME.
function(fnp_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_library(fnprof_${name} STATIC ${ARG_SOURCES})
  target_link_libraries(fnprof_${name} PUBLIC fnprof_flags ${ARG_LINK})
endfunction()

# fnp_registry(NAME ENTRY...): writes generated/NAME_registry.inc with one line FNP_REGISTER(entry) for each, from
# which a folder makes its table of functions. Adding an entry to the list is the only edit a new one needs.
function(fnp_registry name)
  set(text "")
  foreach(entry IN LISTS ARGN)
    string(APPEND text "FNP_REGISTER(${entry})\n")
  endforeach()
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/${name}_registry.inc CONTENT "${text}" @ONLY)
endfunction()

# fnp_test(PATH [LINK ...] [LABELS ...] [SOURCES ...]): tests/PATH_test.c, a cmocka program; the ctest name is PATH.
# A test that is written but not registered is an unused function, and breaks the build.
function(fnp_test path)
  cmake_parse_arguments(ARG "" "" "LINK;LABELS;SOURCES" ${ARGN})
  string(REPLACE "/" "_" target "test_${path}")
  add_executable(${target} ${CMAKE_SOURCE_DIR}/tests/${path}_test.c ${ARG_SOURCES})
  target_link_libraries(${target} PRIVATE fnprof_flags ${ARG_LINK} PkgConfig::CMOCKA)
  target_compile_options(${target} PRIVATE -Werror=unused-function)
  add_test(NAME ${path} COMMAND ${target})
  # 77 is this project's word for "cannot run here": ctest counts it as skipped.
  set_tests_properties(${path} PROPERTIES TIMEOUT 120 SKIP_RETURN_CODE 77 LABELS "unit;${ARG_LABELS}")
endfunction()

# fnp_fuzzer(NAME [LINK ...]): tests/fuzz/NAME_fuzz.c with libFuzzer; seeds in tests/fuzz/corpus/NAME. Elsewhere, and when it
# is asked for (target `limits`), limits_NAME measures what one input costs: bench/parser_limits.c.
function(fnp_fuzzer name)
  cmake_parse_arguments(ARG "" "" "LINK;SOURCES" ${ARGN})
  if(NOT FNPROF_FUZZ)
    add_executable(limits_${name} EXCLUDE_FROM_ALL ${CMAKE_SOURCE_DIR}/bench/parser_limits.c
                   ${CMAKE_SOURCE_DIR}/tests/fuzz/${name}_fuzz.c ${ARG_SOURCES})
    target_link_libraries(limits_${name} PRIVATE fnprof_flags fnprof_base ${ARG_LINK})
    target_compile_options(limits_${name} PRIVATE -Wno-missing-prototypes)
    if(NOT TARGET limits)
      add_custom_target(limits)
    endif()
    add_dependencies(limits limits_${name})
    return()
  endif()
  add_executable(fuzz_${name} ${CMAKE_SOURCE_DIR}/tests/fuzz/${name}_fuzz.c ${ARG_SOURCES})
  target_link_libraries(fuzz_${name} PRIVATE fnprof_flags ${ARG_LINK})
  target_compile_options(fuzz_${name} PRIVATE -Wno-missing-prototypes)
  target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
endfunction()
