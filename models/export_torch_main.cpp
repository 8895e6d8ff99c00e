// The executable epvs-export-torch.
#include "models/export_command.h"

int main(int argc, char** argv) {
  epvs::models::ExportCommand command;
  return epvs::core::run_command(command, argc, argv);
}
