#include "models/keras_command.h"

int main(int argc, char** argv) {
  epvs::models::ImportKerasCommand command;
  return epvs::core::run_command(command, argc, argv);
}
