#include <refrain/shard/job.hpp>

#include <refrain/base/files.hpp>
#include <refrain/base/log.hpp>
#include <refrain/base/provenance.hpp>
#include <refrain/shard/collect.hpp>
#include <refrain/shard/sides.hpp>
#include <refrain/shard/summary.hpp>

#include <fstream>
#include <iostream>

namespace refrain::shard {
namespace {

Provenance make_provenance(Options const& options) {
  Provenance provenance("refrain-shard", options.record);
  for (auto const& file : options.inputs()) provenance.add_input(file);
  provenance.add_input(options.tokenizer);
  if (auto const file = options.tokenizer / "chat_template.jinja"; std::filesystem::exists(file))
    provenance.add_input(file);
  if (options.chat_template.ends_with(".json")) provenance.add_input(options.chat_template);
  provenance.add_input(options.language_sets.empty() ? data_file("shard/language_sets.json") : options.language_sets);
  return provenance;
}

/// What decides the content of an output: not where it lies, by whom and when it was made.
Json content_key(Json const& provenance) {
  Json options = provenance.value("options", Json::object());
  for (char const* name : {"out", "dev-out", "overwrite", "config"}) options.erase(name);
  return {provenance.value("program", ""), provenance.value("version", ""), options,
          provenance.value("inputs", Json::object())};
}

void check_output(Options const& options, std::filesystem::path const& path) {
  if (options.for_pairs())
    h5::read_pairs(path);
  else
    h5::read_prompts(path);
}

bool begins_as_hdf5(std::filesystem::path const& path) {
  std::string start(8, '\0');
  std::ifstream(path, std::ios::binary).read(start.data(), static_cast<std::streamsize>(start.size()));
  return start == "\x89HDF\r\n\x1a\n";
}

/// Whether all outputs are there already, made from the same input with the same options.
/// @throws Error if one is there that is not, and --overwrite is not given
bool already_made(Options const& options, Provenance const& provenance) {
  std::size_t found = 0, outputs = 0;
  for (auto const& path : {options.out, options.dev_out}) {
    if (path.empty()) continue;
    ++outputs;
    if (std::filesystem::is_directory(path)) throw Error("the output is a folder", "name a file", {.file = path});
    if (!std::filesystem::exists(path)) continue;
    if (!begins_as_hdf5(path))
      throw Error("the output exists and is no HDF5 file", "give another name, or remove it yourself", {.file = path});
    if (options.overwrite) continue;
    Json made;
    try {
      made = h5::read_provenance(path);
      check_output(options, path);
    } catch (Error const& error) {
      throw Error("the output exists and is no sound file of this kind: " + error.problem(),
                  "give another name, or --overwrite to replace it", {.file = path});
    }
    if (content_key(made) != content_key(Json::parse(provenance.text())))
      throw Error("the output exists and was made from other input or with other options",
                  "give another name, or --overwrite to replace it", {.file = path});
    ++found;
  }
  return found == outputs;
}

void write_side(Options const& options, std::filesystem::path const& path, Collected const& collected,
                std::vector<std::size_t> const& taken, Json const& provenance) {
  if (options.for_pairs())
    h5::write_pairs(path, make_pairs(collected.rows, taken), provenance);
  else
    h5::write_prompts(path, make_prompts(collected.rows, taken), provenance);
}

std::string foreign_marks_warning(Options const& options, Collected const& collected) {
  return Error("chat template " + collected.template_name + " writes " + collected.foreign_marks +
                   " as mere text: the tokenizer has no such tokens",
               "name a template that belongs to the model: --chat-template",
               {.file = options.tokenizer / "tokenizer.json"})
      .what();
}

}  // namespace

Exit run(Options const& options, comm::Communicator const& world) {
  LanguageSets sets;
  std::vector<std::string> languages;
  std::optional<Provenance> provenance;
  bool finished = false;
  comm::agree(world, [&] {
    sets = LanguageSets::load(options.language_sets);
    languages = sets.languages_needed(options.configuration);
    if (world.rank() != 0) return;
    provenance.emplace(make_provenance(options));
    finished = already_made(options, *provenance);
  });
  if (world.max(int64_t{finished}) != 0) {
    log_line(options.out.string() + (options.dev_fraction ? " and " + options.dev_out.string() + " are" : " is") +
             " there already, made from the same input with the same options");
    return Exit::success;
  }

  Collected const collected = collect_rows(options, languages, world);
  if (!collected.foreign_marks.empty()) log_warning(foreign_marks_warning(options, collected));
  comm::agree(world, [&] {
    if (world.rank() != 0) return;
    provenance->set("chat_template", collected.template_name);
    if (!collected.template_date.empty()) provenance->set("template_date", collected.template_date);
    provenance->set("ranks", world.size());
    Sides const sides = choose_sides(options, sets, collected.rows);
    if (options.dev_fraction) write_side(options, options.dev_out, collected, sides.dev, provenance->json());
    write_side(options, options.out, collected, sides.out, provenance->json());
    std::cout << summary(options, collected.rows, sides) << std::flush;
  });
  return Exit::success;
}

}  // namespace refrain::shard
