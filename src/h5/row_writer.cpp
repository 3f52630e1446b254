#include <refrain/h5/row_writer.hpp>

namespace refrain::h5 {

void RowWriter::append_bytes(std::string const& name, DType dtype, std::span<std::byte const> values) {
  auto& column = columns_.try_emplace(name, Column{.dtype = dtype, .pending = {}}).first->second;
  column.pending.insert(column.pending.end(), values.begin(), values.end());
  std::size_t const whole = column.pending.size() / growing_chunk_bytes * growing_chunk_bytes;
  // At least one byte stays, so that a column of exactly a chunk is still written as a small one.
  if (whole > 0 && column.pending.size() > growing_chunk_bytes) write_pending(name, column, whole);
}

void RowWriter::append_text(std::string const& name, std::vector<std::string> const& values) {
  auto const [end, first] = text_ends_.try_emplace(name, 0);
  std::vector<int64_t> offsets;
  offsets.reserve(values.size() + 1);
  if (first) offsets.push_back(0);
  std::vector<uint8_t> bytes;
  for (auto const& value : values) {
    bytes.insert(bytes.end(), value.begin(), value.end());
    offsets.push_back(end->second += static_cast<int64_t>(value.size()));
  }
  append(name + "/bytes", bytes);
  append(name + "/offsets", offsets);
}

void RowWriter::write_pending(std::string const& name, Column& column, std::size_t bytes) {
  auto const count = static_cast<int64_t>(bytes / size_of(column.dtype));
  if (!column.created) file_.create_growing(name, column.dtype);
  column.created = true;
  file_.extend(name, column.written + count);
  file_.write_box(name, {column.written}, {count}, std::span(column.pending).first(bytes));
  column.written += count;
  column.pending.erase(column.pending.begin(), column.pending.begin() + static_cast<std::ptrdiff_t>(bytes));
}

Writer& RowWriter::complete() {
  for (auto& [name, column] : columns_) {
    if (column.created) {
      write_pending(name, column, column.pending.size());
      continue;
    }
    Shape const shape{static_cast<int64_t>(column.pending.size() / size_of(column.dtype))};
    file_.create(name, column.dtype, shape);
    file_.write_box(name, {0}, shape, column.pending);
  }
  columns_.clear();
  return file_;
}

void RowWriter::finish() { complete().finish(); }

}  // namespace refrain::h5
