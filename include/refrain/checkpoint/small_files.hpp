#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace refrain::checkpoint {

/// Names of the files of a model's folder that are not weights: config.json, generation_config.json, tokenizer files,
/// chat template, licence and so on, sorted. Weights in any format, their indexes, manifest.json, hidden files and
/// folders are left out. @throws Error for one above 256 MiB, which is no small file
std::vector<std::string> small_file_names(std::filesystem::path const& folder);

/// "a/b/" is "a/b".
std::filesystem::path without_trailing_slash(std::filesystem::path const& folder);

/// @throws Error if something stands at `folder`, unless it is an empty folder, which a rename replaces
void require_new_folder(std::filesystem::path const& folder);

/// Writes a file and syncs it. @throws Error
void write_synced(std::filesystem::path const& path, std::string const& text);

/// Asks the kernel to forget a file's cached pages, so that the next read comes from the disk. The file must be synced.
void drop_page_cache(std::filesystem::path const& path);

}  // namespace refrain::checkpoint
