#pragma once

#include "items.hpp"
#include "verdicts_under_way.hpp"

#include <refrain/comm/communicator.hpp>
#include <refrain/judge/options.hpp>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

namespace refrain::judge {

/// How far asking came.
enum class AskOutcome {
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
  /// Asks about `items`, this rank's share, in any order. @returns the same on every rank. @collective @throws Error
  virtual AskOutcome ask(std::vector<int64_t> const& items, Recorder& recorder) = 0;
};

/// What a judge is made from, which must outlive it.
struct JudgeInputs {
  Options const& options;
  Definition const& definition;
  Items const& items;
  comm::Communicator const& world;
};

/// A checkpoint on these ranks. @collective @throws Error
std::unique_ptr<Judge> checkpoint_judge(JudgeInputs const& inputs);
/// A server, or result files of requests that were written before. @throws Error
std::unique_ptr<Judge> server_judge(JudgeInputs const& inputs);
/// Phrases, or fastText's language identification: no model is asked. @collective @throws Error
std::unique_ptr<Judge> pattern_judge(JudgeInputs const& inputs);

}  // namespace refrain::judge
