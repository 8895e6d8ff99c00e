// The executable epvs-infer-torch.
#include "infer/infer_command.h"

int main(int argc, char** argv) {
  epvs::infer::InferCommand command;
  return epvs::core::run_command(command, argc, argv);
}
