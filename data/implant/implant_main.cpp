#include "data/implant/implant_command.h"

int main(int argc, char** argv) {
  epvs::data::ImplantCommand command;
  return epvs::core::run_command(command, argc, argv);
}
