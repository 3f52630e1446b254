#include <refrain/base/launch.hpp>
#include <refrain/comm/communicator.hpp>

#include "mpi_check.hpp"
#include "waiting.hpp"

#include <algorithm>
#include <numeric>
#include <optional>

namespace refrain::comm {
namespace {

enum class Ownership { borrowed, owned };

bool mpi_runs() {
  int started = 0, ended = 0;
  MPI_Initialized(&started);
  if (started) MPI_Finalized(&ended);
  return started && !ended;
}

template <class T>
T reduced(MPI_Comm comm, T value, MPI_Datatype type, MPI_Op op) {
  Waiting const waiting;
  T result{};
  check(MPI_Allreduce(&value, &result, 1, type, op, comm), "MPI_Allreduce");
  return result;
}

void broadcast_bytes(MPI_Comm comm, char* data, std::size_t size, int root) {
  Waiting const waiting;
  for (std::size_t at = 0; at < size; at += largest_message)
    check(MPI_Bcast(data + at, static_cast<int>(std::min(largest_message, size - at)), MPI_BYTE, root, comm),
          "MPI_Bcast");
}

}  // namespace

struct Communicator::State {
  MPI_Comm handle = MPI_COMM_NULL;  ///< null for a process that runs without MPI
  Ownership ownership = Ownership::borrowed;
  int rank = 0, size = 1;

  State() = default;
  State(MPI_Comm comm, Ownership owner) : handle(comm), ownership(owner) {
    check(MPI_Comm_rank(handle, &rank), "MPI_Comm_rank");
    check(MPI_Comm_size(handle, &size), "MPI_Comm_size");
  }
  ~State() {
    if (ownership == Ownership::owned && handle != MPI_COMM_NULL && mpi_runs()) MPI_Comm_free(&handle);
  }
  State(State const&) = delete;
  State& operator=(State const&) = delete;
};

Communicator::Communicator(std::shared_ptr<State> state) : state_(std::move(state)) {}

Communicator Communicator::world() {
  return mpi_runs() ? Communicator(std::make_shared<State>(MPI_COMM_WORLD, Ownership::borrowed)) : single();
}

Communicator Communicator::single() { return Communicator(std::make_shared<State>()); }

Communicator Communicator::split(int color, int key) const {
  Waiting const waiting;
  if (native() == MPI_COMM_NULL) return *this;
  MPI_Comm part = MPI_COMM_NULL;
  check(MPI_Comm_split(native(), color, key, &part), "MPI_Comm_split");
  return Communicator(std::make_shared<State>(part, Ownership::owned));
}

Communicator Communicator::split_by_node() const {
  Waiting const waiting;
  if (native() == MPI_COMM_NULL) return *this;
  MPI_Comm part = MPI_COMM_NULL;
  check(MPI_Comm_split_type(native(), MPI_COMM_TYPE_SHARED, rank(), MPI_INFO_NULL, &part), "MPI_Comm_split_type");
  return Communicator(std::make_shared<State>(part, Ownership::owned));
}

int Communicator::rank() const noexcept { return state_->rank; }
int Communicator::size() const noexcept { return state_->size; }
MPI_Comm Communicator::native() const noexcept { return state_->handle; }

void Communicator::barrier() const {
  Waiting const waiting;
  if (size() > 1) check(MPI_Barrier(native()), "MPI_Barrier");
}

void Communicator::broadcast(std::span<std::byte> bytes, int root) const {
  if (size() > 1) broadcast_bytes(native(), reinterpret_cast<char*>(bytes.data()), bytes.size(), root);
}

std::string Communicator::broadcast(std::string const& text, int root) const {
  Waiting const waiting;
  if (size() == 1) return text;
  auto length = static_cast<int64_t>(text.size());
  check(MPI_Bcast(&length, 1, MPI_INT64_T, root, native()), "MPI_Bcast");
  std::string result = rank() == root ? text : std::string(static_cast<std::size_t>(length), '\0');
  broadcast_bytes(native(), result.data(), result.size(), root);
  return result;
}

std::vector<std::string> Communicator::gather(std::string const& text, int root) const {
  Waiting const waiting;
  if (size() == 1) return {text};
  std::vector<int64_t> const lengths = all_gather(static_cast<int64_t>(text.size()));
  std::vector<std::string> all;
  if (rank() != root) {
    for (std::size_t at = 0; at < text.size(); at += largest_message)
      check(MPI_Send(text.data() + at, static_cast<int>(std::min(largest_message, text.size() - at)), MPI_BYTE, root, 0,
                     native()),
            "MPI_Send");
    return all;
  }
  for (int from = 0; from < size(); ++from) {
    std::string part(static_cast<std::size_t>(lengths[static_cast<std::size_t>(from)]), '\0');
    if (from == root)
      part = text;
    else
      for (std::size_t at = 0; at < part.size(); at += largest_message)
        check(MPI_Recv(part.data() + at, static_cast<int>(std::min(largest_message, part.size() - at)), MPI_BYTE, from,
                       0, native(), MPI_STATUS_IGNORE),
              "MPI_Recv");
    all.push_back(std::move(part));
  }
  return all;
}

std::vector<std::string> Communicator::all_gather(std::string const& text) const {
  Waiting const waiting;
  if (size() == 1) return {text};
  std::vector<int64_t> const lengths = all_gather(static_cast<int64_t>(text.size()));
  int64_t const total = std::accumulate(lengths.begin(), lengths.end(), int64_t{0});
  std::vector<std::string> all;
  if (total > static_cast<int64_t>(largest_message)) {
    for (int from = 0; from < size(); ++from) all.push_back(broadcast(text, from));
    return all;
  }
  std::vector<int> const counts(lengths.begin(), lengths.end());
  std::vector<int> starts(counts.size());
  std::exclusive_scan(counts.begin(), counts.end(), starts.begin(), 0);
  std::string joined(static_cast<std::size_t>(total), '\0');
  check(MPI_Allgatherv(text.data(), static_cast<int>(text.size()), MPI_BYTE, joined.data(), counts.data(),
                       starts.data(), MPI_BYTE, native()),
        "MPI_Allgatherv");
  for (std::size_t from = 0; from < counts.size(); ++from)
    all.push_back(joined.substr(static_cast<std::size_t>(starts[from]), static_cast<std::size_t>(counts[from])));
  return all;
}

int64_t Communicator::sum(int64_t value) const {
  return size() == 1 ? value : reduced(native(), value, MPI_INT64_T, MPI_SUM);
}
int64_t Communicator::max(int64_t value) const {
  return size() == 1 ? value : reduced(native(), value, MPI_INT64_T, MPI_MAX);
}
int64_t Communicator::min(int64_t value) const {
  return size() == 1 ? value : reduced(native(), value, MPI_INT64_T, MPI_MIN);
}
double Communicator::max(double value) const {
  return size() == 1 ? value : reduced(native(), value, MPI_DOUBLE, MPI_MAX);
}

std::vector<int64_t> Communicator::all_gather(int64_t value) const {
  Waiting const waiting;
  std::vector<int64_t> all(static_cast<std::size_t>(size()), value);
  if (size() > 1) check(MPI_Allgather(&value, 1, MPI_INT64_T, all.data(), 1, MPI_INT64_T, native()), "MPI_Allgather");
  return all;
}

}  // namespace refrain::comm
