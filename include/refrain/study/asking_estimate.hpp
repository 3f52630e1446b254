#pragma once

#include <refrain/study/study_file.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace refrain::study {

/// What one device does in a second, from machines.json.
struct DeviceRate {
  double flops = 0;      ///< operations that products reach
  double memory = 0;     ///< bytes that it reads
  double parameter = 2;  ///< bytes of a parameter at most: bf16 on GPUs, fp32 on CPUs
};

/// What a model is asked. Tokens are those of one request.
struct Asked {
  int64_t requests = 0;
  double read = 0;     ///< tokens of the question
  double written = 0;  ///< tokens of the answer
};

/// Seconds that one device takes, by docs/planning.md: two operations a parameter and token (PaLM, arXiv 2204.02311,
/// appendix B), and for each token that is written all parameters read from memory, once for all rows at work (Pope and
/// others, arXiv 2211.05102). Devices that share the work share the seconds; what they send each other is not in it.
double asking_seconds(double parameters, DeviceRate const& device, Asked const& asked);

/// What a job that asks a model takes if answers are as long as they may be: answers to the prompts, or a judge's
/// verdicts on them.
struct AskingEstimate {
  std::string job;  ///< "8b/generate/balanced", "8b/judge/polyguard"
  Stage stage;
  std::string missing{};  ///< why there is no estimate; the rest is 0 then
  Asked asked{};          ///< by all parts of the job; tokens at most
  bool assumed = false;   ///< prompts as many as the paper has
  int nodes = 0, tasks_per_node = 0;
  double gpu_hours = 0;

  double node_hours() const { return tasks_per_node > 0 ? gpu_hours / tasks_per_node : 0; }
};

/// All such jobs of the study. Questions to a server take no hours here.
std::vector<AskingEstimate> estimate_asking(Study const& study);

}  // namespace refrain::study
