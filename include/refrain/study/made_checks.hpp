#pragma once

#include <refrain/study/configuration.hpp>
#include <refrain/study/evaluation.hpp>
#include <refrain/study/settings.hpp>
#include <refrain/study/subjects.hpp>
#include <refrain/study/sweep.hpp>

#include <filesystem>
#include <string>

/// Whether what stands on disk was made with the settings that a study has now. The programs refuse other ones
/// themselves, but what is made is not started again. Each throws Error for a `job` of the study whose results were
/// made otherwise: with what differs and what to do.
namespace refrain::study {

/// What decides the result of a program and is not as in the start that made `work`, by the record of starts: "made
/// with --epochs 1, and the study says --epochs 3". Layout and speed may differ. Empty where nothing does, and where
/// nothing is on record. @param line the program and its options now
std::string other_options(std::filesystem::path const& work, Words const& line);

/// Of a member, and of the pairs that it has begun to train on.
void check_training(std::string const& job, Subject const& subject, Configuration const& configuration,
                    SweepMember const& member, Settings const& settings);

/// Of a model's answers. @param base the model before training, whose tokenizer the prompts have
void check_answers(std::string const& job, Subject const& subject, Subject const& base, Settings const& settings);

/// Of a judge's verdicts on all answers.
void check_verdicts(std::string const& job, RowsProgram const& judge);

}  // namespace refrain::study
