# fnp_bpf_object(NAME): compiles NAME.bpf.c of the current folder for the BPF machine, and makes its skeleton,
# generated/bpf/NAME.skel.h. Header dependencies come from clang's own depfile. The number of instructions of each
# program is printed when the object is built, so that growth is seen.
find_program(CLANG NAMES clang clang-19 clang-18 clang-17 clang-16 clang-15 clang-14 REQUIRED)
find_program(LLVM_STRIP NAMES llvm-strip llvm-strip-19 llvm-strip-18 llvm-strip-17 llvm-strip-16 llvm-strip-15
             llvm-strip-14 REQUIRED)
find_program(LLVM_OBJDUMP NAMES llvm-objdump llvm-objdump-19 llvm-objdump-18 llvm-objdump-17 llvm-objdump-16
             llvm-objdump-15 llvm-objdump-14 REQUIRED)
find_program(BPFTOOL NAMES bpftool PATHS /usr/sbin /usr/local/sbin REQUIRED)

if(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  set(FNP_BPF_ARCH arm64)
else()
  set(FNP_BPF_ARCH x86)
endif()

function(fnp_bpf_object name)
  set(out ${CMAKE_BINARY_DIR}/generated/bpf)
  file(MAKE_DIRECTORY ${out})
  set(source ${CMAKE_CURRENT_SOURCE_DIR}/${name}.bpf.c)
  add_custom_command(
    OUTPUT ${out}/${name}.bpf.o
    COMMAND ${CLANG} -O2 -g -target bpf -mcpu=v3 -std=gnu11 -Wall -Wextra -Werror -Wno-unused-parameter
            -Wno-missing-field-initializers -D__TARGET_ARCH_${FNP_BPF_ARCH}
            -I${CMAKE_SOURCE_DIR} -ffile-prefix-map=${CMAKE_SOURCE_DIR}/=
            -idirafter /usr/include/${CMAKE_LIBRARY_ARCHITECTURE} -MD -MF ${out}/${name}.d -MT ${out}/${name}.bpf.o
            -c ${source} -o ${out}/${name}.bpf.o
    COMMAND ${LLVM_STRIP} -g ${out}/${name}.bpf.o
    COMMAND ${CMAKE_SOURCE_DIR}/cmake/bpf-instructions ${LLVM_OBJDUMP} ${out}/${name}.bpf.o
    DEPENDS ${source}
    DEPFILE ${out}/${name}.d
    COMMENT "BPF object ${name}"
    VERBATIM)
  add_custom_command(
    OUTPUT ${out}/${name}.skel.h
    COMMAND sh -c "\"$1\" gen skeleton \"$2\" name $3 > \"$4\"" sh ${BPFTOOL} ${out}/${name}.bpf.o fnp_bpf_${name}
            ${out}/${name}.skel.h
    DEPENDS ${out}/${name}.bpf.o
    COMMENT "BPF skeleton ${name}"
    VERBATIM)
  add_custom_target(bpf_${name} DEPENDS ${out}/${name}.skel.h)
  add_dependencies(fnprof_bpf bpf_${name})
endfunction()

# fnp_bpf_type_names(NAME...): generated/bpf/kernel_types.inc, the names of all types that these objects could want of the
# kernel, each in quotes and with a comma. Targets that include it link fnprof_bpf_types.
function(fnp_bpf_type_names)
  set(out ${CMAKE_BINARY_DIR}/generated/bpf)
  list(TRANSFORM ARGN PREPEND ${out}/ OUTPUT_VARIABLE objects)
  list(TRANSFORM objects APPEND .bpf.o)
  add_custom_command(
    OUTPUT ${out}/kernel_types.inc
    COMMAND ${CMAKE_SOURCE_DIR}/cmake/bpf-types ${BPFTOOL} ${out}/kernel_types.inc ${objects}
    DEPENDS ${objects} ${CMAKE_SOURCE_DIR}/cmake/bpf-types
    COMMENT "names of kernel types"
    VERBATIM)
  add_custom_target(bpf_types DEPENDS ${out}/kernel_types.inc)
  add_library(fnprof_bpf_types INTERFACE)
  target_link_libraries(fnprof_bpf_types INTERFACE fnprof_flags)
  add_dependencies(fnprof_bpf_types bpf_types)
endfunction()
