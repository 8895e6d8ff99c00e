// Several processes of this program on one machine, without mpirun, torchrun or srun.
#pragma once

#include "core/log.h"

namespace epvs::train {

/// Starts this program `count` times with its own arguments and the variables that torchrun would
/// set (a free port of 127.0.0.1), and waits for all. INT, TERM and USR1 are passed on. Processes
/// that are left end with this one. Throws core::RunError when a process cannot be started or died
/// of a signal, core::Interrupted when they were stopped by one that was passed on, and otherwise
/// an error with the exit code of the first process that failed.
void run_local_processes(int count, core::Log& log);

}  // namespace epvs::train
