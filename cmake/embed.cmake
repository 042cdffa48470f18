# embed.cmake - cria_embed(TARGET SYMBOL FILES...): the files as constant text in TARGET, in the table
# cria::embedded::SYMBOL (declared in text/chat/embedded.h): {file name, content}, ended by an empty name.
# The same file, run by `cmake -P`, writes the source.
if(CMAKE_SCRIPT_MODE_FILE)
  set(rows "")
  foreach(file IN LISTS FILES)
    get_filename_component(name "${file}" NAME)
    file(READ "${file}" content)
    string(APPEND rows "    {\"${name}\", R\"CRIA~(${content})CRIA~\"},\n")
  endforeach()
  file(WRITE "${OUTPUT}"
    "#include \"text/chat/embedded.h\"\n\nnamespace cria::embedded {\n"
    "const File ${SYMBOL}[] = {\n${rows}    {\"\", \"\"},\n};\n}  // namespace cria::embedded\n")
  return()
endif()

set(CRIA_EMBED_SCRIPT ${CMAKE_CURRENT_LIST_FILE})
function(cria_embed target symbol)
  set(output ${CMAKE_BINARY_DIR}/embedded/${symbol}.cpp)
  add_custom_command(OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -DOUTPUT=${output} -DSYMBOL=${symbol} "-DFILES=${ARGN}" -P ${CRIA_EMBED_SCRIPT}
    DEPENDS ${ARGN} ${CRIA_EMBED_SCRIPT} VERBATIM)
  target_sources(${target} PRIVATE ${output})
endfunction()
