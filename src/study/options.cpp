#include <refrain/study/options.hpp>

namespace refrain::study {

OptionTable Options::table(Options& options) {
  OptionTable table("study", "Says which job runs where, with which options, and starts it. Needs no MPI itself.");
  auto const add_launcher = [&] {
    table.add("launcher", options.launcher,
              "srun, mpirun or a whole command such as \"mpirun -n 2\"; else REFRAIN_LAUNCHER", "COMMAND");
  };
  auto const add_common = [&] {
    table.add("sweep", options.sweep, "path or name of the sweep's table; else REFRAIN_SWEEP, else default", "TABLE")
        .flag("dry-run", options.dry_run, "print the lines that would be started, and start nothing");
  };
  auto const add_studies = [&] {
    table.positional("STUDY...", options.names, "training configurations; else REFRAIN_STUDY", 0);
  };

  table
      .command(options.command, "member",
               "Train one member of a configuration's sweep; the scripts in slurm/ end in this. REFRAIN_MODEL, "
               "REFRAIN_PAIRS and "
               "REFRAIN_RUNS must be set; docs/cluster.md explains these and the rest.")
      .positional("NAME", options.names, "training configuration, such as dpo_8b_balanced", 1, 1)
      .add("index", options.index, "member of the sweep, from 0; in a Slurm array its index", {.least = 0});
  add_launcher();
  add_common();

  table.command(options.command, "generate",
                "Let one trained model, or the model before training, answer the prompts of REFRAIN_PROMPTS; "
                "slurm/generate.sh ends in this.");
  add_studies();
  table.add("index", options.index,
            "member, from 0, through all studies; the number behind the last is the model before training. In a Slurm "
            "array its index",
            {.least = 0});
  add_launcher();
  add_common();

  table.command(options.command, "judge",
                "Let the judges of REFRAIN_GUARDS judge all answers, each judge loaded once, and decide between them; "
                "slurm/judge.sh ends in this.");
  add_studies();
  add_launcher();
  add_common();

  table.command(options.command, "report",
                "Make the report over all models' verdicts and training runs; slurm/report.sh ends in this.");
  add_studies();
  add_common();

  table
      .command(options.command, "status",
               "One table of all training runs: state, step, loss, accuracy, rate, time left, restarts, steps done "
               "again, node hours, answers, verdicts, last error. From their files, and squeue where there is one.")
      .positional("FOLDER...", options.names, "runs, or folders that hold them; else REFRAIN_RUNS", 0)
      .flag("watch", options.watch, "look again and again, until it is stopped")
      .add("interval", options.interval, "seconds between two looks", {.least = 0, .most = {}, .least_excluded = true})
      .flag("json", options.json, "as JSON, an object a run; with --watch a line for each look")
      .add("html", options.html, "write index.html there too: the table with curves, in one file", "DIR");

  table.command(
      options.command, "doctor",
      "Try what jobs here depend on - launcher, programs, GPUs, REFRAIN_RUNS, Slurm's settings, variables - and "
      "say in a line each what works, what is broken and what to change. Exit code 1 if anything is broken. "
      "Run it on the login node, and inside an allocation, where it tries srun too.");
  add_launcher();
  table.add("sweep", options.sweep, "path or name of the sweep's table; else REFRAIN_SWEEP, else default", "TABLE");
  return table;
}

}  // namespace refrain::study
