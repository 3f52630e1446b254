#include <refrain/archive/options.hpp>

#include <refrain/base/files.hpp>
#include <refrain/base/guarded_category.hpp>

namespace refrain::archive {

namespace fs = std::filesystem;

OptionTable Options::table(Options& options) {
  OptionTable table("archive", "Runs and studies in one HDF5 file, and back. Needs no MPI.");
  table.command(options.command, "create", "puts runs and studies into an archive")
      .positional("DIR", options.paths, "run folders, and folders of runs", 1)
      .add("out", options.out, "archive to make", "FILE.h5")
      .required()
      .flag("add", options.add, "if the archive is there, add to it what it does not have yet")
      .flag("replace", options.replace,
            "if the archive is there, make it anew: the old one stays until the new one is whole")
      .add("weights", options.weights, "final: take each run's final/ too")
      .add("compression", options.compression, "deflate's level, 0 for none", Range<int64_t>{.least = 0, .most = 9})
      .flag("include-text", options.include_text,
            "take answers that are unsafe, undecided or not judged with their text, which may be harmful, and pairs")
      .add("include-category", options.include_categories,
           "S4: take text of this category, or of none, too (docs/archive.md says why it is left out)", "S4")
      .flag("anonymous", options.anonymous,
            "leave out hosts, paths, users, accounts and job ids, for double-blind review");
  table.command(options.command, "verify", "checks every byte of archives; exit code 0 or 1")
      .positional("FILE.h5", options.paths, "archives", 1);
  table.command(options.command, "list", "prints an archive's runs and files, and what was left out")
      .positional("FILE.h5", options.paths, "an archive", 1, 1);
  table.command(options.command, "restore", "puts the files of an archive into a folder again")
      .add("archive", options.archive, "archive to restore from", "FILE.h5")
      .required()
      .add("out", options.out, "folder that runs are put into; made if need be", "DIR")
      .required()
      .add("run", options.run, "one run alone, by its name in the archive", "NAME")
      .flag("overwrite", options.overwrite, "replace files that are there");
  table
      .command(options.command, "diff",
               "prints what differs between runs: settings, inputs, versions, results; exit code 0 same, 1 different, "
               "2 trouble")
      .positional("DIR|FILE.h5[:RUN]", options.paths, "two runs, studies or archives", 2, 2);
  return table;
}

void Options::validate() {
  if (command == "restore") require_readable_file(archive, "--archive");
  if (command != "create") return;
  for (auto const& path : paths) require_folder(path, "DIR");
  if (fs::is_directory(out))
    throw UsageError("--out names a folder, where a file is wanted", "name a file", {.file = out});
  if (auto const folder = fs::absolute(out).parent_path(); !fs::is_directory(folder))
    throw UsageError("--out names a file in a folder that does not exist", "make the folder first", {.file = out});
  if (add && replace) throw UsageError("--add and --replace contradict each other", "leave one of them out");
  check_included(include_categories, include_text);
  if (anonymous && weights == Weights::final)
    throw UsageError("--anonymous and --weights final contradict each other: a checkpoint's files name paths",
                     "leave one of them out");
}

}  // namespace refrain::archive
