# The built-in templates become part of the text library; see LICENSE-ollama for their licence.
include(${PROJECT_SOURCE_DIR}/cmake/embed.cmake)
file(GLOB builtin_templates CONFIGURE_DEPENDS
  ${CMAKE_CURRENT_LIST_DIR}/*.gotmpl ${CMAKE_CURRENT_LIST_DIR}/*.json)
cria_embed(cria_text kBuiltinTemplates ${builtin_templates})
