#pragma once

#include <cstdint>
#include <filesystem>

namespace refrain {

/// Bytes of memory that the host's processes may still take: what the system calls available, or less where a control
/// group (a batch job's) allows less. @throws Error if the system does not say
int64_t available_memory();

/// Of `most` bytes, what a process's control group and those above it leave of their limits; what they hold of files'
/// pages that can be dropped counts as left. `groups` is a file like /proc/self/cgroup, `root` a folder like
/// /sys/fs/cgroup.
int64_t left_by_control_groups(int64_t most, std::filesystem::path const& groups, std::filesystem::path const& root);

/// Memory that this process has now.
int64_t resident_memory();

}  // namespace refrain
