#include <refrain/study/member.hpp>

namespace refrain::study {

OptionTable Options::table(Options& options) {
  OptionTable table("study", "Says which job runs where, with which options, and starts it. Needs no MPI itself.");
  table
      .command(options.command, "member",
               "Train one member of a configuration's sweep; the scripts in slurm/ end in this. REFRAIN_MODEL, "
               "REFRAIN_PAIRS and "
               "REFRAIN_RUNS must be set; docs/cluster.md explains these and the rest.")
      .positional("NAME", options.names, "training configuration, such as dpo_8b_balanced", 1, 1)
      .add("index", options.index, "member of the sweep, from 0; in a Slurm array its index", {.least = 0})
      .add("launcher", options.launcher,
           "srun, mpirun or a whole command such as \"mpirun -n 2\"; else REFRAIN_LAUNCHER", "COMMAND")
      .add("sweep", options.sweep, "path or name of the sweep's table; else REFRAIN_SWEEP, else default", "TABLE")
      .flag("dry-run", options.dry_run, "print the lines that would be started, and start nothing");
  return table;
}

}  // namespace refrain::study
