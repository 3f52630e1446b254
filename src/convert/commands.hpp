#pragma once

#include <refrain/checkpoint/tensor_source.hpp>
#include <refrain/checkpoint/writer.hpp>
#include <refrain/convert/job.hpp>

#include <filesystem>
#include <vector>

namespace refrain::convert {

/// The commands of refrain-convert. All are @collective over `world` and throw Error on every rank alike.
Exit import_model(Options const& options, comm::Communicator const& world);
Exit export_model(Options const& options, comm::Communicator const& world);
Exit init_model(Options const& options, comm::Communicator const& world);
/// @returns failure unless all paths are sound; problems are printed one a line
Exit verify_paths(Options const& options, comm::Communicator const& world);
/// Prints on rank 0.
Exit inspect_path(Options const& options, comm::Communicator const& world);

/// The parts of a reference cache (refrain-train --reference-cache) that stand at `folder`: itself, or folders in it.
/// Empty if it is no reference cache.
std::vector<std::filesystem::path> reference_caches(std::filesystem::path const& folder);

/// Puts tensors into weights files of about 1 GiB, whole tensors, in their order: the same whatever the number of
/// ranks, which take the files in turn. @returns this rank's files
std::vector<checkpoint::FilePlan> plan_files(std::vector<checkpoint::SliceToWrite> tensors,
                                             comm::Communicator const& world);

/// The slice that is the whole tensor "/weights/NAME".
checkpoint::SliceToWrite whole_tensor(checkpoint::TensorInfo const& info, DType dtype,
                                      std::function<void(int64_t first_element, std::span<std::byte> out)> fill);

}  // namespace refrain::convert
