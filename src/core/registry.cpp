// The one list of backends, fastest first.
#include "core/backend.hpp"

namespace flash_kda {

std::span<const Backend* const> registry() {
  static const Backend* const backends[] = {
#if defined(FLASH_KDA_HAVE_CUDA)
    &cuda_backend(),
#endif
    &cpu_backend(),
    &reference_backend(),
  };
  return backends;
}

const Backend* find_backend(BackendKind kind) {
  for (const Backend* backend : registry()) {
    if (backend->kind() == kind) return backend;
  }
  return nullptr;
}

}  // namespace flash_kda
