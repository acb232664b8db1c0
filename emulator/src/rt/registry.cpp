// Registration of fat binaries, kernels and variables, which host objects do before main().
#include <map>
#include <mutex>
#include <vector>

#include "exec/memory.hpp"
#include "mutate/mutation.hpp"
#include "rt/fatbin.hpp"
#include "rt/state.hpp"

namespace emulator::rt {
namespace {

struct Binary {
  const void* fatbin = nullptr;
  bool loaded = false;
  std::unique_ptr<Module> module;
  std::string error;
};

struct Variable {
  Binary* binary;
  std::string name;
};

struct Book {
  std::recursive_mutex mutex;
  std::vector<std::unique_ptr<Binary>> binaries;
  std::map<const void*, Function> functions;
  std::map<const void*, Variable> variables;
};

// Never destroyed: host objects register and unregister outside of main().
Book& book() {
  static auto* b = new Book;
  return *b;
}

// A module is loaded when something in it is first used.
void load(Binary& b) {
  if (b.loaded) return;
  b.loaded = true;
  FatbinChoice choice = choose_ptx(b.fatbin, device().major, device().minor);
  if (choice.ptx.empty()) {
    b.error = choice.error;
    explain(b.error);
    return;
  }
  b.module = load_module(mutate::apply_environment(std::move(choice.ptx)));
  if (b.module->errors.empty()) return;
  b.error = format_text("module not loaded: %zu problem(s)", b.module->errors.size());
  for (const auto& e : b.module->errors) b.error += "\n  " + e;
  explain(b.error);
}

}  // namespace

Function* find_function(const void* host) {
  std::lock_guard lock(book().mutex);
  auto it = book().functions.find(host);
  if (it == book().functions.end()) {
    // A cudaKernel_t from __cudaGetKernel is the Function itself.
    for (auto& [key, f] : book().functions)
      if (&f == host) return f.kernel ? &f : nullptr;
    return nullptr;
  }
  Function& f = it->second;
  if (!f.kernel) {
    auto* b = static_cast<Binary*>(f.module);
    load(*b);
    if (b->error.empty()) f.kernel = b->module->find(f.name);
  }
  return f.kernel ? &f : nullptr;
}

cudaError_t load_error(const void* host) {
  std::lock_guard lock(book().mutex);
  auto it = book().functions.find(host);
  if (it == book().functions.end()) return cudaErrorInvalidDeviceFunction;
  const auto* b = static_cast<Binary*>(it->second.module);
  if (b->module && !b->module->errors.empty()) return cudaErrorInvalidPtx;
  return b->error.empty() ? cudaErrorInvalidDeviceFunction : cudaErrorNoKernelImageForDevice;
}

bool find_variable(const void* host, GlobalVariable& out) {
  std::lock_guard lock(book().mutex);
  auto it = book().variables.find(host);
  if (it == book().variables.end()) return false;
  load(*it->second.binary);
  if (!it->second.binary->module) return false;
  auto& globals = it->second.binary->module->globals;
  auto g = globals.find(it->second.name);
  if (g == globals.end()) return false;
  out = g->second;
  return true;
}

}  // namespace emulator::rt

using namespace emulator::rt;

extern "C" {

void** __cudaRegisterFatBinary(void* fatbin) {
  keep_summary();
  std::lock_guard lock(book().mutex);
  book().binaries.push_back(std::make_unique<Binary>());
  book().binaries.back()->fatbin = fatbin;
  return reinterpret_cast<void**>(book().binaries.back().get());
}

void __cudaRegisterFatBinaryEnd(void**) {}
void __cudaUnregisterFatBinary(void**) {}
char __cudaInitModule(void**) { return 1; }

void __cudaRegisterFunction(void** handle, const char* host, char*, const char* name, int, uint3*,
                            uint3*, dim3*, dim3*, int*) {
  std::lock_guard lock(book().mutex);
  Function& f = book().functions[host];
  f.name = name;
  f.module = handle;
}

void __cudaRegisterVar(void** handle, char* host, char*, const char* name, int, size_t, int, int) {
  std::lock_guard lock(book().mutex);
  book().variables[host] = {reinterpret_cast<Binary*>(handle), name};
}

void __cudaRegisterManagedVar(void** handle, void** host, char*, const char* name, int, size_t, int,
                              int) {
  std::lock_guard lock(book().mutex);
  book().variables[host] = {reinterpret_cast<Binary*>(handle), name};
}

cudaError_t CUDARTAPI cudaGetSymbolAddress(void** address, const void* symbol) {
  emulator::GlobalVariable v;
  if (!find_variable(symbol, v)) return remember(cudaErrorInvalidSymbol);
  *address = reinterpret_cast<void*>(v.address);
  return cudaSuccess;
}

cudaError_t CUDARTAPI cudaGetSymbolSize(size_t* size, const void* symbol) {
  emulator::GlobalVariable v;
  if (!find_variable(symbol, v)) return remember(cudaErrorInvalidSymbol);
  *size = v.bytes;
  return cudaSuccess;
}

cudaError_t __cudaGetKernel(cudaKernel_t* kernel, const void* host) {
  Function* f = find_function(host);
  *kernel = reinterpret_cast<cudaKernel_t>(f);
  return f ? cudaSuccess : remember(load_error(host));
}

cudaError_t CUDARTAPI cudaGetKernel(cudaKernel_t* kernel, const void* host) {
  return __cudaGetKernel(kernel, host);
}

}  // extern "C"
