#include "models/inspect_command.h"

int main(int argc, char** argv) {
  epvs::models::InspectCommand command;
  return epvs::core::run_command(command, argc, argv);
}
