#include "core/error.h"
#include "experiments/baselines/sift_forest.h"

namespace epvs::experiments {

bool has_sift_forest() {
  return false;
}

std::vector<double> score_by_sift_forest(std::size_t, const std::function<SliceStack(std::size_t)>&,
                                         const std::vector<std::size_t>&,
                                         const std::vector<double>&, const SiftForestOptions&,
                                         std::uint64_t, int) {
  throw core::UsageError("the method sift is not in this build",
                         "build with OpenCV (Debian: libopencv-features2d-dev, libopencv-ml-dev)");
}

}  // namespace epvs::experiments
