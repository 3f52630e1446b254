#pragma once

namespace refrain {

/// Installs handlers that only note a wish to stop: SIGUSR1 and SIGTERM (and SIGINT) ask for a stop after the current
/// unit of work. A second SIGINT ends at once.
void install_stop_handlers();
/// Takes them away again: these signals end the process.
void restore_stop_signals();
/// Whether one of them came on this process.
bool stop_requested() noexcept;
/// The signal that came, or 0.
int stop_signal() noexcept;

}  // namespace refrain
