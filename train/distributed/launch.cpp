#include "train/distributed/launch.h"

#include <fmt/format.h>
#include <unistd.h>

#include "core/error.h"
#include "core/text.h"

namespace epvs::train {

namespace {

struct Variables {
  const char* launcher;
  const char* size;
  const char* rank;
};

constexpr Variables kLaunchers[] = {
    {"torchrun", "WORLD_SIZE", "RANK"},
    {"mpirun", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"},
    {"mpirun", "PMI_SIZE", "PMI_RANK"},
    {"srun", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID"},
};

std::string text_of(const Environment& environment, const std::string& name) {
  const auto found = environment.find(name);
  return found == environment.end() ? std::string() : found->second;
}

/// A variable that must be a whole number from `low` to `high`.
int number_of(const Environment& environment, const std::string& name, int low, int high) {
  const std::string text = text_of(environment, name);
  const auto value = core::parse_integer(text);
  if (!value || *value < low || *value > high) {
    throw core::UsageError(
        fmt::format("the variable {} is '{}', expected a whole number from {} to {}", name, text,
                    low, high),
        "set all variables of the launcher, or unset them to train with one process");
  }
  return static_cast<int>(*value);
}

}  // namespace

Launch find_launch(const Environment& environment) {
  Launch launch;
  for (const Variables& variables : kLaunchers) {
    if (text_of(environment, variables.size).empty()) continue;
    launch.launcher = variables.launcher;
    launch.size = number_of(environment, variables.size, 1, 1 << 16);
    launch.rank = number_of(environment, variables.rank, 0, launch.size - 1);
    break;
  }
  if (launch.size == 1) return launch;
  const std::string address = text_of(environment, "MASTER_ADDR");
  if (!address.empty()) launch.address = address;
  if (!text_of(environment, "MASTER_PORT").empty()) {
    launch.port = number_of(environment, "MASTER_PORT", 1, 65535);
  }
  launch.agent_listens = text_of(environment, "TORCHELASTIC_USE_AGENT_STORE") == "True";
  const std::string attempt = text_of(environment, "TORCHELASTIC_RESTART_COUNT");
  if (!attempt.empty()) launch.attempt = attempt;
  return launch;
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

}  // namespace epvs::train
