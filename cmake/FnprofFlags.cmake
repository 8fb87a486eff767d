# Flags of every C target, in one INTERFACE library.
option(FNPROF_TESTS "Build the tests" ON)
option(FNPROF_FUZZ "Build the fuzzers (needs clang)" OFF)
option(FNPROF_COVERAGE "Instrument for gcov" OFF)
set(FNPROF_SANITIZE "" CACHE STRING "Sanitizers, as -fsanitize= takes them")

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 -g")
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

add_library(fnprof_flags INTERFACE)
target_compile_definitions(fnprof_flags INTERFACE _GNU_SOURCE)
target_include_directories(fnprof_flags INTERFACE ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR}/generated)
target_compile_options(fnprof_flags INTERFACE
  -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla -Walloca
  -Wno-missing-field-initializers -fno-strict-aliasing -fvisibility=hidden
  -ffile-prefix-map=${CMAKE_SOURCE_DIR}/=
  -include ${CMAKE_SOURCE_DIR}/base/banned.h)
if(CMAKE_C_COMPILER_ID STREQUAL "Clang")
  target_compile_options(fnprof_flags INTERFACE -Wno-gnu-statement-expression)
endif()
if(FNPROF_SANITIZE)
  target_compile_options(fnprof_flags INTERFACE
    -fsanitize=${FNPROF_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(fnprof_flags INTERFACE -fsanitize=${FNPROF_SANITIZE})
endif()
if(FNPROF_FUZZ)
  target_compile_options(fnprof_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(FNPROF_COVERAGE)
  target_compile_options(fnprof_flags INTERFACE --coverage)
  target_link_options(fnprof_flags INTERFACE --coverage)
endif()
