#pragma once

#include <functional>
#include <thread>

namespace refrain {

/// A thread that no signal is delivered to: those of a job are for its working thread.
std::thread quiet_thread(std::function<void()> work);

}  // namespace refrain
