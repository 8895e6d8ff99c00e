#include "experiments/experiment_command.h"

int main(int argc, char** argv) {
  epvs::experiments::ExperimentCommand command;
  return epvs::core::run_command(command, argc, argv);
}
