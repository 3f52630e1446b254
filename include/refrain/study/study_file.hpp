#pragma once

#include <refrain/study/guards.hpp>
#include <refrain/study/settings.hpp>
#include <refrain/study/stage.hpp>
#include <refrain/study/subjects.hpp>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace refrain::study {

/// One model of a study, with everything that its jobs are told.
struct StudyModel {
  std::string size;                ///< of its configurations' names: "8b"
  std::vector<std::string> pairs;  ///< what the configurations train on, as their names say it: "balanced"
  Environment variables;           ///< REFRAIN_* that the file sets, REFRAIN_RUNS and REFRAIN_STUDY among them
  std::map<Stage, Words> sbatch;   ///< further options of sbatch
  Settings settings;               ///< what a job reads that is told all of them
  std::vector<Guard> guards;
  std::vector<Subject> subjects;  ///< the members of all configurations, the base last

  /// Of the sweep, which all configurations share.
  std::size_t members() const { return (subjects.size() - 1) / pairs.size(); }
  /// Those variables that jobs of a stage read. REFRAIN_STUDY is left out: it differs from job to job.
  Environment variables_of(Stage stage) const;
};

/// A study: models and configurations, what they are trained on, asked and judged by, as slurm/studies/NAME.json says
/// it. What it leaves out the environment gives (env/site.sh).
struct Study {
  std::filesystem::path file;
  std::string name;              ///< the file's, without .json
  std::filesystem::path folder;  ///< REFRAIN_RUNS/NAME: the run folders and the study's state
  std::string machine;           ///< of refrain-train --plan; empty if the file names none
  std::vector<StudyModel> models;
};

/// Reads a study's file and checks all of it against the environment: names, folders, judges and sweeps.
/// @throws Error naming the file and the key; UsageError as read_settings for what neither file nor environment sets
Study read_study(std::filesystem::path const& file, Environment const& environment);

/// The file behind a name: a path, or a name in slurm/studies ("paper" is paper.json there).
/// @throws UsageError that lists the studies there are
std::filesystem::path find_study(std::string const& name);

}  // namespace refrain::study
