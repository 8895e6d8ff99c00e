// The executable epvs-train-torch.
#include "train/train_command.h"

int main(int argc, char** argv) {
  epvs::train::TrainCommand command;
  return epvs::core::run_command(command, argc, argv);
}
