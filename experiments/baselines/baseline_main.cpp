#include "experiments/baselines/baseline_command.h"

int main(int argc, char** argv) {
  epvs::experiments::BaselineCommand command;
  return epvs::core::run_command(command, argc, argv);
}
