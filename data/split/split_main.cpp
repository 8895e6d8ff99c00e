#include "data/split/split_command.h"

int main(int argc, char** argv) {
  epvs::data::SplitCommand command;
  return epvs::core::run_command(command, argc, argv);
}
