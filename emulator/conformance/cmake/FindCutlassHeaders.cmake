# Finds the CUTLASS headers of the PyPI package nvidia-cutlass.
#   CUTLASS_INCLUDE_DIR       cache variable: the folder that holds cutlass/cutlass.h
#   CutlassHeaders::cutlass   target with that folder and the one of cutlass/util
set(cutlass_wanted_version 4.2.0)

file(GLOB cutlass_hints
  "${CMAKE_SOURCE_DIR}/.venv/lib/python3*/site-packages/cutlass_library/source/include"
  "${CMAKE_CURRENT_LIST_DIR}/../../../.venv/lib/python3*/site-packages/cutlass_library/source/include"
  "$ENV{VIRTUAL_ENV}/lib/python3*/site-packages/cutlass_library/source/include")
find_path(CUTLASS_INCLUDE_DIR cutlass/cutlass.h
  HINTS ${cutlass_hints}
  DOC "Folder that holds cutlass/cutlass.h (pip install nvidia-cutlass==${cutlass_wanted_version}.0)")

if(CUTLASS_INCLUDE_DIR)
  file(STRINGS "${CUTLASS_INCLUDE_DIR}/cutlass/version.h" cutlass_version_lines
    REGEX "#define CUTLASS_(MAJOR|MINOR|PATCH) +[0-9]+")
  string(REGEX REPLACE "[^0-9;]+" "" cutlass_version_numbers "${cutlass_version_lines}")
  string(REPLACE ";" "." CutlassHeaders_VERSION "${cutlass_version_numbers}")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(CutlassHeaders
  REQUIRED_VARS CUTLASS_INCLUDE_DIR VERSION_VAR CutlassHeaders_VERSION)

if(CutlassHeaders_FOUND AND NOT TARGET CutlassHeaders::cutlass)
  add_library(CutlassHeaders::cutlass INTERFACE IMPORTED)
  target_include_directories(CutlassHeaders::cutlass INTERFACE
    "${CUTLASS_INCLUDE_DIR}" "${CUTLASS_INCLUDE_DIR}/../tools/util/include")
  if(NOT CutlassHeaders_VERSION VERSION_EQUAL cutlass_wanted_version)
    message(STATUS "CUTLASS ${CutlassHeaders_VERSION}: the suite was written for "
      "${cutlass_wanted_version}")
  endif()
endif()
