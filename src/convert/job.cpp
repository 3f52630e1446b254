#include <refrain/convert/job.hpp>

#include "commands.hpp"

#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>

#include <map>

namespace refrain::convert {

namespace {

std::map<std::string, Exit (*)(Options const&, comm::Communicator const&)> const commands{
    {"import", import_model}, {"export", export_model},  {"init", init_model},
    {"verify", verify_paths}, {"inspect", inspect_path},
};

}  // namespace

OptionTable Options::table(Options& options) {
  OptionTable table("convert", "Models into checkpoints and back, and what is in any of Refrain's files");
  table
      .command(options.command, "import",
               "a Hugging Face folder (safetensors), or an adapter of PEFT's, becomes a checkpoint")
      .add("model", options.model, "folder with config.json and safetensors weights, or with PEFT's two files",
           "HF_DIR")
      .required()
      .add("out", options.out, "checkpoint folder to make", "CKPT")
      .required()
      .add("dtype", options.dtype, "type of the weights in the checkpoint");
  table
      .command(options.command, "export",
               "a checkpoint becomes a folder that transformers loads; an adapter's one that PEFT loads")
      .add("checkpoint", options.checkpoint, "checkpoint, resumable or not", "CKPT")
      .required()
      .add("out", options.out, "folder to make", "HF_DIR")
      .required()
      .flag("merge", options.merge, "an adapter becomes a whole model: that of --base with the adapter added")
      .add("base", options.base, "the adapter's model, for --merge", "CKPT|HF_DIR");
  table.command(options.command, "init", "a model of random weights by transformers' rule")
      .add("model-config", options.model_config, "config.json of the model", "FILE")
      .required()
      .add("tokenizer", options.tokenizer, "folder whose tokenizer and chat template are copied", "DIR")
      .add("seed", options.seed, "the same seed gives the same bytes", {.least = 0})
      .required()
      .add("out", options.out, "checkpoint folder to make", "CKPT")
      .required();
  table.command(options.command, "verify", "checks schemas and digests; exit code 0 or 1")
      .positional("PATH", options.paths, "checkpoints, run folders, reference caches, HDF5 files", 1);
  table.command(options.command, "inspect", "prints what a file or folder holds")
      .positional("PATH", options.paths, "a model's folder, a run folder, a reference cache or an HDF5 file", 1, 1);
  return table;
}

void Options::validate() const {
  if (!model.empty()) require_folder(model, "--model");
  if (!checkpoint.empty()) require_folder(checkpoint, "--checkpoint");
  if (merge && base.empty()) throw UsageError("--merge needs the adapter's model", "name it with --base");
  if (!merge && !base.empty()) throw UsageError("--base belongs to --merge", "give both, or leave it out");
  if (!base.empty()) require_folder(base, "--base");
  if (!model_config.empty()) require_readable_file(model_config, "--model-config");
  if (!tokenizer.empty()) require_folder(tokenizer, "--tokenizer");
}

Exit run(Options const& options, comm::Communicator const& world) {
  return commands.at(options.command)(options, world);
}

}  // namespace refrain::convert
