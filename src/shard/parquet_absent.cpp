#ifndef REFRAIN_HAVE_PARQUET
#include <refrain/shard/row_reader.hpp>

namespace refrain::shard {

std::unique_ptr<RowReader> open_parquet(std::filesystem::path const& path) {
  throw Error(
      "the file is Parquet, which this build cannot read",
      "configure with -DREFRAIN_PARQUET=ON -DREFRAIN_PYARROW=DIR (the folder of an installed pyarrow), or convert the "
      "file to JSON lines",
      {.file = path});
}

}  // namespace refrain::shard
#endif
