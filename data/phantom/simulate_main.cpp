#include "data/phantom/simulate_command.h"

int main(int argc, char** argv) {
  epvs::data::SimulateCommand command;
  return epvs::core::run_command(command, argc, argv);
}
