// Which of several processes this one is, as its launcher says in the environment. Without Torch.
#pragma once

#include <map>
#include <optional>
#include <string>

namespace epvs::train {

using Environment = std::map<std::string, std::string>;

/// The place of this process among those that train together.
struct Launch {
  int rank = 0;  ///< 0 .. size - 1
  int size = 1;
  std::optional<int> local_rank;  ///< among the processes of this machine, where it is said
  std::string address;            ///< of the machine of rank 0; empty for one process
  int port = 0;                   ///< where rank 0 listens; 0 for one process
  bool agent_listens = false;     ///< torchrun itself listens at the port, not rank 0
  std::string attempt = "0";      ///< torchrun's count of restarts: each has its own meeting
  std::string launcher;           ///< "torchrun", "mpirun", "PMI", "srun"; empty: none
};

/// Looks, in this order, for
///   torchrun  RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT [LOCAL_RANK]
///   mpirun    OMPI_COMM_WORLD_RANK, OMPI_COMM_WORLD_SIZE [OMPI_COMM_WORLD_LOCAL_RANK]  (Open MPI)
///   PMI       PMI_RANK, PMI_SIZE [MPI_LOCALRANKID]                                     (MPICH)
///   srun      SLURM_PROCID, SLURM_STEP_NUM_TASKS [SLURM_LOCALID]
/// MASTER_ADDR and MASTER_PORT count for all of them; without, mpirun takes 127.0.0.1 where all
/// processes are on one machine, srun the first host of SLURM_STEP_NODELIST, and the port is a
/// function of the job. A Slurm batch script is one process: its variables speak of the job, only
/// those of a step (srun) of processes. Throws core::UsageError naming variable, value and what was
/// expected.
Launch find_launch(const Environment& environment);

/// The environment of this process.
Environment process_environment();

/// The first host of a Slurm list: "node[03-05,7],other" -> "node03". Throws core::UsageError.
std::string first_host(const std::string& list);

}  // namespace epvs::train
