// A build whose LibTorch has no c10d with Gloo trains with one process.
#include <fmt/format.h>

#include "core/error.h"
#include "train/distributed/collectives.h"

namespace epvs::train {

std::unique_ptr<Collectives> connect(const Launch& launch, std::chrono::milliseconds) {
  throw core::UsageError(
      fmt::format("{} asks for {} processes, but this build of epvs has no c10d", launch.launcher,
                  launch.size),
      "train with one process, or build epvs with a LibTorch that has Gloo and with Gloo's headers "
      "(Debian: libtorch-dev, libgloo-dev)");
}

}  // namespace epvs::train
