#include "train/launch.h"

#include <fmt/format.h>
#include <unistd.h>

#include "core/error.h"
#include "core/random.h"
#include "core/text.h"

namespace epvs::train {

namespace {

constexpr int kMostProcesses = 1 << 16;
constexpr const char* kUnset =
    "set all variables of the launcher, or unset them to train with one process";

std::optional<std::string> text_of(const Environment& environment, const std::string& name) {
  const auto found = environment.find(name);
  if (found == environment.end() || found->second.empty()) return std::nullopt;
  return found->second;
}

/// A variable that must be a whole number from `low` to `high`; nothing when it is not set.
std::optional<int> number_of(const Environment& environment, const std::string& name, int low,
                             int high) {
  const auto text = text_of(environment, name);
  if (!text) return std::nullopt;
  const auto value = core::parse_integer(*text);
  if (!value || *value < low || *value > high) {
    throw core::UsageError(fmt::format("the variable {} is '{}', expected a whole number from {} "
                                       "to {}",
                                       name, *text, low, high),
                           kUnset);
  }
  return static_cast<int>(*value);
}

/// Names of the variables of one launcher.
struct Variables {
  const char* launcher;
  const char* rank;
  const char* size;
  const char* local_rank;
  const char* local_size;
};

constexpr Variables kTorchrun = {"torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK",
                                 "LOCAL_WORLD_SIZE"};
constexpr Variables kOpenMpi = {"mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE",
                                "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"};
constexpr Variables kPmi = {"PMI", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"};
constexpr Variables kSlurm = {"srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", ""};

/// Rank and size, or nothing when neither is set.
std::optional<Launch> read(const Environment& environment, const Variables& variables) {
  const auto size = number_of(environment, variables.size, 1, kMostProcesses);
  const auto rank =
      number_of(environment, variables.rank, 0, size ? *size - 1 : kMostProcesses - 1);
  if (!size && !rank) return std::nullopt;
  if (!size || !rank) {
    throw core::UsageError(fmt::format("the variable {} is '{}', but {} is not set",
                                       size ? variables.size : variables.rank, size ? *size : *rank,
                                       size ? variables.rank : variables.size),
                           kUnset);
  }
  Launch launch;
  launch.rank = *rank;
  launch.size = *size;
  launch.launcher = variables.launcher;
  launch.local_rank = number_of(environment, variables.local_rank, 0, *size - 1);
  return launch;
}

/// Below the ports that Linux gives to outgoing connections.
int port_of_job(const std::string& job) {
  constexpr int kFirst = 15000;
  constexpr int kCount = 15000;
  return kFirst + static_cast<int>(core::mix_seed(0, {"port", job}) % kCount);
}

std::optional<std::string> slurm_host(const Environment& environment) {
  if (text_of(environment, "SLURM_STEP_NUM_NODES") == "1") return "127.0.0.1";
  if (const auto list = text_of(environment, "SLURM_STEP_NODELIST")) return first_host(*list);
  return text_of(environment, "SLURM_LAUNCH_NODE_IPADDR");
}

std::optional<std::string> job_name(const Environment& environment) {
  if (const auto job = text_of(environment, "SLURM_JOB_ID")) {
    return *job + "." + text_of(environment, "SLURM_STEP_ID").value_or("0");
  }
  return text_of(environment, "PMIX_NAMESPACE");
}

void find_meeting_point(const Environment& environment, const Variables& variables,
                        Launch& launch) {
  const bool is_torchrun = launch.launcher == kTorchrun.launcher;
  const auto local_size = number_of(environment, variables.local_size, 1, launch.size);
  auto address = text_of(environment, "MASTER_ADDR");
  auto port = number_of(environment, "MASTER_PORT", 1, 65535);
  if (!is_torchrun) {
    if (!address && local_size == launch.size) address = "127.0.0.1";
    if (!address && text_of(environment, "SLURM_STEP_NUM_TASKS")) address = slurm_host(environment);
    const auto job = job_name(environment);
    if (!port && job) port = port_of_job(*job);
  }
  const auto require = [&](bool found, const char* name, const char* what) {
    if (found) return;
    throw core::UsageError(
        fmt::format("{} of {} processes ({}), but the variable {} is not set: {}", launch.rank,
                    launch.size, launch.launcher, name, what),
        fmt::format("export MASTER_ADDR and MASTER_PORT to every process{}",
                    launch.launcher == kOpenMpi.launcher
                        ? ": mpirun -x MASTER_ADDR=$(hostname) -x MASTER_PORT=29500 ..."
                        : ""));
  };
  require(address.has_value(), "MASTER_ADDR", "the host of rank 0");
  require(port.has_value(), "MASTER_PORT", "the port where rank 0 listens");
  launch.address = *address;
  launch.port = *port;
  if (is_torchrun) {
    launch.agent_listens = text_of(environment, "TORCHELASTIC_USE_AGENT_STORE") == "True";
    launch.attempt = text_of(environment, "TORCHELASTIC_RESTART_COUNT").value_or("0");
  }
}

/// Without the variables of a step: srun before 20.11 and steps of other tools set SLURM_NTASKS.
Environment with_step_size(const Environment& environment) {
  Environment changed = environment;
  if (!text_of(environment, "SLURM_STEP_NUM_TASKS") && text_of(environment, "SLURM_STEP_ID")) {
    if (const auto tasks = text_of(environment, "SLURM_NTASKS")) {
      changed["SLURM_STEP_NUM_TASKS"] = *tasks;
    }
  }
  // A batch script has SLURM_PROCID = 0 too, but is no step.
  if (!text_of(changed, "SLURM_STEP_NUM_TASKS")) changed.erase("SLURM_PROCID");
  return changed;
}

}  // namespace

Launch find_launch(const Environment& given) {
  const Environment environment = with_step_size(given);
  for (const Variables& variables : {kTorchrun, kOpenMpi, kPmi, kSlurm}) {
    auto launch = read(environment, variables);
    if (!launch) continue;
    if (launch->size > 1) find_meeting_point(environment, variables, *launch);
    return *launch;
  }
  return {};
}

Environment process_environment() {
  Environment environment;
  for (char** entry = ::environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const std::size_t equals = text.find('=');
    if (equals != std::string::npos) environment[text.substr(0, equals)] = text.substr(equals + 1);
  }
  return environment;
}

std::string first_host(const std::string& list) {
  const std::size_t bracket = list.find('[');
  const std::size_t comma = list.find(',');
  if (bracket == std::string::npos || comma < bracket) {
    const std::string host = list.substr(0, comma);
    if (!host.empty()) return host;
  } else {
    const std::size_t end = list.find_first_of(",-]", bracket);
    const std::size_t close = list.find(']', bracket);
    if (close != std::string::npos && end > bracket + 1) {
      std::string host = list.substr(0, bracket) + list.substr(bracket + 1, end - bracket - 1);
      // "n[1-2]-ib": what stands behind the bracket is part of every name.
      const std::size_t next = list.find(',', close);
      host += list.substr(close + 1, next == std::string::npos ? next : next - close - 1);
      if (host.find_first_of("[]") == std::string::npos) return host;
    }
  }
  throw core::UsageError(
      fmt::format("the variable SLURM_STEP_NODELIST is '{}': no list of hosts", list),
      "set MASTER_ADDR to the host of rank 0");
}

}  // namespace epvs::train
