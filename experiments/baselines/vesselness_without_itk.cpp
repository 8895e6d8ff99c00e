#include "core/error.h"
#include "experiments/baselines/vesselness.h"

namespace epvs::experiments {

bool has_vesselness() {
  return false;
}

std::vector<float> vesselness(const std::vector<float>&, const std::array<std::int64_t, 3>&,
                              const std::array<double, 3>&) {
  throw core::UsageError("the method vesselness is not in this build",
                         "build with ITK (Debian: libinsighttoolkit5-dev)");
}

}  // namespace epvs::experiments
