#include <refrain/checkpoint/weights_digest.hpp>

#include <refrain/base/activity.hpp>
#include <refrain/base/digest.hpp>
#include <refrain/base/error.hpp>
#include <refrain/base/file.hpp>
#include <refrain/base/json_file.hpp>
#include <refrain/checkpoint/safetensors.hpp>

#include <algorithm>
#include <vector>

namespace refrain::checkpoint {
namespace {

namespace fs = std::filesystem;

constexpr int64_t piece_size = int64_t{64} << 20;  ///< bytes with a digest of their own: fixed, or ranks would matter
constexpr int64_t block_size = int64_t{4} << 20;

/// Of `length` bytes from `begin` on.
std::string piece_digest(File const& file, fs::path const& path, int64_t begin, int64_t length) {
  Xxh3 digest;
  std::vector<std::byte> block(static_cast<std::size_t>(std::min(block_size, length)));
  for (int64_t done = 0; done < length;) {
    auto const wanted = static_cast<std::size_t>(std::min(block_size, length - done));
    int64_t const got = file.read_some_at(begin + done, std::span(block).first(wanted));
    if (got < 0) throw system_error("read the weights", {}, {.file = path});
    if (got == 0) throw Error("the file ended while it was read", "start again when nobody writes it", {.file = path});
    digest.update(std::span(block).first(static_cast<std::size_t>(got)));
    done += got;
    note_activity();
  }
  return digest.hex();
}

}  // namespace

std::string weights_digest(fs::path const& folder, comm::Communicator const& world) {
  // Rank 0 says which files there are: all ranks then cut the same ones.
  Json files = Json::array();
  std::string digest;
  comm::agree(world, [&] {
    if (world.rank() != 0) return;
    require_model_folder(folder);
    if (fs::exists(folder / "manifest.json")) {
      digest = sha256_file(folder / "manifest.json");
      return;
    }
    for (auto const& path : HuggingFaceSource(folder).files())
      files.push_back({path.filename().string(), fs::file_size(path)});
  });
  files = Json::parse(world.broadcast(dump_text(files), 0));
  if (files.empty()) return world.broadcast(digest, 0);

  Json mine = Json::array();
  comm::agree(world, [&] {
    int64_t number = 0;
    for (auto const& entry : files) {
      fs::path const path = folder / entry[0].get<std::string>();
      auto const size = entry[1].get<int64_t>();
      File const file(path, File::Mode::read);
      if (!file.is_open()) throw system_error("read the weights", {}, {.file = path});
      for (int64_t begin = 0; begin < size; begin += piece_size, ++number)
        if (number % world.size() == world.rank())
          mine.push_back({number, piece_digest(file, path, begin, std::min(piece_size, size - begin))});
    }
  });
  std::vector<std::string> pieces;
  for (auto const& text : world.all_gather(dump_text(mine)))
    for (auto const& piece : Json::parse(text)) {
      auto const number = piece[0].get<std::size_t>();
      pieces.resize(std::max(pieces.size(), number + 1));
      pieces[number] = piece[1].get<std::string>();
    }
  comm::agree(world, [&] { digest = sha256_file(folder / "config.json"); });
  return sha256(dump_text(Json::array({digest, files, pieces})));
}

}  // namespace refrain::checkpoint
