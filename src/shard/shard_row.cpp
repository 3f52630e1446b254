#include <refrain/shard/shard_row.hpp>

#include <cstring>

namespace refrain::shard {
namespace {

template <class T>
void put(T value, std::string& bytes) {
  bytes.append(reinterpret_cast<char const*>(&value), sizeof value);
}

/// A string or a vector of numbers: its length and its elements.
template <class Sequence>
void put_all(Sequence const& values, std::string& bytes) {
  put(values.size(), bytes);
  bytes.append(reinterpret_cast<char const*>(values.data()), values.size() * sizeof values[0]);
}

template <class T>
void take(std::string_view& bytes, T& value) {
  std::memcpy(&value, bytes.data(), sizeof value);
  bytes.remove_prefix(sizeof value);
}

template <class Sequence>
void take_all(std::string_view& bytes, Sequence& values) {
  std::size_t size = 0;
  take(bytes, size);
  values.resize(size);
  std::size_t const length = size * sizeof values[0];
  if (length > 0) std::memcpy(values.data(), bytes.data(), length);
  bytes.remove_prefix(length);
}

}  // namespace

void pack_row(ShardRow const& row, std::string& bytes) {
  put(row.labels.row_id, bytes);
  for (auto const* text :
       {&row.labels.id, &row.labels.language, &row.labels.category, &row.labels.style, &row.text, &row.turns})
    put_all(*text, bytes);
  put(row.wanted, bytes);
  put(row.tokens.drop, bytes);
  put(row.tokens.chosen_cut, bytes);
  put(row.tokens.rejected_cut, bytes);
  for (auto const* ids : {&row.tokens.ids.prompt, &row.tokens.ids.chosen, &row.tokens.ids.rejected})
    put_all(*ids, bytes);
}

void unpack_rows(std::string_view bytes, std::vector<ShardRow>& rows) {
  while (!bytes.empty()) {
    ShardRow& row = rows.emplace_back();
    take(bytes, row.labels.row_id);
    for (auto* text :
         {&row.labels.id, &row.labels.language, &row.labels.category, &row.labels.style, &row.text, &row.turns})
      take_all(bytes, *text);
    take(bytes, row.wanted);
    take(bytes, row.tokens.drop);
    take(bytes, row.tokens.chosen_cut);
    take(bytes, row.tokens.rejected_cut);
    for (auto* ids : {&row.tokens.ids.prompt, &row.tokens.ids.chosen, &row.tokens.ids.rejected}) take_all(bytes, *ids);
  }
}

}  // namespace refrain::shard
