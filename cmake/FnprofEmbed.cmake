# fnp_embed(TARGET SYMBOL FILE): the bytes of FILE, a NUL after them, as `const char SYMBOL[]` in TARGET.
function(fnp_embed target symbol file)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
  file(READ ${file} hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(REGEX REPLACE "(................................................................................)" "\\1\n"
         bytes "${bytes}")
  set(out ${CMAKE_BINARY_DIR}/generated/embed_${symbol}.c)
  file(CONFIGURE OUTPUT ${out} CONTENT "extern const char ${symbol}[];\nconst char ${symbol}[] = {\n${bytes}0};\n" @ONLY)
  target_sources(${target} PRIVATE ${out})
endfunction()
