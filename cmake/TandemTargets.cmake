# A target is a folder and its promises:
#
#   tandem_library(engine SOURCES a.cc b.cc USES base PRIVATE_USES PkgConfig::openblas)
#   tandem_program(tandem-broker SOURCES main.cc USES broker)
#   tandem_test(engine_tests SOURCES a_test.cc USES engine)
#
# USES is the arrow in the architecture picture (.ci/layers.sh checks that includes follow it).

add_library(tandem_flags INTERFACE)
target_include_directories(tandem_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(tandem_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor
                                              -Woverloaded-virtual -Wimplicit-fallthrough)
target_compile_definitions(tandem_flags INTERFACE MSGPACK_NO_BOOST TANDEM_VERSION="${PROJECT_VERSION}")
if(TANDEM_WERROR)
  target_compile_options(tandem_flags INTERFACE -Werror)
endif()
if(TANDEM_SANITIZE)
  target_compile_options(tandem_flags INTERFACE -fsanitize=${TANDEM_SANITIZE} -fno-omit-frame-pointer -g1
                                                -fno-sanitize-recover=all)
  target_link_options(tandem_flags INTERFACE -fsanitize=${TANDEM_SANITIZE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # g++ 12 reports false positives of these once sanitizer code is woven in.
    target_compile_options(tandem_flags INTERFACE -Wno-maybe-uninitialized -Wno-stringop-overflow -Wno-tsan)
  endif()
endif()

# ccache, where it is installed, makes a second clone cheap: the settings let two clones share what they compiled.
find_program(TANDEM_CCACHE ccache)
if(TANDEM_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_NOHASHDIR=1 CCACHE_BASEDIR=${CMAKE_SOURCE_DIR}
                                  ${TANDEM_CCACHE})
endif()

function(tandem_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;USES;PRIVATE_USES" ${ARGN})
  add_library(tandem_${name} STATIC ${ARG_SOURCES})
  add_library(tandem::${name} ALIAS tandem_${name})
  list(TRANSFORM ARG_USES REPLACE "^([a-z_]+)$" "tandem::\\1")
  target_link_libraries(tandem_${name} PUBLIC tandem_flags ${ARG_USES} PRIVATE ${ARG_PRIVATE_USES})
endfunction()

function(tandem_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;USES;PRIVATE_USES" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  list(TRANSFORM ARG_USES REPLACE "^([a-z_]+)$" "tandem::\\1")
  target_link_libraries(${name} PRIVATE ${ARG_USES} ${ARG_PRIVATE_USES} tandem_flags)
endfunction()

# Tests run in the folder tests/, so that "data/..." is the same for everyone.
function(tandem_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;USES;PRIVATE_USES;LABELS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  tandem_program(${name} SOURCES ${ARG_SOURCES} USES ${ARG_USES}
                 PRIVATE_USES ${ARG_PRIVATE_USES} GTest::gtest GTest::gmock GTest::gtest_main)
  include(GoogleTest)
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}/tests
                       PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS "${ARG_LABELS}")
endfunction()
