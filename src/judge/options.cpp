#include <refrain/judge/options.hpp>

#include <refrain/base/files.hpp>
#include <refrain/judge/definition.hpp>

#include <utility>

namespace refrain::judge {
namespace {

namespace fs = std::filesystem;

using NamedFiles = std::vector<std::pair<std::string, fs::path>>;

void require_inputs(std::vector<fs::path> const& files, std::string const& option, NamedFiles& all) {
  for (auto const& file : files) {
    require_readable_file(file, option);
    all.emplace_back(option, file);
  }
}

void require_outputs(std::vector<fs::path> const& files, std::string const& option, NamedFiles& all) {
  for (auto const& file : files) {
    require_folder(fs::absolute(file).parent_path(), option);
    if (fs::is_directory(file)) throw UsageError(option + " names a folder", "name a file", {.file = file});
    all.emplace_back(option, file);
  }
}

}  // namespace

OptionTable Options::table(Options& o) {
  OptionTable table("judge", "Asks a judge about answers: a guard model, a rubric, phrases, or which language it is.");
  table.group("Input and output")
      .add("judge", o.judge,
           "who judges: a shipped judge's name or a file of your own (docs/judges.md); or merge, which joins verdict "
           "files",
           "NAME|FILE.json")
      .required()
      .add("responses", o.responses,
           "answers, made by refrain-generate; several files answer the same prompts, and what their requests share is "
           "computed once",
           "FILE.h5...")
      .add(
          "verdicts", o.verdicts,
          "verdicts of guards on the same answers: the judge is asked only where they differ, and decides; with merge, "
          "the files to join",
          "FILE.h5...")
      .add("out", o.out, "verdicts, a file for each of --responses; what is finished is kept in FILE.h5.parts",
           "FILE.h5...")
      .required();
  table.group("Judging")
      .add("language-model", o.language_model, "fastText's model for the judge of languages: lid.176.ftz or .bin",
           "FILE")
      .add("chat-template", o.chat_template,
           "chat template of a judge that is asked by chat: a known one's name, a file, or auto (the checkpoint's)",
           "NAME|FILE.json|auto")
      .add("show-prompt", o.show_prompt, "shows the judge the prompt too, where it can do without")
      .add("guards", o.guards, "judges of --verdicts whose agreement decides; without it all of kind safety", "NAME...")
      .add("adjudicator", o.adjudicator, "with merge: the judge whose word counts where guards differ", "NAME");
  o.add_to(table, "judges");
  return table;
}

void Options::validate() const {
  NamedFiles files;
  require_inputs(responses, "--responses", files);
  require_inputs(verdicts, "--verdicts", files);
  endpoint.validate();
  for (auto const& file : endpoint.batch_in) files.emplace_back("--batch-in", file);
  if (judge.ends_with(".json")) files.emplace_back("--judge", judge);
  if (!language_model.empty()) files.emplace_back("--language-model", language_model);
  require_outputs(out, "--out", files);
  if (!endpoint.batch_out.empty()) require_outputs({endpoint.batch_out}, "--batch-out", files);
  if (merges()) {
    validate_merge();
    return require_distinct_files(files);
  }
  if (adjudicator != Options().adjudicator)
    throw UsageError("--adjudicator is given without --judge merge", "take it away: with --verdicts, --judge decides");
  auto const definition = Definition::load(judge);
  if (responses.empty())
    throw UsageError("--responses is missing", "name files with answers, made by refrain-generate");
  if (responses.size() != out.size())
    throw UsageError("--responses names " + std::to_string(responses.size()) + " files, --out " +
                         std::to_string(out.size()),
                     "name a file of verdicts for each file of answers");
  if (adjudicates() && responses.size() > 1)
    throw UsageError("--verdicts is given with " + std::to_string(responses.size()) + " files of answers",
                     "adjudicate one file at a time");
  if (adjudicates() && definition.kind != Kind::safety)
    throw UsageError("--verdicts is given, and " + definition.name + " is no judge of safety",
                     "take --verdicts away, and join the files by --judge merge");
  if (!adjudicates() && !guards.empty())
    throw UsageError("--guards is given without --verdicts", "name the files that have these judges' verdicts");
  validate_source(definition);
  require_distinct_files(files);
}

void Options::validate_merge() const {
  if (verdicts.empty()) throw UsageError("--verdicts is missing", "name the files that are to be joined");
  if (out.size() != 1) throw UsageError("--out names " + std::to_string(out.size()) + " files", "name one");
  if (!responses.empty()) throw UsageError("--judge merge reads no --responses", "take it away");
  if (has_checkpoint() || has_server() || !language_model.empty())
    throw UsageError("--judge merge asks nobody", "take --checkpoint, --endpoint and --language-model away");
  if (chat_template != Options().chat_template || !show_prompt)
    throw UsageError("--judge merge asks nobody", "take --chat-template and --show-prompt away");
}

void Options::validate_source(Definition const& definition) const {
  bool const asks_model = definition.question.has_value(), by_language = definition.kind == Kind::language;
  if (!asks_model && (has_checkpoint() || has_server()))
    throw UsageError("judge " + definition.name + " asks no model", "take --checkpoint and --endpoint away");
  if (by_language && language_model.empty())
    throw UsageError("--language-model is missing", "name fastText's lid.176.ftz or lid.176.bin");
  if (!by_language && !language_model.empty())
    throw UsageError("judge " + definition.name + " uses no --language-model",
                     "take it away, or name --judge language");
  if (by_language) require_readable_file(language_model, "--language-model");
  if (!has_checkpoint() && !model.first_changed().empty())
    throw UsageError(model.first_changed() + " is given without --checkpoint", "name the checkpoint, or take it away");
  if (!asks_model && (chat_template != Options().chat_template || !show_prompt))
    throw UsageError("judge " + definition.name + " asks no model", "take --chat-template and --show-prompt away");
  if (!asks_model) return;
  if (has_checkpoint() && has_server())
    throw UsageError("both a checkpoint and a server are to be asked", "give --checkpoint or --endpoint");
  if (!has_checkpoint() && !has_server())
    throw UsageError("judge " + definition.name + " asks a model, and none is named",
                     "give --checkpoint, or --endpoint with --model");
  if (has_checkpoint()) model.validate();
  if (has_server()) validate_server(definition);
  Question const& question = *definition.question;
  if (chat_template != Options().chat_template && !question.guard_template.empty())
    throw UsageError("judge " + definition.name + " has a chat template of its own", "take --chat-template away");
  if (!show_prompt && question.user_without_prompt.empty())
    throw UsageError("judge " + definition.name + " cannot do without the prompt",
                     "take --show-prompt off away, or name a judge that has 'user_without_prompt'");
}

void Options::validate_server(Definition const& definition) const {
  Question const& question = *definition.question;
  if (endpoint.model.empty())
    throw UsageError("--model is missing", "name the model that the requests of --batch-out were for");
  if (!question.guard_template.empty())
    throw UsageError("judge " + definition.name + " is asked by tokens, not by chat",
                     "give its --checkpoint, or a judge of your own that asks by chat (docs/judges.md)");
  if (!question.answer_begins.empty() || (definition.answers.label_tokens && !definition.answers.label))
    throw UsageError("judge " + definition.name + " begins the answer or reads likelihoods, which servers do not offer",
                     "give --checkpoint, or a judge that reads 'label' and has no 'answer_begins'");
  if (chat_template != Options().chat_template)
    throw UsageError("--chat-template is given without --checkpoint", "take it away: a server has its own");
}

}  // namespace refrain::judge
