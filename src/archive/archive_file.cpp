#include <refrain/archive/archive_file.hpp>

#include <refrain/base/error.hpp>
#include <refrain/base/launch.hpp>
#include <refrain/base/sealed_json.hpp>

#include <set>

namespace refrain::archive {
namespace {

constexpr char manifest_name[] = "/manifest";

Manifest read_manifest(h5::Reader const& file) {
  auto const bytes = file.read<uint8_t>(manifest_name);
  return Manifest::from_json(parse_sealed_json({reinterpret_cast<char const*>(bytes.data()), bytes.size()},
                                               {.file = file.path(), .object = manifest_name}),
                             file.path());
}

}  // namespace

std::string dataset_of(std::string const& path) { return "/files/" + path; }

ArchiveFile::ArchiveFile(std::filesystem::path const& path)
    : file_(path, "archive.v1"), manifest_(read_manifest(file_)) {}

Source ArchiveFile::source(StoredFile const& file) const {
  auto const name = dataset_of(file.path);
  auto const& info = file_.info(name);
  if (info.shape != Shape{file.stored.bytes})
    throw Error("has " + to_string(info.shape) + " bytes, the manifest says " + std::to_string(file.stored.bytes),
                "restore the archive from a copy, or make it again", {.file = path(), .object = name});
  return {.bytes = file.stored.bytes, .read = [this, name](int64_t offset, std::span<std::byte> out) {
            file_.read_box(name, {offset}, {static_cast<int64_t>(out.size())}, out);
          }};
}

Extent ArchiveFile::stream(StoredFile const& file,
                           std::function<void(int64_t offset, std::span<std::byte const>)> const& take) const {
  auto const& chunk = file_.info(dataset_of(file.path)).chunk;
  return source(file).stream(chunk.empty() ? usual_piece : chunk.front(), take);
}

std::vector<std::string> ArchiveFile::problems() const {
  std::vector<std::string> problems;
  std::set<std::string> known{manifest_name};
  for (auto const& file : manifest_.files) try {
      known.insert(dataset_of(file.path));
      if (stream(file, [](int64_t, auto) {}) != file.stored)
        throw Error("the bytes do not match their SHA-256", "restore the archive from a copy, or make it again",
                    {.file = path(), .object = dataset_of(file.path)});
    } catch (Stopped const&) {
      throw;
    } catch (std::exception const& error) {
      problems.push_back(error_text(error));
    }
  for (auto const& [name, info] : file_.datasets())
    if (!known.contains(name))
      problems.push_back(Error("is not in the manifest", "files of ours never have this; make the archive again",
                               {.file = path(), .object = name})
                             .what());
  return problems;
}

}  // namespace refrain::archive
