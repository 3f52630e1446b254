#include "fixtures.hpp"

#include <catch2/catch.hpp>

#include <refrain/base/sealed_json.hpp>
#include <refrain/h5/reader.hpp>
#include <refrain/train/reference_cache.hpp>

#include <sys/stat.h>

#include <limits>
#include <set>

using namespace refrain;
using namespace refrain::testing;
using namespace refrain::train;
namespace fs = std::filesystem;

namespace {

Json const settings{{"weights", "abc"}, {"dtype", "fp32"}};

h5::Pairs pairs_of(std::vector<std::vector<int32_t>> const& parts) {
  h5::Pairs pairs;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    auto& begins = i % 3 == 0 ? pairs.prompt_begin : i % 3 == 1 ? pairs.chosen_begin : pairs.rejected_begin;
    auto& lengths = i % 3 == 0 ? pairs.prompt_length : i % 3 == 1 ? pairs.chosen_length : pairs.rejected_length;
    begins.push_back(static_cast<int64_t>(pairs.tokens.size()));
    lengths.push_back(static_cast<int32_t>(parts[i].size()));
    pairs.tokens.insert(pairs.tokens.end(), parts[i].begin(), parts[i].end());
    if (i % 3 == 2) pairs.row_id.push_back(static_cast<int64_t>(i));
  }
  return pairs;
}

std::set<std::string> files_with(fs::path const& folder, std::string const& ending) {
  std::set<std::string> names;
  for (auto const& entry : fs::directory_iterator(folder))
    if (auto const name = entry.path().filename().string(); name.ends_with(ending)) names.insert(name);
  return names;
}

/// Writes entries {number, 0} -> (number, -number), a segment for each of `numbers`.
void fill(fs::path const& folder, std::vector<int64_t> const& numbers) {
  ReferenceCache cache(folder, settings);
  REQUIRE(cache.lock().empty());
  for (auto const number : numbers) {
    auto const value = static_cast<double>(number);
    cache.add({number, 0}, {value, -value});
    cache.commit(Json::object());
  }
}

}  // namespace

TEST_CASE("a pair's key is its tokens and where its parts end, and nothing else") {
  auto const pairs = pairs_of({{1, 2}, {3}, {4, 5}, {7}, {7}, {7}, {1, 2}, {3}, {4, 5}});
  CHECK(pair_key(pairs, 0) == pair_key(pairs, 2));
  CHECK(pair_key(pairs, 0) != pair_key(pairs, 1));
  // The same tokens, cut elsewhere; answers exchanged; one token less.
  auto const others =
      pairs_of({{1, 2, 3}, {4}, {5}, {1}, {2, 3}, {4, 5}, {1, 2}, {4, 5}, {3}, {1, 2}, {3}, {4}, {1, 2}, {3}, {4, 6}});
  std::set<PairKey> keys{pair_key(pairs, 0)};
  for (int64_t i = 0; i < others.size(); ++i) keys.insert(pair_key(others, i));
  CHECK(keys.size() == 6);
  // What files hold must stay findable: the key of a fixed pair never changes.
  auto const key = pair_key(pairs, 0);
  CHECK(key.high == -541123538413740087);
  CHECK(key.low == -7625290564879177042);
}

TEST_CASE("what one run committed another one finds, bit for bit") {
  TemporaryFolder const folder;
  PairKey const key{-5, std::numeric_limits<int64_t>::min()};
  ReferenceCache reader(folder.path / "cache", settings);
  CHECK_FALSE(reader.refresh());
  {
    ReferenceCache writer(folder.path / "cache", settings);
    REQUIRE(writer.lock().empty());
    writer.add(key, {-0.1, -1e300});
    writer.add({1, 1}, {std::numeric_limits<double>::quiet_NaN(), 0});
    writer.commit(Json{{"program", "test"}});
    CHECK(reader.lock().starts_with("process "));
  }
  CHECK(reader.refresh());
  CHECK_FALSE(reader.refresh());
  CHECK(reader.size() == 1);  // what is not finite is not kept
  REQUIRE(reader.find(key));
  CHECK(reader.find(key)->chosen == -0.1);
  CHECK(reader.find(key)->rejected == -1e300);
  CHECK_FALSE(reader.find({-5, 0}));
  CHECK(reader.lock().empty());
  CHECK(read_sealed_json(reader.path() / "settings.json").at("reference_cache") == settings);
}

TEST_CASE("other settings find nothing") {
  TemporaryFolder const folder;
  fill(folder.path, {1});
  for (auto const& [name, value] : {std::pair{"weights", "abd"}, {"dtype", "bf16"}}) {
    Json other = settings;
    other[name] = value;
    ReferenceCache cache(folder.path, other);
    CHECK_FALSE(cache.refresh());
  }
}

TEST_CASE("many segments become one, also under a reader's eyes") {
  TemporaryFolder const folder;
  fill(folder.path, {1, 2});
  ReferenceCache reader(folder.path, settings);
  CHECK(reader.refresh());
  std::vector<int64_t> numbers;
  for (int64_t i = 3; i < 30; ++i) numbers.push_back(i);
  fill(folder.path, numbers);
  CHECK(files_with(reader.path(), ".h5").size() <= ReferenceCache::most_segments);
  CHECK(reader.refresh());
  CHECK(reader.size() == 29);
  ReferenceCache later(folder.path, settings);
  CHECK(later.refresh());
  for (int64_t i = 1; i < 30; ++i) {
    REQUIRE(later.find({i, 0}));
    CHECK(later.find({i, 0})->rejected == -static_cast<double>(i));
  }
}

TEST_CASE("a damaged segment is set aside, the others are used") {
  TemporaryFolder const folder;
  fill(folder.path, {1, 2});
  fs::path const part = ReferenceCache(folder.path, settings).path();
  std::string const victim = *files_with(part, ".h5").begin();
  auto const damage = GENERATE(0, 1, 2);
  std::string text = read_file(part / victim);
  if (damage == 0) text.resize(text.size() / 2);
  if (damage == 1) text.clear();
  if (damage == 2) {
    auto const file = h5::Reader(part / victim);
    double const value = file.read<double>("/entry/chosen_logp").at(0);
    auto const at = text.find(std::string(reinterpret_cast<char const*>(&value), sizeof value));
    REQUIRE(at != std::string::npos);
    text[at + 6] ^= 1;
  }
  write_file_atomically(part / victim, text);
  ReferenceCache cache(folder.path, settings);
  CHECK(cache.refresh());
  CHECK(cache.size() == 1);
  CHECK(files_with(part, ".damaged") == std::set{victim + ".damaged"});
  CHECK(files_with(part, ".h5").size() == 1);
}

TEST_CASE("a segment of another model's cache is not trusted") {
  TemporaryFolder const folder;
  fill(folder.path, {1});
  Json const other{{"weights", "other"}};
  ReferenceCache cache(folder.path, other);
  for (auto const& entry : fs::directory_iterator(ReferenceCache(folder.path, settings).path()))
    if (entry.path().extension() == ".h5") fs::copy_file(entry.path(), cache.path() / entry.path().filename());
  CHECK_FALSE(cache.refresh());
  CHECK(files_with(cache.path(), ".damaged").size() == 1);
}

TEST_CASE("a commit without the lock, or after it was lost, writes nothing and harms nothing") {
  TemporaryFolder const folder;
  ReferenceCache cache(folder.path, settings);
  cache.add({1, 0}, {1, 1});
  cache.commit(Json::object());
  CHECK(files_with(cache.path(), ".h5").empty());
  REQUIRE(cache.lock().empty());
  fs::remove(cache.path() / "lock");
  cache.commit(Json::object());
  CHECK(files_with(cache.path(), ".h5").empty());
}

TEST_CASE("what a killed writer left half written is removed by the next") {
  TemporaryFolder const folder;
  ReferenceCache cache(folder.path, settings);
  write_file_atomically(cache.path() / "segment-0123.h5.tmp", "half");
  REQUIRE(cache.lock().empty());
  CHECK_FALSE(fs::exists(cache.path() / "segment-0123.h5.tmp"));
}

TEST_CASE("a file in the cache's place is one clear line") {
  TemporaryFolder const folder;
  auto const file = folder.write("file", "");
  auto const error = thrown_by([&] { ReferenceCache(file, settings); });
  REQUIRE(error);
  CHECK(error->problem() == "the reference cache cannot be made: Not a directory");
  CHECK(error->place().file == file);
}
