#include "experiments/baselines/bright_voxels.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.h"
#include "eval/correlation.h"

namespace epvs::experiments {

std::vector<float> unnormalised_roi(const data::CohortRow& row, const std::vector<float>& roi,
                                    const std::vector<float>& soft) {
  std::vector<float> result(roi.size());
  for (std::size_t i = 0; i < roi.size(); ++i) {
    result[i] = static_cast<float>(roi[i] / row.intensity_scale + soft[i] * row.intensity_offset);
  }
  return result;
}

double mean_intensity(const std::vector<float>& roi, const std::vector<float>& soft) {
  double sum = 0;
  std::size_t n = 0;
  for (std::size_t i = 0; i < roi.size(); ++i) {
    if (soft[i] <= 0) continue;
    sum += roi[i];
    ++n;
  }
  return n == 0 ? 0 : sum / static_cast<double>(n);
}

std::vector<double> voxels_above(const std::vector<float>& values,
                                 std::span<const float> thresholds) {
  // counts[k]: first the voxels with exactly k thresholds below them, then with at least k.
  std::vector<double> counts(thresholds.size() + 1, 0.0);
  for (const float value : values) {
    const auto above = std::ranges::lower_bound(thresholds, value) - thresholds.begin();
    counts[static_cast<std::size_t>(above)] += 1;
  }
  for (std::size_t k = thresholds.size(); k-- > 0;) counts[k] += counts[k + 1];
  return {counts.begin() + 1, counts.end()};
}

namespace {

/// Groups of voxels that grow together.
class Components {
 public:
  explicit Components(std::size_t voxels) : parent_(voxels, kAbsent) {}

  bool holds(std::size_t voxel) const { return parent_[voxel] != kAbsent; }
  void add(std::size_t voxel) {
    parent_[voxel] = static_cast<std::uint32_t>(voxel);
    ++count_;
  }
  void join(std::size_t a, std::size_t b) {
    const std::uint32_t root_a = root(a);
    const std::uint32_t root_b = root(b);
    if (root_a == root_b) return;
    parent_[root_a] = root_b;
    --count_;
  }
  double count() const { return count_; }

 private:
  static constexpr std::uint32_t kAbsent = ~std::uint32_t{0};

  std::uint32_t root(std::size_t voxel) {
    auto at = static_cast<std::uint32_t>(voxel);
    while (parent_[at] != at) at = parent_[at] = parent_[parent_[at]];
    return at;
  }

  std::vector<std::uint32_t> parent_;
  double count_ = 0;
};

}  // namespace

std::vector<double> components_above(const std::vector<float>& values, const data::Shape& shape,
                                     std::span<const float> thresholds) {
  std::vector<double> result(thresholds.size(), 0.0);
  if (thresholds.empty()) return result;
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] > thresholds.front()) order.push_back(i);
  }
  std::ranges::sort(order, [&](std::size_t a, std::size_t b) { return values[a] > values[b]; });
  // No structured binding: clang does not let a lambda capture one.
  const std::int64_t nx = shape[0], ny = shape[1], nz = shape[2];
  Components components(values.size());
  const auto join_neighbours = [&](std::size_t voxel) {
    const auto index = static_cast<std::int64_t>(voxel);
    const std::int64_t x = index % nx, y = index / nx % ny, z = index / (nx * ny);
    for (std::int64_t k = std::max<std::int64_t>(z - 1, 0); k <= std::min(z + 1, nz - 1); ++k) {
      for (std::int64_t j = std::max<std::int64_t>(y - 1, 0); j <= std::min(y + 1, ny - 1); ++j) {
        for (std::int64_t i = std::max<std::int64_t>(x - 1, 0); i <= std::min(x + 1, nx - 1); ++i) {
          const auto other = static_cast<std::size_t>((k * ny + j) * nx + i);
          if (components.holds(other)) components.join(voxel, other);
        }
      }
    }
  };
  std::size_t next = 0;
  for (std::size_t t = thresholds.size(); t-- > 0;) {
    for (; next < order.size() && values[order[next]] > thresholds[t]; ++next) {
      components.add(order[next]);
      join_neighbours(order[next]);
    }
    result[t] = components.count();
  }
  return result;
}

std::vector<float> candidate_thresholds(std::vector<float> sample) {
  constexpr int kCount = 64;
  std::ranges::sort(sample);
  if (sample.empty() || sample.front() == sample.back()) {
    throw core::InputError("all voxels of the training scans are equal: no threshold can be tuned");
  }
  std::vector<float> thresholds;
  for (int k = 0; k < kCount; ++k) {
    // The brighter share of the voxels, from 1/2 down to 1/10,000.
    const double share = 0.5 * std::pow(2e-4, static_cast<double>(k) / (kCount - 1));
    const auto last = static_cast<double>(sample.size() - 1);
    thresholds.push_back(sample[static_cast<std::size_t>(std::lround((1 - share) * last))]);
  }
  thresholds.erase(std::unique(thresholds.begin(), thresholds.end()), thresholds.end());
  return thresholds;
}

TunedThreshold tune_threshold(const std::vector<std::vector<double>>& measures,
                              const std::vector<double>& labels) {
  TunedThreshold best;
  best.pearson = -2;
  std::vector<double> column(measures.size());
  for (std::size_t t = 0; t < measures.front().size(); ++t) {
    std::ranges::transform(measures, column.begin(), [t](const auto& scan) { return scan[t]; });
    const double r = eval::pearson(column, labels).estimate;
    if (!std::isnan(r) && r > best.pearson) best = {t, r};
  }
  if (best.pearson < -1) {
    throw core::InputError(
        "no threshold can be tuned: the measure or the labels of the training "
        "scans are constant");
  }
  return best;
}

}  // namespace epvs::experiments
