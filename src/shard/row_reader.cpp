#include <refrain/shard/row_reader.hpp>

#include <refrain/base/files.hpp>

#include <fstream>
#include <string>

namespace refrain::shard {

std::unique_ptr<RowReader> open_rows(std::filesystem::path const& path, char const* option) {
  require_readable_file(path, option);
  std::string start(4, '\0');
  std::ifstream file(path, std::ios::binary);
  file.read(start.data(), 4);
  start.resize(static_cast<std::size_t>(file.gcount()));
  if (start.empty())
    throw Error("the file is empty", "give " + std::string(option) + " a file of JSON lines or Parquet",
                {.file = path});
  return start == "PAR1" ? open_parquet(path) : open_json_lines(path);
}

}  // namespace refrain::shard
