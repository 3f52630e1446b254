#include <refrain/h5/reader.hpp>

#include <refrain/base/activity.hpp>
#include <refrain/base/digest.hpp>
#include <refrain/h5/schema.hpp>

#include <unistd.h>

namespace refrain::h5 {

namespace {

auto const again = "the file is damaged or truncated; make it again";

std::vector<hsize_t> sizes(Shape const& shape) { return {shape.begin(), shape.end()}; }

}  // namespace

Reader::Reader(std::filesystem::path path, std::string const& schema) : path_(std::move(path)) {
  initialise();
  if (std::filesystem::is_directory(path_))
    throw Error("this is a folder, not a file", "name a file in it", {.file = path_});
  if (::access(path_.c_str(), R_OK) != 0) throw system_error("read the file", {}, {.file = path_});
  file_size_ = static_cast<int64_t>(std::filesystem::file_size(path_));
  if (file_size_ == 0) throw Error("the file is empty", "make it again", {.file = path_});
  if (H5Fis_hdf5(path_.c_str()) <= 0) {
    H5Eclear2(H5E_DEFAULT);
    throw Error("not an HDF5 file", "give a file that Refrain wrote", {.file = path_});
  }
  auto access = own(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "cannot open an HDF5 file", {.file = path_}, memory_remedy);
#if H5_VERSION_GE(1, 10, 7)
  check(H5Pset_file_locking(access.get(), false, true), "cannot switch HDF5's locks off", {.file = path_});
#endif
  file_ = Handle(H5Fopen(path_.c_str(), H5F_ACC_RDONLY, access.get()), H5Fclose);
  if (!file_) throw hdf5_error("cannot be opened as HDF5", again, {.file = path_});
  auto root = own(H5Gopen2(file_.get(), "/", H5P_DEFAULT), H5Gclose, "cannot read the root group", {.file = path_});
  auto const root_text = [&](std::string const& name) {
    if (!has_attribute(root.get(), "/", name))
      throw Error("the file has no root attribute '" + name + "'", "give a file that Refrain wrote", {.file = path_});
    return text_attribute(root.get(), "/", name);
  };
  schema_ = root_text("schema");
  if (!schema.empty() && schema_ != schema)
    throw Error("the file is of kind " + schema_ + ", but " + schema + " is needed here", "give the right file",
                {.file = path_});
  auto const provenance = root_text("provenance");
  if (has_attribute(root.get(), "/", "provenance_xxh3") &&
      root_text("provenance_xxh3") != xxh3(std::as_bytes(std::span(provenance))))
    throw Error("the provenance does not match its digest", again, {.file = path_, .object = "/@provenance"});
  provenance_ = Json::parse(provenance, nullptr, false);
  if (provenance_.is_discarded())
    throw Error("provenance is not JSON", again, {.file = path_, .object = "/@provenance"});
  walk(root.get(), "/", 0);
  check_schema(schema_, datasets_, kinds_, path_);
}

bool Reader::has_attribute(hid_t object, std::string const& of, std::string const& name) const {
  auto const exists = H5Aexists(object, name.c_str());
  check(exists, "cannot read the attributes", {.file = path_, .object = of + "@" + name});
  return exists > 0;
}

std::string Reader::text_attribute(hid_t object, std::string const& of, std::string const& name) const {
  Place const place{.file = path_, .object = of + "@" + name};
  auto attribute = own(H5Aopen(object, name.c_str(), H5P_DEFAULT), H5Aclose, "cannot read the attribute", place);
  auto type = own(H5Aget_type(attribute.get()), H5Tclose, "cannot read the attribute", place);
  if (H5Tget_class(type.get()) != H5T_STRING || H5Tis_variable_str(type.get()) != 0)
    throw Error("the attribute is not text of fixed length", "give a file that Refrain wrote", place);
  auto space = own(H5Aget_space(attribute.get()), H5Sclose, "cannot read the attribute", place);
  auto const length = H5Tget_size(type.get());
  if (H5Sget_simple_extent_npoints(space.get()) != 1 || length > static_cast<std::size_t>(file_size_))
    throw Error("the attribute is not one text", again, place);
  std::string text(length, '\0');
  check(H5Aread(attribute.get(), type.get(), text.data()), "cannot read the attribute", place);
  text.resize(text.find_last_not_of('\0') + 1);
  return text;
}

DatasetInfo const& Reader::info(std::string const& name) const {
  auto const found = datasets_.find(name);
  if (found == datasets_.end()) throw Error("the file lacks " + name, "make it again", {.file = path_});
  return found->second;
}

int64_t Reader::elements(std::string const& name, DType expected) const {
  auto const& known = info(name);
  if (known.dtype != expected)
    throw Error("dtype is " + to_string(known.dtype) + ", " + to_string(expected) + " is needed", "make it again",
                {.file = path_, .object = name});
  return element_count(known.shape);
}

void Reader::read_all(std::string const& name, std::span<std::byte> out) const {
  auto const& shape = info(name).shape;
  read_box(name, Shape(shape.size(), 0), shape, out);
}

void Reader::read_box(std::string const& name, Shape const& start, Shape const& count, std::span<std::byte> out) const {
  Place const place{.file = path_, .object = name};
  auto const& known = info(name);
  if (start.size() != known.shape.size() || count.size() != known.shape.size())
    throw Error("a box of " + to_string(count) + " is asked of " + to_string(known.shape), {}, place);
  for (std::size_t axis = 0; axis < count.size(); ++axis)
    if (start[axis] < 0 || count[axis] < 0 || start[axis] > known.shape[axis] - count[axis])
      throw Error("the box from " + to_string(start) + " of " + to_string(count) + " lies outside " +
                      to_string(known.shape),
                  {}, place);
  if (static_cast<std::size_t>(element_count(count)) * size_of(known.dtype) != out.size())
    throw Error("a box of " + to_string(count) + " does not fit " + std::to_string(out.size()) + " bytes", {}, place);
  note_activity();
  if (out.empty()) return;
  auto dataset = own(H5Dopen2(file_.get(), name.c_str(), H5P_DEFAULT), H5Dclose, "cannot open the dataset", place);
  auto file_space = own(H5Dget_space(dataset.get()), H5Sclose, "cannot read", place);
  auto const offset = sizes(start), extent = sizes(count);
  check(H5Sselect_hyperslab(file_space.get(), H5S_SELECT_SET, offset.data(), nullptr, extent.data(), nullptr),
        "cannot select", place);
  auto memory_space =
      own(H5Screate_simple(static_cast<int>(extent.size()), extent.data(), nullptr), H5Sclose, "cannot read", place);
  auto type = file_type(known.dtype);
  if (H5Dread(dataset.get(), type.get(), memory_space.get(), file_space.get(), H5P_DEFAULT, out.data()) < 0)
    throw hdf5_error("cannot read the values", again, place);
}

std::vector<std::string> Reader::read_text(std::string const& name) const {
  auto const offsets = read<int64_t>(name + "/offsets");
  auto const bytes = read<uint8_t>(name + "/bytes");
  Place const place{.file = path_, .object = name + "/offsets"};
  if (offsets.empty() || offsets.front() != 0 || offsets.back() != static_cast<int64_t>(bytes.size()))
    throw Error("the offsets do not span " + name + "/bytes", again, place);
  std::vector<std::string> texts;
  texts.reserve(offsets.size() - 1);
  for (std::size_t i = 1; i < offsets.size(); ++i) {
    if (offsets[i] < offsets[i - 1] || offsets[i] > offsets.back())
      throw Error("offset " + std::to_string(i) + " goes backwards", again, place);
    texts.emplace_back(bytes.begin() + offsets[i - 1], bytes.begin() + offsets[i]);
  }
  return texts;
}

}  // namespace refrain::h5
