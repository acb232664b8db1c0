# add_emulated_executable(name SOURCES file... [ARCHS 90a ...] [INCLUDES dir...] [DEFINITIONS def...]
#                         [NVCC_OPTIONS option...] [LIBRARIES target...] [HARDWARE])
#
# Compiles .cu files with nvcc to host objects that carry plain PTX, and links them with the
# emulator instead of the CUDA runtime. Needs nvcc, but no GPU. Executables of one directory share
# the object of a source that they compile with the same options. HARDWARE: machine code and the
# CUDA runtime, to compare with a GPU.

find_program(EMULATOR_NVCC nvcc HINTS $ENV{CUDA_HOME}/bin /usr/local/cuda/bin)
if(EMULATOR_NVCC)
  get_filename_component(emulator_nvcc_real ${EMULATOR_NVCC} REALPATH)
  get_filename_component(emulator_cuda_root ${emulator_nvcc_real}/../.. ABSOLUTE)
  find_path(EMULATOR_CUDA_INCLUDE cuda_runtime_api.h
    HINTS ${emulator_cuda_root}/include ${emulator_cuda_root}/targets/x86_64-linux/include
          /usr/local/cuda/include)
  find_library(EMULATOR_CUDART cudart_static  # of HARDWARE programs only
    HINTS ${emulator_cuda_root}/lib64 ${emulator_cuda_root}/lib
          ${emulator_cuda_root}/targets/x86_64-linux/lib /usr/local/cuda/lib64)
endif()

function(add_emulated_executable name)
  cmake_parse_arguments(arg "HARDWARE" "" "SOURCES;ARCHS;INCLUDES;DEFINITIONS;NVCC_OPTIONS;LIBRARIES" ${ARGN})
  if(NOT EMULATOR_NVCC)
    message(FATAL_ERROR "add_emulated_executable(${name}): nvcc was not found")
  endif()
  if(NOT arg_ARCHS)
    set(arg_ARCHS 90a)
  endif()
  set(flags -std=c++20 -O2 --expt-relaxed-constexpr -cudart none -lineinfo)
  if(NOT "${arg_NVCC_OPTIONS}" MATCHES "compress-mode")
    list(APPEND flags --compress-mode=none)
  endif()
  foreach(arch ${arg_ARCHS})
    if(arg_HARDWARE)
      list(APPEND flags -gencode arch=compute_${arch},code=sm_${arch})
    else()
      list(APPEND flags -gencode arch=compute_${arch},code=compute_${arch})
    endif()
  endforeach()
  foreach(dir ${arg_INCLUDES})
    list(APPEND flags -I${dir})
  endforeach()
  foreach(definition ${arg_DEFINITIONS})
    list(APPEND flags -D${definition})
  endforeach()
  set(others)
  set(objects)
  set(users_before)
  foreach(source ${arg_SOURCES})
    get_filename_component(path ${source} ABSOLUTE)
    if(NOT source MATCHES "\\.cu$")
      list(APPEND others ${path})
      continue()
    endif()
    get_filename_component(stem ${source} NAME_WE)
    string(SHA1 key "${CMAKE_CURRENT_BINARY_DIR};${path};${flags};${arg_NVCC_OPTIONS}")
    string(SUBSTRING ${key} 0 8 key)
    set(object ${CMAKE_CURRENT_BINARY_DIR}/${stem}_${key}.o)
    list(APPEND objects ${object})
    get_property(first GLOBAL PROPERTY emulator_object_${key})
    if(first)
      list(APPEND users_before ${first})
      continue()
    endif()
    set_property(GLOBAL PROPERTY emulator_object_${key} ${name})
    add_custom_command(
      OUTPUT ${object}
      COMMAND ${EMULATOR_NVCC} ${flags} ${arg_NVCC_OPTIONS} -MD -MF ${object}.d -c ${path} -o ${object}
      DEPENDS ${path}
      DEPFILE ${object}.d
      COMMENT "nvcc ${source} (for ${name})"
      VERBATIM)
  endforeach()
  set_source_files_properties(${objects} PROPERTIES EXTERNAL_OBJECT TRUE GENERATED TRUE)
  add_executable(${name} ${others} ${objects})
  set_target_properties(${name} PROPERTIES LINKER_LANGUAGE CXX)
  if(users_before)
    add_dependencies(${name} ${users_before})  # make must not run one command twice at once
  endif()
  target_include_directories(${name} PRIVATE ${arg_INCLUDES} ${EMULATOR_CUDA_INCLUDE})
  target_compile_definitions(${name} PRIVATE ${arg_DEFINITIONS})
  if(arg_HARDWARE)
    target_link_libraries(${name} PRIVATE
      ${arg_LIBRARIES} ${EMULATOR_CUDART} ${CMAKE_DL_LIBS} Threads::Threads rt)
  else()
    target_link_libraries(${name} PRIVATE ${arg_LIBRARIES} flash_kda_emulator)
  endif()
endfunction()
