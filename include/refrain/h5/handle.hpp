#pragma once

#include <refrain/base/error.hpp>

#include <hdf5.h>

#include <string>
#include <utility>

namespace refrain::h5 {

/// An HDF5 id that is closed with its owner. Moved, not copied.
class Handle {
public:
  using Closer = herr_t (*)(hid_t);

  Handle() = default;  ///< owns nothing
  Handle(hid_t id, Closer close) : id_(id), close_(close) {}
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(close_, other.close_);
    return *this;
  }
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }

  hid_t get() const noexcept { return id_; }
  explicit operator bool() const noexcept { return id_ >= 0; }
  /// Closes now, so that a failure can be seen. @returns what HDF5 returned
  herr_t close() noexcept { return id_ >= 0 ? close_(std::exchange(id_, -1)) : 0; }

private:
  hid_t id_ = -1;
  Closer close_ = nullptr;
};

/// Initialises the library once and keeps its error stack off stderr; every entry of this module calls it.
/// @throws Error
void initialise();

/// An Error from the problem and the innermost message of HDF5's error stack, which is cleared.
Error hdf5_error(std::string const& problem, std::string remedy, Place place);

/// What to do about calls that fail: on a file that is read, on one that is written, and on none.
inline constexpr char read_remedy[] = "the file is damaged or the disk failed; make it again";
inline constexpr char write_remedy[] = "free space on the disk or choose another folder, then start again";
inline constexpr char memory_remedy[] = "ask for more memory, or use more nodes";

/// Takes ownership of `id`. @throws Error if it is negative
Handle own(hid_t id, Handle::Closer close, std::string const& problem, Place const& place,
           std::string const& remedy = read_remedy);

/// @throws Error if `status` is negative
void check(herr_t status, std::string const& problem, Place const& place, std::string const& remedy = read_remedy);

}  // namespace refrain::h5
