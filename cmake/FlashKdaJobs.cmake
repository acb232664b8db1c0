# What builders of large packages know from elsewhere, read from the environment when configuring:
#   MAX_JOBS      compilers that run side by side (Ninja)
#   NVCC_THREADS  architectures that one nvcc compiles side by side
set(FLASH_KDA_JOB_POOL)
if("$ENV{MAX_JOBS}" GREATER 0)
  set_property(GLOBAL PROPERTY JOB_POOLS flash_kda_compile=$ENV{MAX_JOBS})
  set(CMAKE_JOB_POOL_COMPILE flash_kda_compile)
  set(FLASH_KDA_JOB_POOL JOB_POOL flash_kda_compile)
endif()
set(FLASH_KDA_NVCC_THREADS)
if("$ENV{NVCC_THREADS}" GREATER 0)
  set(FLASH_KDA_NVCC_THREADS --threads=$ENV{NVCC_THREADS})
endif()
