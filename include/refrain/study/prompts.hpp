#pragma once

#include <refrain/study/settings.hpp>
#include <refrain/study/shared_file.hpp>
#include <refrain/study/subjects.hpp>

#include <filesystem>

namespace refrain::study {

/// The evaluation prompts of a study's models.
struct Prompts {
  std::filesystem::path file;  ///< prompts.h5
  Words line;  ///< the refrain-shard line that makes it; empty where REFRAIN_PROMPTS is that file itself
};

/// Whether REFRAIN_PROMPTS names one prompts.h5.
bool is_sharded(Words const& prompts);

/// Those of REFRAIN_PROMPTS, sharded in the base's folder with its tokenizer, which all models have; their chat
/// template has to be the training pairs' too. @throws Error for REFRAIN_PROMPT_ARGS that set what the study sets
Prompts find_prompts(Settings const& settings, Subject const& base);

/// That file as refrain-shard makes it. @pre the prompts have a line
SharedFile prompts_file(Prompts const& prompts, Settings const& settings);

/// Makes the file once for all models, unless it is there. @throws Error as make_once
void prepare_prompts(Prompts const& prompts, Settings const& settings);

}  // namespace refrain::study
