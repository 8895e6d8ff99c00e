// The executable epvs-infer, which becomes epvs-infer-torch.
#include "infer/infer_usage.h"

int main(int argc, char** argv) {
  epvs::infer::InferUsage command;
  return epvs::core::run_command(command, argc, argv);
}
