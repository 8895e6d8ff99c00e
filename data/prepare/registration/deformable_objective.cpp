#include "data/prepare/registration/deformable_objective.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace epvs::data {

namespace {

constexpr int kPadding = 2;               ///< empty bins at each end, for the width of the spline
constexpr double kBendingLength_mm = 20;  ///< makes the penalty a number without unit

/// Position of a value 0..1 along the bins.
double bin_term(double value, int bins) {
  return value * static_cast<double>(bins - 2 * kPadding) + kPadding;
}

int bin_of(double term, int bins) {
  return std::clamp(static_cast<int>(std::floor(term)), kPadding, bins - kPadding - 1);
}

/// Cubic B-spline of the distance to a bin, and its slope.
double window(double u) {
  const double a = std::abs(u);
  if (a < 1) return (4 - 6 * a * a + 3 * a * a * a) / 6;
  return a < 2 ? (2 - a) * (2 - a) * (2 - a) / 6 : 0;
}

double window_slope(double u) {
  const double a = std::abs(u);
  const double slope = a < 1 ? (-12 * a + 9 * a * a) / 6 : (a < 2 ? -(2 - a) * (2 - a) / 2 : 0);
  return u < 0 ? -slope : slope;
}

}  // namespace

bool AlignedImage::value(const Eigen::Vector3d& at, double& value,
                         Eigen::Vector3d& gradient) const {
  std::array<std::int64_t, 3> base{};
  std::array<double, 3> part{};
  std::array<bool, 3> beyond{};
  for (std::size_t i = 0; i < 3; ++i) {
    const auto axis = static_cast<Eigen::Index>(i);
    const double last = static_cast<double>(count[i] - 1);
    const double exact = (at[axis] - origin_mm[axis]) / spacing_mm;
    if (!(exact >= -0.5 && exact < last + 0.5)) return false;
    const double index = std::clamp(exact, 0.0, last);
    beyond[i] = index != exact;
    base[i] = std::min(static_cast<std::int64_t>(index), std::max<std::int64_t>(count[i] - 2, 0));
    part[i] = index - static_cast<double>(base[i]);
  }
  const std::int64_t dx = count[0] > 1 ? 1 : 0;
  const std::int64_t dy = count[1] > 1 ? count[0] : 0;
  const std::int64_t dz = count[2] > 1 ? count[0] * count[1] : 0;
  const float* v =
      &voxels[static_cast<std::size_t>((base[2] * count[1] + base[1]) * count[0] + base[0])];
  const auto mix = [](double a, double b, double t) { return a + t * (b - a); };
  const auto along_x = [&](std::int64_t o) { return mix(v[o], v[o + dx], part[0]); };
  const auto slope_x = [&](std::int64_t o) { return static_cast<double>(v[o + dx] - v[o]); };
  const double a = along_x(0);
  const double b = along_x(dy);
  const double c = along_x(dz);
  const double d = along_x(dy + dz);
  value = mix(mix(a, b, part[1]), mix(c, d, part[1]), part[2]);
  gradient[0] = mix(mix(slope_x(0), slope_x(dy), part[1]),
                    mix(slope_x(dz), slope_x(dy + dz), part[1]), part[2]);
  gradient[1] = mix(b - a, d - c, part[2]);
  gradient[2] = mix(c, d, part[1]) - mix(a, b, part[1]);
  for (std::size_t i = 0; i < 3; ++i) {
    double& slope = gradient[static_cast<Eigen::Index>(i)];
    slope = beyond[i] ? 0 : slope / spacing_mm;
  }
  return true;
}

DeformableObjective::DeformableObjective(const AlignedImage& moving,
                                         const std::vector<DeformationSample>& samples,
                                         const ControlGrid& grid, int bins, double bending)
    : moving_(moving), grid_(grid), bins_(bins), bending_(bending) {
  const Deformation still(grid);
  for (const DeformationSample& sample : samples) {
    const ControlWeights weights = still.weights(sample.at);
    if (!weights.inside) continue;
    points_.push_back({sample.at, weights, bin_of(bin_term(sample.fixed, bins), bins)});
  }
  hits_.resize(points_.size());
  joint_.resize(static_cast<std::size_t>(bins * bins));
  moving_marginal_.resize(static_cast<std::size_t>(bins));
}

void DeformableObjective::fill_histogram(const Deformation& deformation) {
  std::fill(joint_.begin(), joint_.end(), 0.0);
  inside_ = 0;
  for (std::size_t i = 0; i < points_.size(); ++i) {
    const Point& point = points_[i];
    Hit& hit = hits_[i];
    double value = 0;
    hit.bin = -1;
    if (!moving_.value(point.at + deformation.displacement(point.weights), value, hit.gradient)) {
      continue;
    }
    hit.term = bin_term(value, bins_);
    hit.bin = bin_of(hit.term, bins_);
    for (int bin = hit.bin - 1; bin <= hit.bin + 2; ++bin) {
      joint_[static_cast<std::size_t>(point.fixed_bin * bins_ + bin)] += window(bin - hit.term);
    }
    inside_ += 1;
  }
  double sum = 0;
  for (const double count : joint_) sum += count;
  if (sum > 0) {
    for (double& count : joint_) count /= sum;
  }
}

double DeformableObjective::operator()(const std::vector<double>& coefficients,
                                       std::vector<double>* gradient) {
  ++evaluations_;
  Deformation deformation(grid_);
  deformation.coefficients() = coefficients;
  fill_histogram(deformation);
  std::fill(moving_marginal_.begin(), moving_marginal_.end(), 0.0);
  information_ = 0;
  const auto bins = static_cast<std::size_t>(bins_);
  for (std::size_t f = 0; f < bins; ++f) {
    for (std::size_t m = 0; m < bins; ++m) moving_marginal_[m] += joint_[f * bins + m];
  }
  for (std::size_t f = 0; f < bins; ++f) {
    double fixed = 0;
    for (std::size_t m = 0; m < bins; ++m) fixed += joint_[f * bins + m];
    for (std::size_t m = 0; m < bins; ++m) {
      const double p = joint_[f * bins + m];
      if (p > 0) information_ += p * std::log(p / (fixed * moving_marginal_[m]));
    }
  }
  if (gradient != nullptr) {
    gradient->assign(coefficients.size(), 0.0);
    if (inside_ > 0) add_information_gradient(*gradient);
  }
  return add_bending(coefficients, gradient) - information_;
}

void DeformableObjective::add_information_gradient(std::vector<double>& gradient) const {
  // d(-MI)/dc = -sum over samples and bins of dp(f, m)/dc log(p(f, m) / p(m)); the other terms
  // cancel because the windows of a sample sum to 1.
  const auto bins = static_cast<std::size_t>(bins_);
  std::vector<double> logs(joint_.size(), 0.0);
  for (std::size_t f = 0; f < bins; ++f) {
    for (std::size_t m = 0; m < bins; ++m) {
      const double p = joint_[f * bins + m];
      if (p > 0) logs[f * bins + m] = std::log(p / moving_marginal_[m]);
    }
  }
  const double by_value = static_cast<double>(bins_ - 2 * kPadding);
  for (std::size_t i = 0; i < points_.size(); ++i) {
    const Hit& hit = hits_[i];
    if (hit.bin < 0) continue;
    const Point& point = points_[i];
    double slope = 0;  // of -MI by the value of the moving scan
    for (int bin = hit.bin - 1; bin <= hit.bin + 2; ++bin) {
      slope += window_slope(bin - hit.term) *
               logs[static_cast<std::size_t>(point.fixed_bin * bins_ + bin)];
    }
    const Eigen::Vector3d pull = (slope * by_value / inside_) * hit.gradient;
    const ControlWeights& w = point.weights;
    for (std::int64_t z = 0; z < 4; ++z) {
      for (std::int64_t y = 0; y < 4; ++y) {
        const double plane =
            w.weight[2][static_cast<std::size_t>(z)] * w.weight[1][static_cast<std::size_t>(y)];
        const std::int64_t row =
            ((w.first[2] + z) * grid_.count[1] + w.first[1] + y) * grid_.count[0] + w.first[0];
        double* g = &gradient[static_cast<std::size_t>(3 * row)];
        for (std::size_t x = 0; x < 4; ++x, g += 3) {
          const double weight = plane * w.weight[0][x];
          g[0] += weight * pull[0];
          g[1] += weight * pull[1];
          g[2] += weight * pull[2];
        }
      }
    }
  }
}

double DeformableObjective::add_bending(const std::vector<double>& coefficients,
                                        std::vector<double>* gradient) const {
  // Second differences along the axes and across pairs of them (which count twice).
  struct Stencil {
    std::vector<std::pair<std::int64_t, double>> taps;  ///< offset in control points, factor
    Shape reach;
  };
  const std::array<std::int64_t, 3> stride = {1, grid_.count[0], grid_.count[0] * grid_.count[1]};
  std::vector<Stencil> stencils;
  for (std::size_t a = 0; a < 3; ++a) {
    Stencil one{{{-stride[a], 1.0}, {0, -2.0}, {stride[a], 1.0}}, {0, 0, 0}};
    one.reach[a] = 1;
    stencils.push_back(one);
    for (std::size_t b = a + 1; b < 3; ++b) {
      const double quarter = 0.25 * std::sqrt(2.0);
      Stencil two{{{stride[a] + stride[b], quarter},
                   {stride[a] - stride[b], -quarter},
                   {-stride[a] + stride[b], -quarter},
                   {-stride[a] - stride[b], quarter}},
                  {0, 0, 0}};
      two.reach[a] = two.reach[b] = 1;
      stencils.push_back(two);
    }
  }
  const double unit = kBendingLength_mm / (grid_.spacing_mm * grid_.spacing_mm);
  const double weight = bending_ * unit * unit / static_cast<double>(grid_.points());
  double energy = 0;
  for (const Stencil& stencil : stencils) {
    for (std::int64_t z = stencil.reach[2]; z < grid_.count[2] - stencil.reach[2]; ++z) {
      for (std::int64_t y = stencil.reach[1]; y < grid_.count[1] - stencil.reach[1]; ++y) {
        for (std::int64_t x = stencil.reach[0]; x < grid_.count[0] - stencil.reach[0]; ++x) {
          const std::int64_t at = (z * grid_.count[1] + y) * grid_.count[0] + x;
          for (std::int64_t axis = 0; axis < 3; ++axis) {
            double difference = 0;
            for (const auto& [offset, factor] : stencil.taps) {
              difference +=
                  factor * coefficients[static_cast<std::size_t>(3 * (at + offset) + axis)];
            }
            energy += difference * difference;
            if (gradient == nullptr) continue;
            for (const auto& [offset, factor] : stencil.taps) {
              (*gradient)[static_cast<std::size_t>(3 * (at + offset) + axis)] +=
                  2 * weight * factor * difference;
            }
          }
        }
      }
    }
  }
  return weight * energy;
}

}  // namespace epvs::data
