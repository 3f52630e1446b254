#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace refrain::checkpoint {

/// Names of the files of a model's folder that are not weights: config.json, generation_config.json, tokenizer files,
/// chat template, licence and so on, sorted. Weights in any format, their indexes, manifest.json, hidden files and
/// folders are left out. @throws Error for one above 256 MiB, which is no small file, and if the folder cannot be read
std::vector<std::string> small_file_names(std::filesystem::path const& folder);

/// "a/b/" is "a/b".
std::filesystem::path without_trailing_slash(std::filesystem::path const& folder);

/// @throws Error if something stands at `folder`, unless it is an empty folder, which a rename replaces
void require_new_folder(std::filesystem::path const& folder);

/// Makes `temporary`, which is to be renamed to `folder` once it is complete; what a killed job left there goes. `what`
/// ("the checkpoint") will take `bytes` bytes.
/// @throws Error as require_new_folder, for too little free space, and if the folder cannot be made
void make_temporary_folder(std::filesystem::path const& folder, std::filesystem::path const& temporary,
                           std::string const& what, int64_t bytes);

/// Writes a file and syncs it. @throws Error
void write_synced(std::filesystem::path const& path, std::string const& text);

/// Asks the kernel to forget a file's cached pages, so that the next read comes from the disk. The file must be synced.
void drop_page_cache(std::filesystem::path const& path);

}  // namespace refrain::checkpoint
