#ifdef REFRAIN_HAVE_PARQUET
#include <refrain/shard/row_reader.hpp>

#include <arrow/array.h>
#include <arrow/io/file.h>
#include <arrow/record_batch.h>
#include <arrow/table.h>
#include <arrow/util/utf8.h>
#include <parquet/arrow/reader.h>
#include <parquet/file_reader.h>
#include <parquet/metadata.h>

#include <string>

namespace refrain::shard {
namespace {

Error damaged(std::string message, std::filesystem::path const& path) {
  message = message.substr(0, message.find('\n'));
  return Error("the Parquet file cannot be read: " + message, "copy or make the file again", {.file = path});
}

template <class T>
T value_of(arrow::Result<T> result, std::filesystem::path const& path) {
  if (!result.ok()) throw damaged(result.status().message(), path);
  return std::move(result).ValueUnsafe();
}

/// One value of a column as JSON. @throws Error for types that no column of ours has
class Converter {
public:
  Converter(std::string column, Place place) : column_(std::move(column)), place_(std::move(place)) {}

  Json json(arrow::Array const& array, int64_t i) const {
    if (array.IsNull(i)) return nullptr;
    using arrow::Type;
    switch (array.type_id()) {
      case Type::NA: return nullptr;
      case Type::BOOL: return number<arrow::BooleanArray>(array, i);
      case Type::INT8: return number<arrow::Int8Array>(array, i);
      case Type::INT16: return number<arrow::Int16Array>(array, i);
      case Type::INT32: return number<arrow::Int32Array>(array, i);
      case Type::INT64: return number<arrow::Int64Array>(array, i);
      case Type::UINT8: return number<arrow::UInt8Array>(array, i);
      case Type::UINT16: return number<arrow::UInt16Array>(array, i);
      case Type::UINT32: return number<arrow::UInt32Array>(array, i);
      case Type::UINT64: return number<arrow::UInt64Array>(array, i);
      case Type::FLOAT: return number<arrow::FloatArray>(array, i);
      case Type::DOUBLE: return number<arrow::DoubleArray>(array, i);
      case Type::STRING: return text(static_cast<arrow::StringArray const&>(array).GetView(i));
      case Type::LARGE_STRING: return text(static_cast<arrow::LargeStringArray const&>(array).GetView(i));
      case Type::LIST: return list(static_cast<arrow::ListArray const&>(array), i);
      case Type::LARGE_LIST: return list(static_cast<arrow::LargeListArray const&>(array), i);
      case Type::FIXED_SIZE_LIST: return list(static_cast<arrow::FixedSizeListArray const&>(array), i);
      case Type::STRUCT: return object(static_cast<arrow::StructArray const&>(array), i);
      case Type::DICTIONARY: {
        auto const& coded = static_cast<arrow::DictionaryArray const&>(array);
        return json(*coded.dictionary(), coded.GetValueIndex(i));
      }
      default:
        throw Error("column " + column_ + " has the type " + array.type()->ToString() + ", which no column of ours has",
                    "leave the column out, or write it as text, numbers or lists of these", place_);
    }
  }

private:
  template <class Array>
  static Json number(arrow::Array const& array, int64_t i) {
    return static_cast<Array const&>(array).Value(i);
  }

  Json text(std::string_view value) const {
    if (!arrow::util::ValidateUTF8(value))
      throw Error("invalid UTF-8 in column " + column_, "write the file in UTF-8", place_);
    return std::string(value);
  }

  template <class List>
  Json list(List const& array, int64_t i) const {
    Json values = Json::array();
    for (int64_t k = 0; k < array.value_length(i); ++k)
      values.push_back(json(*array.values(), array.value_offset(i) + k));
    return values;
  }

  Json object(arrow::StructArray const& array, int64_t i) const {
    Json fields = Json::object();
    for (int k = 0; k < array.num_fields(); ++k) fields[array.type()->field(k)->name()] = json(*array.field(k), i);
    return fields;
  }

  std::string column_;
  Place place_;
};

/// Rows of a Parquet file, a row group in memory at a time.
class Parquet final : public RowReader {
public:
  explicit Parquet(std::filesystem::path path) : path_(std::move(path)) {
    arrow::util::InitializeUTF8();
    guarded([&] {
      auto file = value_of(arrow::io::ReadableFile::Open(path_.string()), path_);
      reader_ = value_of(parquet::arrow::OpenFile(std::move(file), arrow::default_memory_pool()), path_);
      reader_->set_use_threads(false);  // one thread a rank
    });
  }

  bool next() override {
    for (++row_in_batch_; !batch_ || row_in_batch_ >= batch_->num_rows();) {
      row_in_batch_ = 0;
      guarded([&] { next_batch(); });
      if (!batch_) return false;
    }
    ++row_;
    return true;
  }

  Json row() const override {
    Json json = Json::object();
    for (int k = 0; k < batch_->num_columns(); ++k)
      json[batch_->column_name(k)] = Converter(batch_->column_name(k), place()).json(*batch_->column(k), row_in_batch_);
    return json;
  }

  Place place() const override { return {.file = path_, .object = "row " + std::to_string(row_)}; }

  int64_t bytes_read() const override { return bytes_read_; }

private:
  /// Arrow reports some damage as an exception of its own.
  template <class Work>
  void guarded(Work const& work) {
    try {
      work();
    } catch (parquet::ParquetException const& error) {
      throw damaged(error.what(), path_);
    }
  }

  /// @post `batch_` is the next one, or null at the end
  void next_batch() {
    batch_.reset();
    while (!batch_) {
      if (batches_) batch_ = value_of(batches_->Next(), path_);
      if (batch_ || group_ == reader_->num_row_groups()) return;
      bytes_read_ += reader_->parquet_reader()->metadata()->RowGroup(group_)->total_compressed_size();
      table_ = value_of(reader_->ReadRowGroup(group_++), path_);
      // Damage may lie in offsets that nothing has followed yet.
      if (auto const status = table_->ValidateFull(); !status.ok()) throw damaged(status.message(), path_);
      batches_ = std::make_unique<arrow::TableBatchReader>(*table_);
    }
  }

  std::filesystem::path path_;
  std::unique_ptr<parquet::arrow::FileReader> reader_;
  std::shared_ptr<arrow::Table> table_;  ///< outlives `batches_`, which refers to it
  std::unique_ptr<arrow::TableBatchReader> batches_;
  std::shared_ptr<arrow::RecordBatch> batch_;
  int group_ = 0;
  int64_t row_in_batch_ = -1, row_ = -1, bytes_read_ = 0;
};

}  // namespace

std::unique_ptr<RowReader> open_parquet(std::filesystem::path const& path) { return std::make_unique<Parquet>(path); }

}  // namespace refrain::shard
#endif
