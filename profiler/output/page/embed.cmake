# cmake -DFOLDER=... -DSCRIPTS=a.js,b.js -DOUT=... -P embed.cmake
#
# Puts style and scripts into page.html and writes both sides of its <!--DATA--> as C arrays. The scripts share one
# function scope, so that they are written as separate files without being modules.
file(READ ${FOLDER}/page.html html)
file(READ ${FOLDER}/page.css css)
string(REPLACE "," ";" names "${SCRIPTS}")

# CMake lists split at semicolons and treat brackets specially, so texts are only ever joined and replaced as wholes.
set(script "")
foreach(name IN LISTS names)
  file(READ ${FOLDER}/${name} text)
  string(APPEND script "${text}")
endforeach()
string(FIND "${script}" "</script" bad)
if(NOT bad EQUAL -1)
  message(FATAL_ERROR "the page's scripts must not contain the end of a script element")
endif()
string(REPLACE "/*CSS*/" "${css}" html "${html}")
string(REPLACE "/*SCRIPT*/" "${script}" html "${html}")

set(marker "<!--DATA-->")
string(FIND "${html}" "${marker}" at)
string(LENGTH "${marker}" marker_length)
math(EXPR after "${at} + ${marker_length}")
string(SUBSTRING "${html}" 0 ${at} head)
string(SUBSTRING "${html}" ${after} -1 tail)

set(c "/* Made by embed.cmake. */\n#include \"profiler/output/page/template.h\"\n")
foreach(part head tail)
  file(WRITE ${OUT}.${part} "${${part}}")
  file(READ ${OUT}.${part} hex HEX)
  file(REMOVE ${OUT}.${part})
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(REGEX REPLACE "((0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,))" "\\1\n" bytes "${bytes}")
  string(APPEND c "const unsigned char fnp_page_template_${part}[] = {\n${bytes}\n};\n"
         "const size_t fnp_page_template_${part}_len = sizeof(fnp_page_template_${part});\n")
endforeach()
file(WRITE ${OUT} "${c}")
