// Version of the library. FLASH_KDA_VERSION_* are the one source: CMake reads them from here.
#pragma once

#include "flash_kda/export.h"

#define FLASH_KDA_VERSION_MAJOR 0
#define FLASH_KDA_VERSION_MINOR 1
#define FLASH_KDA_VERSION_PATCH 0

namespace flash_kda {

// "0.1.0", of the library that is linked (the macros above are those of the header).
FLASH_KDA_API const char* version();

}  // namespace flash_kda
