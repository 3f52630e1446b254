#include <refrain/base/activity.hpp>

#include <atomic>

namespace refrain {
namespace {

std::atomic<int64_t> pieces{0};

}  // namespace

void note_activity() noexcept { pieces.fetch_add(1, std::memory_order_relaxed); }
int64_t activity() noexcept { return pieces.load(std::memory_order_relaxed); }

}  // namespace refrain
