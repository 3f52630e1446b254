#include <refrain/comm/traffic.hpp>

namespace refrain::comm {

int64_t sent_bytes(Transfer transfer, int64_t bytes, int ranks) noexcept {
  if (transfer != Transfer::all_reduce) return bytes / ranks * (ranks - 1);
  if (bytes * ranks <= small_all_reduce_bytes) return bytes * (ranks - 1);
  return 2 * bytes * (ranks - 1) / ranks;
}

void Traffic::add(Transfer transfer, int64_t bytes, int ranks) noexcept {
  if (ranks == 1) return;
  int64_t const sent = sent_bytes(transfer, bytes, ranks);
  (transfer == Transfer::all_reduce   ? all_reduce
   : transfer == Transfer::all_gather ? all_gather
                                      : reduce_scatter) += sent;
  ++calls;
}

}  // namespace refrain::comm
