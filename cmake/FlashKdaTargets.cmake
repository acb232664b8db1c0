# Flags that every target of the project shares, and the one way to add a test.

add_library(flash_kda_build_flags INTERFACE)
target_compile_options(flash_kda_build_flags INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
  # g++ 12 also warns of members that have default initialisers, which is what they are for.
  -Wno-missing-field-initializers>)
if(FLASH_KDA_WERROR)
  target_compile_options(flash_kda_build_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Werror>)
endif()
if(FLASH_KDA_SANITIZE)
  target_compile_options(flash_kda_build_flags INTERFACE
    -fsanitize=${FLASH_KDA_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(flash_kda_build_flags INTERFACE -fsanitize=${FLASH_KDA_SANITIZE})
endif()

# flash_kda_add_test(NAME SOURCES a.cpp ... LIBRARIES lib ... LABELS unit ...)
# A GoogleTest binary whose cases appear in CTest one by one.
function(flash_kda_add_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBRARIES;LABELS" ${ARGN})
  find_package(GTest REQUIRED)
  include(GoogleTest)
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_link_libraries(${name} PRIVATE flash_kda_build_flags ${ARG_LIBRARIES} GTest::gmock GTest::gtest_main)
  gtest_discover_tests(${name} TEST_PREFIX "${name}." PROPERTIES LABELS "${ARG_LABELS}"
                       DISCOVERY_TIMEOUT 60)
endfunction()
