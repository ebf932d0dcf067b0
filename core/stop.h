// core/stop.h: SIGINT and SIGTERM as a flag that long loops look at between two steps.
#pragma once

namespace polygraft {

/// Installs the handlers. A second signal ends the process at once.
void install_stop_handlers();
/// A signal ends the process at once again: for what keeps nothing, and waits for input.
void remove_stop_handlers();

/// @throws Interrupted once a signal has arrived. Call where the work so far is saved or can be
/// dropped safely.
void throw_if_stopped();
bool stop_requested();

}  // namespace polygraft
