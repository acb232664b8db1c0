#include "plan_cache.hpp"

#include <cstdlib>
#include <string>
#include <unordered_map>

namespace flash_kda::python {
namespace {

// A server sees a few hundred shapes; past this the cache starts anew rather than growing forever.
constexpr std::size_t kMaxPlans = 1024;

template <typename Struct>
void append_bytes(std::string& key, const Struct& value) {
  key.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

struct FreeDeleter {
  void operator()(void* memory) const { std::free(memory); }
};

}  // namespace

PlanHandle find_or_make_plan(const flash_kda_problem& problem,
                             const flash_kda_plan_options& options, int device_index,
                             flash_kda_status* status) {
  static auto& plans = *new std::unordered_map<std::string, PlanHandle>;
  std::string key;
  key.reserve(sizeof(problem) + sizeof(options) + sizeof(device_index));
  append_bytes(key, problem);
  append_bytes(key, options);
  append_bytes(key, device_index);
  *status = FLASH_KDA_OK;
  if (const auto found = plans.find(key); found != plans.end()) return found->second;

  flash_kda_plan* plan = nullptr;
  *status = flash_kda_plan_create(&problem, &options, &plan);
  if (*status != FLASH_KDA_OK) return nullptr;
  PlanHandle handle(plan, &flash_kda_plan_destroy);
  if (plans.size() >= kMaxPlans) plans.clear();  // running calls hold their own reference
  plans.emplace(std::move(key), handle);
  return handle;
}

void* host_workspace(std::size_t bytes) {
  constexpr std::size_t kAlignment = 64;
  thread_local std::unique_ptr<void, FreeDeleter> memory;
  thread_local std::size_t capacity = 0;
  if (bytes > capacity) {
    const std::size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    memory.reset(std::aligned_alloc(kAlignment, rounded));
    capacity = memory ? rounded : 0;
  }
  return memory.get();
}

}  // namespace flash_kda::python
