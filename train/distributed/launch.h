// Which of several processes this one is, as its launcher says in the environment. Without Torch.
#pragma once

#include <map>
#include <string>

namespace epvs::train {

using Environment = std::map<std::string, std::string>;

/// The place of this process among those that train together.
struct Launch {
  int rank = 0;  ///< 0 .. size - 1
  int size = 1;
  std::string launcher;               ///< "torchrun", "mpirun", "srun"; empty: none
  std::string address = "127.0.0.1";  ///< MASTER_ADDR: the machine of rank 0
  int port = 29500;                   ///< MASTER_PORT: where rank 0 listens
  bool agent_listens = false;         ///< torchrun itself listens at the port, not rank 0
  std::string attempt = "0";          ///< torchrun's count of restarts: each has its own meeting
};

/// Looks, in this order, for
///   torchrun  WORLD_SIZE, RANK
///   mpirun    OMPI_COMM_WORLD_SIZE, OMPI_COMM_WORLD_RANK (Open MPI) or PMI_SIZE, PMI_RANK (MPICH)
///   srun      SLURM_STEP_NUM_TASKS, SLURM_PROCID
/// MASTER_ADDR and MASTER_PORT (torchrun sets them) count for all. Throws core::UsageError naming
/// variable, value and what was expected.
Launch find_launch(const Environment& environment);

/// The environment of this process.
Environment process_environment();

}  // namespace epvs::train
