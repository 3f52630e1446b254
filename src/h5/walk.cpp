// What Reader does to a file before it trusts it: every link and every dataset is looked at.
#include <refrain/h5/reader.hpp>

#include <algorithm>
#include <map>

namespace refrain::h5 {

namespace {

auto const foreign = "files of ours never have this; do not use a file from a source you do not trust";
constexpr int most_groups_deep = 8;
constexpr std::size_t most_datasets = 4'000'000;
constexpr int64_t most_chunk_bytes = int64_t{1} << 28;
/// deflate cannot shrink by more than this
constexpr int64_t deflate_ratio = 1032;

/// All there is to know is asked for, so that every piece of the object's metadata is read and its checksum checked.
unsigned link_count(hid_t object, Place const& place) {
#if H5_VERSION_GE(1, 12, 0)
  H5O_info2_t info;
  H5O_native_info_t native;
  check(H5Oget_info3(object, &info, H5O_INFO_ALL), "cannot read the object's metadata", place);
  check(H5Oget_native_info(object, &native, H5O_NATIVE_INFO_ALL), "cannot read the object's metadata", place);
#else
  H5O_info_t info;
  check(H5Oget_info2(object, &info, H5O_INFO_ALL), "cannot read the object's metadata", place);
#endif
  return info.rc;
}

#if H5_VERSION_GE(1, 12, 0)
using LinkInfo = H5L_info2_t;
#else
using LinkInfo = H5L_info_t;
#endif

herr_t collect_link(hid_t, char const* name, LinkInfo const* info, void* links) {
  static_cast<std::map<std::string, H5L_type_t>*>(links)->emplace(name, info->type);
  return 0;
}

/// In native order: for the others HDF5 1.10 first makes a table of a group's links, and a damaged group crashes it
/// then.
std::map<std::string, H5L_type_t> links_of(hid_t group, Place const& place) {
  std::map<std::string, H5L_type_t> links;
  hsize_t from = 0;
  check(H5Literate(group, H5_INDEX_NAME, H5_ITER_NATIVE, &from, collect_link, &links), "cannot read the group", place);
  return links;
}

}  // namespace

void Reader::walk(hid_t group, std::string const& prefix, int depth) {
  Place const here{.file = path_, .object = prefix};
  if (depth > most_groups_deep) throw Error("groups are nested too deep", foreign, here);
  for (auto const& [leaf, kind] : links_of(group, here)) {
    auto const name = prefix + leaf;
    Place const place{.file = path_, .object = name};
    if (kind != H5L_TYPE_HARD)
      throw Error(kind == H5L_TYPE_EXTERNAL ? "is a link into another file" : "is a soft link", foreign, place);
    auto object = own(H5Oopen(group, leaf.c_str(), H5P_DEFAULT), H5Oclose, "cannot open the object", place);
    // Two links to one object could make a circle of groups, or count its bytes twice.
    if (link_count(object.get(), place) != 1) throw Error("has more than one link", foreign, place);
    auto const type = H5Iget_type(object.get());
    if (type == H5I_GROUP) {
      if (has_attribute(object.get(), name, "kind")) kinds_[name] = text_attribute(object.get(), name, "kind");
      walk(object.get(), name + "/", depth + 1);
    } else if (type == H5I_DATASET)
      inspect_dataset(object.get(), name);
    else
      throw Error("is neither a group nor a dataset", foreign, place);
    if (datasets_.size() > most_datasets) throw Error("holds too many datasets", foreign, {.file = path_});
  }
}

void Reader::inspect_dataset(hid_t dataset, std::string const& name) {
  Place const place{.file = path_, .object = name};
  auto type = own(H5Dget_type(dataset), H5Tclose, "cannot read the dataset's type", place);
  auto const dtype = dtype_of(type.get(), place);
  if (!dtype) throw Error("has a number type that is not one of ours", foreign, place);
  DatasetInfo info{.dtype = *dtype, .shape = {}, .chunk = {}};

  auto space = own(H5Dget_space(dataset), H5Sclose, "cannot read the dataset's shape", place);
  auto const rank = H5Sget_simple_extent_ndims(space.get());
  check(rank, "cannot read the dataset's shape", place);
  std::vector<hsize_t> dimensions(static_cast<std::size_t>(rank));
  if (rank > 0)
    check(H5Sget_simple_extent_dims(space.get(), dimensions.data(), nullptr), "cannot read the dataset's shape", place);
  auto const element = static_cast<int64_t>(size_of(*dtype));

  auto creation = own(H5Dget_create_plist(dataset), H5Pclose, "cannot read the dataset's layout", place);
  auto const layout = H5Pget_layout(creation.get());
  if (layout == H5D_VIRTUAL) throw Error("is a virtual dataset", foreign, place);
  check(layout, "cannot read the dataset's layout", place);
  auto const external = H5Pget_external_count(creation.get());
  check(external, "cannot read the dataset's layout", place);
  if (external > 0) throw Error("keeps its values in another file", foreign, place);

  int64_t ratio = 1;
  auto const filters = H5Pget_nfilters(creation.get());
  check(filters, "cannot read the dataset's filters", place);
  for (int i = 0; i < filters; ++i) {
    unsigned flags = 0, settings = 0;
    std::size_t values = 0;
    auto const filter =
        H5Pget_filter2(creation.get(), static_cast<unsigned>(i), &flags, &values, nullptr, 0, nullptr, &settings);
    if (filter == H5Z_FILTER_DEFLATE)
      ratio *= deflate_ratio;
    else if (filter == H5Z_FILTER_FLETCHER32)
      info.checksummed = true;
    else if (filter != H5Z_FILTER_SHUFFLE)
      throw Error("uses the filter number " + std::to_string(filter),
                  "write it without, or with deflate, shuffle and fletcher32 only", place);
  }

  // Products are bounded by what the file can hold, so that lying sizes overflow nothing and allocate nothing.
  auto const stored = static_cast<int64_t>(H5Dget_storage_size(dataset));
  auto const most = ratio * std::min(stored, file_size_);
  int64_t bytes = element;
  bool empty = false;
  for (auto length : dimensions) empty |= length == 0;
  for (auto length : dimensions) {
    if (!empty && (length > static_cast<hsize_t>(most) || bytes > most / static_cast<int64_t>(length)))
      throw Error("says it has more values than the file holds",
                  "the file is damaged, truncated or unfinished; make it again", place);
    if (length > static_cast<hsize_t>(INT64_MAX)) throw Error("has an enormous shape", foreign, place);
    if (!empty) bytes *= static_cast<int64_t>(length);
    info.shape.push_back(static_cast<int64_t>(length));
  }
  if (stored > file_size_)
    throw Error("says it has more values than the file holds", "the file is damaged; make it again", place);
  if (layout == H5D_CHUNKED) {
    std::vector<hsize_t> chunk(dimensions.size());
    check(H5Pget_chunk(creation.get(), rank, chunk.data()), "cannot read the dataset's chunks", place);
    int64_t chunk_size = element;
    for (auto length : chunk) {
      if (length == 0 || length > static_cast<hsize_t>(most_chunk_bytes / chunk_size))
        throw Error("has enormous chunks", foreign, place);
      chunk_size *= static_cast<int64_t>(length);
      info.chunk.push_back(static_cast<int64_t>(length));
    }
  }
  datasets_.emplace(name, std::move(info));
}

}  // namespace refrain::h5
