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
  auto const add_name = [&] {
    table.positional("NAME", options.names, "training configuration, such as dpo_70b_balanced", 1, 1);
  };
  auto const add_studies = [&] {
    table.positional("STUDY...", options.names, "training configurations; else REFRAIN_STUDY", 0);
  };

  table.command(options.command, "member",
                "Train one member of a configuration's sweep; the scripts in slurm/ end in this. REFRAIN_MODEL, "
                "REFRAIN_PAIRS and REFRAIN_RUNS must be set; docs/cluster.md explains these and the rest.");
  add_name();
  table.add("index", options.index, "member of the sweep, from 0; in a Slurm array its index", {.least = 0});
  add_launcher();
  add_common();

  table.command(
      options.command, "submit",
      "Submit the members of a configuration's sweep that have neither finished nor a job, as one array. It is "
      "throttled to REFRAIN_DISK_TB and the site's limit on jobs; docs/sweeps.md tells more.");
  add_name();
  table.flag("failed", options.failed, "submit those members alone that have failed")
      .add("after", options.after, "begin once this job has ended well", "JOB");
  add_common();

  table.command(
      options.command, "rank",
      "Rank the members of a configuration's sweep by their dev split: accuracy and margin of held-out pairs, "
      "and attack success on dev prompts where answers to them were judged.");
  add_name();
  add_common();

  table.command(options.command, "prune",
                "Say which members of a configuration's sweep their dev split ranks behind the best, and drop their "
                "weights if told to. Metrics, settings, answers and verdicts stay.");
  add_name();
  table
      .add("keep", options.keep, "as many of the best members keep their weights, and equals of the last", {.least = 1})
      .required()
      .add("by", options.by, "what the best are the best by")
      .flag("drop-weights", options.drop_weights, "drop the others' final/ and checkpoints/; without it nothing goes");
  add_common();

  table.command(
      options.command, "shard",
      "Shard the training pairs of all studies and the prompts of REFRAIN_PROMPTS, which the jobs behind it find "
      "then; slurm/shard.sh ends in this.");
  add_studies();
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
                "slurm/judge.sh ends in this. REFRAIN_JUDGE names one of them, which judges alone then.");
  add_studies();
  add_launcher();
  add_common();

  table.command(options.command, "adjudicate",
                "Decide between the guards, each of which has judged in a job of its own; slurm/adjudicate.sh ends in "
                "this.");
  add_studies();
  add_launcher();
  add_common();

  table.command(options.command, "report",
                "Make the report over all models' verdicts and training runs; slurm/report.sh ends in this.");
  add_studies();
  add_common();

  table.command(options.command, "archive",
                "Put all runs and reports under REFRAIN_RUNS into REFRAIN_RUNS.h5; slurm/archive.sh ends in this.");
  table.flag("dry-run", options.dry_run, "print the line that would be started, and start nothing");

  table
      .command(
          options.command, "run",
          "Submit the jobs of a study as a file describes it: those that are neither made nor under way, as many as "
          "the site allows; docs/studies.md explains the file.")
      .positional("FILE", options.files, "a study's file, or the name of one in slurm/studies", 1, 1)
      .flag("wave", options.wave, "leave what has failed; slurm/study.sh says this")
      .flag("dry-run", options.dry_run, "print the jobs, their sbatch lines, hours and disk, and submit nothing");

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
