# The CUDA backend: found, compiled for the chosen architectures, and, for tests without a GPU,
# compiled to PTX for the emulator.
#
# nvcc is called by custom commands, not through CMake's CUDA language: the device code needs nothing
# of CMake but dependencies, and the language's compiler checks differ between CMake and toolkit
# versions.
#
#   FLASH_KDA_CUDA        AUTO (build it where nvcc is found), ON (fail without), OFF
#   FLASH_KDA_CUDA_ARCHS  compute capabilities times ten; machine code for each
#   FLASH_KDA_NVCC        the compiler

set(FLASH_KDA_CUDA AUTO CACHE STRING "Build the CUDA backend: AUTO, ON or OFF")
set_property(CACHE FLASH_KDA_CUDA PROPERTY STRINGS AUTO ON OFF)
set(FLASH_KDA_CUDA_ARCHS "80;86;89;90;100;103;120;121" CACHE STRING
    "Compute capabilities to compile the CUDA backend for, times ten")

set(FLASH_KDA_HAVE_CUDA OFF)
if(FLASH_KDA_CUDA)
  find_program(FLASH_KDA_NVCC nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH PATH_SUFFIXES bin
               PATHS /usr/local/cuda)
  if(FLASH_KDA_NVCC)
    file(REAL_PATH "${FLASH_KDA_NVCC}" nvcc_path)
    cmake_path(GET nvcc_path PARENT_PATH cuda_root)
    cmake_path(GET cuda_root PARENT_PATH cuda_root)
    # nvcc may be a script that calls the real one: then only the usual places are left to look in.
    set(roots "${cuda_root}" $ENV{CUDA_HOME} $ENV{CUDA_PATH} /usr/local/cuda)
    find_path(FLASH_KDA_CUDA_INCLUDE cuda_runtime_api.h HINTS ${roots}
              PATH_SUFFIXES include targets/x86_64-linux/include targets/sbsa-linux/include)
    find_library(FLASH_KDA_CUDART NAMES cudart_static cudart HINTS ${roots}
                 PATH_SUFFIXES lib64 lib targets/x86_64-linux/lib targets/sbsa-linux/lib)
  endif()
  if(FLASH_KDA_NVCC AND FLASH_KDA_CUDA_INCLUDE AND FLASH_KDA_CUDART)
    set(FLASH_KDA_HAVE_CUDA ON)
  elseif(NOT FLASH_KDA_CUDA STREQUAL "AUTO")
    message(FATAL_ERROR "FLASH_KDA_CUDA=${FLASH_KDA_CUDA}: nvcc (${FLASH_KDA_NVCC}), the runtime's "
                        "header (${FLASH_KDA_CUDA_INCLUDE}) or library (${FLASH_KDA_CUDART}) is missing")
  endif()
endif()

# flash_kda_compile_cuda(OUT_OBJECTS variant FLAGS ... SOURCES ...)
# Compiles each source to ${CMAKE_CURRENT_BINARY_DIR}/<variant>/<name>.o and sets OUT_OBJECTS.
function(flash_kda_compile_cuda out_objects variant)
  cmake_parse_arguments(ARG "" "" "FLAGS;SOURCES;INCLUDES" ${ARGN})
  set(objects)
  list(TRANSFORM ARG_INCLUDES PREPEND -I)
  foreach(source IN LISTS ARG_SOURCES)
    cmake_path(ABSOLUTE_PATH source BASE_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
    cmake_path(GET source STEM name)
    set(object ${CMAKE_CURRENT_BINARY_DIR}/${variant}/${name}.o)
    file(MAKE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/${variant})
    add_custom_command(
      OUTPUT ${object}
      COMMAND ${FLASH_KDA_NVCC} -std=c++20 -O3 -lineinfo -Xcompiler=-fPIC,-fvisibility=hidden
              ${FLASH_KDA_NVCC_THREADS}
              ${ARG_FLAGS} -I${PROJECT_SOURCE_DIR}/src -I${PROJECT_SOURCE_DIR}/include
              ${ARG_INCLUDES} -MD -MF ${object}.d -MT ${object} -c ${source} -o ${object}
      DEPENDS ${source}
      DEPFILE ${object}.d
      ${FLASH_KDA_JOB_POOL}
      COMMENT "Compiling CUDA (${variant}) ${name}"
      COMMAND_EXPAND_LISTS VERBATIM)
    list(APPEND objects ${object})
  endforeach()
  set(${out_objects} ${objects} PARENT_SCOPE)
endfunction()

# -gencode flags for machine code of every chosen architecture, and PTX for newer GPUs. The sources
# know two levels, SM80 and SM90 and above: the front end compiles each once, ptxas makes the rest.
function(flash_kda_hardware_flags out_flags)
  set(flags)
  foreach(arch IN LISTS FLASH_KDA_CUDA_ARCHS)
    set(level 80)
    if(arch GREATER_EQUAL 90)
      set(level 90)
    endif()
    list(APPEND flags -gencode "arch=compute_${level},code=sm_${arch}")
  endforeach()
  list(APPEND flags -gencode "arch=compute_${level},code=compute_${level}")
  set(${out_flags} ${flags} PARENT_SCOPE)
endfunction()

# The emulator reads PTX out of the object: one version, not compressed, no runtime linked.
function(flash_kda_emulated_flags out_flags arch)
  set(${out_flags} -gencode "arch=compute_${arch},code=compute_${arch}" --compress-mode=none
      -cudart none PARENT_SCOPE)
endfunction()
