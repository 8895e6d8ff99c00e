// The executable epvs-train, which becomes epvs-train-torch.
#include "train/train_usage.h"

int main(int argc, char** argv) {
  epvs::train::TrainUsage command;
  const std::vector<std::string> arguments = epvs::train::expand_resume(argc, argv);
  std::vector<const char*> pointers;
  for (const std::string& argument : arguments) pointers.push_back(argument.c_str());
  return epvs::core::run_command(command, static_cast<int>(pointers.size()), pointers.data());
}
