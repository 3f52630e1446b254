#include <refrain/archive/source.hpp>

#include <refrain/base/activity.hpp>
#include <refrain/base/digest.hpp>
#include <refrain/base/file.hpp>
#include <refrain/base/signals.hpp>

#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

namespace refrain::archive {
namespace {

namespace fs = std::filesystem;

int64_t size_of_open(File const& file, fs::path const& path) {
  struct stat info{};
  if (!file.is_open() || ::fstat(file.descriptor(), &info) != 0)
    throw system_error("read the file", {}, {.file = path});
  return static_cast<int64_t>(info.st_size);
}

}  // namespace

Source Source::of_text(std::string text) {
  auto const bytes = static_cast<int64_t>(text.size());
  return {.bytes = bytes, .read = [text = std::move(text)](int64_t offset, std::span<std::byte> out) {
            std::memcpy(out.data(), text.data() + offset, out.size());
          }};
}

Source Source::of_file(fs::path const& path) {
  auto const file = std::make_shared<File>(path, File::Mode::read);
  auto const bytes = size_of_open(*file, path);
  return {.bytes = bytes, .read = [=](int64_t offset, std::span<std::byte> out) {
            bool changed = size_of_open(*file, path) != bytes;
            while (!out.empty() && !changed) {
              auto const n = file->read_some_at(offset, out);
              if (n < 0) throw system_error("read the file", {}, {.file = path});
              changed = n == 0;
              offset += n;
              out = out.subspan(static_cast<std::size_t>(n));
            }
            if (changed)
              throw Error("the file changed while it was read", "start again when no job works here", {.file = path});
          }};
}

Extent Source::stream(int64_t piece,
                      std::function<void(int64_t offset, std::span<std::byte const>)> const& take) const {
  Sha256 digest;
  std::vector<std::byte> buffer(static_cast<std::size_t>(std::min(piece, bytes)));
  for (int64_t offset = 0; offset < bytes; offset += piece) {
    if (stop_requested()) throw Stopped();
    auto const part = std::span(buffer).first(static_cast<std::size_t>(std::min(piece, bytes - offset)));
    read(offset, part);
    digest.update(part);
    take(offset, part);
    note_activity();
  }
  return {.bytes = bytes, .sha256 = digest.hex()};
}

Extent Source::extent() const {
  return stream(usual_piece, [](int64_t, auto) {});
}

}  // namespace refrain::archive
