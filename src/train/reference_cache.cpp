#include <refrain/train/reference_cache.hpp>

#include <refrain/base/digest.hpp>
#include <refrain/base/file.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/launch.hpp>
#include <refrain/base/log.hpp>
#include <refrain/base/sealed_json.hpp>
#include <refrain/h5/reader.hpp>
#include <refrain/h5/writer.hpp>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <random>
#include <span>

namespace refrain::train {
namespace {

namespace fs = std::filesystem;

constexpr char const* key_high_name = "/entry/key_high";
constexpr char const* key_low_name = "/entry/key_low";
constexpr char const* chosen_name = "/entry/chosen_logp";
constexpr char const* rejected_name = "/entry/rejected_logp";
constexpr char const* settings_key = "reference_cache";  ///< of a segment's provenance

bool is_segment(std::string const& name) { return name.starts_with("segment-") && name.ends_with(".h5"); }

/// No other writer's, of any time.
std::string segment_name() {
  std::random_device random;
  std::string name = "segment-";
  for (int i = 0; i < 24; ++i) name += "0123456789abcdef"[random() % 16];
  return name + ".h5";
}

int64_t half(std::string const& hex, std::size_t begin) {
  return static_cast<int64_t>(std::stoull(hex.substr(begin, 16), nullptr, 16));
}

}  // namespace

PairKey pair_key(h5::Pairs const& pairs, int64_t pair) {
  auto const i = static_cast<std::size_t>(pair);
  int64_t const lengths[] = {pairs.prompt_length[i], pairs.chosen_length[i], pairs.rejected_length[i]};
  int64_t const begins[] = {pairs.prompt_begin[i], pairs.chosen_begin[i], pairs.rejected_begin[i]};
  Xxh3 digest;
  digest.update(std::as_bytes(std::span(lengths)));
  for (int part = 0; part < 3; ++part)
    digest.update(
        std::as_bytes(std::span(pairs.tokens)
                          .subspan(static_cast<std::size_t>(begins[part]), static_cast<std::size_t>(lengths[part]))));
  std::string const hex = digest.hex();
  return {half(hex, 0), half(hex, 16)};
}

ReferenceCache::ReferenceCache(fs::path const& folder, Json settings)
    : path_(folder / sha256(dump_text(settings)).substr(0, 32)), settings_(std::move(settings)) {
  std::error_code failed;
  fs::create_directories(path_, failed);
  if (failed)
    throw Error("the reference cache cannot be made: " + failed.message(),
                "give --reference-cache a folder that you may write to", {.file = folder});
}

std::vector<std::string> ReferenceCache::new_segments() const {
  std::vector<std::string> names;
  std::error_code failed;
  for (auto entry = fs::directory_iterator(path_, failed); !failed && entry != fs::directory_iterator();
       entry.increment(failed))
    if (auto name = entry->path().filename().string(); is_segment(name) && !segments_.contains(name))
      names.push_back(std::move(name));
  if (failed) throw Error("the reference cache cannot be read: " + failed.message(), {}, {.file = path_});
  std::sort(names.begin(), names.end());
  return names;
}

ReferenceCache::Entries ReferenceCache::read_segment(fs::path const& segment) const {
  h5::Reader const file(segment, "reference-cache.v1");
  if (!file.provenance().contains(settings_key) ||
      dump_text(file.provenance().at(settings_key)) != dump_text(settings_))
    throw Error("the entries belong to another model or other settings", "do not move segments", {.file = segment});
  auto const high = file.read<int64_t>(key_high_name), low = file.read<int64_t>(key_low_name);
  auto const chosen = file.read<double>(chosen_name), rejected = file.read<double>(rejected_name);
  Entries entries;
  for (std::size_t i = 0; i < high.size(); ++i) entries.insert({{high[i], low[i]}, {chosen[i], rejected[i]}});
  return entries;
}

bool ReferenceCache::refresh() {
  auto const before = entries_.size();
  // Segments may be merged and removed while they are read: the merged one is found when looking again.
  for (bool again = true; again;) {
    again = false;
    for (auto const& name : new_segments()) {
      fs::path const segment = path_ / name;
      segments_.insert(name);
      try {
        entries_.merge(read_segment(segment));
      } catch (Error const& error) {
        if (!File(segment, File::Mode::read).is_open()) {
          if (errno != ENOENT && errno != ESTALE) throw system_error("read the reference cache", {}, {.file = segment});
          again = true;
          continue;
        }
        std::error_code ignored;
        fs::rename(segment, segment.string() + ".damaged", ignored);
        log_warning("a part of the reference cache is set aside as " + name + ".damaged: " + error.what());
      }
    }
  }
  return entries_.size() > before;
}

std::optional<CachedLogps> ReferenceCache::find(PairKey const& key) const {
  auto const found = entries_.find(key);
  if (found == entries_.end()) return std::nullopt;
  return found->second;
}

std::string ReferenceCache::lock() {
  std::string holder;
  lock_ = FolderLock::try_acquire(path_ / "lock", holder);
  if (!lock_) return holder;
  // What a writer that was killed left half written.
  for (auto const& entry : fs::directory_iterator(path_))
    if (auto const name = entry.path().filename().string(); name.starts_with("segment-") && name.ends_with(".h5.tmp")) {
      std::error_code ignored;
      fs::remove(entry.path(), ignored);
    }
  if (!fs::exists(path_ / "settings.json"))
    write_sealed_json(path_ / "settings.json", Json{{"reference_cache", settings_}});
  return {};
}

void ReferenceCache::add(PairKey const& key, CachedLogps const& logps) {
  if (std::isfinite(logps.chosen) && std::isfinite(logps.rejected) && !entries_.contains(key)) added_[key] = logps;
}

std::string ReferenceCache::write_segment(Entries const& entries, Json provenance) const {
  std::vector<int64_t> high, low;
  std::vector<double> chosen, rejected;
  for (auto const& [key, logps] : entries) {
    high.push_back(key.high);
    low.push_back(key.low);
    chosen.push_back(logps.chosen);
    rejected.push_back(logps.rejected);
  }
  provenance[settings_key] = settings_;
  std::string name = segment_name();
  h5::Writer file(path_ / name, "reference-cache.v1", provenance);
  file.write(key_high_name, high);
  file.write(key_low_name, low);
  file.write(chosen_name, chosen);
  file.write(rejected_name, rejected);
  file.finish();
  return name;
}

void ReferenceCache::commit(Json const& provenance) {
  if (!lock_ || added_.empty()) return;
  try {
    lock_->require_held();
    segments_.insert(write_segment(added_, provenance));
    entries_.merge(added_);
    added_.clear();
    if (segments_.size() > most_segments) merge(provenance);
  } catch (std::exception const& error) {
    log_warning("this run goes on without sharing its reference log-probabilities: " + error_text(error));
    unlock();
  }
}

void ReferenceCache::merge(Json const& provenance) {
  refresh();
  std::string const merged = write_segment(entries_, provenance);
  for (auto const& name : segments_) {
    std::error_code ignored;
    fs::remove(path_ / name, ignored);
  }
  segments_ = {merged};
}

}  // namespace refrain::train
