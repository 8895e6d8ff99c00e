// The executable epvs-export, which becomes epvs-export-torch.
#include "models/export_usage.h"

int main(int argc, char** argv) {
  epvs::models::ExportUsage command;
  return epvs::core::run_command(command, argc, argv);
}
