#pragma once

#include <refrain/comm/communicator.hpp>

#include <filesystem>
#include <string>

namespace refrain::checkpoint {

/// A digest of what a model computes with, by content and not by path or time: 64 hexadecimal digits. Of a checkpoint
/// it is that of manifest.json, which holds the digests of all its tensors (checked when they are read). Of a Hugging
/// Face folder it covers config.json and every byte of the weights files, which the ranks read together, each its
/// share. The same at any number of ranks. @collective @throws Error if something cannot be read
std::string weights_digest(std::filesystem::path const& folder, comm::Communicator const& world);

}  // namespace refrain::checkpoint
