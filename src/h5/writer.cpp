#include <refrain/h5/writer.hpp>

#include <refrain/base/activity.hpp>
#include <refrain/base/digest.hpp>
#include <refrain/base/files.hpp>
#include <refrain/h5/schema.hpp>

#include <algorithm>
#include <numeric>

namespace refrain::h5 {

namespace {

constexpr auto chunk_bytes = static_cast<int64_t>(growing_chunk_bytes);

/// `own` and `check` for a file that is written.
Handle make(hid_t id, Handle::Closer close, std::string const& problem, Place const& place) {
  return own(id, close, problem, place, write_remedy);
}
void expect(herr_t status, std::string const& problem, Place const& place) {
  check(status, problem, place, write_remedy);
}

std::vector<hsize_t> sizes(Shape const& shape) { return {shape.begin(), shape.end()}; }

}  // namespace

Shape chunk_shape(Shape const& shape, std::size_t element_size) {
  Shape chunk(shape.size(), 1);
  int64_t room = chunk_bytes / static_cast<int64_t>(element_size);
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    int64_t const length = std::max<int64_t>(shape[axis], 1);
    int64_t const parts = (length + room - 1) / room;
    chunk[axis] = (length + parts - 1) / parts;
    room = std::max<int64_t>(room / chunk[axis], 1);
    if (parts > 1) break;
  }
  return chunk;
}

Writer::Writer(std::filesystem::path path, std::string const& schema, Json const& provenance, Commit commit)
    : path_(std::move(path)), temporary_(path_), schema_(schema), commit_(commit) {
  initialise();
  if (commit_ == Commit::rename) temporary_ += ".tmp";
  auto access = make(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "cannot open an HDF5 file", place());
  expect(H5Pset_libver_bounds(access.get(), H5F_LIBVER_V110, H5F_LIBVER_V110), "cannot set the format's version",
         place());
#if H5_VERSION_GE(1, 10, 7)
  // Locks are ours: HDF5's flock fails on some parallel file systems.
  expect(H5Pset_file_locking(access.get(), false, true), "cannot switch HDF5's locks off", place());
#endif
  // No times anywhere: the same contents are the same bytes.
  auto creation = make(H5Pcreate(H5P_FILE_CREATE), H5Pclose, "cannot make an HDF5 file", place());
  expect(H5Pset_obj_track_times(creation.get(), false), "cannot switch times off", place());
  file_ = Handle(H5Fcreate(temporary_.c_str(), H5F_ACC_TRUNC, creation.get(), access.get()), H5Fclose);
  if (!file_)
    throw hdf5_error("cannot create the file", "check that the folder exists, may be written and has space", place());
  try {
    attribute("/", "schema", schema_);
    auto const text = provenance.dump(-1, ' ', true, Json::error_handler_t::replace);
    attribute("/", "provenance", text);
    // Beyond 64 KiB HDF5 keeps an attribute where no checksum covers it.
    attribute("/", "provenance_xxh3", xxh3(std::as_bytes(std::span(text))));
  } catch (...) {
    discard();
    throw;
  }
}

Writer::~Writer() { discard(); }

void Writer::discard() noexcept {
  open_dataset_.close();
  if (!file_) return;
  file_.close();
  H5Eclear2(H5E_DEFAULT);
  std::error_code ignored;
  std::filesystem::remove(temporary_, ignored);
}

Place Writer::place(std::string const& object) const { return {.file = path_, .object = object}; }

void Writer::create(std::string const& name, DType dtype, Shape const& shape, unsigned deflate) {
  auto const dimensions = sizes(shape);
  auto space = make(H5Screate_simple(static_cast<int>(shape.size()), dimensions.data(), nullptr), H5Sclose,
                    "cannot make the dataset", place(name));
  create_dataset(name, dtype, space, chunk_shape(shape, size_of(dtype)), deflate);
}

void Writer::create_growing(std::string const& name, DType dtype) {
  hsize_t const none = 0, any = H5S_UNLIMITED;
  auto space = make(H5Screate_simple(1, &none, &any), H5Sclose, "cannot make the dataset", place(name));
  create_dataset(name, dtype, space, {chunk_bytes / static_cast<int64_t>(size_of(dtype))}, 0);
}

void Writer::extend(std::string const& name, int64_t length) {
  open_for_writing(name);
  auto const extent = static_cast<hsize_t>(length);
  expect(H5Dset_extent(open_dataset_.get(), &extent), "cannot extend the dataset", place(name));
}

void Writer::create_dataset(std::string const& name, DType dtype, Handle const& space, Shape const& chunk,
                            unsigned deflate) {
  auto creation = make(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, "cannot make the dataset", place(name));
  auto const extent = sizes(chunk);
  expect(H5Pset_chunk(creation.get(), static_cast<int>(extent.size()), extent.data()), "cannot set the chunks",
         place(name));
  // A damaged chunk must not reach zlib: the checksum comes last, and is checked first.
  if (deflate > 0) expect(H5Pset_deflate(creation.get(), deflate), "cannot switch compression on", place(name));
  expect(H5Pset_fletcher32(creation.get()), "cannot set the checksum", place(name));
  expect(H5Pset_fill_time(creation.get(), H5D_FILL_TIME_NEVER), "cannot switch fill values off", place(name));
  expect(H5Pset_obj_track_times(creation.get(), false), "cannot switch times off", place(name));
  make_groups(name);
  auto type = file_type(dtype);
  open_dataset_ =
      make(H5Dcreate2(file_.get(), name.c_str(), type.get(), space.get(), H5P_DEFAULT, creation.get(), H5P_DEFAULT),
           H5Dclose, "cannot make the dataset", place(name));
  open_name_ = name;
  attribute(name, "dtype", to_string(dtype));
}

void Writer::make_groups(std::string const& name) {
  for (auto slash = name.find('/', 1); slash != std::string::npos; slash = name.find('/', slash + 1)) {
    auto const group = name.substr(0, slash);
    if (!groups_.insert(group).second) continue;
    auto creation = make(H5Pcreate(H5P_GROUP_CREATE), H5Pclose, "cannot make the group", place(group));
    expect(H5Pset_obj_track_times(creation.get(), false), "cannot switch times off", place(group));
    make(H5Gcreate2(file_.get(), group.c_str(), H5P_DEFAULT, creation.get(), H5P_DEFAULT), H5Gclose,
         "cannot make the group", place(group));
  }
}

Handle Writer::open_object(std::string const& object) const {
  return make(H5Oopen(file_.get(), object.c_str(), H5P_DEFAULT), H5Oclose, "no such object", place(object));
}

void Writer::open_for_writing(std::string const& name) {
  if (name == open_name_ && open_dataset_) return;
  open_dataset_ = make(H5Dopen2(file_.get(), name.c_str(), H5P_DEFAULT), H5Dclose, "no such dataset", place(name));
  open_name_ = name;
}

void Writer::write_box(std::string const& name, Shape const& start, Shape const& count,
                       std::span<std::byte const> values) {
  open_for_writing(name);
  note_activity();
  if (element_count(count) == 0) return;
  auto const offset = sizes(start), extent = sizes(count);
  auto file_space = make(H5Dget_space(open_dataset_.get()), H5Sclose, "cannot write", place(name));
  expect(H5Sselect_hyperslab(file_space.get(), H5S_SELECT_SET, offset.data(), nullptr, extent.data(), nullptr),
         "cannot select", place(name));
  auto memory_space = make(H5Screate_simple(static_cast<int>(extent.size()), extent.data(), nullptr), H5Sclose,
                           "cannot write", place(name));
  auto type = make(H5Dget_type(open_dataset_.get()), H5Tclose, "cannot write", place(name));
  if (H5Tget_size(type.get()) * static_cast<std::size_t>(element_count(count)) != values.size())
    throw Error("a box of " + to_string(count) + " does not fit " + std::to_string(values.size()) + " bytes", {},
                place(name));
  expect(H5Dwrite(open_dataset_.get(), type.get(), memory_space.get(), file_space.get(), H5P_DEFAULT, values.data()),
         "cannot write", place(name));
}

void Writer::write_text(std::string const& name, std::vector<std::string> const& values) {
  std::vector<int64_t> offsets{0};
  offsets.reserve(values.size() + 1);
  for (auto const& value : values) offsets.push_back(offsets.back() + static_cast<int64_t>(value.size()));
  std::vector<uint8_t> bytes;
  bytes.reserve(static_cast<std::size_t>(offsets.back()));
  for (auto const& value : values) bytes.insert(bytes.end(), value.begin(), value.end());
  write(name + "/bytes", bytes);
  write(name + "/offsets", offsets);
}

void Writer::attribute(std::string const& object, std::string const& name, std::string const& text) {
  auto target = open_object(object);
  auto type = make(H5Tcopy(H5T_C_S1), H5Tclose, "cannot write an attribute", place(object));
  // Fixed length: variable-length values stand in a heap without checksums. Null-padded, so that all bytes are text.
  expect(H5Tset_size(type.get(), std::max<std::size_t>(text.size(), 1)), "cannot write an attribute", place(object));
  expect(H5Tset_strpad(type.get(), H5T_STR_NULLPAD), "cannot write an attribute", place(object));
  expect(H5Tset_cset(type.get(), H5T_CSET_UTF8), "cannot write an attribute", place(object));
  auto space = make(H5Screate(H5S_SCALAR), H5Sclose, "cannot write an attribute", place(object));
  auto attribute =
      Handle(H5Acreate2(target.get(), name.c_str(), type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  if (!attribute || H5Awrite(attribute.get(), type.get(), text.c_str()) < 0)
    throw hdf5_error("cannot write attribute " + name, write_remedy, place(object));
}

void Writer::attribute(std::string const& object, std::string const& name, std::vector<int64_t> const& values) {
  auto target = open_object(object);
  hsize_t const count = values.size();
  auto space = make(H5Screate_simple(1, &count, nullptr), H5Sclose, "cannot write an attribute", place(object));
  auto attribute =
      Handle(H5Acreate2(target.get(), name.c_str(), H5T_STD_I64LE, space.get(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  if (!attribute || H5Awrite(attribute.get(), H5T_STD_I64LE, values.data()) < 0)
    throw hdf5_error("cannot write attribute " + name, write_remedy, place(object));
}

void Writer::finish() {
  try {
    if (open_dataset_.close() < 0 || H5Fflush(file_.get(), H5F_SCOPE_GLOBAL) < 0)
      throw hdf5_error("cannot write the file's last bytes", write_remedy, place());
    if (file_.close() < 0) throw hdf5_error("cannot close the file", write_remedy, place());
    sync_path(temporary_);
    // What was written is opened as any reader would, so that no file of ours fails its own schema.
    Reader(temporary_, schema_);
    if (commit_ == Commit::rename) rename_durably(temporary_, path_);
  } catch (...) {
    discard();
    std::error_code ignored;
    std::filesystem::remove(temporary_, ignored);
    throw;
  }
}

}  // namespace refrain::h5
