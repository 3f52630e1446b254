#pragma once

#include "items.hpp"
#include "said.hpp"

#include <refrain/comm/communicator.hpp>
#include <refrain/judge/options.hpp>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

namespace refrain::judge {

/// How far asking came.
enum class Asked {
  all,
  stopped,  ///< by a signal
  later,    ///< requests were written to be answered elsewhere
  missing,  ///< some requests have no result yet
};

/// Whoever is asked about answers. Collective over all ranks, as a job's parts are.
class Judge {
public:
  virtual ~Judge() = default;

  /// What its word depends on beside its definition and the answers.
  virtual Json identity() const = 0;
  /// Its files, for provenance.
  virtual std::vector<std::filesystem::path> inputs() const { return {}; }
  /// Anything else for provenance.
  virtual Json record() const { return Json::object(); }
  /// The ranks that share the items; others of their rank do the same work and need not keep it.
  virtual comm::Communicator const& group() const = 0;
  virtual bool keeps() const { return true; }  ///< whether this rank keeps what it is told
  /// Asks about `items`, this rank's share. `kept_in`: a folder that all ranks see, for signs of life.
  /// @collective @throws Error
  virtual Asked ask(std::vector<int64_t> const& items, std::filesystem::path const& kept_in, OnSaid const& on_said) = 0;
};

/// What a judge is made from, which must outlive it.
struct Case {
  Options const& options;
  Definition const& definition;
  Items const& items;
  comm::Communicator const& world;
};

/// A checkpoint on these ranks. @collective @throws Error
std::unique_ptr<Judge> checkpoint_judge(Case const& on);
/// A server, or result files of requests that were written before.
std::unique_ptr<Judge> server_judge(Case const& on);
/// Phrases, or fastText's language identification: no model is asked.
std::unique_ptr<Judge> pattern_judge(Case const& on);

}  // namespace refrain::judge
