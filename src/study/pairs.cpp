#include <refrain/base/error.hpp>
#include <refrain/study/pairs.hpp>
#include <refrain/study/program_options.hpp>

namespace refrain::study {

namespace fs = std::filesystem;

namespace {

/// The first member folder in which training has begun, or an empty path.
fs::path find_begun(fs::path const& folder) {
  for (auto const& entry : fs::directory_iterator(folder))
    if (entry.is_directory() && fs::exists(entry.path() / "run.json")) return entry.path();
  return {};
}

}  // namespace

fs::path dev_pairs(Settings const& settings, fs::path const& folder) {
  auto const given = [&](std::string const& option) {
    return !pick_options(settings.shard_args, {option}, "REFRAIN_SHARD_ARGS").empty();
  };
  return given("--dev-fraction") && !given("--dev-out") ? folder / "dev.h5" : fs::path{};
}

Words shard_line(fs::path const& program, Configuration const& configuration, Settings const& settings,
                 fs::path const& out) {
  Words line{program.string(), "--pairs"};
  line.insert(line.end(), settings.pairs.begin(), settings.pairs.end());
  line.insert(line.end(),
              {"--tokenizer", settings.model.string(), "--configuration", configuration.pairs, "--out", out.string()});
  if (auto const dev = dev_pairs(settings, out.parent_path()); !dev.empty())
    line.insert(line.end(), {"--dev-out", dev.string()});
  Words const merged = add_args(Words(line.begin() + 1, line.end()), settings.shard_args, {"REFRAIN_SHARD_ARGS"});
  line.resize(1);
  line.insert(line.end(), merged.begin(), merged.end());
  return line;
}

SharedFile pairs_file(Words const& line, Settings const& settings, fs::path const& folder) {
  auto const refuse_if_begun = [folder] {
    if (auto const begun = find_begun(folder); !begun.empty())
      throw Error(
          "pairs.h5 was made from other files or options than REFRAIN_PAIRS and REFRAIN_SHARD_ARGS name now, and " +
              begun.filename().string() + " has begun to train on it",
          "set REFRAIN_RUNS to another folder, or remove this one", {.file = folder});
  };
  return {.path = folder / "pairs.h5",
          .line = line,
          .inputs = settings.pairs,
          .tokenizer = settings.model,
          .before_another = refuse_if_begun};
}

fs::path prepare_pairs(Words const& line, Settings const& settings, fs::path const& folder) {
  auto const file = pairs_file(line, settings, folder);
  make_once(file);
  return file.path;
}

}  // namespace refrain::study
