#include "core/command.h"
#include "eval/eval_command.h"

int main(int argc, char** argv) {
  epvs::eval::EvalCommand command;
  return epvs::core::run_command(command, argc, argv);
}
