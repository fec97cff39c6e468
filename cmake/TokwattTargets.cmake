# How every room is built: C++20, the warnings, sanitizers, ccache, and one test program a room.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
endif()

add_library(tokwatt_options INTERFACE)
target_include_directories(tokwatt_options INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(tokwatt_options INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor
                                                 -Wold-style-cast -Woverloaded-virtual
                                                 # Designated initialisers leave the rest at its default on purpose.
                                                 -Wno-missing-field-initializers)
# g++ 12 sees overlapping copies in "text" + std::string() where there are none (GCC bug 105651).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(tokwatt_options INTERFACE -Wno-restrict)
endif()
if(TOKWATT_WERROR)
  target_compile_options(tokwatt_options INTERFACE -Werror)
endif()
if(TOKWATT_SANITIZE)
  target_compile_options(tokwatt_options INTERFACE -fsanitize=${TOKWATT_SANITIZE}
                                                   -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(tokwatt_options INTERFACE -fsanitize=${TOKWATT_SANITIZE})
endif()

# tokwatt_room(<name> SOURCES ... LINKS ... PRIVATE_LINKS ...): a library of the *.cpp given. LINKS are the rooms below, so
# the linker keeps the rule that dependencies point down only.
function(tokwatt_room name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS;PRIVATE_LINKS" ${ARGN})
  if(NOT ARG_SOURCES)
    add_library(${name} INTERFACE)
    return()
  endif()
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC tokwatt_options ${ARG_LINKS} PRIVATE ${ARG_PRIVATE_LINKS})
endfunction()

# Sources and tests of the current folder: tests stand beside what they test and are found by their name.
macro(tokwatt_sources sources tests)
  file(GLOB ${tests} CONFIGURE_DEPENDS RELATIVE ${CMAKE_CURRENT_SOURCE_DIR} *_test.cpp)
  file(GLOB ${sources} CONFIGURE_DEPENDS RELATIVE ${CMAKE_CURRENT_SOURCE_DIR} *.cpp)
  list(FILTER ${sources} EXCLUDE REGEX "_test\\.cpp$")
endmacro()

# tokwatt_test(<name> SOURCES ... LINKS ... LABELS ...): one GoogleTest program, one CTest.
function(tokwatt_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS;LABELS" ${ARGN})
  if(NOT TOKWATT_TESTS OR NOT ARG_SOURCES)
    return()
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LINKS} GTest::gtest GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE TOKWATT_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT 300)
endfunction()
