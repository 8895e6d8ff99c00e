// Slices of a scan as pictures, with the outlines of masks.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "data/formats/png.h"

namespace epvs::data {

namespace {

constexpr Colour kBackground = {18, 18, 22};
constexpr Colour kInk = {235, 235, 235};
constexpr Colour kFaintInk = {150, 150, 160};
constexpr int kMargin = 8;

/// The two axes of a plane: across (left to right in the picture) and up, and the one it is cut
/// along.
struct PlaneAxes {
  std::size_t across;
  std::size_t up;
  std::size_t through;
  bool mirrored;  ///< across runs against the voxel axis
};

/// Radiological: the participant's right is on the left. Sagittal: anterior is on the left.
PlaneAxes axes_of(Plane plane) {
  switch (plane) {
    case Plane::kAxial:
      return {0, 1, 2, true};
    case Plane::kCoronal:
      return {0, 2, 1, true};
    case Plane::kSagittal:
      return {1, 2, 0, true};
  }
  EPVS_ASSERT(false);
}

/// A slice as a small image of double, resized linearly to pixels.
class SliceSampler {
 public:
  SliceSampler(const Geometry& geometry, Plane plane, std::int64_t index, double mm_per_pixel)
      : axes_(axes_of(plane)), index_(index), mm_per_pixel_(mm_per_pixel) {
    const Eigen::Vector3d spacing = geometry.spacing_mm();
    shape_ = geometry.shape;
    spacing_across_ = spacing[static_cast<Eigen::Index>(axes_.across)];
    spacing_up_ = spacing[static_cast<Eigen::Index>(axes_.up)];
    width_ = pixels(shape_[axes_.across], spacing_across_);
    height_ = pixels(shape_[axes_.up], spacing_up_);
  }

  int width() const { return width_; }
  int height() const { return height_; }

  /// Linear in the slice; clamped at its borders.
  template <class T>
  double at(const Volume<T>& volume, int x, int y) const {
    const double shown_x = axes_.mirrored ? width_ - 1 - x : x;
    const double a = coordinate(shown_x, spacing_across_, shape_[axes_.across]);
    const double b = coordinate(height_ - 1 - y, spacing_up_, shape_[axes_.up]);
    const auto a0 = static_cast<std::int64_t>(a);
    const auto b0 = static_cast<std::int64_t>(b);
    const std::int64_t a1 = std::min(a0 + 1, shape_[axes_.across] - 1);
    const std::int64_t b1 = std::min(b0 + 1, shape_[axes_.up] - 1);
    const double wa = a - static_cast<double>(a0);
    const double wb = b - static_cast<double>(b0);
    return (1 - wb) * ((1 - wa) * value(volume, a0, b0) + wa * value(volume, a1, b0)) +
           wb * ((1 - wa) * value(volume, a0, b1) + wa * value(volume, a1, b1));
  }

 private:
  int pixels(std::int64_t voxels, double spacing) const {
    return std::max(
        1, static_cast<int>(std::lround(static_cast<double>(voxels) * spacing / mm_per_pixel_)));
  }
  double coordinate(double pixel, double spacing, std::int64_t length) const {
    const double voxel = (pixel + 0.5) * mm_per_pixel_ / spacing - 0.5;
    return std::clamp(voxel, 0.0, static_cast<double>(length - 1));
  }
  template <class T>
  double value(const Volume<T>& volume, std::int64_t a, std::int64_t b) const {
    Shape voxel{};
    voxel[axes_.across] = a;
    voxel[axes_.up] = b;
    voxel[axes_.through] = index_;
    return static_cast<double>(volume.at(voxel[0], voxel[1], voxel[2]));
  }

  PlaneAxes axes_;
  std::int64_t index_;
  double mm_per_pixel_;
  Shape shape_{};
  double spacing_across_ = 1;
  double spacing_up_ = 1;
  int width_ = 1;
  int height_ = 1;
};

/// A pixel is on the outline when it is inside and one of its four neighbours is not.
void draw_outline(Picture& picture, const SliceSampler& sampler, const Contour& contour) {
  const int width = picture.width;
  const int height = picture.height;
  std::vector<bool> inside(static_cast<std::size_t>(width) * static_cast<std::size_t>(height));
  const auto at = [&](int x, int y) {
    return static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
           static_cast<std::size_t>(x);
  };
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) inside[at(x, y)] = sampler.at(*contour.mask, x, y) >= 0.5;
  }
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      if (!inside[at(x, y)]) continue;
      const bool border = x == 0 || y == 0 || x + 1 == width || y + 1 == height ||
                          !inside[at(x - 1, y)] || !inside[at(x + 1, y)] || !inside[at(x, y - 1)] ||
                          !inside[at(x, y + 1)];
      if (border) picture.set(x, y, contour.colour);
    }
  }
}

}  // namespace

void mark_sides(Picture& picture, Plane plane) {
  const std::string left = plane == Plane::kSagittal ? "A" : "R";
  const std::string right = plane == Plane::kSagittal ? "P" : "L";
  const int middle = picture.height / 2 - 7;
  const auto write = [&picture, middle](int x, const std::string& letter) {
    for (const int dx : {-1, 1}) {  // a dark rim, to be read on bright fat
      for (const int dy : {-1, 1}) draw_text(picture, x + dx, middle + dy, letter, {0, 0, 0}, 2);
    }
    draw_text(picture, x, middle, letter, kInk, 2);
  };
  write(4, left);
  write(picture.width - 4 - text_width(right, 2), right);
}

GreyWindow robust_window(const Volume<float>& volume) {
  std::vector<float> values;
  values.reserve(volume.voxels.size());
  for (const float value : volume.voxels) {
    if (std::isfinite(value) && value > 0) values.push_back(value);
  }
  if (values.empty()) return {};
  const auto quantile = [&values](double part) {
    const auto index = static_cast<std::ptrdiff_t>(
        std::floor(part * static_cast<double>(values.size() - 1) + 0.5));
    std::nth_element(values.begin(), values.begin() + index, values.end());
    return static_cast<double>(values[static_cast<std::size_t>(index)]);
  };
  GreyWindow window;
  window.black = quantile(0.005);
  window.white = quantile(0.995);
  if (!(window.white > window.black)) window.black = 0;
  return window;
}

void paste(Picture& canvas, const Picture& part, int x, int y) {
  for (int row = 0; row < part.height; ++row) {
    for (int column = 0; column < part.width; ++column) {
      canvas.set(x + column, y + row, part.get(column, row));
    }
  }
}

Picture slice_picture(const Volume<float>& scan, Plane plane, std::int64_t index,
                      double mm_per_pixel, const GreyWindow& window,
                      const std::vector<Contour>& contours) {
  const std::size_t through = axes_of(plane).through;
  EPVS_ASSERT(index >= 0 && index < scan.geometry.shape[through] && mm_per_pixel > 0);
  const SliceSampler sampler(scan.geometry, plane, index, mm_per_pixel);
  Picture picture(sampler.width(), sampler.height());
  const double range = std::max(window.white - window.black, 1e-30);
  for (int y = 0; y < picture.height; ++y) {
    for (int x = 0; x < picture.width; ++x) {
      const double value = sampler.at(scan, x, y);
      const double shade =
          std::isfinite(value) ? std::clamp((value - window.black) / range, 0.0, 1.0) : 0.0;
      const auto grey = static_cast<std::uint8_t>(std::lround(255 * shade));
      picture.set(x, y, {grey, grey, grey});
    }
  }
  for (const Contour& contour : contours) {
    EPVS_ASSERT(contour.mask->geometry.shape == scan.geometry.shape);
    draw_outline(picture, sampler, contour);
  }
  return picture;
}

Picture three_plane_picture(const Volume<float>& scan, const Shape& centre,
                            const std::vector<Contour>& contours, const std::string& title,
                            const GreyWindow& window) {
  const Shape& shape = scan.geometry.shape;
  const Eigen::Vector3d spacing = scan.geometry.spacing_mm();
  Shape index{};
  std::array<double, 3> extent_mm{};
  for (std::size_t i = 0; i < 3; ++i) {
    index[i] = std::clamp<std::int64_t>(centre[i], 0, shape[i] - 1);
    extent_mm[i] = static_cast<double>(shape[i]) * spacing[static_cast<Eigen::Index>(i)];
  }
  // Axial and coronal are as wide as x, sagittal as y: together 900 pixels.
  constexpr double kPixels = 900;
  const double mm_per_pixel = (2 * extent_mm[0] + extent_mm[1]) / kPixels;
  struct Panel {
    Plane plane;
    std::size_t axis;
    const char* name;
  };
  static constexpr Panel kPanels[] = {{Plane::kAxial, 2, "axial"},
                                      {Plane::kCoronal, 1, "coronal"},
                                      {Plane::kSagittal, 0, "sagittal"}};
  std::vector<Picture> pictures;
  int width = kMargin;
  int height = 0;
  for (const Panel& panel : kPanels) {
    pictures.push_back(
        slice_picture(scan, panel.plane, index[panel.axis], mm_per_pixel, window, contours));
    mark_sides(pictures.back(), panel.plane);
    width += pictures.back().width + kMargin;
    height = std::max(height, pictures.back().height);
  }
  constexpr int kTitle = 26;
  constexpr int kCaption = 18;
  Picture canvas(width, kTitle + height + kCaption, kBackground);
  const int title_scale = text_width(title, 2) <= width - 2 * kMargin ? 2 : 1;
  draw_text(canvas, kMargin, 6, title, kInk, title_scale);
  int left = kMargin;
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    paste(canvas, pictures[i], left, kTitle + (height - pictures[i].height) / 2);
    draw_text(canvas, left, kTitle + height + 6,
              fmt::format("{}, slice {} of {}", kPanels[i].name, index[kPanels[i].axis] + 1,
                          shape[kPanels[i].axis]),
              kFaintInk, 1);
    left += pictures[i].width + kMargin;
  }
  return canvas;
}

}  // namespace epvs::data
