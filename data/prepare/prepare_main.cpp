#include "data/prepare/prepare_command.h"

int main(int argc, char** argv) {
  epvs::data::PrepareCommand command;
  return epvs::core::run_command(command, argc, argv);
}
