// The executable epvs-train.
#include "train/train_command.h"

int main(int argc, char** argv) {
  epvs::train::TrainCommand command;
  const std::vector<std::string> arguments = epvs::train::expand_resume(argc, argv);
  std::vector<const char*> pointers;
  for (const std::string& argument : arguments) pointers.push_back(argument.c_str());
  return epvs::core::run_command(command, static_cast<int>(pointers.size()), pointers.data());
}
