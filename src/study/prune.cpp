#include <refrain/base/counted.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/folder_lock.hpp>
#include <refrain/base/json_file.hpp>
#include <refrain/base/log.hpp>
#include <refrain/base/provenance.hpp>
#include <refrain/study/prune.hpp>

#include <algorithm>
#include <iostream>

namespace refrain::study {

namespace fs = std::filesystem;

namespace {

/// What holds weights in a run folder.
constexpr char const* weights[] = {"final", "checkpoints"};

int64_t bytes_in(fs::path const& folder) {
  int64_t bytes = 0;
  if (!fs::exists(folder)) return bytes;
  for (auto const& entry : fs::recursive_directory_iterator(folder))
    if (!entry.is_symlink() && entry.is_regular_file()) bytes += static_cast<int64_t>(entry.file_size());
  return bytes;
}

int64_t weights_bytes(fs::path const& run) {
  int64_t bytes = 0;
  for (auto const* name : weights) bytes += bytes_in(run / name);
  return bytes;
}

/// The record stands before anything goes: a start that is cut off here has finished and been pruned, and another prune
/// goes on.
void drop(fs::path const& run, RankedMember const& member, std::string const& by, int64_t bytes) {
  std::vector<FolderLock> locks;  // who trains it again, and who answers with it
  for (auto const* name : {"lock", "responses.h5.lock", "dev/responses.h5.lock"})
    if (fs::exists((run / name).parent_path())) locks.push_back(FolderLock::acquire(run / name));
  write_json(run / "pruned.json", {{"time", utc_now()},
                                   {"host", host_name()},
                                   {"by", by},
                                   {"place", *member.place},
                                   {"value", member.value},
                                   {"bytes", bytes}});
  for (auto const* name : weights) fs::remove_all(run / name);
}

int64_t count_placed(std::vector<RankedMember> const& members) {
  return std::count_if(members.begin(), members.end(),
                       [](RankedMember const& member) { return member.place.has_value(); });
}

/// Why no more goes than does.
void say_who_stays(SweepRequest const& sweep, std::string const& by, int64_t placed, int64_t staying, int64_t keep) {
  auto const all = static_cast<int64_t>(sweep.members.size());
  if (placed < all)
    log_line(std::to_string(placed) + " of " + counted(all, "member") + " have a place by " + by +
             " yet: the others keep their weights");
  log_line(counted(staying, "ranked member keeps its weights", "ranked members keep their weights") +
           (staying > keep ? ": the best " + std::to_string(keep) + ", and " +
                                 counted(staying - keep, "equal of the last", "equals of the last")
                           : ""));
}

}  // namespace

std::vector<RankedMember> losers(std::vector<RankedMember> const& ranked, int64_t keep) {
  if (count_placed(ranked) <= keep) return {};
  auto const last = *ranked[static_cast<std::size_t>(keep - 1)].place;
  std::vector<RankedMember> behind;
  std::copy_if(ranked.begin(), ranked.end(), std::back_inserter(behind),
               [&](RankedMember const& member) { return member.place && *member.place > last; });
  return behind;
}

Exit run_prune(Options const& options) {
  auto const sweep = read_sweep_request(options, {});
  bool const drops = options.drop_weights && !options.dry_run;
  auto const by = choice_name(options.by);
  auto const ranked = rank_members(sweep, by.substr(by.find('-') + 1));
  std::vector<RankedMember> whole, pruned;
  for (auto const& member : ranked)
    (RunFolder(sweep.folder() / member.folder).pruned() ? pruned : whole).push_back(member);
  auto going = losers(whole, *options.keep);
  say_who_stays(sweep, by, count_placed(ranked), count_placed(whole) - static_cast<int64_t>(going.size()),
                *options.keep);
  // Of a prune that was cut off something is left.
  std::copy_if(pruned.begin(), pruned.end(), std::back_inserter(going),
               [](RankedMember const& member) { return member.place.has_value(); });
  int64_t all = 0;
  for (auto const& member : going) {
    auto const run = sweep.folder() / member.folder;
    auto const bytes = weights_bytes(run);
    if (bytes == 0) continue;  // they went before
    if (drops) drop(run, member, by, bytes);
    all += bytes;
    std::cout << member.folder << "  place " << *member.place << "  " << by << " " << short_value(member.value) << "  "
              << format_bytes(static_cast<double>(bytes)) << "\n";
  }
  std::cout << format_bytes(static_cast<double>(all)) << (drops ? " dropped" : " would go") << "\n" << std::flush;
  if (!drops && all > 0) log_line("nothing was dropped: --drop-weights does it");
  return Exit::success;
}

}  // namespace refrain::study
