#include <refrain/comm/collectives.hpp>

#include <refrain/base/trace.hpp>

namespace refrain::comm {
namespace {

char const* part_of(Lane lane) {
  switch (lane) {
    case Lane::gather: return "gather parameters";
    case Lane::reduce: return "reduce gradients";
    case Lane::compute: break;
  }
  return "exchange activations";
}

}  // namespace

void Collectives::note(Transfer transfer, Buffer const& whole, Lane lane) {
  traffic_[static_cast<std::size_t>(lane)].add(
      transfer, static_cast<int64_t>(whole.count) * static_cast<int64_t>(size_of(whole.type)), size());
}

Ticket Collectives::all_reduce(Buffer inout, ReduceOp op, Lane lane) {
  trace::Span const span(part_of(lane), "all-reduce");
  note(Transfer::all_reduce, inout, lane);
  return start_all_reduce(inout, op, lane);
}

Ticket Collectives::reduce_scatter(Buffer out, Buffer in, Lane lane) {
  trace::Span const span(part_of(lane), "reduce-scatter");
  note(Transfer::reduce_scatter, in, lane);
  return start_reduce_scatter(out, in, lane);
}

Ticket Collectives::all_gather(Buffer out, Buffer in, Lane lane) {
  trace::Span const span(part_of(lane), "all-gather");
  note(Transfer::all_gather, out, lane);
  return start_all_gather(out, in, lane);
}

}  // namespace refrain::comm
