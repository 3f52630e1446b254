#include <refrain/archive/rewrite.hpp>

#include <refrain/archive/source.hpp>
#include <refrain/h5/writer.hpp>

#include <algorithm>
#include <functional>

namespace refrain::archive {
namespace {

/// The dataset in boxes of whole chunks along its first axis.
void in_pieces(h5::Reader const& file, std::string const& name,
               std::function<void(Shape const& start, Shape const& count, std::span<std::byte const>)> const& take) {
  auto const& info = file.info(name);
  if (element_count(info.shape) == 0) return;
  auto count = info.shape;
  Shape start(count.size(), 0);
  auto const whole = element_count(count) * static_cast<int64_t>(size_of(info.dtype));
  int64_t step = 1;
  if (!count.empty()) {
    int64_t const row = whole / count[0], chunk = info.chunk.empty() ? 1 : info.chunk[0];
    step = std::max<int64_t>(chunk, usual_piece / std::max<int64_t>(row, 1) / chunk * chunk);
  }
  std::vector<std::byte> buffer;
  for (int64_t at = 0; at < (count.empty() ? 1 : info.shape[0]); at += step) {
    if (!count.empty()) {
      start[0] = at;
      count[0] = std::min(step, info.shape[0] - at);
    }
    buffer.resize(static_cast<std::size_t>(element_count(count)) * size_of(info.dtype));
    file.read_box(name, start, count, buffer);
    take(start, count, buffer);
  }
}

/// The part of a text column's name before /bytes or /offsets; the name itself for another.
std::string column_of(h5::Reader const& file, std::string const& name) {
  auto const column = name.substr(0, name.rfind('/'));
  return file.contains_text(column) ? column : name;
}

}  // namespace

void rewrite(h5::Reader const& from, std::filesystem::path const& to, Json const& provenance, Columns const& columns) {
  h5::Writer out(to, from.schema(), provenance);
  for (auto const& [name, info] : from.datasets()) {
    if (columns.contains(column_of(from, name))) continue;
    out.create(name, info.dtype, info.shape);
    in_pieces(from, name,
              [&](Shape const& start, Shape const& count, auto values) { out.write_box(name, start, count, values); });
  }
  for (auto const& [name, column] : columns)
    std::visit(
        [&]<class T>(std::vector<T> const& values) {
          if constexpr (std::is_same_v<T, std::string>)
            out.write_text(name, values);
          else
            out.write(name, values);
        },
        column);
  for (auto const& [group, kind] : from.kinds()) out.attribute(group, "kind", kind);
  out.finish();
}

void read_through(h5::Reader const& file) {
  for (auto const& [name, info] : file.datasets()) {
    in_pieces(file, name, [](Shape const&, Shape const&, auto) {});
    if (auto const column = column_of(file, name); column != name && name.ends_with("/bytes")) file.read_text(column);
  }
}

}  // namespace refrain::archive
